// When a team should run on half of its threads: a policy that is given times and reads no clock.
// If a thread has lost its core to another process, the rest wait for it at every barrier. Then half of the threads,
// each doing the work of two, are faster; they need no core that is not theirs, and the system finds them one that is
// free.
#pragma once

namespace undiced {

class FoldPolicy {
  public:
    // Whether the step that begins at `now_s` should run folded.
    bool folded(double now_s) const { return now_s < until_s_; }

    // A step that ran on all threads took `seconds`, of which some thread slept `lost_s` waiting for another.
    void observe(double now_s, double seconds, double lost_s) {
        if (lost_s < kLostShare * seconds) {
            bad_s_ = bad_s_ > seconds ? bad_s_ - seconds : 0.0;
            good_s_ += seconds;
            if (good_s_ > kTrusted_s) span_s_ = kShortest_s;
            return;
        }
        good_s_ = 0.0;
        bad_s_ += seconds;
        if (bad_s_ < kTolerated_s) return;  // other processes come and go, and threads need time to find their cores
        until_s_ = now_s + span_s_;
        span_s_ = span_s_ < kLongest_s ? 2.0 * span_s_ : kLongest_s;
        bad_s_ = 0.0;
    }

  private:
    // Folding doubles each thread's work, so it pays once half the time is lost, or somewhat earlier where memory is
    // the limit. A trial of the whole team costs some slow steps, so trials become rarer while they fail.
    static constexpr double kLostShare = 0.4;
    static constexpr double kTolerated_s = 0.02, kTrusted_s = 0.1;
    static constexpr double kShortest_s = 0.02, kLongest_s = 0.4;

    double bad_s_ = 0.0, good_s_ = 0.0, until_s_ = -1.0, span_s_ = kShortest_s;
};

}  // namespace undiced

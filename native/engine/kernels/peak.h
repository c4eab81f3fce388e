// Times a loop body that does nothing but arithmetic in registers.
#pragma once

#include <ctime>

namespace undiced {
namespace {

inline double monotonic_s() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Operations a second of `run(calls)`, which does `operations` of them a call: the best of many runs, each shorter than
// a time slice. The loop is the caller's, so that its values stay in registers.
template <class Run>
double measure_peak(double operations, const Run& run) {
    constexpr int kCalls = 50000, kRuns = 60;
    double best = 0.0;
    for (int i = 0; i < kRuns; ++i) {
        const double begin = monotonic_s();
        run(kCalls);
        const double rate = operations * kCalls / (monotonic_s() - begin);
        best = rate > best ? rate : best;
    }
    return best;
}

}  // namespace
}  // namespace undiced

// Sampling of a step's logits by the team: every member looks over its columns, then whole rows are shared out.
// Owns the per-sequence sampling state and each member's scratch.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "kernels.h"
#include "slots.h"
#include "step.h"

namespace undiced {

class Sampler {
  public:
    Sampler(const Kernels& kernels, const Limits& limits, int members);

    SlotStates& slots() { return slots_; }
    const SlotStates& slots() const { return slots_; }

    // First phase: block maxima of columns [begin, end) of all rows, and which rows hold a logit that is not finite.
    // `begin` is a multiple of kLogitBlock.
    void scan(float* logits, std::ptrdiff_t stride, int rows, int begin, int end);

    // Forgets what was found in `rows` rows; before a step.
    void reset(int rows);

    // Second phase: samples one row, writes its outputs and counts the token; or, for a row with a target, tells how
    // likely that is. A row without a token says why instead. Logits are as before when it returns.
    // `mask`: a bit a token, set for those that may be drawn; null: all.
    void sample(float* logits, int row, const SamplingRow& sampling, const std::int32_t* mask, const StepOutput& out,
                int member);

    // A row that gets no token: says why, and no log-probabilities.
    static void say_nothing(int row, std::int32_t reason, const StepOutput& out);

  private:
    struct Scratch {
        explicit Scratch(int vocab)
            : select(vocab),
              few(static_cast<std::size_t>(vocab)),
              few_block_max(static_cast<std::size_t>(logit_blocks(vocab))) {
            changes.reserve(3 * static_cast<std::size_t>(vocab));
        }
        SelectScratch select;
        std::vector<Change> changes;
        std::vector<float> few, few_block_max;  // a row of which few tokens are allowed
    };

    // The token of a row, or why there is none.
    int bend_and_choose(const LogitRow& row, const SamplingRow& sampling, const std::int32_t* mask, Scratch& scratch);
    // The row with no other tokens than these, and of these no others than the mask's, if there is one.
    static LogitRow only(const LogitRow& row, std::span<const std::int32_t> allowed, const std::int32_t* mask,
                         Scratch& scratch);
    // The row with no other tokens than the mask's.
    static LogitRow masked(const LogitRow& row, const std::int32_t* mask, Scratch& scratch);
    int choose(const LogitRow& row, const SamplingRow& sampling, Scratch& scratch);
    // Writes the top log-probabilities and returns the log of the sum of exponentials.
    float write_top(const LogitRow& row, int count, std::int32_t* ids, float* values, Scratch& scratch);

    const Kernels& kernels_;
    const int vocab_;
    SlotStates slots_;
    std::vector<float> block_max_;                 // max_samples x blocks
    std::unique_ptr<std::atomic<bool>[]> broken_;  // max_samples: whether some logit is not finite
    std::vector<std::unique_ptr<Scratch>> scratch_;
};

}  // namespace undiced

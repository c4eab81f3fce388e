// One step's arrays as the caller passes them, and the rules that they obey.
// The mirror of undiced/engine/backend.py, which defines StepInput, StepOutput and the sampling row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels.h"

namespace undiced {

inline constexpr int kTopLogprobsMax = 20;

struct Limits {
    int max_batch;   // sequences in a step, and slots
    int max_tokens;  // tokens in a step
    int context;     // positions a sequence may reach
    int pages;       // KV pages in the pool
    int vocab;
};

// How one row of logits becomes a token.
struct SamplingRow {
    std::int32_t slot;
    std::int32_t top_k;            // 0 = off
    std::int32_t top_logprobs;     // -1 = none, 0 = the sampled token's alone
    std::int32_t min_tokens_mask;  // 1 = end-of-sequence tokens are forbidden
    float temperature;             // 0 = greedy
    float top_p;
    float min_p;
    float repetition_penalty;
    float frequency_penalty;
    float presence_penalty;
    std::uint64_t seed;
    std::uint64_t counter;
};
static_assert(sizeof(SamplingRow) == 56 && offsetof(SamplingRow, seed) == 40);

struct StepInput {
    std::span<const std::int32_t> tokens;      // T
    std::span<const std::int32_t> positions;   // T
    std::span<const std::int32_t> seq_start;   // S + 1
    std::span<const std::int32_t> slots;       // S
    std::span<const std::int32_t> page_table;  // S x page_columns
    int page_columns = 0;
    std::span<const std::int32_t> sample_rows;  // R
    std::span<const SamplingRow> sampling;      // R

    int token_count() const { return static_cast<int>(tokens.size()); }
    int sequences() const { return static_cast<int>(slots.size()); }
    int samples() const { return static_cast<int>(sample_rows.size()); }
    const std::int32_t* pages_of(int sequence) const {
        return page_table.data() + static_cast<std::size_t>(sequence) * static_cast<std::size_t>(page_columns);
    }
};

struct StepOutput {
    std::span<std::int32_t> tokens;   // R
    std::span<float> logprobs;        // R
    std::span<std::int32_t> top_ids;  // R x kTopLogprobsMax
    std::span<float> top_logprobs;    // R x kTopLogprobsMax
};

// Checks a step before anything is changed by it. Holds only scratch marks, allocated once.
class StepChecker {
  public:
    // `window`: positions that the widest attention layer looks back, 0 for all. `embed_rows`: ids a token may have.
    // `position_rows`: positions that a learned position embedding holds, 0 if there is none.
    StepChecker(const Limits& limits, int window, int embed_rows, int position_rows);

    // Throws std::invalid_argument that names the offending array, row and value.
    void check(const StepInput& in, const StepOutput& out);

  private:
    void check_shapes(const StepInput& in, const StepOutput& out) const;
    void check_sequence(const StepInput& in, int sequence);
    void check_sample(const StepInput& in, int row);

    Limits limits_;
    int window_, embed_rows_, position_limit_;
    std::uint64_t epoch_ = 0;
    std::vector<std::uint64_t> slot_marks_, page_marks_, sampled_marks_;
};

}  // namespace undiced

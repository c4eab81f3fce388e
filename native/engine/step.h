// One step's arrays as the caller passes them, and the rules that they obey.
// The mirror of undiced/engine/backend.py, which defines StepInput and StepOutput, and of undiced/core/sampling.py.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels.h"

namespace undiced {

inline constexpr int kTopLogprobsMax = 20;
inline constexpr float kBiasMost = 1e6f;  // of a logit bias, either way

// A sampled token that is none: why this row has no token. Other rows are not affected.
inline constexpr std::int32_t kNonFinite = -1;       // some logit is infinite or no number
inline constexpr std::int32_t kNothingAllowed = -2;  // every token is forbidden
inline constexpr std::int32_t kNotReached =
    -3;  // it continues a draft that was left in an earlier row, or an ended sequence

struct Limits {
    int max_batch;    // sequences in a step, and slots
    int max_samples;  // sampled rows in a step
    int max_tokens;   // tokens in a step
    int context;      // positions a sequence may reach
    int pages;        // KV pages in the pool
    int vocab;
};

// The record that says how one row of logits becomes a token: X(type, name, least, most). The twin of RECORD in
// undiced/core/sampling.py, which says what the fields mean; a test compares names, types, places and ranges.
#define UNDICED_SAMPLING_RECORD(X)                     \
    X(std::int32_t, slot, 0, INT32_MAX)                \
    X(std::int32_t, target, -1, INT32_MAX)             \
    X(std::int32_t, top_logprobs, -1, kTopLogprobsMax) \
    X(std::int32_t, min_tokens_mask, 0, 1)             \
    X(std::int32_t, mask, -1, INT32_MAX)               \
    X(float, temperature, 0, 1e6)                      \
    X(float, top_p, 0, 1)                              \
    X(std::int32_t, top_k, -1, INT32_MAX)              \
    X(float, min_p, 0, 1)                              \
    X(float, repetition_penalty, 1e-3, 1e3)            \
    X(float, frequency_penalty, -1e3, 1e3)             \
    X(float, presence_penalty, -1e3, 1e3)              \
    X(std::uint64_t, seed, 0, UINT64_MAX)              \
    X(std::uint64_t, counter, 0, UINT64_MAX)

struct SamplingRow {
#define UNDICED_MEMBER(type, name, least, most) type name;
    UNDICED_SAMPLING_RECORD(UNDICED_MEMBER)
#undef UNDICED_MEMBER

    bool drawn() const { return target < 0; }
};

// A field of the record as numpy describes it.
struct SamplingField {
    const char* name;
    char kind;  // i, u or f
    std::size_t bytes, offset;
    double least, most;
};
template <class T>
constexpr char kKindOf = std::is_floating_point_v<T> ? 'f'
                         : std::is_signed_v<T>       ? 'i'
                                                     : 'u';

inline constexpr SamplingField kSamplingFields[] = {
#define UNDICED_FIELD(type, name, least, most) \
    {#name, kKindOf<type>, sizeof(type), offsetof(SamplingRow, name), double(least), double(most)},
    UNDICED_SAMPLING_RECORD(UNDICED_FIELD)
#undef UNDICED_FIELD
};

struct StepInput {
    std::span<const std::int32_t> tokens;      // T; -1 - r: the token that row r of the step before drew
    std::span<const std::int32_t> positions;   // T
    std::span<const std::int32_t> seq_start;   // S + 1
    std::span<const std::int32_t> slots;       // S
    std::span<const std::int32_t> page_table;  // S x page_columns
    int page_columns = 0;
    std::span<const std::int32_t> sample_rows;  // R
    std::span<const SamplingRow> sampling;      // R
    std::span<const std::int32_t> masks;        // M x mask_words: bit b of word w allows token 32 w + b
    int mask_words = 0;

    // Whether any token is one that the step before draws.
    bool follows() const {
        return std::any_of(tokens.begin(), tokens.end(), [](std::int32_t token) { return token < 0; });
    }
    int token_count() const { return static_cast<int>(tokens.size()); }
    int sequences() const { return static_cast<int>(slots.size()); }
    int mask_rows() const { return mask_words == 0 ? 0 : static_cast<int>(masks.size()) / mask_words; }
    int samples() const { return static_cast<int>(sample_rows.size()); }
    // The words that say which tokens a row may draw; null: all.
    const std::int32_t* mask_of(const SamplingRow& row) const {
        return row.mask < 0 ? nullptr
                            : masks.data() + static_cast<std::size_t>(row.mask) * static_cast<std::size_t>(mask_words);
    }
    const std::int32_t* pages_of(int sequence) const {
        return page_table.data() + static_cast<std::size_t>(sequence) * static_cast<std::size_t>(page_columns);
    }
};

struct StepOutput {
    std::span<std::int32_t> tokens;   // R, or why there is none
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

    // Pages below this number may have been written by the steps that were checked.
    int pages_written() const { return pages_written_; }

  private:
    void check_shapes(const StepInput& in, const StepOutput& out) const;
    void check_sequence(const StepInput& in, int sequence);
    void check_sample(const StepInput& in, int row);

    Limits limits_;
    int window_, embed_rows_, position_limit_;
    int pages_written_ = 0;
    std::uint64_t epoch_ = 0;
    std::vector<std::uint64_t> slot_marks_, page_marks_, sampled_marks_;
};

}  // namespace undiced

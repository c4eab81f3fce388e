// From one row of logits to one token: the largest values, and draws from the filtered distribution.
// Never sorts a whole row: the maxima of blocks of 32 logits say where the large ones are.
// Filters in order: temperature, min-p, top-k, top-p of what is left. Equal logits: the lower id is the larger.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "step.h"

namespace undiced {

inline constexpr int kLogitBlock = 32;

constexpr int logit_blocks(int count) { return (count + kLogitBlock - 1) / kLogitBlock; }

struct LogitRow {
    float* values;     // no NaN; -infinity forbids a token
    float* block_max;  // largest value of each block
    int count;
};

// What one thread needs while it selects; sized once for a vocabulary.
struct SelectScratch {
    explicit SelectScratch(int vocab);

    std::vector<float> weights;     // exp((logit - max) / temperature), by id or by position in `ids`
    std::vector<float> blocks;      // a copy of block maxima
    std::vector<std::int32_t> ids;  // candidates
    std::vector<double> sums;       // weights added up by stretches of kStretch
};

// Recomputes the maxima of blocks [begin, end).
void update_block_max(const LogitRow& row, int begin, int end);

// The id of the largest value.
int largest_one(const LogitRow& row);

// Puts the ids of the `k` largest finite values into scratch.ids, largest first; returns how many there are.
int largest(const LogitRow& row, int k, SelectScratch& scratch);

// The token with the largest value, or why none can be chosen if that value is not finite.
int token_or_reason(int token, float largest);

// The token, or why there is none, at `u` in [0, 1) of the distribution that `sampling` (temperature > 0) makes of the
// row.
int draw(const Kernels& kernels, const LogitRow& row, const SamplingRow& sampling, double u, SelectScratch& scratch);

// A uniform number in [0, 1) that depends on the pair alone.
double uniform(std::uint64_t seed, std::uint64_t counter);

}  // namespace undiced

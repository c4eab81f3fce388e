// Rows of words times a strip of words, for AVX-512: vpdpwssd multiplies two pairs and adds them to a sum, twice the
// products of a fused multiply-add.
#pragma once

#include <cstdint>

namespace undiced {
namespace {

inline constexpr int kTile = 8;  // rows whose sums with two vectors stay in registers

// sums = kTile rows of words times a strip of `pairs` pairs of rows. In `a` neighboring rows are RowWords apart, and
// their pairs PairWords.
template <int RowWords, int PairWords>
inline __attribute__((always_inline)) void multiply_strip(const std::int16_t* a, const std::int16_t* b,
                                                          std::int64_t pairs, simd::I (&sums)[kTile][2]) {
#pragma GCC unroll 8
    for (auto& row : sums) row[0] = row[1] = simd::no_sums();
    for (std::int64_t pair = 0; pair < pairs; ++pair, a += PairWords, b += 4 * simd::kLanes) {
        const simd::I first = simd::load_words(b), second = simd::load_words(b + 2 * simd::kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r) {
            const simd::Pairs factor = simd::broadcast_pair(a + r * RowWords);
            sums[r][0] = simd::multiply_pairs(factor, first, sums[r][0]);
            sums[r][1] = simd::multiply_pairs(factor, second, sums[r][1]);
        }
    }
}

}  // namespace
}  // namespace undiced

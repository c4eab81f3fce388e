// Activations to blocks of codes for AVX2, four blocks at a time: their largest values, scales and sums are found side
// by side, in lanes, where one block alone would wait for each of its few numbers.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "levels.h"

namespace undiced {
namespace {

inline constexpr int kTogether = 4;  // blocks

// The largest size of each block's 32 values, a lane each. NaN wins.
inline __m128 largest_sizes(const float* const (&from)[kTogether]) {
    __m128i most[kTogether];
#pragma GCC unroll 4
    for (int b = 0; b < kTogether; ++b) {
        __m256 size[4];
        for (int i = 0; i < 4; ++i) size[i] = simd::abs(_mm256_loadu_ps(from[b] + 8 * i));
        const __m256i all = _mm256_castps_si256(
            simd::larger_unsigned(simd::larger_unsigned(size[0], size[1]), simd::larger_unsigned(size[2], size[3])));
        most[b] = _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    }
    const auto pair = [](__m128i a, __m128i b) {
        return _mm_max_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
    };
    const __m128i first = pair(most[0], most[1]), second = pair(most[2], most[3]);
    return _mm_castsi128_ps(_mm_max_epi32(_mm_unpacklo_epi64(first, second), _mm_unpackhi_epi64(first, second)));
}

// Both write the codes of a block and return sums of theirs: four of columns 0..15, four of columns 16..31.
inline __m256i store_codes(const __m256i (&code)[4], QuantBlock& out) {
    const __m256i low = _mm256_packs_epi32(code[0], code[1]), high = _mm256_packs_epi32(code[2], code[3]);
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.code), bytes);
    return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes), _mm256_set1_epi16(1));
}

inline __m256i store_codes(const __m256i (&code)[4], WideBlock& out) {
    __m128i sums[2];
    for (int half = 0; half < 2; ++half) {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(code[2 * half], code[2 * half + 1]), 0xd8);
        const __m256i placed = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.code + 16 * half), placed);
        const __m256i both = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
        sums[half] = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    }
    return _mm256_set_m128i(sums[1], sums[0]);
}

// The blocks of 32 values each, of which the first Count are wanted.
template <int Count, class Code>
inline void quantize_blocks(const float* const (&from)[kTogether], Block<Code>* out) {
    const __m128 most = _mm_set1_ps(std::numeric_limits<Code>::max()), largest = largest_sizes(from);
    const __m128 nothing = _mm_cmple_ps(largest, _mm_set1_ps(kSmallestActivation));  // NaN is not
    const __m128 scale = _mm_andnot_ps(nothing, _mm_div_ps(largest, most));
    alignas(16) float inverse[kTogether];
    _mm_store_ps(inverse, _mm_andnot_ps(nothing, _mm_div_ps(most, largest)));
    __m256i sums[kTogether] = {};
#pragma GCC unroll 4
    for (int b = 0; b < Count; ++b) {
        const __m256 factor = _mm256_broadcast_ss(inverse + b), bound = _mm256_broadcastss_ps(most);
        __m256i code[4];
        for (int i = 0; i < 4; ++i)  // what is finite rounds to the bound at most, either way; NaN becomes that
            code[i] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_mul_ps(_mm256_loadu_ps(from[b] + 8 * i), factor), bound));
        sums[b] = store_codes(code, out[b]);
    }
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m128i first = _mm256_castsi256_si128(halves), second = _mm256_extracti128_si256(halves, 1);
    // A row for each block: its scale, the sum of its values, and those of both halves, as they lie there.
    static_assert(offsetof(Block<Code>, sum) == offsetof(Block<Code>, scale) + 4);
    static_assert(offsetof(Block<Code>, half_sum) == offsetof(Block<Code>, scale) + 8);
    __m128 row[kTogether] = {scale, _mm_mul_ps(_mm_cvtepi32_ps(_mm_add_epi32(first, second)), scale),
                             _mm_mul_ps(_mm_cvtepi32_ps(first), scale), _mm_mul_ps(_mm_cvtepi32_ps(second), scale)};
    _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
#pragma GCC unroll 4
    for (int b = 0; b < Count; ++b) _mm_storeu_ps(&out[b].scale, row[b]);
}

template <class Code>
inline void quantize(const float* x, std::int64_t cols, Block<Code>* out) {
    alignas(32) float tail[kBlockCols];
    const std::int64_t whole = cols / kBlockCols, rest = cols % kBlockCols, blocks = whole + (rest > 0 ? 1 : 0);
    if (rest > 0) {
        std::memset(tail, 0, sizeof tail);
        std::memcpy(tail, x + whole * kBlockCols, static_cast<std::size_t>(rest) * sizeof(float));
    }
    const auto blocks_at = [&]<int Count>(std::int64_t block) {
        const float* from[kTogether];
        for (int b = 0; b < kTogether; ++b) {
            const std::int64_t at = block + std::min(b, Count - 1);
            from[b] = at < whole ? x + at * kBlockCols : tail;
        }
        quantize_blocks<Count>(from, out + block);
    };
    std::int64_t block = 0;
    for (; block + kTogether <= blocks; block += kTogether) blocks_at.template operator()<kTogether>(block);
    if (blocks - block == 3) blocks_at.template operator()<3>(block);
    if (blocks - block == 2) blocks_at.template operator()<2>(block);
    if (blocks - block == 1) blocks_at.template operator()<1>(block);
}

}  // namespace
}  // namespace undiced

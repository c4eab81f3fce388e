// Activations to codes of 8 and 16 bits for AVX2.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "levels.h"
#include "quant_avx2.h"

namespace undiced {
namespace {

// The scale of a block of codes and the sums of their halves, in every lane, times that, as they lie behind each other.
template <class Code>
inline void store_sums(__m128i first, __m128i second, float scale, Block<Code>& out) {
    static_assert(offsetof(Block<Code>, sum) == offsetof(Block<Code>, scale) + 4);
    static_assert(offsetof(Block<Code>, half_sum) == offsetof(Block<Code>, scale) + 8);
    const __m128i all = _mm_blend_epi32(_mm_unpacklo_epi32(first, second), _mm_add_epi32(first, second), 2);
    const __m128 factor = _mm_set1_ps(scale);
    _mm_storeu_ps(&out.scale, _mm_blend_ps(_mm_mul_ps(_mm_cvtepi32_ps(all), factor), factor, 1));
}

// The sums of both halves of a register, each in every lane of its half.
inline __m256i sum_halves(__m256i sums) {
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
    return _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
}

// Columns 8 a + 0..3 of four vectors, then 8 a + 4..7.
inline void store_codes(const __m256i (&code)[4], float scale, QuantBlock& out) {
    const __m256i low = _mm256_packs_epi32(code[0], code[1]), high = _mm256_packs_epi32(code[2], code[3]);
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.code), bytes);
    const __m256i sums = sum_halves(widen(_mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes)));
    store_sums(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1), scale, out);
}

inline void store_codes(const __m256i (&code)[4], float scale, WideBlock& out) {
    __m128i sums[2];
    for (int half = 0; half < 2; ++half) {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(code[2 * half], code[2 * half + 1]), 0xd8);
        const __m256i placed = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.code + 16 * half), placed);
        const __m256i both = sum_halves(widen(words));
        sums[half] = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    }
    store_sums(sums[0], sums[1], scale, out);
}

template <class Code>
inline void quantize(const float* x, std::int64_t cols, Block<Code>* out) {
    constexpr float kMost = std::numeric_limits<Code>::max();
    alignas(32) float tail[kBlockCols];
    for (std::int64_t begin = 0; begin < cols; begin += kBlockCols, ++out) {
        const float* from = x + begin;
        if (cols - begin < kBlockCols) {
            std::memset(tail, 0, sizeof tail);
            std::memcpy(tail, from, static_cast<std::size_t>(cols - begin) * sizeof(float));
            from = tail;
        }
        __m256 v[4], size[4];
        for (int i = 0; i < 4; ++i) {
            v[i] = _mm256_loadu_ps(from + 8 * i);
            size[i] = simd::abs(v[i]);
        }
        const float largest = simd::largest_unsigned(
            simd::larger_unsigned(simd::larger_unsigned(size[0], size[1]), simd::larger_unsigned(size[2], size[3])));
        const float inverse = largest <= kSmallestActivation ? 0.0f : kMost / largest;
        const float scale = largest <= kSmallestActivation ? 0.0f : largest / kMost;
        __m256i code[4];
        for (int i = 0; i < 4; ++i) {  // what is finite rounds to kMost at most, either way; NaN becomes kMost
            const __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
            code[i] = _mm256_cvtps_epi32(_mm256_min_ps(scaled, _mm256_set1_ps(kMost)));
        }
        store_codes(code, scale, *out);
    }
}

}  // namespace
}  // namespace undiced

// Integer products for AVX2. Codes are unsigned and activations signed, which is what vpmaddubsw wants: two products
// are added in 16 bits, and as many pairs as cannot overflow are added there too before one vpmaddwd widens them:
//   4-bit codes  15 * 127 * 2 * 8 = 30480: a whole block;   5-bit codes  31 * 127 * 2 * 4 = 31496: half a block;
//   6-bit codes  63 * 127 * 2 * 2 = 32004: two vectors;     8-bit codes  are two planes of 4 bits, 16 * high + low.
// Peak on a core with two such units: 64 multiply-adds per cycle.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "levels.h"
#include "quant_matmul.h"

#define UNDICED_INLINE inline __attribute__((always_inline))

namespace undiced {
namespace {

UNDICED_INLINE __m256i load_codes(const std::uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

UNDICED_INLINE __m256i broadcast_codes(const QuantBlock& x, int quad) {
    std::int32_t four;
    std::memcpy(&four, x.code + 4 * quad, 4);
    return _mm256_set1_epi32(four);
}

UNDICED_INLINE __m256i low_nibbles(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
UNDICED_INLINE __m256i high_nibbles(__m256i bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }

// 16-bit pairs times `weight`, added in 32 bits: lane r belongs to row r of the half tile.
UNDICED_INLINE __m256i widen(__m256i pairs, int weight = 1) {
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(static_cast<short>(weight)));
}

// Sources yield the 32 codes of (quad, half tile): from nibbles, from bytes, or one nibble plane of bytes.
struct Bytes {
    const std::uint8_t* at;
    UNDICED_INLINE __m256i operator()(int quad, int half) const { return load_codes(at + quad * 64 + half * 32); }
};
struct Nibbles {
    const std::uint8_t* at;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        const __m256i bytes = load_codes(at + quad % 4 * 64 + half * 32);
        return quad < 4 ? low_nibbles(bytes) : high_nibbles(bytes);
    }
};
template <bool High>
struct Plane {
    const std::uint8_t* at;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        const __m256i bytes = load_codes(at + quad * 64 + half * 32);
        return High ? high_nibbles(bytes) : low_nibbles(bytes);
    }
};

// Holds a sum in its register at this point of the program: left alone, the compiler moves the additions of a block to
// its end and spills every product.
UNDICED_INLINE void pin(__m256i& sum) { asm volatile("" : "+x"(sum)); }

template <int NT>
using Sums = __m256i[NT][2];  // for NT tokens and both half tiles

// sums = products of quads [Begin, End) in 16 bits.
template <int NT, int Begin, int End, class Source>
UNDICED_INLINE void multiply_quads(const Source& codes, const QuantBlock* x, std::int64_t stride, Sums<NT>& sums) {
#pragma GCC unroll 8
    for (int quad = Begin; quad < End; ++quad) {
        const __m256i w0 = codes(quad, 0), w1 = codes(quad, 1);
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) {
            const __m256i a = broadcast_codes(x[t * stride], quad);
            const __m256i p0 = _mm256_maddubs_epi16(w0, a), p1 = _mm256_maddubs_epi16(w1, a);
            sums[t][0] = quad == Begin ? p0 : _mm256_add_epi16(sums[t][0], p0);
            sums[t][1] = quad == Begin ? p1 : _mm256_add_epi16(sums[t][1], p1);
            pin(sums[t][0]);
            pin(sums[t][1]);
        }
    }
}

// sums (+)= weight * products of quads [Begin, End) in 32 bits.
template <int NT, int Begin, int End, bool Add, class Source>
UNDICED_INLINE void multiply_wide(const Source& codes, const QuantBlock* x, std::int64_t stride, Sums<NT>& sums,
                                  int weight = 1) {
    Sums<NT> pairs;
    multiply_quads<NT, Begin, End>(codes, x, stride, pairs);
#pragma GCC unroll 8
    for (int t = 0; t < NT; ++t)
        for (int half = 0; half < 2; ++half) {
            const __m256i wide = widen(pairs[t][half], weight);
            sums[t][half] = Add ? _mm256_add_epi32(sums[t][half], wide) : wide;
        }
}

// Scales and biases of one half tile; bias is what multiplies the sum of the activations: minimum - zero * scale.
struct Factors {
    __m256 scale, bias;
};

template <bool Wide>
UNDICED_INLINE __m256 load_scales(const std::uint8_t* scales, int index, int half) {
    if constexpr (Wide) return _mm256_load_ps(reinterpret_cast<const float*>(scales + 64 * index + 32 * half));
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(scales + 32 * index + 16 * half)));
}

template <int Groups, bool Wide, bool Min>
UNDICED_INLINE Factors load_factors(const std::uint8_t* scales, int group, int half, __m256 minus_zero) {
    const __m256 scale = load_scales<Wide>(scales, group, half);
    if constexpr (Min) return {scale, load_scales<Wide>(scales, Groups + group, half)};
    return {scale, _mm256_mul_ps(scale, minus_zero)};
}

// total += scale * x.scale * sums + bias * (sum of the activations)
UNDICED_INLINE __m256 apply(__m256 total, __m256i sums, const Factors& factors, float x_scale, float x_sum) {
    const __m256 scale = _mm256_mul_ps(factors.scale, _mm256_set1_ps(x_scale));
    total = _mm256_fmadd_ps(factors.bias, _mm256_set1_ps(x_sum), total);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, total);
}

template <Codes C, bool Wide, bool Min>
struct Avx2Policy {
    static constexpr int kGroup = 4;
    static constexpr bool kPairs = true;
    static constexpr std::int64_t kCodeBytes = C == Codes::kFour ? 256 : 512;
    static constexpr std::int64_t kBlockBytes = kCodeBytes + kGroups<C> * 32 * (Wide ? 2 : 1) * (Min ? 2 : 1);

    // sums = products of the codes of one group of columns.
    template <int NT, int Group>
    static UNDICED_INLINE void multiply_group(const std::uint8_t* block, const QuantBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        if constexpr (C == Codes::kFour) {
            multiply_wide<NT, 0, 8, false>(Nibbles{block}, x, stride, sums);
        } else if constexpr (C == Codes::kFive) {
            multiply_wide<NT, 0, 4, false>(Bytes{block}, x, stride, sums);
            multiply_wide<NT, 4, 8, true>(Bytes{block}, x, stride, sums);
        } else if constexpr (C == Codes::kSix) {
            multiply_wide<NT, 4 * Group, 4 * Group + 2, false>(Bytes{block}, x, stride, sums);
            multiply_wide<NT, 4 * Group + 2, 4 * Group + 4, true>(Bytes{block}, x, stride, sums);
        } else {
            multiply_wide<NT, 0, 8, false>(Plane<false>{block}, x, stride, sums);
            multiply_wide<NT, 0, 8, true>(Plane<true>{block}, x, stride, sums, 16);
        }
    }

    template <int NT, int Group>
    static UNDICED_INLINE void add_group(const std::uint8_t* block, const QuantBlock* x, std::int64_t stride,
                                         __m256 minus_zero, __m256 (&total)[NT][2]) {
        Sums<NT> sums;
        multiply_group<NT, Group>(block, x, stride, sums);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const Factors factors = load_factors<kGroups<C>, Wide, Min>(block + kCodeBytes, Group, half, minus_zero);
#pragma GCC unroll 8
            for (int t = 0; t < NT; ++t) {
                const QuantBlock& a = x[t * stride];
                total[t][half] =
                    apply(total[t][half], sums[t][half], factors, a.scale, kGroups<C> == 1 ? a.sum : a.half_sum[Group]);
            }
        }
    }

    // out (NT x 16) = products of a tile of `blocks` blocks; `stream` is prefetched if it is given.
    template <int NT>
    static void multiply(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks, const QuantBlock* x,
                         const Stream* stream, float* out) {
        __m256 total[NT][2] = {};
        const __m256 minus_zero = _mm256_set1_ps(static_cast<float>(-w.format->zero));
        for (std::int64_t b = 0; b < blocks; ++b, tile += kBlockBytes) {
            if (stream != nullptr) stream->prefetch(tile, kBlockBytes);
            add_group<NT, 0>(tile, x + b, blocks, minus_zero, total);
            if constexpr (kGroups<C> == 2) add_group<NT, 1>(tile, x + b, blocks, minus_zero, total);
        }
        for (int t = 0; t < NT; ++t)
            for (int half = 0; half < 2; ++half) _mm256_store_ps(out + t * 16 + half * 8, total[t][half]);
    }

    // The same for one token and two tiles of two streams side by side.
    static void multiply_pair(const std::uint8_t* left, const std::uint8_t* right, const PackedMatrix& w,
                              const QuantBlock* x, const Stream& first, const Stream& second,
                              float (&out)[2][kTileRows]) {
        __m256 total[2][1][2] = {};
        const __m256 minus_zero = _mm256_set1_ps(static_cast<float>(-w.format->zero));
        const std::int64_t blocks = blocks_of(w.cols);
        for (std::int64_t b = 0; b < blocks; ++b, left += kBlockBytes, right += kBlockBytes) {
            first.prefetch_next(left, kBlockBytes);
            second.prefetch_next(right, kBlockBytes);
            add_group<1, 0>(left, x + b, blocks, minus_zero, total[0]);
            if constexpr (kGroups<C> == 2) add_group<1, 1>(left, x + b, blocks, minus_zero, total[0]);
            add_group<1, 0>(right, x + b, blocks, minus_zero, total[1]);
            if constexpr (kGroups<C> == 2) add_group<1, 1>(right, x + b, blocks, minus_zero, total[1]);
        }
        for (int i = 0; i < 2; ++i)
            for (int half = 0; half < 2; ++half) _mm256_store_ps(out[i] + half * 8, total[i][0][half]);
    }
};

// The scale of a block of codes and its sums times that, as they lie behind each other.
inline void store_sums(__m256i codes, float scale, QuantBlock& out) {
    static_assert(offsetof(QuantBlock, sum) == offsetof(QuantBlock, scale) + 4);
    static_assert(offsetof(QuantBlock, half_sum) == offsetof(QuantBlock, scale) + 8);
    __m256i sums = widen(_mm256_maddubs_epi16(_mm256_set1_epi8(1), codes));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
    sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
    // Every lane of `first` holds the sum of columns 0..15, every lane of `second` that of the others.
    const __m128i first = _mm256_castsi256_si128(sums), second = _mm256_extracti128_si256(sums, 1);
    const __m128i all = _mm_blend_epi32(_mm_unpacklo_epi32(first, second), _mm_add_epi32(first, second), 2);
    const __m128 factor = _mm_set1_ps(scale);
    _mm_storeu_ps(&out.scale, _mm_blend_ps(_mm_mul_ps(_mm_cvtepi32_ps(all), factor), factor, 1));
}

inline void quantize_avx2(const float* x, std::int64_t cols, QuantBlock* out) {
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
        const float inverse = largest <= kSmallestActivation ? 0.0f : 127.0f / largest;
        const float scale = largest <= kSmallestActivation ? 0.0f : largest / 127.0f;
        __m256i code[4];
        for (int i = 0; i < 4; ++i) {  // what is finite rounds to 127 at most, either way; NaN becomes 127
            const __m256 scaled = _mm256_mul_ps(v[i], _mm256_set1_ps(inverse));
            code[i] = _mm256_cvtps_epi32(_mm256_min_ps(scaled, _mm256_set1_ps(127.0f)));
        }
        const __m256i low = _mm256_packs_epi32(code[0], code[1]), high = _mm256_packs_epi32(code[2], code[3]);
        const __m256i bytes =
            _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out->code), bytes);
        store_sums(bytes, scale, *out);
    }
}

}  // namespace
}  // namespace undiced

// Integer products for AVX2. Codes are unsigned and activations signed, which is what vpmaddubsw wants: two products
// are added in 16 bits, and as many pairs as cannot overflow are added there too before one vpmaddwd widens them:
//   4-bit codes  15 * 127 * 2 * 8 = 30480: a whole block;   5-bit codes  31 * 127 * 2 * 4 = 31496: half a block;
//   6-bit codes  63 * 127 * 2 * 2 = 32004: two vectors;     8-bit codes  are two planes of 4 bits, 16 * high + low.
// Peak on a core with two such units: 64 multiply-adds per cycle. Activations of 16 bits meet codes widened to 16 bits
// in vpmaddwd, whose sums of a block stay below 255 * 32767 * 32 = 2^28: half that peak, for any format.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

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

// The codes that meet the even (0) or the odd (1) bytes of four weights.
UNDICED_INLINE __m256i broadcast_codes(const WideBlock& x, int quad, int odd) {
    std::int32_t two;
    std::memcpy(&two, x.code + 4 * quad + 2 * odd, 4);
    return _mm256_set1_epi32(two);
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

// The codes, or a plane of 4 bits of them, that nibbles are places of.
struct Seen {
    Nibbles places;
    __m256i codes;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        return _mm256_shuffle_epi8(codes, places(quad, half));
    }
};
UNDICED_INLINE __m256i load_lookup(const std::uint8_t* codes) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(codes)));
}

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

// sums = products of quads [Begin, End) with 16-bit activations in 32 bits.
template <int NT, int Begin, int End, class Source>
UNDICED_INLINE void multiply_words(const Source& codes, const WideBlock* x, std::int64_t stride, Sums<NT>& sums) {
    const __m256i low = _mm256_set1_epi16(255);
#pragma GCC unroll 8
    for (int quad = Begin; quad < End; ++quad) {
        const __m256i w0 = codes(quad, 0), w1 = codes(quad, 1);
        const __m256i even0 = _mm256_and_si256(w0, low), even1 = _mm256_and_si256(w1, low);
        const __m256i odd0 = _mm256_srli_epi16(w0, 8), odd1 = _mm256_srli_epi16(w1, 8);
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) {
            const __m256i a = broadcast_codes(x[t * stride], quad, 0), b = broadcast_codes(x[t * stride], quad, 1);
            const __m256i p0 = _mm256_madd_epi16(even0, a), p1 = _mm256_madd_epi16(even1, a);
            sums[t][0] = quad == Begin ? p0 : _mm256_add_epi32(sums[t][0], p0);
            sums[t][1] = quad == Begin ? p1 : _mm256_add_epi32(sums[t][1], p1);
            pin(sums[t][0]);
            pin(sums[t][1]);
            sums[t][0] = _mm256_add_epi32(sums[t][0], _mm256_madd_epi16(odd0, b));
            sums[t][1] = _mm256_add_epi32(sums[t][1], _mm256_madd_epi16(odd1, b));
            pin(sums[t][0]);
            pin(sums[t][1]);
        }
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

template <Codes C, bool Wide, bool Min>
UNDICED_INLINE Factors load_factors(const std::uint8_t* scales, int group, int half, __m256 minus_zero) {
    const __m256 scale = load_scales<Wide>(scales, group, half);
    if constexpr (Min) return {scale, load_scales<Wide>(scales, kGroups<C> + group, half)};
    if constexpr (kHasZero<C>)
        return {scale, _mm256_mul_ps(scale, load_scales<Wide>(scales, kGroups<C> + group, half))};
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
    static constexpr std::int64_t kCodeBytes = kInNibbles<C> ? 256 : 512;
    static constexpr std::int64_t kBlockBytes =
        kSpan<C> * kCodeBytes + kGroups<C> * 32 * (Wide ? 2 : 1) * (Min || kHasZero<C> ? 2 : 1);

    // sums = products of the codes of one group of columns.
    template <int NT, int Group>
    static UNDICED_INLINE void multiply_group(const std::uint8_t* block, const QuantBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        if constexpr (kFourBits<C>) {
            multiply_wide<NT, 0, 8, false>(Nibbles{block}, x, stride, sums);
        } else if constexpr (C == Codes::kTwoFours) {
            multiply_wide<NT, 4 * Group, 4 * Group + 4, false>(Nibbles{block}, x, stride, sums);
        } else if constexpr (C == Codes::kSeenFive) {
            const Seen codes{{block}, load_lookup(kLookup<C>)};
            multiply_wide<NT, 0, 4, false>(codes, x, stride, sums);
            multiply_wide<NT, 4, 8, true>(codes, x, stride, sums);
        } else if constexpr (C == Codes::kSeenEight) {
            const __m256i codes = load_lookup(kLookup<C>);
            multiply_wide<NT, 0, 8, false>(Seen{{block}, low_nibbles(codes)}, x, stride, sums);
            multiply_wide<NT, 0, 8, true>(Seen{{block}, high_nibbles(codes)}, x, stride, sums, 16);
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
    static UNDICED_INLINE void multiply_group(const std::uint8_t* block, const WideBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        constexpr int kQuads = 8 / kGroups<C>, kBegin = kQuads * Group;
        if constexpr (kSeen<C>)
            multiply_words<NT, kBegin, kBegin + kQuads>(Seen{{block}, load_lookup(kLookup<C>)}, x, stride, sums);
        else if constexpr (kInNibbles<C>)
            multiply_words<NT, kBegin, kBegin + kQuads>(Nibbles{block}, x, stride, sums);
        else
            multiply_words<NT, kBegin, kBegin + kQuads>(Bytes{block}, x, stride, sums);
    }

    template <int NT, int Group, class X>
    static UNDICED_INLINE void add_group(const std::uint8_t* block, const std::uint8_t* scales, const X* x,
                                         std::int64_t stride, __m256 minus_zero, __m256 (&total)[NT][2]) {
        Sums<NT> sums;
        multiply_group<NT, Group>(block, x, stride, sums);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const Factors factors = load_factors<C, Wide, Min>(scales, Group, half, minus_zero);
#pragma GCC unroll 8
            for (int t = 0; t < NT; ++t) {
                const X& a = x[t * stride];
                total[t][half] =
                    apply(total[t][half], sums[t][half], factors, a.scale, kGroups<C> == 1 ? a.sum : a.half_sum[Group]);
            }
        }
    }

    template <int NT, class X>
    static UNDICED_INLINE void add_block(const std::uint8_t* block, const X* x, std::int64_t stride, __m256 minus_zero,
                                         __m256 (&total)[NT][2]) {
        const std::uint8_t* scales = block + kSpan<C> * kCodeBytes;
        add_group<NT, 0>(block, scales, x, stride, minus_zero, total);
        if constexpr (kGroups<C> == 2) add_group<NT, 1>(block, scales, x, stride, minus_zero, total);
        if constexpr (kSpan<C> > 1)
            for (int part = 1; part < kSpan<C>; ++part)
                add_group<NT, 0>(block + part * kCodeBytes, scales, x + part, stride, minus_zero, total);
    }

    // out (NT x 16) = products of a tile of `blocks` blocks; `stream` is prefetched if it is given.
    template <int NT, class X>
    static void multiply(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks, const X* x,
                         const Stream* stream, float* out) {
        __m256 total[NT][2] = {};
        const __m256 minus_zero = _mm256_set1_ps(static_cast<float>(-w.format->zero));
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>, tile += kBlockBytes) {
            if (stream != nullptr) stream->prefetch<kAheadBytes>(tile, kBlockBytes);
            add_block(tile, x + b, blocks, minus_zero, total);
        }
        for (int t = 0; t < NT; ++t)
            for (int half = 0; half < 2; ++half) _mm256_store_ps(out + t * 16 + half * 8, total[t][half]);
    }

    // The same for one token and the tiles `at` of several streams side by side.
    template <int N, class X>
    static void multiply_streams(const PackedMatrix& w, const std::uint8_t* (&at)[N], const X* x, const Stream* streams,
                                 float (&out)[N][kTileRows]) {
        __m256 total[N][1][2] = {};
        const __m256 minus_zero = _mm256_set1_ps(static_cast<float>(-w.format->zero));
        const std::int64_t blocks = blocks_of(w.cols);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>) {
#pragma GCC unroll 4
            for (int s = 0; s < N; ++s) {
                streams[s].template prefetch<kStreamAhead>(at[s], kBlockBytes);
                add_block(at[s], x + b, blocks, minus_zero, total[s]);
                at[s] += kBlockBytes;
            }
        }
        for (int s = 0; s < N; ++s)
            for (int half = 0; half < 2; ++half) _mm256_store_ps(out[s] + half * 8, total[s][0][half]);
    }
};

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

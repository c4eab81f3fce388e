// Integer products for AVX-512 with VNNI: vpdpbusd multiplies 4 unsigned codes with 4 signed activations for each of
// the 16 rows of a tile and adds them in 32 bits, so a group of columns is one chain of instructions and nothing can
// overflow. Peak on a core with two such units: 128 multiply-adds per cycle. Activations of 16 bits meet codes widened
// to 16 bits in vpdpwssd: half that.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <limits>

#include "levels.h"
#include "quant_matmul.h"

namespace undiced {
namespace {

inline __m512i load_codes(const std::uint8_t* at) { return _mm512_loadu_si512(at); }

inline __m512i broadcast_codes(const QuantBlock& x, int quad) {
    std::int32_t four;
    std::memcpy(&four, x.code + 4 * quad, 4);
    return _mm512_set1_epi32(four);
}

// The codes that meet the even (0) or the odd (1) bytes of four weights.
inline __m512i broadcast_codes(const WideBlock& x, int quad, int odd) {
    std::int32_t two;
    std::memcpy(&two, x.code + 4 * quad + 2 * odd, 4);
    return _mm512_set1_epi32(two);
}

template <bool Wide>
inline __m512 load_scales(const std::uint8_t* scales, int index) {
    if constexpr (Wide) return _mm512_loadu_ps(reinterpret_cast<const float*>(scales + 64 * index));
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + 32 * index)));
}

template <Codes C, bool Wide, bool Min>
struct Avx512Policy {
    static constexpr int kGroup = 8;
    static constexpr std::int64_t kCodeBytes = kInNibbles<C> ? 256 : 512;
    static constexpr std::int64_t kBlockBytes =
        kSpan<C> * kCodeBytes + kGroups<C> * 32 * (Wide ? 2 : 1) * (Min || kHasZero<C> ? 2 : 1);

    // The codes in the low or the high nibbles.
    static inline __m512i nibbles(__m512i bytes, bool high) {
        const __m512i places = _mm512_and_si512(high ? _mm512_srli_epi16(bytes, 4) : bytes, _mm512_set1_epi8(15));
        if constexpr (!kSeen<C>) return places;
        return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(kLookup<C>))),
                                   places);
    }

    // sums[set][t] += products of one group of columns; two sets shorten the chains when there are few tokens.
    template <int NT, int Sets, int Group>
    static inline void multiply_group(const std::uint8_t* block, const QuantBlock* x, std::int64_t stride,
                                      __m512i (&sums)[Sets][NT]) {
        constexpr int kQuads = 8 / kGroups<C>;
        constexpr bool kBoth = kInNibbles<C> && kGroups<C> == 1;  // two quads a load
#pragma GCC unroll 8
        for (int i = 0; i < (kBoth ? 4 : kQuads); ++i) {
            const int quad = Group * kQuads + i;
            const __m512i bytes = load_codes(block + (kInNibbles<C> ? i : quad) * 64);
            const __m512i codes = kInNibbles<C> ? nibbles(bytes, Group == 1) : bytes;
#pragma GCC unroll 8
            for (int t = 0; t < NT; ++t) {
                __m512i& sum = sums[i % Sets][t];
                sum = _mm512_dpbusd_epi32(sum, codes, broadcast_codes(x[t * stride], quad));
                if constexpr (kBoth)
                    sum = _mm512_dpbusd_epi32(sum, nibbles(bytes, true), broadcast_codes(x[t * stride], quad + 4));
            }
        }
    }

    // The same with 16-bit activations; the two sets are for even and odd bytes.
    template <int NT, int Sets, int Group>
    static inline void multiply_group(const std::uint8_t* block, const WideBlock* x, std::int64_t stride,
                                      __m512i (&sums)[Sets][NT]) {
        constexpr int kQuads = 8 / kGroups<C>;
        const __m512i low = _mm512_set1_epi16(255);
#pragma GCC unroll 8
        for (int quad = Group * kQuads; quad < (Group + 1) * kQuads; ++quad) {
            const __m512i bytes = load_codes(block + (kInNibbles<C> ? quad % 4 : quad) * 64);
            const __m512i codes = kInNibbles<C> ? nibbles(bytes, quad >= 4) : bytes;
            const __m512i even = _mm512_and_si512(codes, low), odd = _mm512_srli_epi16(codes, 8);
#pragma GCC unroll 8
            for (int t = 0; t < NT; ++t) {
                __m512i &first = sums[0][t], &second = sums[Sets - 1][t];
                first = _mm512_dpwssd_epi32(first, even, broadcast_codes(x[t * stride], quad, 0));
                second = _mm512_dpwssd_epi32(second, odd, broadcast_codes(x[t * stride], quad, 1));
            }
        }
    }

    // What multiplies the sum of the activations: minimum, or - zero * scale.
    template <int Group>
    static inline __m512 load_bias(const std::uint8_t* scales, __m512 scale, __m512 minus_zero) {
        if constexpr (Min) return load_scales<Wide>(scales, kGroups<C> + Group);
        if constexpr (kHasZero<C>) return _mm512_mul_ps(scale, load_scales<Wide>(scales, kGroups<C> + Group));
        return _mm512_mul_ps(scale, minus_zero);
    }

    template <int NT, int Group, class X>
    static inline void add_group(const std::uint8_t* block, const std::uint8_t* scales, const X* x, std::int64_t stride,
                                 __m512 minus_zero, __m512 (&total)[NT]) {
        constexpr int kSets = NT <= 4 ? 2 : 1;
        __m512i sums[kSets][NT];
        for (auto& set : sums)
            for (__m512i& sum : set) sum = _mm512_setzero_si512();
        multiply_group<NT, kSets, Group>(block, x, stride, sums);
        const __m512 scale = load_scales<Wide>(scales, Group), bias = load_bias<Group>(scales, scale, minus_zero);
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) {
            const X& a = x[t * stride];
            const __m512i sum = kSets == 1 ? sums[0][t] : _mm512_add_epi32(sums[0][t], sums[kSets - 1][t]);
            const float x_sum = kGroups<C> == 1 ? a.sum : a.half_sum[Group];
            total[t] = _mm512_fmadd_ps(bias, _mm512_set1_ps(x_sum), total[t]);
            total[t] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(scale, _mm512_set1_ps(a.scale)), total[t]);
        }
    }

    template <int NT, class X>
    static inline void add_block(const std::uint8_t* block, const X* x, std::int64_t stride, __m512 minus_zero,
                                 __m512 (&total)[NT]) {
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
        __m512 total[NT];
        for (__m512& sum : total) sum = _mm512_setzero_ps();
        const __m512 minus_zero = _mm512_set1_ps(static_cast<float>(-w.format->zero));
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>, tile += kBlockBytes) {
            if (stream != nullptr) stream->prefetch(tile, kBlockBytes);
            add_block(tile, x + b, blocks, minus_zero, total);
        }
        for (int t = 0; t < NT; ++t) _mm512_storeu_ps(out + t * kTileRows, total[t]);
    }

    // The same for one token and the tiles `at` of several streams side by side.
    template <int N, class X>
    static void multiply_streams(const PackedMatrix& w, const std::uint8_t* (&at)[N], const X* x, const Stream* streams,
                                 float (&out)[N][kTileRows]) {
        __m512 total[N][1];
        for (auto& sum : total) sum[0] = _mm512_setzero_ps();
        const __m512 minus_zero = _mm512_set1_ps(static_cast<float>(-w.format->zero));
        const std::int64_t blocks = blocks_of(w.cols);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>) {
#pragma GCC unroll 4
            for (int s = 0; s < N; ++s) {
                streams[s].prefetch(at[s], kBlockBytes);
                add_block(at[s], x + b, blocks, minus_zero, total[s]);
                at[s] += kBlockBytes;
            }
        }
        for (int s = 0; s < N; ++s) _mm512_storeu_ps(out[s], total[s][0]);
    }
};

inline void store_codes(__m512i codes, std::int8_t* out) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtsepi32_epi8(codes));
}
inline void store_codes(__m512i codes, std::int16_t* out) {
    const __m256i words = _mm512_cvtsepi32_epi16(codes);
    const __m256i placed = _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xd8), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), placed);
}

template <class Code>
inline void quantize(const float* x, std::int64_t cols, Block<Code>* out) {
    constexpr float kMost = std::numeric_limits<Code>::max();
    for (std::int64_t begin = 0; begin < cols; begin += kBlockCols, ++out) {
        const std::int64_t left = cols - begin;
        const auto load = [&](std::int64_t from) {
            if (left >= from + 16) return simd::load(x + begin + from);
            return left > from ? simd::load_first(x + begin + from, left - from) : simd::zero();
        };
        const simd::F values[2] = {load(0), load(16)};
        const float largest = simd::largest_unsigned(simd::larger_unsigned(simd::abs(values[0]), simd::abs(values[1])));
        const float inverse = largest <= kSmallestActivation ? 0.0f : kMost / largest;
        out->scale = largest <= kSmallestActivation ? 0.0f : largest / kMost;
        int sums[2];
        for (int half = 0; half < 2; ++half) {
            const simd::F scaled = simd::mul(values[half], simd::set(inverse));
            const __m512i codes = _mm512_cvtps_epi32(simd::min(scaled, simd::set(kMost)));  // NaN becomes kMost
            store_codes(codes, out->code + 16 * half);
            sums[half] = _mm512_reduce_add_epi32(codes);
            out->half_sum[half] = out->scale * static_cast<float>(sums[half]);
        }
        out->sum = out->scale * static_cast<float>(sums[0] + sums[1]);
    }
}

}  // namespace
}  // namespace undiced

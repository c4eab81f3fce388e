// Integer products for AVX2. Codes are unsigned and activations signed, which is what vpmaddubsw wants: two products
// are added in 16 bits, and as many pairs as cannot overflow are added there too before one vpmaddwd widens them:
//   4-bit codes  15 * 127 * 2 * 8 = 30480: a whole block;   5-bit codes  31 * 127 * 2 * 4 = 31496: half a block;
//   6-bit codes  63 * 127 * 2 * 2 = 32004: two vectors;     8-bit codes  are two planes of 4 bits, 16 * high + low.
// Peak on a core with two such units: 64 multiply-adds per cycle. Activations of 16 bits meet codes widened to 16 bits
// in vpmaddwd, whose sums of a block stay below 255 * 32767 * 32 = 2^28: half that peak, for any format.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "codes_avx2.h"
#include "levels.h"

#define UNDICED_ALONE __attribute__((noinline))

namespace undiced {
namespace {

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

// 16-bit pairs times `weight`, added in 32 bits: lane r belongs to row r of the half tile.
UNDICED_INLINE __m256i widen(__m256i pairs, int weight = 1) {
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(static_cast<short>(weight)));
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

// sums = products of quads [Begin, End) with 16-bit activations in 32 bits; `codes` yields words.
template <int NT, int Begin, int End, class Source>
UNDICED_INLINE void multiply_words(const Source& codes, const WideBlock* x, std::int64_t stride, Sums<NT>& sums) {
#pragma GCC unroll 8
    for (int quad = Begin; quad < End; ++quad) {
        const __m256i even0 = codes(quad, 0, false), even1 = codes(quad, 1, false);
        const __m256i odd0 = codes(quad, 0, true), odd1 = codes(quad, 1, true);
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

// total += scale * x.scale * sums + bias * (sum of the activations)
UNDICED_INLINE __m256 apply(__m256 total, __m256i sums, const Factors& factors, float x_scale, float x_sum) {
    const __m256 scale = _mm256_mul_ps(factors.scale, _mm256_set1_ps(x_scale));
    total = _mm256_fmadd_ps(factors.bias, _mm256_set1_ps(x_sum), total);
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums), scale, total);
}

// Quads whose products may be added in 16 bits.
template <Codes C>
inline constexpr int kRun = C == Codes::kSix                             ? 2
                            : C == Codes::kFive || C == Codes::kSeenFive ? 4
                                                                         : 8;

template <Codes C, bool Wide, bool Min>
struct Avx2Policy {
    static constexpr int kGroup = 4;
    static constexpr std::int64_t kCodeBytes = kInNibbles<C> ? 256 : 512;
    static constexpr std::int64_t kBlockBytes =
        kSpan<C> * kCodeBytes + kGroups<C> * 32 * (Wide ? 2 : 1) * (Min || kHasZero<C> ? 2 : 1);
    using Packed = PackedBlock<C, Wide, Min>;
    // Whether blocks are unpacked for many tokens: where there is something to unpack.
    template <class X>
    static constexpr bool kOpens = kInNibbles<C> || OpenBlock<C, X>::kWords;

    // sums = products of the codes of one group of columns.
    template <int NT, int Group, class Source>
    static UNDICED_INLINE void multiply_group(const Source& block, const QuantBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        constexpr int kQuads = 8 / kGroups<C>, kBegin = kQuads * Group, kEnd = kBegin + kQuads;
        constexpr int kMiddle = std::min(kBegin + kRun<C>, kEnd);
        multiply_wide<NT, kBegin, kMiddle, false>(block.template plane<0>(), x, stride, sums);
        if constexpr (kMiddle < kEnd)
            multiply_wide<NT, kMiddle, kEnd, true>(block.template plane<0>(), x, stride, sums);
        if constexpr (kInPlanes<C>)
            multiply_wide<NT, kBegin, kEnd, true>(block.template plane<1>(), x, stride, sums, 16);
    }

    template <int NT, int Group, class Source>
    static UNDICED_INLINE void multiply_group(const Source& block, const WideBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        constexpr int kQuads = 8 / kGroups<C>, kBegin = kQuads * Group;
        multiply_words<NT, kBegin, kBegin + kQuads>(block.words(), x, stride, sums);
    }

    template <int NT, int Group, class Source, class X>
    static UNDICED_INLINE void add_group(const Source& block, const X* x, std::int64_t stride, __m256 (&total)[NT][2]) {
        Sums<NT> sums;
        multiply_group<NT, Group>(block, x, stride, sums);
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
            const Factors factors = block.template factors<Group>(half);
#pragma GCC unroll 8
            for (int t = 0; t < NT; ++t) {
                const X& a = x[t * stride];
                total[t][half] =
                    apply(total[t][half], sums[t][half], factors, a.scale, kGroups<C> == 1 ? a.sum : a.half_sum[Group]);
            }
        }
    }

    template <int NT, class Source, class X>
    static UNDICED_INLINE void add_block(const Source& block, const X* x, std::int64_t stride, __m256 (&total)[NT][2]) {
        add_group<NT, 0>(block, x, stride, total);
        if constexpr (kGroups<C> == 2) add_group<NT, 1>(block, x, stride, total);
    }

    // The same for all blocks that share their factors.
    template <int NT, class X>
    static UNDICED_INLINE void add_packed(const std::uint8_t* block, const X* x, std::int64_t stride, __m256 minus_zero,
                                          __m256 (&total)[NT][2]) {
        for (int part = 0; part < kSpan<C>; ++part)
            add_block(packed_block(block, part, minus_zero), x + part, stride, total);
    }
    static UNDICED_INLINE Packed packed_block(const std::uint8_t* block, int part, __m256 minus_zero) {
        return {block + part * kCodeBytes, block + kSpan<C> * kCodeBytes, minus_zero};
    }
    static UNDICED_INLINE __m256 minus_zero_of(const PackedMatrix& w) {
        return _mm256_set1_ps(static_cast<float>(-w.format->zero));
    }

    // Not by an initializer, which GCC makes `rep stos` of: that takes longer than a block.
    template <int NT>
    static UNDICED_INLINE void clear(__m256 (&total)[NT][2]) {
#pragma GCC unroll 8
        for (int t = 0; t < NT; ++t) total[t][0] = total[t][1] = _mm256_setzero_ps();
    }
    template <int NT>
    static UNDICED_INLINE void store(const __m256 (&total)[NT][2], float* out) {
        for (int t = 0; t < NT; ++t)
            for (int half = 0; half < 2; ++half) _mm256_store_ps(out + t * kTileRows + half * 8, total[t][half]);
    }

    // out (NT x 16) = products of a tile of `blocks` blocks; `stream` is prefetched if it is given.
    template <int NT, class X>
    static UNDICED_INLINE void multiply_here(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks,
                                             const X* x, const Stream* stream, float* out) {
        __m256 total[NT][2];
        clear(total);
        const __m256 minus_zero = minus_zero_of(w);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>, tile += kBlockBytes) {
            if (stream != nullptr) stream->prefetch(tile, kBlockBytes);
            add_packed(tile, x + b, blocks, minus_zero, total);
        }
        store(total, out);
    }
    template <int NT, class X>
    static UNDICED_ALONE void multiply_apart(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks,
                                             const X* x, const Stream* stream, float* out) {
        multiply_here<NT>(w, tile, blocks, x, stream, out);
    }
    // 6-bit codes in a function of their own: inlined, GCC keeps their sums in memory (a quarter slower).
    template <int NT, class X>
    static UNDICED_INLINE void multiply(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks,
                                        const X* x, const Stream* stream, float* out) {
        if constexpr (C == Codes::kSix)
            multiply_apart<NT>(w, tile, blocks, x, stream, out);
        else
            multiply_here<NT>(w, tile, blocks, x, stream, out);
    }

    // The same for one token and the tiles `at` of several streams side by side.
    template <int N, class X>
    static void multiply_streams(const PackedMatrix& w, const std::uint8_t* (&at)[N], const X* x, const Stream* streams,
                                 float (&out)[N][kTileRows]) {
        __m256 total[N][1][2];
        for (auto& each : total) clear(each);
        const __m256 minus_zero = minus_zero_of(w);
        const std::int64_t blocks = blocks_of(w.cols);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>) {
#pragma GCC unroll 4
            for (int s = 0; s < N; ++s) {
                streams[s].prefetch(at[s], kBlockBytes);
                add_packed(at[s], x + b, blocks, minus_zero, total[s]);
                at[s] += kBlockBytes;
            }
        }
        for (int s = 0; s < N; ++s) store(total[s], out[s]);
    }

    template <int NT>
    static UNDICED_INLINE void load(const float* sums, __m256 (&total)[NT][2]) {
        for (int t = 0; t < NT; ++t)
            for (int half = 0; half < 2; ++half) total[t][half] = _mm256_load_ps(sums + t * kTileRows + half * 8);
    }

    // Unpacks a block: as bytes or as words, with all factors in f32.
    template <class X>
    static UNDICED_INLINE void open(const Packed& block, std::uint8_t* out) {
        using Open = OpenBlock<C, X>;
        const auto put = [out](std::int64_t place, __m256i codes) {
            _mm256_store_si256(reinterpret_cast<__m256i*>(out + place), codes);
        };
#pragma GCC unroll 8
        for (int quad = 0; quad < 8; ++quad)
#pragma GCC unroll 2
            for (int half = 0; half < 2; ++half) {
                if constexpr (Open::kWords) {
                    put(Words::place(quad, half, false), block.words()(quad, half, false));
                    put(Words::place(quad, half, true), block.words()(quad, half, true));
                } else {
                    put(Bytes::place(quad, half), block.template plane<0>()(quad, half));
                    if constexpr (kInPlanes<C>)
                        put(512 + Bytes::place(quad, half), block.template plane<1>()(quad, half));
                }
            }
        const auto put_factors = [&]<int Group>() {
            for (int half = 0; half < 2; ++half) {
                const Factors factors = block.template factors<Group>(half);
                float* to = reinterpret_cast<float*>(out + Open::kCodeBytes + 128 * Group + 32 * half);
                _mm256_store_ps(to, factors.scale);
                _mm256_store_ps(to + 16, factors.bias);
            }
        };
        put_factors.template operator()<0>();
        if constexpr (kGroups<C> == 2) put_factors.template operator()<1>();
    }

    // sums (NT x 16) += products of `count` open blocks, for `groups` groups of NT tokens one after the other. `next`
    // is what is unpacked after them: each group prefetches `share` bytes of it.
    template <int NT, class X>
    static UNDICED_ALONE void multiply_open(const std::uint8_t* room, std::int64_t count, const X* x,
                                            std::int64_t stride, std::int64_t groups, const Stream& stream,
                                            const std::uint8_t* next, std::int64_t share, float* sums) {
        for (std::int64_t g = 0; g < groups; ++g, x += NT * stride, sums += NT * kTileRows, next += share) {
            stream.prefetch(next, share, 0);
            __m256 total[NT][2];
            load(sums, total);
            const std::uint8_t* block = room;
            for (std::int64_t b = 0; b < count; ++b, block += OpenBlock<C, X>::kBytes)
                add_block(OpenBlock<C, X>{block}, x + b, stride, total);
            store(total, sums);
        }
    }

    // sums (tokens x 16) = products of a tile with many tokens: blocks are unpacked a few at a time, and all tokens
    // meet them in the first-level cache.
    template <class X>
    static UNDICED_INLINE void multiply_many(const PackedMatrix& w, const std::uint8_t* tile, const X* x,
                                             std::int64_t tokens, const Stream& stream, float* sums) {
        using Open = OpenBlock<C, X>;
        static_assert(kOpenBlocks % kSpan<C> == 0);
        alignas(64) std::uint8_t room[kOpenBlocks * Open::kBytes];
        const std::int64_t blocks = blocks_of(w.cols);
        const __m256 minus_zero = minus_zero_of(w);
        std::fill_n(sums, tokens * kTileRows, 0.0f);
        for (std::int64_t first = 0; first < blocks; first += kOpenBlocks) {
            const std::int64_t count = std::min(kOpenBlocks, blocks - first);
            for (std::int64_t b = 0; b < count; b += kSpan<C>, tile += kBlockBytes) {
                for (int part = 0; part < kSpan<C>; ++part)
                    open<X>(packed_block(tile, part, minus_zero), room + (b + part) * Open::kBytes);
            }
            const std::int64_t groups = tokens / kGroup;
            const std::int64_t share = count / kSpan<C> * kBlockBytes / groups;
            multiply_open<kGroup>(room, count, x + first, blocks, groups, stream, tile, share, sums);
            for (std::int64_t token = groups * kGroup; token < tokens; ++token)
                multiply_open<1>(room, count, x + token * blocks + first, blocks, 1, stream, tile, 0,
                                 sums + token * kTileRows);
        }
    }
};

}  // namespace
}  // namespace undiced

// Integer products for NEON with dot products: sdot multiplies 4 codes with 4 activations for each of 4 rows and adds
// them in 32 bits, so nothing can overflow. The activations come from a lane of a register that holds 16 of them, so
// there is no broadcast. Both factors of sdot are signed: codes of up to 7 bits are that already, and those of 8 bits
// get 128 taken away, which is what their formats mean by zero. Activations of 16 bits are two bytes: the signed high
// ones take one pass, the sums are shifted, and the unsigned low ones take another one, with udot.
// Bound on a core with two such units: 32 multiply-adds a cycle, 16 with activations of 16 bits.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "levels.h"
#include "quant_matmul.h"

#define UNDICED_INLINE inline __attribute__((always_inline))

namespace undiced {
namespace {

inline constexpr int kRowVectors = 4;  // vectors of 4 rows that a tile's 16 rows take

template <int NT>
using Sums = int32x4_t[NT][kRowVectors];

// Codes of 8 bits are stored without a sign; 128 less they have one.
template <Codes C>
inline constexpr bool kShifted = C >= Codes::kEight || C == Codes::kSeenEight;

// 32 activations of a token in the order of columns: 16 a register.
struct Columns {
    uint8x16_t half[2];
};

UNDICED_INLINE Columns load_columns(const QuantBlock& x) {
    const auto* at = reinterpret_cast<const std::uint8_t*>(x.code);
    return {{vld1q_u8(at), vld1q_u8(at + 16)}};
}

// The low (0) or the high (1) bytes of activations of 16 bits; their places are undone on the way.
template <int Byte>
UNDICED_INLINE Columns load_columns(const WideBlock& x) {
    const auto at = [](int column) { return static_cast<std::uint8_t>(2 * place_of(column) + Byte); };
    const std::uint8_t places[16] = {at(0), at(1), at(2),  at(3),  at(4),  at(5),  at(6),  at(7),
                                     at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15)};
    const uint8x16_t order = vld1q_u8(places);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(x.code);
    Columns out;
    for (int half = 0; half < 2; ++half, bytes += 32)
        out.half[half] = vqtbl2q_u8({{vld1q_u8(bytes), vld1q_u8(bytes + 16)}}, order);
    return out;
}

// sum += four codes a row times the four activations of a quad; the factors of both have a sign, or neither has.
template <bool Signed, int Lane>
UNDICED_INLINE int32x4_t dot(int32x4_t sum, uint8x16_t codes, uint8x16_t x) {
    if constexpr (Signed)
        return vdotq_laneq_s32(sum, vreinterpretq_s8_u8(codes), vreinterpretq_s8_u8(x), Lane);
    else
        return vreinterpretq_s32_u32(vdotq_laneq_u32(vreinterpretq_u32_s32(sum), codes, x, Lane));
}

template <bool Wide>
UNDICED_INLINE float32x4_t load_scales(const std::uint8_t* scales, int index, int part) {
    if constexpr (Wide) return vld1q_f32(reinterpret_cast<const float*>(scales + 64 * index + 16 * part));
    const auto* half = reinterpret_cast<const std::uint16_t*>(scales + 32 * index + 8 * part);
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(half)));
}

template <Codes C, bool Wide, bool Min>
struct NeonPolicy {
    static constexpr int kGroup = 4;
    static constexpr std::int64_t kCodeBytes = kInNibbles<C> ? 256 : 512;
    static constexpr std::int64_t kBlockBytes =
        kSpan<C> * kCodeBytes + kGroups<C> * 32 * (Wide ? 2 : 1) * (Min || kHasZero<C> ? 2 : 1);

    // The codes that bytes, or their low or high nibbles, stand for.
    template <bool Signed, bool High>
    static UNDICED_INLINE uint8x16_t decode(uint8x16_t bytes) {
        constexpr bool kFlip = Signed && kShifted<C>;
        const uint8x16_t sign = vdupq_n_u8(0x80);
        if constexpr (!kInNibbles<C>) return kFlip ? veorq_u8(bytes, sign) : bytes;
        const uint8x16_t places = High ? vshrq_n_u8(bytes, 4) : vandq_u8(bytes, vdupq_n_u8(15));
        if constexpr (!kSeen<C>) return places;
        const uint8x16_t codes = vld1q_u8(kLookup<C>);
        return vqtbl1q_u8(kFlip ? veorq_u8(codes, sign) : codes, places);
    }

    // sums += products of a quad of 4 columns; High: in high nibbles.
    template <int NT, bool Signed, bool High, int Quad>
    static UNDICED_INLINE void add_quad(const uint8x16_t (&bytes)[kRowVectors], const Columns (&x)[NT],
                                        Sums<NT>& sums) {
#pragma GCC unroll 4
        for (int part = 0; part < kRowVectors; ++part) {
            const uint8x16_t codes = decode<Signed, High>(bytes[part]);
#pragma GCC unroll 4
            for (int t = 0; t < NT; ++t)
                sums[t][part] = dot<Signed, Quad % 4>(sums[t][part], codes, x[t].half[Quad / 4]);
        }
    }

    // The same for what 64 bytes of codes hold of one group.
    template <int NT, bool Signed, int Group, int Index>
    static UNDICED_INLINE void add_codes(const std::uint8_t* block, const Columns (&x)[NT], Sums<NT>& sums) {
        constexpr int kQuad = kInNibbles<C> ? Index : Index + Group * 8 / kGroups<C>;
        uint8x16_t bytes[kRowVectors];
#pragma GCC unroll 4
        for (int part = 0; part < kRowVectors; ++part) bytes[part] = vld1q_u8(block + kQuad * 64 + part * 16);
        if constexpr (!kInNibbles<C>) {
            add_quad<NT, Signed, false, kQuad>(bytes, x, sums);
            return;
        }
        if constexpr (Group == 0) add_quad<NT, Signed, false, kQuad>(bytes, x, sums);
        if constexpr (Group == 1 || kGroups<C> == 1) add_quad<NT, Signed, true, kQuad + 4>(bytes, x, sums);
    }

    // The same for a whole group of columns.
    template <int NT, bool Signed, int Group>
    static UNDICED_INLINE void multiply_columns(const std::uint8_t* block, const Columns (&x)[NT], Sums<NT>& sums) {
        add_codes<NT, Signed, Group, 0>(block, x, sums);
        add_codes<NT, Signed, Group, 1>(block, x, sums);
        add_codes<NT, Signed, Group, 2>(block, x, sums);
        add_codes<NT, Signed, Group, 3>(block, x, sums);
        if constexpr (!kInNibbles<C> && kGroups<C> == 1) {
            add_codes<NT, Signed, Group, 4>(block, x, sums);
            add_codes<NT, Signed, Group, 5>(block, x, sums);
            add_codes<NT, Signed, Group, 6>(block, x, sums);
            add_codes<NT, Signed, Group, 7>(block, x, sums);
        }
    }

    template <int NT, int Group>
    static UNDICED_INLINE void multiply_group(const std::uint8_t* block, const QuantBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        Columns columns[NT];
#pragma GCC unroll 4
        for (int t = 0; t < NT; ++t) columns[t] = load_columns(x[t * stride]);
        multiply_columns<NT, true, Group>(block, columns, sums);
    }

    template <int NT, int Group>
    static UNDICED_INLINE void multiply_group(const std::uint8_t* block, const WideBlock* x, std::int64_t stride,
                                              Sums<NT>& sums) {
        Columns columns[NT];
#pragma GCC unroll 4
        for (int t = 0; t < NT; ++t) columns[t] = load_columns<1>(x[t * stride]);
        multiply_columns<NT, true, Group>(block, columns, sums);
#pragma GCC unroll 4
        for (int t = 0; t < NT; ++t) {
            columns[t] = load_columns<0>(x[t * stride]);
#pragma GCC unroll 4
            for (int part = 0; part < kRowVectors; ++part) sums[t][part] = vshlq_n_s32(sums[t][part], 8);
            if constexpr (kShifted<C>) {  // unsigned codes meet low bytes: 128 times these are too much
                const std::uint32_t low = vaddlvq_u8(columns[t].half[0]) + vaddlvq_u8(columns[t].half[1]);
                const int32x4_t much = vdupq_n_s32(static_cast<std::int32_t>(128 * low));
#pragma GCC unroll 4
                for (int part = 0; part < kRowVectors; ++part) sums[t][part] = vsubq_s32(sums[t][part], much);
            }
        }
        multiply_columns<NT, false, Group>(block, columns, sums);
    }

    // What multiplies the sum of the activations: minimum, or - zero * scale.
    template <int Group>
    static UNDICED_INLINE float32x4_t load_bias(const std::uint8_t* scales, int part, float32x4_t scale,
                                                float minus_zero) {
        if constexpr (Min) return load_scales<Wide>(scales, kGroups<C> + Group, part);
        if constexpr (!kHasZero<C>) return vmulq_n_f32(scale, minus_zero);
        const float32x4_t minus_zeros = load_scales<Wide>(scales, kGroups<C> + Group, part);
        return vmulq_f32(scale, kShifted<C> ? vaddq_f32(minus_zeros, vdupq_n_f32(128.0f)) : minus_zeros);
    }

    template <int NT, int Group, class X>
    static UNDICED_INLINE void add_group(const std::uint8_t* block, const std::uint8_t* scales, const X* x,
                                         std::int64_t stride, float minus_zero, float32x4_t (&total)[NT][kRowVectors]) {
        static_assert(offsetof(X, sum) == offsetof(X, scale) + 4 && offsetof(X, half_sum) == offsetof(X, scale) + 8);
        static_assert(!kShifted<C> || kGroups<C> == 1, "the sum of low bytes is that of a whole block");
        constexpr int kSum = kGroups<C> == 1 ? 1 : 2 + Group;  // the lane behind the block's scale
        Sums<NT> sums;
#pragma GCC unroll 4
        for (auto& row : sums)
#pragma GCC unroll 4
            for (int32x4_t& sum : row) sum = vdupq_n_s32(0);
        multiply_group<NT, Group>(block, x, stride, sums);
#pragma GCC unroll 4
        for (int part = 0; part < kRowVectors; ++part) {
            const float32x4_t scale = load_scales<Wide>(scales, Group, part);
            const float32x4_t bias = load_bias<Group>(scales, part, scale, minus_zero);
#pragma GCC unroll 4
            for (int t = 0; t < NT; ++t) {
                const float32x4_t of_block = vld1q_f32(&x[t * stride].scale);
                const float32x4_t factor = vmulq_laneq_f32(scale, of_block, 0);
                total[t][part] = vfmaq_laneq_f32(total[t][part], bias, of_block, kSum);
                total[t][part] = vfmaq_f32(total[t][part], vcvtq_f32_s32(sums[t][part]), factor);
            }
        }
    }

    template <int NT, class X>
    static UNDICED_INLINE void add_block(const std::uint8_t* block, const X* x, std::int64_t stride, float minus_zero,
                                         float32x4_t (&total)[NT][kRowVectors]) {
        const std::uint8_t* scales = block + kSpan<C> * kCodeBytes;
        add_group<NT, 0>(block, scales, x, stride, minus_zero, total);
        if constexpr (kGroups<C> == 2) add_group<NT, 1>(block, scales, x, stride, minus_zero, total);
        if constexpr (kSpan<C> > 1)
            for (int part = 1; part < kSpan<C>; ++part)
                add_group<NT, 0>(block + part * kCodeBytes, scales, x + part, stride, minus_zero, total);
    }

    // What multiplies a block's scale and the sum of its activations.
    static float minus_zero(const PackedMatrix& w) {
        return static_cast<float>((kShifted<C> ? 128 : 0) - w.format->zero);
    }

    // out (NT x 16) = products of a tile of `blocks` blocks; `stream` is prefetched if it is given.
    template <int NT, class X>
    static void multiply(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t blocks, const X* x,
                         const Stream* stream, float* out) {
        float32x4_t total[NT][kRowVectors] = {};
        const float zero = minus_zero(w);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>, tile += kBlockBytes) {
            if (stream != nullptr) stream->prefetch(tile, kBlockBytes);
            add_block(tile, x + b, blocks, zero, total);
        }
        for (int t = 0; t < NT; ++t)
            for (int part = 0; part < kRowVectors; ++part) vst1q_f32(out + t * kTileRows + part * 4, total[t][part]);
    }

    // The same for one token and the tiles `at` of several streams side by side.
    template <int N, class X>
    static void multiply_streams(const PackedMatrix& w, const std::uint8_t* (&at)[N], const X* x, const Stream* streams,
                                 float (&out)[N][kTileRows]) {
        float32x4_t total[N][1][kRowVectors] = {};
        const float zero = minus_zero(w);
        const std::int64_t blocks = blocks_of(w.cols);
        for (std::int64_t b = 0; b < blocks; b += kSpan<C>) {
#pragma GCC unroll 4
            for (int s = 0; s < N; ++s) {
                streams[s].prefetch(at[s], kBlockBytes);
                add_block(at[s], x + b, blocks, zero, total[s]);
                at[s] += kBlockBytes;
            }
        }
        for (int s = 0; s < N; ++s)
            for (int part = 0; part < kRowVectors; ++part) vst1q_f32(out[s] + part * 4, total[s][0][part]);
    }
};

// 16 codes, and their sum.
inline std::int32_t store_codes(const int16x8_t (&words)[2], std::int8_t* out) {
    const int8x16_t bytes = vcombine_s8(vqmovn_s16(words[0]), vqmovn_s16(words[1]));
    vst1q_s8(out, bytes);
    return vaddlvq_s8(bytes);
}
inline std::int32_t store_codes(const int16x8_t (&words)[2], std::int16_t* out) {
    constexpr std::uint8_t kPlaces[16] = {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15};  // place_of
    for (int i = 0; i < 2; ++i)
        vst1q_s16(out + 8 * i, vreinterpretq_s16_u8(vqtbl1q_u8(vreinterpretq_u8_s16(words[i]), vld1q_u8(kPlaces))));
    return vaddlvq_s16(words[0]) + vaddlvq_s16(words[1]);
}

template <class Code>
inline void quantize(const float* x, std::int64_t cols, Block<Code>* out) {
    constexpr float kMost = std::numeric_limits<Code>::max();
    for (std::int64_t begin = 0; begin < cols; begin += kBlockCols, ++out) {
        alignas(16) float tail[kBlockCols];
        const float* from = x + begin;
        if (cols - begin < kBlockCols) {
            std::memset(tail, 0, sizeof tail);
            std::memcpy(tail, from, static_cast<std::size_t>(cols - begin) * sizeof(float));
            from = tail;
        }
        simd::F v[8], most = simd::zero();
        for (int i = 0; i < 8; ++i) {
            v[i] = simd::load(from + 4 * i);
            most = simd::larger_unsigned(most, simd::abs(v[i]));
        }
        const float largest = simd::largest_unsigned(most);
        const float inverse = largest <= kSmallestActivation ? 0.0f : kMost / largest;
        out->scale = largest <= kSmallestActivation ? 0.0f : largest / kMost;
        const auto code = [&](int i) {  // what is finite rounds to kMost at most, either way; NaN becomes kMost
            return vqmovn_s32(vcvtnq_s32_f32(simd::min(simd::mul(v[i], simd::set(inverse)), simd::set(kMost))));
        };
        std::int32_t sums[2];
        for (int half = 0; half < 2; ++half) {
            const int i = 4 * half;
            const int16x8_t words[2] = {vcombine_s16(code(i), code(i + 1)), vcombine_s16(code(i + 2), code(i + 3))};
            sums[half] = store_codes(words, out->code + 16 * half);
            out->half_sum[half] = out->scale * static_cast<float>(sums[half]);
        }
        out->sum = out->scale * static_cast<float>(sums[0] + sums[1]);
    }
}

}  // namespace
}  // namespace undiced

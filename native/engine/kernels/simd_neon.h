// Vectors of floats for NEON: the same vocabulary as simd_avx2.h, four lanes wide.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace undiced {
namespace {
namespace simd {

using F = float32x4_t;
inline constexpr std::int64_t kLanes = 4;
inline constexpr int kRegisters = 32;

inline F zero() { return vdupq_n_f32(0.0f); }
inline F set(float x) { return vdupq_n_f32(x); }
inline F broadcast(const float* x) { return vld1q_dup_f32(x); }
inline F load(const float* x) { return vld1q_f32(x); }
inline void store(float* out, F x) { vst1q_f32(out, x); }

// The first n lanes (0 <= n < kLanes); the others read as 0 and are not written.
inline F load_first(const float* x, std::int64_t n) {
    F out = zero();
    if (n > 0) out = vld1q_lane_f32(x, out, 0);
    if (n > 1) out = vld1q_lane_f32(x + 1, out, 1);
    if (n > 2) out = vld1q_lane_f32(x + 2, out, 2);
    return out;
}
inline void store_first(float* out, std::int64_t n, F x) {
    if (n > 0) vst1q_lane_f32(out, x, 0);
    if (n > 1) vst1q_lane_f32(out + 1, x, 1);
    if (n > 2) vst1q_lane_f32(out + 2, x, 2);
}

inline F add(F a, F b) { return vaddq_f32(a, b); }
inline F sub(F a, F b) { return vsubq_f32(a, b); }
inline F mul(F a, F b) { return vmulq_f32(a, b); }
inline F div(F a, F b) { return vdivq_f32(a, b); }
inline F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }   // a * b + c
inline F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }  // c - a * b
// NaN in the first operand yields the second. The processor's own maximum would yield NaN for either.
inline F max(F a, F b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline F min(F a, F b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
inline F abs(F a) { return vabsq_f32(a); }
inline F copy_sign(F magnitude, F sign) { return vbslq_f32(vdupq_n_u32(0x80000000u), sign, magnitude); }
inline F round(F a) { return vrndnq_f32(a); }
// yes where a < b, no elsewhere.
inline F select_less(F a, F b, F yes, F no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
// One bit a lane.
inline unsigned equal_bits(F a, F b) {
    constexpr std::uint32_t kBits[kLanes] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vceqq_f32(a, b), vld1q_u32(kBits)));
}
// x * 2^n for whole n in [-252, 254], in two steps so that results may be subnormal or infinite.
inline F scale_by_power(F x, F n) {
    const int32x4_t exponent = vcvtnq_s32_f32(n), half = vshrq_n_s32(exponent, 1);
    const auto power = [](int32x4_t e) {
        return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(e, vdupq_n_s32(127)), 23));
    };
    return mul(mul(x, power(half)), power(vsubq_s32(exponent, half)));
}
// x * 2^n, where n is the integer in the low 9 bits of `shifted`; the result must be normal.
inline F add_exponent(F x, F shifted) {
    const int32x4_t exponent = vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), exponent));
}

inline float first(F a) { return vgetq_lane_f32(a, 0); }
inline float sum(F a) { return vaddvq_f32(a); }
inline float largest(F a) { return vmaxvq_f32(a); }
// Of numbers without a sign: the larger of both, lane by lane, and the largest lane. NaN wins, because they are ordered
// as integers.
inline F larger_unsigned(F a, F b) {
    return vreinterpretq_f32_s32(vmaxq_s32(vreinterpretq_s32_f32(a), vreinterpretq_s32_f32(b)));
}
inline float largest_unsigned(F a) {
    return first(vreinterpretq_f32_s32(vdupq_n_s32(vmaxvq_s32(vreinterpretq_s32_f32(a)))));
}

inline F load_f16(const std::uint16_t* x) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(x))); }
// Rows are whole vectors at this level: value dimensions are multiples of 8.
inline F load_f16_first(const std::uint16_t* x, std::int64_t) { return load_f16(x); }
inline void store_f16(std::uint16_t* out, F x) { vst1_u16(out, vreinterpret_u16_f16(vcvt_f16_f32(x))); }
inline F load_bf16(const std::uint16_t* x) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(x), 16)); }
inline void store_bf16(std::uint16_t* out, F x) {
    const uint32x4_t bits = vreinterpretq_u32_f32(x);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));  // NaNs stay NaNs
    vst1_u16(out, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16));
}
// Lanes of 2 consecutive bf16 each: the even ones, the odd ones.
struct Pair {
    F even, odd;
};
inline Pair load_bf16_pairs(const std::uint8_t* x) {
    const uint32x4_t bits = vreinterpretq_u32_u8(vld1q_u8(x));
    return {vreinterpretq_f32_u32(vshlq_n_u32(bits, 16)),
            vreinterpretq_f32_u32(vandq_u32(bits, vdupq_n_u32(0xffff0000u)))};
}

// 16 pairs of fp8 numbers times 2^-8, see fp8.h, four pairs a part.
inline void load_fp8_pairs(const std::uint8_t* x, Pair (&out)[4]) {
    const auto widened = [](int16x8_t signed_bits) {
        return vreinterpretq_f16_s16(vandq_s16(vshrq_n_s16(signed_bits, 1), vdupq_n_s16(static_cast<short>(0xbf80))));
    };
    for (int half = 0; half < 2; ++half) {
        const int16x8_t bits = vreinterpretq_s16_u8(vld1q_u8(x + 16 * half));
        const float16x8_t odd = widened(bits), even = widened(vshlq_n_s16(bits, 8));
        out[2 * half] = {vcvt_f32_f16(vget_low_f16(even)), vcvt_f32_f16(vget_low_f16(odd))};
        out[2 * half + 1] = {vcvt_high_f32_f16(even), vcvt_high_f32_f16(odd)};
    }
}

// Pairs of 16-bit numbers, a lane each, which are multiplied and added to sums of 32 bits.
using I = int32x4_t;
struct Pairs {
    int16x4_t even, odd;
};
inline I no_sums() { return vdupq_n_s32(0); }
inline Pairs load_pairs(const std::uint16_t* x) {  // of int8
    const int16x4_t both = vreinterpret_s16_u16(vld1_u16(x));
    return {vshr_n_s16(vshl_n_s16(both, 8), 8), vshr_n_s16(both, 8)};
}
inline Pairs broadcast_pair(const std::int16_t* x) { return {vld1_dup_s16(x), vld1_dup_s16(x + 1)}; }
inline I multiply_pairs(Pairs a, Pairs b, I sums) { return vmlal_s16(vmlal_s16(sums, a.even, b.even), a.odd, b.odd); }
inline void split_pairs(Pairs x, F& even, F& odd) {
    even = vcvtq_f32_s32(vmovl_s16(x.even));
    odd = vcvtq_f32_s32(vmovl_s16(x.odd));
}
inline F to_floats(I sums) { return vcvtq_f32_s32(sums); }
// Rounded to nearest even; what 16 bits don't hold is any number.
inline void store_i16(std::int16_t* out, F x) { vst1_s16(out, vmovn_s32(vcvtnq_s32_f32(x))); }

}  // namespace simd
}  // namespace
}  // namespace undiced

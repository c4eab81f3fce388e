// Vectors of floats for AVX-512: the same vocabulary as simd_avx2.h, sixteen lanes wide.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace undiced {
namespace {
namespace simd {

using F = __m512;
inline constexpr std::int64_t kLanes = 16;
inline constexpr int kRegisters = 32;

inline F zero() { return _mm512_setzero_ps(); }
inline F set(float x) { return _mm512_set1_ps(x); }
inline F broadcast(const float* x) { return _mm512_set1_ps(*x); }
inline F load(const float* x) { return _mm512_loadu_ps(x); }
inline void store(float* out, F x) { _mm512_storeu_ps(out, x); }

// The first n lanes (0 <= n < kLanes); the others read as 0 and are not written.
inline __mmask16 first_lanes(std::int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline F load_first(const float* x, std::int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), x); }
inline void store_first(float* out, std::int64_t n, F x) { _mm512_mask_storeu_ps(out, first_lanes(n), x); }

inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
inline F sqrt(F a) { return _mm512_sqrt_ps(a); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }    // a * b + c
inline F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
// NaN in the first operand yields the second.
inline F max(F a, F b) { return _mm512_max_ps(a, b); }
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F abs(F a) { return _mm512_abs_ps(a); }
inline F copy_sign(F magnitude, F sign) {
    const __m512i mask = _mm512_set1_epi32(static_cast<int>(0x80000000u));
    const __m512i bit = _mm512_and_si512(mask, _mm512_castps_si512(sign));
    return _mm512_castsi512_ps(_mm512_or_si512(bit, _mm512_andnot_si512(mask, _mm512_castps_si512(magnitude))));
}
inline F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// yes where a < b, no elsewhere.
inline F select_less(F a, F b, F yes, F no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
// One bit a lane.
inline unsigned equal_bits(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
// x * 2^n for whole n; results may be subnormal or infinite.
inline F scale_by_power(F x, F n) { return _mm512_scalef_ps(x, n); }
// x * 2^n, where n is the integer in the low 9 bits of `shifted`; the result must be normal.
inline F add_exponent(F x, F shifted) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), exponent));
}

inline float first(F a) { return _mm512_cvtss_f32(a); }
inline float sum(F a) { return _mm512_reduce_add_ps(a); }
inline float largest(F a) { return _mm512_reduce_max_ps(a); }
// Of numbers without a sign: the larger of both, lane by lane, and the largest lane. NaN wins, because they are ordered
// as integers.
inline F larger_unsigned(F a, F b) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
inline float largest_unsigned(F a) {
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(_mm512_castps_si512(a)))));
}

inline F load_f16(const std::uint16_t* x) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}
inline F load_f16_first(const std::uint16_t* x, std::int64_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first_lanes(n), x));
}
inline void store_f16(std::uint16_t* out, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline F load_bf16(const std::uint16_t* x) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline void store_bf16(std::uint16_t* out, F x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));  // NaNs stay NaNs
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i high = _mm512_srli_epi32(_mm512_mask_blend_epi32(nan, rounded, quiet), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(high));
}
// Lanes of 2 consecutive bf16 each: the even ones, the odd ones.
struct Pair {
    F even, odd;
};
inline Pair load_bf16_pairs(const std::uint8_t* x) {
    const __m512i bits = _mm512_loadu_si512(x);
    return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)),
            _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000u))))};
}

// 16 pairs of fp8 numbers times 2^-8, see fp8.h.
inline void load_fp8_pairs(const std::uint8_t* x, Pair (&out)[1]) {
    const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(x));
    const __m256i mask = _mm256_set1_epi16(static_cast<short>(0xbf80));
    const __m256i odd = _mm256_and_si256(_mm256_srai_epi16(bits, 1), mask);
    const __m256i even = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(bits, 8), 1), mask);
    out[0] = {_mm512_cvtph_ps(even), _mm512_cvtph_ps(odd)};
}

// Pairs of 16-bit numbers, a lane each, which are multiplied and added to sums of 32 bits.
using I = __m512i;
using Pairs = __m512i;
inline I no_sums() { return _mm512_setzero_si512(); }
inline Pairs load_pairs(const std::uint16_t* x) {  // of int8
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}
inline Pairs broadcast_pair(const std::int16_t* x) {
    std::int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    return _mm512_set1_epi32(pair);
}
inline I multiply_pairs(Pairs a, Pairs b, I sums) { return _mm512_dpwssd_epi32(sums, a, b); }
inline void split_pairs(Pairs x, F& even, F& odd) {
    even = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(x, 16), 16));
    odd = _mm512_cvtepi32_ps(_mm512_srai_epi32(x, 16));
}
inline F to_floats(I sums) { return _mm512_cvtepi32_ps(sums); }
inline I to_ints(F x) { return _mm512_cvtps_epi32(x); }  // to nearest even
inline F as_floats(I x) { return _mm512_castsi512_ps(x); }
inline I as_ints(F x) { return _mm512_castps_si512(x); }
inline I add_ints(I a, I b) { return _mm512_add_epi32(a, b); }
inline I load_words(const std::int16_t* x) { return _mm512_load_si512(x); }
inline void store_words(std::int16_t* out, I x) { _mm512_store_si512(out, x); }
// Two vectors of integers as pairs of words: the first of a pair, and the second.
inline I pair_words(I first, I second) {
    return _mm512_mask_blend_epi16(0xaaaaaaaau, first, _mm512_slli_epi32(second, 16));
}
// The same as words that lie four by four: four of a, four of b, and so on; those that 16 bits don't hold saturate.
inline I pack_words(I a, I b) { return _mm512_packs_epi32(a, b); }

// 16-bit lanes.
inline I set_words(std::int16_t x) { return _mm512_set1_epi16(x); }
inline I add_words(I a, I b) { return _mm512_add_epi16(a, b); }
inline I multiply_words(I a, I b) { return _mm512_mulhrs_epi16(a, b); }  // a * b / 2^15, rounded
inline I and_words(I a, I b) { return _mm512_and_si512(a, b); }
template <int N>
inline I shift_left(I x) {
    return _mm512_slli_epi16(x, N);
}
template <int N>
inline I shift_right(I x) {  // with the sign
    return _mm512_srai_epi16(x, N);
}
// Entry n of the table in the high bytes, entry n - 8 in the low ones; 0 where such a number is negative.
inline I look_up_halves(const std::int8_t (&table)[16], I n) {
    const I both = _mm512_add_epi8(_mm512_or_si512(_mm512_slli_epi16(n, 8), n), _mm512_set1_epi16(0xf8));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(table))), both);
}

// Lane r of the first 8: what `op` makes of all lanes of row r.
template <class Op>
inline F across(const F (&rows)[8], const Op& op) {
    F halves[4];  // rows i and i + 4, eight lanes each
    for (int i = 0; i < 4; ++i)
        halves[i] =
            op(_mm512_shuffle_f32x4(rows[i], rows[i + 4], 0x44), _mm512_shuffle_f32x4(rows[i], rows[i + 4], 0xee));
    F pairs[2];
    for (int i = 0; i < 2; ++i) {
        const F a = halves[2 * i], b = halves[2 * i + 1];
        pairs[i] = op(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
    }
    const __m512d a = _mm512_castps_pd(pairs[0]), b = _mm512_castps_pd(pairs[1]);
    const F fours = op(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)), _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)));
    return op(_mm512_shuffle_f32x4(fours, fours, 0x08), _mm512_shuffle_f32x4(fours, fours, 0x0d));
}
// Rounded to nearest even; what 16 bits don't hold is any number.
inline void store_i16(std::int16_t* out, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
}

}  // namespace simd
}  // namespace
}  // namespace undiced

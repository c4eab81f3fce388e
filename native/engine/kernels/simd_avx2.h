// Vectors of floats for AVX2: the vocabulary that the shared kernels (pointwise.h, attend.h, dense.h) are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace undiced {
namespace {
namespace simd {

using F = __m256;
inline constexpr std::int64_t kLanes = 8;
inline constexpr int kRegisters = 16;

inline F zero() { return _mm256_setzero_ps(); }
inline F set(float x) { return _mm256_set1_ps(x); }
inline F broadcast(const float* x) { return _mm256_broadcast_ss(x); }
inline F load(const float* x) { return _mm256_loadu_ps(x); }
inline void store(float* out, F x) { _mm256_storeu_ps(out, x); }

// The first n lanes (0 <= n < kLanes); the others read as 0 and are not written.
inline __m256i first_lanes(std::int64_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline F load_first(const float* x, std::int64_t n) { return _mm256_maskload_ps(x, first_lanes(n)); }
inline void store_first(float* out, std::int64_t n, F x) { _mm256_maskstore_ps(out, first_lanes(n), x); }

inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F sqrt(F a) { return _mm256_sqrt_ps(a); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }    // a * b + c
inline F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
// NaN in the first operand yields the second.
inline F max(F a, F b) { return _mm256_max_ps(a, b); }
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
inline F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline F copy_sign(F magnitude, F sign) {
    const F mask = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_and_ps(mask, sign), _mm256_andnot_ps(mask, magnitude));
}
inline F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// yes where a < b, no elsewhere.
inline F select_less(F a, F b, F yes, F no) { return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
// One bit a lane.
inline unsigned equal_bits(F a, F b) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ)));
}
// x * 2^n for whole n in [-252, 254], in two steps so that results may be subnormal or infinite.
inline F scale_by_power(F x, F n) {
    const __m256i exponent = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(exponent, 1);
    const auto power = [](__m256i e) {
        return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(e, _mm256_set1_epi32(127)), 23));
    };
    return mul(mul(x, power(half)), power(_mm256_sub_epi32(exponent, half)));
}

// x * 2^n, where n is the integer in the low 9 bits of `shifted`; the result must be normal.
inline F add_exponent(F x, F shifted) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponent));
}

inline float first(F a) { return _mm256_cvtss_f32(a); }
inline float sum(F a) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline float largest(F a) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
// Of numbers without a sign: the larger of both, lane by lane, and the largest lane. NaN wins, because they are ordered
// as integers.
inline F larger_unsigned(F a, F b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
inline float largest_unsigned(F a) {
    const __m256i all = _mm256_castps_si256(a);
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    half = _mm_max_epi32(half, _mm_unpackhi_epi64(half, half));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x55));
    return _mm_cvtss_f32(_mm_castsi128_ps(half));
}

inline F load_f16(const std::uint16_t* x) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
// Rows are whole vectors at this level: value dimensions are multiples of 8.
inline F load_f16_first(const std::uint16_t* x, std::int64_t) { return load_f16(x); }
inline void store_f16(std::uint16_t* out, F x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
inline F load_bf16(const std::uint16_t* x) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline void store_bf16(std::uint16_t* out, F x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));  // NaNs stay NaNs
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(high, high), 0x08);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(packed));
}
// Lanes of 2 consecutive bf16 each: the even ones, the odd ones.
struct Pair {
    F even, odd;
};
inline Pair load_bf16_pairs(const std::uint8_t* x) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(bits, 16)),
            _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xffff0000u))))};
}

// 16 pairs of fp8 numbers times 2^-8, see fp8.h, eight pairs a part.
inline void load_fp8_pairs(const std::uint8_t* x, Pair (&out)[2]) {
    const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(x));
    const __m256i mask = _mm256_set1_epi16(static_cast<short>(0xbf80));
    const __m256i odd = _mm256_and_si256(_mm256_srai_epi16(bits, 1), mask);
    const __m256i even = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(bits, 8), 1), mask);
    out[0] = {_mm256_cvtph_ps(_mm256_castsi256_si128(even)), _mm256_cvtph_ps(_mm256_castsi256_si128(odd))};
    out[1] = {_mm256_cvtph_ps(_mm256_extracti128_si256(even, 1)), _mm256_cvtph_ps(_mm256_extracti128_si256(odd, 1))};
}

// Pairs of 16-bit numbers, a lane each, which are multiplied and added to sums of 32 bits.
using I = __m256i;
using Pairs = __m256i;
inline I no_sums() { return _mm256_setzero_si256(); }
inline Pairs load_pairs(const std::uint16_t* x) {  // of int8
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}
inline Pairs broadcast_pair(const std::int16_t* x) {
    std::int32_t pair;
    __builtin_memcpy(&pair, x, sizeof pair);
    return _mm256_set1_epi32(pair);
}
inline I multiply_pairs(Pairs a, Pairs b, I sums) { return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)); }
inline void split_pairs(Pairs x, F& even, F& odd) {
    even = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(x, 16), 16));
    odd = _mm256_cvtepi32_ps(_mm256_srai_epi32(x, 16));
}
inline F to_floats(I sums) { return _mm256_cvtepi32_ps(sums); }
inline I to_ints(F x) { return _mm256_cvtps_epi32(x); }  // to nearest even
inline F as_floats(I x) { return _mm256_castsi256_ps(x); }
inline I as_ints(F x) { return _mm256_castps_si256(x); }
inline I add_ints(I a, I b) { return _mm256_add_epi32(a, b); }
inline I load_words(const std::int16_t* x) { return _mm256_load_si256(reinterpret_cast<const I*>(x)); }
inline void store_words(std::int16_t* out, I x) { _mm256_store_si256(reinterpret_cast<I*>(out), x); }
// Two vectors of integers as pairs of words: the first of a pair, and the second.
inline I pair_words(I first, I second) { return _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa); }
// The same as words that lie four by four: four of a, four of b, and so on; those that 16 bits don't hold saturate.
inline I pack_words(I a, I b) { return _mm256_packs_epi32(a, b); }

// 16-bit lanes.
inline I set_words(std::int16_t x) { return _mm256_set1_epi16(x); }
inline I add_words(I a, I b) { return _mm256_add_epi16(a, b); }
inline I multiply_words(I a, I b) { return _mm256_mulhrs_epi16(a, b); }  // a * b / 2^15, rounded
inline I and_words(I a, I b) { return _mm256_and_si256(a, b); }
template <int N>
inline I shift_left(I x) {
    return _mm256_slli_epi16(x, N);
}
template <int N>
inline I shift_right(I x) {  // with the sign
    return _mm256_srai_epi16(x, N);
}
// Entry n of the table in the high bytes, entry n - 8 in the low ones; 0 where such a number is negative.
inline I look_up_halves(const std::int8_t (&table)[16], I n) {
    const I both = _mm256_add_epi8(_mm256_or_si256(_mm256_slli_epi16(n, 8), n), _mm256_set1_epi16(0xf8));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table))),
                               both);
}

// Lane r: what `op` makes of all lanes of row r.
template <class Op>
inline F across(const F (&rows)[8], const Op& op) {
    F pairs[4], fours[2];
    for (int i = 0; i < 4; ++i) {
        const F a = rows[2 * i], b = rows[2 * i + 1];
        pairs[i] = op(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
    }
    for (int i = 0; i < 2; ++i) {
        const __m256d a = _mm256_castps_pd(pairs[2 * i]), b = _mm256_castps_pd(pairs[2 * i + 1]);
        fours[i] = op(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    }
    return op(_mm256_permute2f128_ps(fours[0], fours[1], 0x20), _mm256_permute2f128_ps(fours[0], fours[1], 0x31));
}
// Rounded to nearest even; what 16 bits don't hold is any number.
inline void store_i16(std::int16_t* out, F x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), packed);
}

}  // namespace simd
}  // namespace
}  // namespace undiced

// Stands in for the compiler's header when the AVX-512 level is compiled for a processor without it: SIMDe's emulation,
// and the intrinsics that SIMDe 0.7.4 lacks, written lane by lane from their definitions.
#pragma once

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace undiced::emulate {

template <typename Lane, int Count, typename Vector>
struct Lanes {
    static_assert(sizeof(Lane) * Count == sizeof(Vector));
    Lane lane[Count];

    Lanes() : lane{} {}
    explicit Lanes(const Vector& vector) { std::memcpy(lane, &vector, sizeof lane); }
    Vector vector() const {
        Vector value;
        std::memcpy(&value, lane, sizeof value);
        return value;
    }
};

using Floats = Lanes<float, 16, __m512>;
using Ints = Lanes<std::int32_t, 16, __m512i>;
using Shorts = Lanes<std::uint16_t, 16, __m256i>;

inline __m512 maskz_loadu_ps(__mmask16 mask, const float* from) {
    Floats out;
    for (int i = 0; i < 16; ++i)
        if (mask >> i & 1) out.lane[i] = from[i];
    return out.vector();
}

inline void mask_storeu_ps(float* to, __mmask16 mask, __m512 value) {
    const Floats in(value);
    for (int i = 0; i < 16; ++i)
        if (mask >> i & 1) to[i] = in.lane[i];
}

inline __m256i maskz_loadu_epi16(__mmask16 mask, const std::uint16_t* from) {
    Shorts out;
    for (int i = 0; i < 16; ++i)
        if (mask >> i & 1) out.lane[i] = from[i];
    return out.vector();
}

inline __m512 cvtph_ps(__m256i value) {
    Floats out;
    __m128i half[2];
    std::memcpy(half, &value, sizeof half);
    for (int i = 0; i < 2; ++i) _mm256_storeu_ps(out.lane + 8 * i, _mm256_cvtph_ps(half[i]));
    return out.vector();
}

inline __m256i cvtps_ph(__m512 value) {
    const Floats in(value);
    __m128i half[2];
    for (int i = 0; i < 2; ++i) half[i] = _mm256_cvtps_ph(_mm256_loadu_ps(in.lane + 8 * i), _MM_FROUND_TO_NEAREST_INT);
    __m256i out;
    std::memcpy(&out, half, sizeof out);
    return out;
}

inline __m512i cvtepu16_epi32(__m256i value) {
    const Shorts in(value);
    Ints out;
    for (int i = 0; i < 16; ++i) out.lane[i] = in.lane[i];
    return out.vector();
}

inline __m256i cvtepi32_epi16(__m512i value) {
    const Ints in(value);
    Shorts out;
    for (int i = 0; i < 16; ++i) out.lane[i] = static_cast<std::uint16_t>(in.lane[i]);
    return out.vector();
}

inline __m512 cvtepi32_ps(__m512i value) {
    const Ints in(value);
    Floats out;
    for (int i = 0; i < 16; ++i) out.lane[i] = static_cast<float>(in.lane[i]);
    return out.vector();
}

inline __m512i cvtps_epi32(__m512 value) {
    const Floats in(value);
    Ints out;
    for (int i = 0; i < 16; ++i) out.lane[i] = _mm_cvtss_si32(_mm_set_ss(in.lane[i]));
    return out.vector();
}

inline __m512i srai_epi32(__m512i value, unsigned bits) {
    Ints lanes(value);
    for (std::int32_t& lane : lanes.lane) lane >>= bits;
    return lanes.vector();
}

// SIMDe compares with 0, which leaves the sign of NaN; the instruction clears it.
inline __m512 abs_ps(__m512 value) {
    Floats lanes(value);
    for (float& lane : lanes.lane) lane = std::fabs(lane);
    return lanes.vector();
}

// Four lanes of 128 bits: two of a, two of b.
inline __m512 shuffle_f32x4(__m512 a, __m512 b, int which) {
    const Floats from[2] = {Floats(a), Floats(b)};
    Floats out;
    for (int i = 0; i < 16; ++i) out.lane[i] = from[i / 8].lane[4 * (which >> (i / 4 * 2) & 3) + i % 4];
    return out.vector();
}

inline float cvtss_f32(__m512 value) { return Floats(value).lane[0]; }

inline int reduce_add_epi32(__m512i value) {
    int sum = 0;
    for (const std::int32_t lane : Ints(value).lane) sum += lane;
    return sum;
}

inline float reduce_add_ps(__m512 value) {
    float sum = 0.0f;
    for (const float lane : Floats(value).lane) sum += lane;
    return sum;
}

inline float reduce_max_ps(__m512 value) {
    const Floats in(value);
    float most = in.lane[0];
    for (const float lane : in.lane) most = lane > most ? lane : most;
    return most;
}

inline int reduce_max_epi32(__m512i value) {
    const Ints in(value);
    std::int32_t most = in.lane[0];
    for (const std::int32_t lane : in.lane) most = lane > most ? lane : most;
    return most;
}

}  // namespace undiced::emulate

#define _mm512_maskz_loadu_ps undiced::emulate::maskz_loadu_ps
#define _mm512_mask_storeu_ps undiced::emulate::mask_storeu_ps
#define _mm256_maskz_loadu_epi16 undiced::emulate::maskz_loadu_epi16
#define _mm512_cvtph_ps undiced::emulate::cvtph_ps
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(value, rounding) undiced::emulate::cvtps_ph(value)
#define _mm512_cvtepu16_epi32 undiced::emulate::cvtepu16_epi32
#define _mm512_cvtepi32_epi16 undiced::emulate::cvtepi32_epi16
#define _mm512_cvtepi32_ps undiced::emulate::cvtepi32_ps
#define _mm512_cvtps_epi32 undiced::emulate::cvtps_epi32
#undef _mm512_srai_epi32
#define _mm512_srai_epi32 undiced::emulate::srai_epi32
#undef _mm512_abs_ps
#define _mm512_abs_ps undiced::emulate::abs_ps
#define _mm512_shuffle_f32x4 undiced::emulate::shuffle_f32x4
#define _mm512_cvtss_f32 undiced::emulate::cvtss_f32
#define _mm512_reduce_add_epi32 undiced::emulate::reduce_add_epi32
#define _mm512_reduce_add_ps undiced::emulate::reduce_add_ps
#define _mm512_reduce_max_ps undiced::emulate::reduce_max_ps
#define _mm512_reduce_max_epi32 undiced::emulate::reduce_max_epi32

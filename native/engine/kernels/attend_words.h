// Attention of a prompt's rows over whole pages in 16-bit integers, for AVX2: vpmaddwd and an addition make twice the
// products of fused multiply-adds in a cycle. What words are, and why no sum of them overflows, kernels.h says.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "attend.h"

namespace undiced {
namespace {

inline constexpr float kWeightMost = 23000.0f;   // the word of a row's largest weight on a page
inline constexpr float kValueLength = 16383.0f;  // of a column of a page's values
inline constexpr int kTile = 4;                  // rows whose sums with two vectors stay in registers
inline constexpr int kStep = 2 * kTile;          // rows that are softened together, a lane each
static_assert(kWordRows == kStep);

// What numbers whose squares add up to `squares` are turned into words of a length with; 0 where all of them are 0.
struct WordScale {
    F inverse, scale;

    WordScale(F squares, float length) : scale(simd::mul(_mm256_sqrt_ps(squares), simd::set(1.0f / length))) {
        const F least = simd::set(1e-30f);  // whose inverse is finite
        inverse = simd::select_less(scale, least, simd::zero(), simd::div(simd::set(1.0f), scale));
        scale = simd::select_less(scale, least, simd::zero(), scale);
    }
};

// Pairs of weights come out of packing in this order of their slots.
constexpr std::int64_t packed_pair(std::int64_t pair) { return (pair & ~6) | (pair & 2) << 1 | (pair & 4) >> 1; }

// Two vectors of integers as words side by side.
inline __m256i side_by_side(__m256i first, __m256i second) {
    return _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
}

// Turns N vectors of columns of f16 rows into pairs of rows whose numbers lie side by side: out[pair][column][2]. A
// column has a scale of its own. Returns 0, or NaN where a number is not finite.
template <int N>
inline F pair_columns(const std::uint16_t* x, std::int64_t rows, std::int64_t columns, bool values, std::int16_t* out,
                      float* scales) {
    F squares[2][N];
    for (auto& row : squares)
        for (F& sum : row) sum = simd::zero();
    for (std::int64_t row = 0; row < rows; row += 2)
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; ++odd)
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n) {
                const F value = simd::load_f16(x + (row + odd) * columns + n * kLanes);
                squares[odd][n] = simd::fma(value, value, squares[odd][n]);
            }
    F bad = simd::zero(), inverse[N];
    for (int n = 0; n < N; ++n) {
        const F sum = simd::add(squares[0][n], squares[1][n]);
        const WordScale scale(sum, values ? kValueLength : kWordLength);
        inverse[n] = scale.inverse;
        simd::store(scales + n * kLanes, scale.scale);
        bad = simd::fma(sum, simd::zero(), bad);
    }
    for (std::int64_t pair = 0; pair < rows / 2; ++pair) {
        const std::uint16_t* at = x + 2 * (values ? packed_pair(pair) : pair) * columns;
#pragma GCC unroll 4
        for (int n = 0; n < N; ++n, at += kLanes) {
            const __m256i first = _mm256_cvtps_epi32(simd::mul(simd::load_f16(at), inverse[n]));
            const __m256i second = _mm256_cvtps_epi32(simd::mul(simd::load_f16(at + columns), inverse[n]));
            _mm256_store_si256(reinterpret_cast<__m256i*>(out + 2 * (pair * columns + n * kLanes)),
                               side_by_side(first, second));
        }
    }
    return bad;
}

inline F pair_rows(const std::uint16_t* x, std::int64_t rows, std::int64_t columns, bool values, std::int16_t* out,
                   float* scales) {
    F bad = simd::zero();
    std::int64_t column = 0;
    const auto step = [&]<int N>() {
        bad = simd::add(bad, pair_columns<N>(x + column, rows, columns, values, out + 2 * column, scales + column));
        column += N * kLanes;
    };
    while (columns - column >= 4 * kLanes) step.template operator()<4>();
    while (column < columns) step.template operator()<1>();
    return bad;
}

bool page_words(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                const PageWords& out) {
    const F bad = simd::add(pair_rows(k, key_dim, kPageTokens, false, out.k, out.k_scale),
                            pair_rows(v, kPageTokens, value_dim, true, out.v, out.v_scale));
    return simd::sum(bad) == 0.0f;
}

void query_words(const float* q, std::int64_t rows, std::int64_t key_dim, float factor, std::int16_t* out,
                 float* scales) {
    for (std::int64_t row = 0; row < rows; ++row, q += key_dim) {
        F squares = simd::zero();
        for (std::int64_t d = 0; d < key_dim; d += kLanes)
            squares = simd::fma(simd::load(q + d), simd::load(q + d), squares);
        const WordScale scale(simd::set(simd::sum(squares)), kWordLength);
        scales[row] = simd::first(scale.scale) * factor;
        auto* to = reinterpret_cast<std::int32_t*>(out + row / kTile * kTile * key_dim) + row % kTile;
        for (std::int64_t d = 0; d < key_dim; d += kLanes) {
            alignas(32) std::int32_t pairs[kLanes];  // the first four count
            const __m256i codes = _mm256_cvtps_epi32(simd::mul(simd::load(q + d), scale.inverse));
            const __m256i words = _mm256_packs_epi32(codes, codes);
            _mm256_store_si256(reinterpret_cast<__m256i*>(pairs), words);
            for (const int pair : {0, 1, 4, 5}) to[0] = pairs[pair], to += kTile;
        }
    }
}

// sums += the pair at `a` times two vectors of pairs. In assembly because the order counts, two products and then two
// sums, and so that sums stay in registers: as the compiler orders it, it takes up to 1.6 times the cycles.
inline __attribute__((always_inline)) void multiply_pair(const std::int16_t* a, __m256i first, __m256i second,
                                                         __m256i& sum0, __m256i& sum1) {
    __m256i low, high;
    asm("vpbroadcastd %[a], %[high]\n\t"
        "vpmaddwd %[first], %[high], %[low]\n\t"
        "vpmaddwd %[second], %[high], %[high]\n\t"
        "vpaddd %[low], %[sum0], %[sum0]\n\t"
        "vpaddd %[high], %[sum1], %[sum1]"
        : [low] "=&x"(low), [high] "=&x"(high), [sum0] "+x"(sum0), [sum1] "+x"(sum1)
        : [a] "m"(*reinterpret_cast<const std::int32_t*>(a)), [first] "x"(first), [second] "x"(second));
}

// sums = kTile rows of words times V vectors of columns of `pairs` pairs of rows, an even number. In `a` neighboring
// rows are RowWords apart, and their pairs PairWords.
template <int V, int RowWords, int PairWords>
inline __attribute__((always_inline)) void multiply_pairs(const std::int16_t* a, const std::int16_t* b,
                                                          std::int64_t ldb, std::int64_t pairs,
                                                          __m256i (&sums)[kTile][2]) {
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
#pragma GCC unroll 1
    for (std::int64_t i = 0; i < pairs; i += 2, a += 2 * PairWords)
#pragma GCC unroll 2
        for (int j = 0; j < 2; ++j, b += ldb) {
            const auto* at = reinterpret_cast<const __m256i*>(b);
            const __m256i first = _mm256_load_si256(at), second = V == 2 ? _mm256_load_si256(at + 1) : first;
#pragma GCC unroll 4
            for (int r = 0; r < kTile; ++r)
                multiply_pair(a + r * RowWords + j * PairWords, first, second, sums[r][0], sums[r][1]);
        }
}

// scores = kTile rows of queries times the keys of a page. Not inlined, nor are values: the compiler keeps all sums in
// registers only where there is nothing else.
__attribute__((noinline)) void score_tile(const std::int16_t* q, std::int64_t key_dim, const std::int16_t* k,
                                          const float* k_scale, float* scores) {
#pragma GCC unroll 1
    for (std::int64_t slot = 0; slot < kPageTokens; slot += 2 * kLanes) {
        __m256i sums[kTile][2];
        multiply_pairs<2, 2, 2 * kTile>(q, k + 2 * slot, 2 * kPageTokens, key_dim / 2, sums);
        const F first = simd::load(k_scale + slot), second = simd::load(k_scale + slot + kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r) {
            float* at = scores + r * kPageTokens + slot;
            simd::store(at, simd::mul(_mm256_cvtepi32_ps(sums[r][0]), first));
            simd::store(at + kLanes, simd::mul(_mm256_cvtepi32_ps(sums[r][1]), second));
        }
    }
}

// out += part * (kTile rows of weights times V vectors of columns of values).
template <int V>
inline void value_columns(const std::int16_t* weights, const float* part, const std::int16_t* v, std::int64_t columns,
                          const float* v_scale, float* out, std::int64_t ldo) {
    __m256i sums[kTile][2];
    multiply_pairs<V, kPageTokens, 2>(weights, v, 2 * columns, kPageTokens / 2, sums);
    const F first = simd::load(v_scale), second = V == 2 ? simd::load(v_scale + kLanes) : first;
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r, out += ldo) {
        const F factor = simd::broadcast(part + r);
        const auto add = [&](std::int64_t at, __m256i sum, F scale) {
            const F value = simd::mul(_mm256_cvtepi32_ps(sum), scale);
            simd::store(out + at, simd::fma(value, factor, simd::load(out + at)));
        };
        add(0, sums[r][0], first);
        if constexpr (V == 2) add(kLanes, sums[r][1], second);
    }
}

__attribute__((noinline)) void value_tile(const std::int16_t* weights, const float* part, const PageWords& page,
                                          std::int64_t columns, float* out, std::int64_t ldo) {
    std::int64_t c = 0;
#pragma GCC unroll 1
    for (; c + 2 * kLanes <= columns; c += 2 * kLanes)
        value_columns<2>(weights, part, page.v + 2 * c, columns, page.v_scale + c, out + c, ldo);
    if (c < columns) value_columns<1>(weights, part, page.v + 2 * c, columns, page.v_scale + c, out + c, ldo);
}

// Lane r: what `op` makes of all lanes of row r.
template <class Op>
inline F across(const F (&rows)[kStep], const Op& op) {
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

// kWeightMost * 2^z for z <= 0, rounded. 2^f within 2.6e-6 for |f| <= 1/2: coefficients by Remez exchange.
inline __m256i weight_word(F z) {
    const F shift = simd::set(12582912.0f);
    z = simd::max(simd::set(-24.0f), z);
    const F shifted = simd::add(z, shift), f = simd::sub(z, simd::sub(shifted, shift));
    F p = simd::set(kWeightMost * 9.57010117e-3f);
    for (const float c : {5.59178603e-2f, 2.40247448e-1f, 6.93121815e-1f, 9.99999261e-1f})
        p = simd::fma(p, f, simd::set(kWeightMost * c));
    return _mm256_cvtps_epi32(simd::add_exponent(p, shifted));
}

struct StepScratch {
    alignas(32) float scores[kStep][kPageTokens];
    alignas(32) std::int16_t weights[kStep][kPageTokens];
    alignas(32) float slope[kStep], offset[kStep];  // weight = 2^(slope * score - offset)
    alignas(32) float part[kStep], keep[kStep];     // what sums of weights and what earlier sums are multiplied with
};

// Turns the scores of kStep rows into weights next to each row's largest of this page, and updates the state of those
// rows that count. A bit is set for each row that has something to keep less of.
inline unsigned soften_step(const WordArgs& args, std::int64_t row, StepScratch& s) {
    F factor = simd::load(args.q_scale + row);
    if (args.softcap > 0.0f) {
        const F cap = simd::set(args.softcap);
        for (int r = 0; r < kStep; ++r)
            for (std::int64_t i = 0; i < kPageTokens; i += kLanes) {
                const F x = simd::mul(simd::load(s.scores[r] + i), simd::set(args.q_scale[row + r] / args.softcap));
                simd::store(s.scores[r] + i, simd::mul(cap, tanh(x)));
            }
        factor = simd::set(1.0f);
    }
    F most[kStep], sums[kStep];
    for (int r = 0; r < kStep; ++r) {
        const float* at = s.scores[r];
        most[r] = simd::max(simd::max(simd::load(at), simd::load(at + kLanes)),
                            simd::max(simd::load(at + 2 * kLanes), simd::load(at + 3 * kLanes)));
    }
    const F largest = across(most, [](F a, F b) { return simd::max(a, b); });
    const F slope = simd::mul(factor, simd::set(1.44269504088896341f));
    simd::store(s.slope, slope);
    simd::store(s.offset, simd::mul(slope, largest));
    const __m256i ones = _mm256_set1_epi16(1);
    for (int r = 0; r < kStep; ++r) {
        const F a = simd::broadcast(s.slope + r), b = simd::broadcast(s.offset + r);
        const auto word = [&](std::int64_t i) {
            return weight_word(_mm256_fmsub_ps(simd::load(s.scores[r] + i * kLanes), a, b));
        };
        const __m256i low = _mm256_packs_epi32(word(0), word(1)), high = _mm256_packs_epi32(word(2), word(3));
        _mm256_store_si256(reinterpret_cast<__m256i*>(s.weights[r]), low);
        _mm256_store_si256(reinterpret_cast<__m256i*>(s.weights[r]) + 1, high);
        sums[r] = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones)));
    }
    const F total = across(sums, [](F a, F b) {
        return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
    });
    // Lanes of rows that do not count keep what they had.
    const F lane = lane_numbers(row);
    const F first = simd::set(static_cast<float>(args.first)), end = simd::set(static_cast<float>(args.end));
    const auto counted = [&](F yes, F no) {
        return simd::select_less(lane, first, no, simd::select_less(lane, end, yes, no));
    };
    const F here = simd::mul(largest, factor), before = simd::load(args.max + row);
    const F now = counted(simd::max(before, here), before);
    const F keep = counted(weight_of(simd::sub(before, now)), simd::set(1.0f));
    const F part = counted(simd::mul(weight_of(simd::sub(here, now)), simd::set(1.0f / kWeightMost)), simd::zero());
    simd::store(s.keep, keep);
    simd::store(s.part, part);
    simd::store(args.max + row, now);
    const F sum = simd::mul(_mm256_cvtepi32_ps(_mm256_castps_si256(total)), part);
    simd::store(args.sum + row, simd::fma(simd::load(args.sum + row), keep, sum));
    return 0xff & ~simd::equal_bits(keep, simd::set(1.0f));
}

void attend_words(const WordArgs& args) {
    StepScratch scratch;
    for (std::int64_t row = args.first / kStep * kStep; row < args.end; row += kStep) {
        for (int r = 0; r < kStep; r += kTile)
            score_tile(args.q + (row + r) * args.key_dim, args.key_dim, args.page.k, args.page.k_scale,
                       scratch.scores[r]);
        float* out = args.out + row * args.ldo;
        for (unsigned changed = soften_step(args, row, scratch); changed != 0; changed &= changed - 1) {
            const int r = __builtin_ctz(changed);
            scale(scratch.keep[r], out + r * args.ldo, args.value_dim);
        }
        for (int r = 0; r < kStep; r += kTile)
            value_tile(scratch.weights[r], scratch.part + r, args.page, args.value_dim, out + r * args.ldo, args.ldo);
    }
}

constexpr WordKernels kWords = {.page = page_words, .queries = query_words, .attend = attend_words};
constexpr const WordKernels* words = &kWords;

}  // namespace
}  // namespace undiced

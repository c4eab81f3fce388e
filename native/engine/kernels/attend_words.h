// Attention of a prompt's rows over whole pages in 16-bit integers, for AVX2: vpmaddwd and an addition make twice the
// products of fused multiply-adds in a cycle. What words are, and why no sum of them overflows, kernels.h says.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

#include "attend.h"
#include "words.h"

namespace undiced {
namespace {

inline constexpr float kWeightMost = 23000.0f;  // the word of a row's largest weight on one page
inline constexpr int kStep = 2 * kTile;         // rows that are softened together, a lane each
inline constexpr int kPassSteps = 3;            // that meet a strip of keys or values while it is in the nearest cache
inline constexpr std::int64_t kBlockSlots = kBlockPages * kPageTokens;
static_assert(kWordRows == kStep);

// sums = kTile rows of words times a strip of `pairs` pairs of rows, an even number. In `a` neighboring rows are
// RowWords apart, and their pairs PairWords. In assembly because order and registers count: an addition that is ready
// takes a port that only products could use otherwise (docs/LOG.md), so that sums follow two rows behind their
// products, in all sixteen registers. As the compiler has it, it takes up to 1.6 times the cycles.
// clang-format off: an instruction a line.
#define UNDICED_PRODUCTS(row, pair, low, high)                                                             \
    "vpbroadcastd " #row "*%c[row_bytes]+" #pair "*%c[pair_bytes](%[a]), %%ymm" #high "\n\t"               \
    "vpmaddwd %%ymm8, %%ymm" #high ", %%ymm" #low "\n\t"                                                   \
    "vpmaddwd %%ymm9, %%ymm" #high ", %%ymm" #high "\n\t"
#define UNDICED_SUMS(row, low, high)                                                                       \
    "vpaddd %%ymm" #low ", %[low" #row "], %[low" #row "]\n\t"                                             \
    "vpaddd %%ymm" #high ", %[high" #row "], %[high" #row "]\n\t"
template <int RowWords, int PairWords>
inline __attribute__((always_inline)) void multiply_strip(const std::int16_t* a, const std::int16_t* b,
                                                          std::int64_t pairs, __m256i (&sums)[kTile][2]) {
#pragma GCC unroll 4
    for (auto& row : sums) row[0] = row[1] = _mm256_setzero_si256();
    asm(".p2align 5\n"
        "1:\n\t"
        "vmovdqa (%[b]), %%ymm8\n\t"
        "vmovdqa 32(%[b]), %%ymm9\n\t"
        UNDICED_PRODUCTS(0, 0, 10, 11)
        UNDICED_PRODUCTS(1, 0, 12, 13)
        UNDICED_PRODUCTS(2, 0, 14, 15)
        UNDICED_SUMS(0, 10, 11)
        UNDICED_PRODUCTS(3, 0, 10, 11)
        UNDICED_SUMS(1, 12, 13)
        "vmovdqa 64(%[b]), %%ymm8\n\t"
        "vmovdqa 96(%[b]), %%ymm9\n\t"
        UNDICED_PRODUCTS(0, 1, 12, 13)
        UNDICED_SUMS(2, 14, 15)
        UNDICED_PRODUCTS(1, 1, 14, 15)
        UNDICED_SUMS(3, 10, 11)
        UNDICED_PRODUCTS(2, 1, 10, 11)
        UNDICED_SUMS(0, 12, 13)
        UNDICED_PRODUCTS(3, 1, 12, 13)
        UNDICED_SUMS(1, 14, 15)
        UNDICED_SUMS(2, 10, 11)
        UNDICED_SUMS(3, 12, 13)
        "add $2*%c[pair_bytes], %[a]\n\t"
        "sub $-128, %[b]\n\t"
        "sub $2, %[pairs]\n\t"
        "jg 1b"
        : [low0] "+x"(sums[0][0]), [high0] "+x"(sums[0][1]), [low1] "+x"(sums[1][0]), [high1] "+x"(sums[1][1]),
          [low2] "+x"(sums[2][0]), [high2] "+x"(sums[2][1]), [low3] "+x"(sums[3][0]), [high3] "+x"(sums[3][1]),
          [a] "+r"(a), [b] "+r"(b), [pairs] "+r"(pairs)
        : [row_bytes] "i"(2 * RowWords), [pair_bytes] "i"(2 * PairWords)
        : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
}
// clang-format on
#undef UNDICED_PRODUCTS
#undef UNDICED_SUMS

// The same with half a strip, eight columns.
template <int RowWords, int PairWords>
inline void multiply_half(const std::int16_t* a, const std::int16_t* b, std::int64_t pairs, __m256i (&sums)[kTile][2]) {
#pragma GCC unroll 4
    for (auto& row : sums) row[0] = row[1] = _mm256_setzero_si256();
    for (std::int64_t pair = 0; pair < pairs; ++pair, a += PairWords, b += kStrip) {
        const __m256i columns = _mm256_load_si256(reinterpret_cast<const __m256i*>(b));
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r)
            sums[r][0] = simd::multiply_pairs(simd::broadcast_pair(a + r * RowWords), columns, sums[r][0]);
    }
}

// scores = rows of queries times a strip of keys. Not inlined, nor are values: all registers are taken.
__attribute__((noinline)) void score_strip(const std::int16_t* q, int rows, std::int64_t key_dim, const std::int16_t* k,
                                           const float* k_scale, float* scores) {
#pragma GCC unroll 1
    for (int row = 0; row < rows; row += kTile, q += kTile * key_dim) {
        __m256i sums[kTile][2];
        multiply_strip<2, 2 * kTile>(q, k, key_dim / 2, sums);
        const F first = simd::load(k_scale), second = simd::load(k_scale + kLanes);
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r, scores += kBlockSlots) {
            simd::store(scores, simd::mul(_mm256_cvtepi32_ps(sums[r][0]), first));
            simd::store(scores + kLanes, simd::mul(_mm256_cvtepi32_ps(sums[r][1]), second));
        }
    }
}

// out += part * (rows of weights times V vectors of columns of values).
template <int V>
__attribute__((noinline)) void value_strip(const std::int16_t* weights, int rows, const float* part,
                                           const std::int16_t* v, std::int64_t pairs, const float* v_scale, float* out,
                                           std::int64_t ldo) {
#pragma GCC unroll 1
    for (int row = 0; row < rows; row += kTile, weights += kTile * kBlockSlots) {
        __m256i sums[kTile][2];
        if constexpr (V == 2)
            multiply_strip<kBlockSlots, 2>(weights, v, pairs, sums);
        else
            multiply_half<kBlockSlots, 2>(weights, v, pairs, sums);
        const F first = simd::load(v_scale), second = V == 2 ? simd::load(v_scale + kLanes) : first;
#pragma GCC unroll 4
        for (int r = 0; r < kTile; ++r, out += ldo) {
            const F factor = simd::broadcast(part + row + r);
            const auto add = [&](std::int64_t at, __m256i sum, F scale) {
                const F value = simd::mul(_mm256_cvtepi32_ps(sum), scale);
                simd::store(out + at, simd::fma(value, factor, simd::load(out + at)));
            };
            add(0, sums[r][0], first);
            if constexpr (V == 2) add(kLanes, sums[r][1], second);
        }
    }
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

// Minus the word of the largest weight times 2^-x for 0 <= x < 1, a polynomial in x: chosen for the least error of what
// 16-bit arithmetic makes of it, 6e-5 (7e-5 for a block) in the mean and 1.7e-4 (3.2e-4) at most.
struct WeightCurve {
    std::int16_t at0, at1, at2, at3;
    float most;
};
inline constexpr WeightCurve kPageCurve = {-22998, 15893, -5292, 898, kWeightMost};
inline constexpr WeightCurve kBlockCurve = {-11499, 7946, -2646, 450, kWeightMost / 2};

// Weights of 16 scores that are `below` their row's largest by so many 2048ths of powers of two; of 16 powers and more
// they are 0. All of it is 16-bit arithmetic, on twice as many lanes as floats have.
inline __m256i weights_of(__m256i below, const WeightCurve& curve) {
    // 2^(15 - n) with its sign turned, so that it fits: its high byte is entry n of this table, its low one n - 8. What
    // is negative here, as numbers are that 32 bits did not hold, finds zeros.
    const __m256i powers =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(-128, -64, -32, -16, -8, -4, -2, -1, -1, -1, -1, -1, -1, -1, -1, -1));
    const __m256i whole = _mm256_srai_epi16(below, 11);
    const __m256i entries =
        _mm256_add_epi8(_mm256_or_si256(_mm256_slli_epi16(whole, 8), whole), _mm256_set1_epi16(0xf8));
    const __m256i power = _mm256_shuffle_epi8(powers, entries);
    const __m256i x = _mm256_and_si256(_mm256_slli_epi16(below, 4), _mm256_set1_epi16(0x7fff));
    __m256i p = _mm256_set1_epi16(curve.at3);
    for (const std::int16_t c : {curve.at2, curve.at1, curve.at0})
        p = _mm256_add_epi16(_mm256_mulhrs_epi16(p, x), _mm256_set1_epi16(c));
    return _mm256_mulhrs_epi16(p, power);
}

// weights = 2^(slope * (score - largest)) for 32 slots; returns sums of neighbors.
inline __m256i weight_words(const float* scores, F largest, F slope, const WeightCurve& curve, std::int16_t* weights) {
    const auto below = [&](std::int64_t i) {
        return _mm256_cvtps_epi32(simd::mul(simd::sub(largest, simd::load(scores + i)), slope));
    };
    const __m256i low = weights_of(_mm256_packs_epi32(below(0), below(kLanes)), curve);
    const __m256i high = weights_of(_mm256_packs_epi32(below(2 * kLanes), below(3 * kLanes)), curve);
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights), low);
    _mm256_store_si256(reinterpret_cast<__m256i*>(weights) + 1, high);
    const __m256i ones = _mm256_set1_epi16(1);
    return _mm256_add_epi32(_mm256_madd_epi16(low, ones), _mm256_madd_epi16(high, ones));
}

// Rows are kBlockSlots apart, whatever number of pages there is.
struct Softening {
    float* scores;
    std::int16_t* weights;
    float *part, *keep;  // what sums of weights and what earlier sums are multiplied with
};

// Turns the scores of kStep rows into weights next to each row's largest of these pages, and updates the state of those
// rows that count. A bit is set for each row that has something to keep less of.
template <int Pages>
inline unsigned soften_step(const WordArgs& args, std::int64_t row, const Softening& s) {
    constexpr std::int64_t kSlots = Pages * kPageTokens;
    static_assert(Pages == 1 || Pages == 4);  // the length of a row's weights is the same
    constexpr const WeightCurve& curve = Pages == 1 ? kPageCurve : kBlockCurve;
    F factor = simd::load(args.q_scale + row);
    if (args.softcap > 0.0f) {
        const F cap = simd::set(args.softcap);
        for (int r = 0; r < kStep; ++r)
            for (std::int64_t i = r * kBlockSlots; i < r * kBlockSlots + kSlots; i += kLanes) {
                const F x = simd::mul(simd::load(s.scores + i), simd::set(args.q_scale[row + r] / args.softcap));
                simd::store(s.scores + i, simd::mul(cap, tanh(x)));
            }
        factor = simd::set(1.0f);
    }
    F most[kStep], sums[kStep];
    for (int r = 0; r < kStep; ++r) {
        const float* at = s.scores + r * kBlockSlots;
        F two[2] = {simd::load(at), simd::load(at + kLanes)};
        for (std::int64_t i = 2 * kLanes; i < kSlots; i += 2 * kLanes)
            for (int j = 0; j < 2; ++j) two[j] = simd::max(two[j], simd::load(at + i + j * kLanes));
        most[r] = simd::max(two[0], two[1]);
    }
    const F largest = across(most, [](F a, F b) { return simd::max(a, b); });
    alignas(32) float tops[kStep], slopes[kStep];
    simd::store(tops, largest);
    simd::store(slopes, simd::mul(factor, simd::set(2048.0f * 1.44269504088896341f)));
    for (int r = 0; r < kStep; ++r) {
        __m256i sum = _mm256_setzero_si256();
        for (std::int64_t i = r * kBlockSlots; i < r * kBlockSlots + kSlots; i += kPageTokens)
            sum = _mm256_add_epi32(sum, weight_words(s.scores + i, simd::broadcast(tops + r),
                                                     simd::broadcast(slopes + r), curve, s.weights + i));
        sums[r] = _mm256_castsi256_ps(sum);
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
    const F part = counted(simd::mul(weight_of(simd::sub(here, now)), simd::set(1.0f / curve.most)), simd::zero());
    simd::store(s.keep, keep);
    simd::store(s.part, part);
    simd::store(args.max + row, now);
    const F sum = simd::mul(_mm256_cvtepi32_ps(_mm256_castps_si256(total)), part);
    simd::store(args.sum + row, simd::fma(simd::load(args.sum + row), keep, sum));
    return 0xff & ~simd::equal_bits(keep, simd::set(1.0f));
}

// Asks for line numbers [begin, end) of the blocks that are turned into words next.
inline void prefetch_lines(const WordArgs& args, std::int64_t begin, std::int64_t end) {
    const std::int64_t each = (args.key_dim + args.value_dim) * kPageTokens * 2 / 64;
    for (std::int64_t line = begin; line < end; ++line)
        __builtin_prefetch(reinterpret_cast<const char*>(args.next[line / each]) + line % each * 64, 0, 2);
}

// Up to kPassSteps steps of rows over all pages, strip by strip.
template <int Pages>
inline void attend_pass(const WordArgs& args, std::int64_t row, int steps) {
    constexpr std::int64_t kRows = kPassSteps * kStep;
    alignas(64) float scores[kRows * kBlockSlots];
    alignas(64) std::int16_t weights[kRows * kBlockSlots];
    alignas(32) float part[kRows], keep[kRows];
    const int rows = steps * kStep;
    for (std::int64_t slot = 0; slot < Pages * kPageTokens; slot += kStrip)
        score_strip(args.q + row * args.key_dim, rows, args.key_dim, args.page.k + slot * args.key_dim,
                    args.page.k_scale + slot, scores + slot);
    float* out = args.out + row * args.ldo;
    for (int r = 0; r < rows; r += kStep) {
        const Softening s{scores + r * kBlockSlots, weights + r * kBlockSlots, part + r, keep + r};
        for (unsigned changed = soften_step<Pages>(args, row + r, s); changed != 0; changed &= changed - 1) {
            const int i = r + __builtin_ctz(changed);
            scale(keep[i], out + i * args.ldo, args.value_dim);
        }
    }
    constexpr std::int64_t kPairs = Pages * kPageTokens / 2;
    const Strips v{args.page.v, kPairs, args.value_dim};
    for (std::int64_t column = 0; column < args.value_dim; column += kStrip)
        (v.width(column) == kStrip ? value_strip<2> : value_strip<1>)(weights, rows, part, v.at(0, column), kPairs,
                                                                      args.page.v_scale + column, out + column,
                                                                      args.ldo);
}

void attend_words(const WordArgs& args) {
    const std::int64_t begin = args.first / kStep, end = (args.end + kStep - 1) / kStep;
    const std::int64_t lines =
        args.next == nullptr ? 0 : kBlockPages * (args.key_dim + args.value_dim) * kPageTokens * 2 / 64;
    for (std::int64_t step = begin; step < end; step += kPassSteps) {
        const std::int64_t last = std::min(end, step + kPassSteps);
        prefetch_lines(args, lines * (step - begin) / (end - begin), lines * (last - begin) / (end - begin));
        (args.page.pages == 1 ? attend_pass<1> : attend_pass<kBlockPages>)(args, step * kStep,
                                                                           static_cast<int>(last - step));
    }
}

constexpr WordKernels kWords = {
    .page = page_words, .block = block_words, .queries = query_words, .attend = attend_words};
constexpr const WordKernels* words = &kWords;

}  // namespace
}  // namespace undiced

// Attention of a prompt's rows over whole pages in 16-bit integers, written once over the vectors of a level, which
// multiplies twice as many of these as floats; its strip_*.h multiplies. What words are, and why no sum of them
// overflows, kernels.h says.
#pragma once

#include <algorithm>
#include <cstdint>

#include "attend.h"
#include "words.h"

namespace undiced {
namespace {

inline constexpr float kWeightMost = 23000.0f;  // the word of a row's largest weight on one page
inline constexpr int kStep = 8;                 // rows that are softened together, a lane each
inline constexpr int kPassSteps = 3;            // that meet a strip of keys or values while it is in the nearest cache
inline constexpr std::int64_t kBlockSlots = kBlockPages * kPageTokens;
static_assert(kWordRows == kStep && kStep % kTile == 0 && kLanes >= kStep);

// sums[..][0] = kTile rows of words times half a strip, one vector of columns; see multiply_strip.
template <int RowWords, int PairWords>
inline void multiply_half(const std::int16_t* a, const std::int16_t* b, std::int64_t pairs, simd::I (&sums)[kTile][2]) {
#pragma GCC unroll 8
    for (auto& row : sums) row[0] = row[1] = simd::no_sums();
    for (std::int64_t pair = 0; pair < pairs; ++pair, a += PairWords, b += kStrip) {
        const simd::I columns = simd::load_words(b);
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r)
            sums[r][0] = simd::multiply_pairs(simd::broadcast_pair(a + r * RowWords), columns, sums[r][0]);
    }
}

// scores = rows of queries times a strip of keys. Not inlined, nor are values: all registers are taken.
__attribute__((noinline)) void score_strip(const std::int16_t* q, int rows, std::int64_t key_dim, const std::int16_t* k,
                                           const float* k_scale, float* scores) {
#pragma GCC unroll 1
    for (int row = 0; row < rows; row += kTile, q += kTile * key_dim) {
        simd::I sums[kTile][2];
        multiply_strip<2, 2 * kTile>(q, k, key_dim / 2, sums);
        const F first = simd::load(k_scale), second = simd::load(k_scale + kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r, scores += kBlockSlots) {
            simd::store(scores, simd::mul(simd::to_floats(sums[r][0]), first));
            simd::store(scores + kLanes, simd::mul(simd::to_floats(sums[r][1]), second));
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
        simd::I sums[kTile][2];
        if constexpr (V == 2)
            multiply_strip<kBlockSlots, 2>(weights, v, pairs, sums);
        else
            multiply_half<kBlockSlots, 2>(weights, v, pairs, sums);
        const F first = simd::load(v_scale), second = V == 2 ? simd::load(v_scale + kLanes) : first;
#pragma GCC unroll 8
        for (int r = 0; r < kTile; ++r, out += ldo) {
            const F factor = simd::broadcast(part + row + r);
            const auto add = [&](std::int64_t at, simd::I sum, F scale) {
                const F value = simd::mul(simd::to_floats(sum), scale);
                simd::store(out + at, simd::fma(value, factor, simd::load(out + at)));
            };
            add(0, sums[r][0], first);
            if constexpr (V == 2) add(kLanes, sums[r][1], second);
        }
    }
}

// Minus the word of the largest weight times 2^-x for 0 <= x < 1, a polynomial in x: chosen for the least error of what
// 16-bit arithmetic makes of it, 6e-5 (7e-5 for a block) in the mean and 1.7e-4 (3.2e-4) at most.
struct WeightCurve {
    std::int16_t at0, at1, at2, at3;
    float most;
};
inline constexpr WeightCurve kPageCurve = {-22998, 15893, -5292, 898, kWeightMost};
inline constexpr WeightCurve kBlockCurve = {-11499, 7946, -2646, 450, kWeightMost / 2};

// Weights of scores that are `below` their row's largest by so many 2048ths of powers of two; of 16 powers and more
// they are 0. All of it is 16-bit arithmetic, on twice as many lanes as floats have.
inline simd::I weights_of(simd::I below, const WeightCurve& curve) {
    // 2^(15 - n) with its sign turned, so that it fits: its high byte is entry n of this table, its low one n - 8. What
    // is negative here, as numbers are that 32 bits did not hold, finds zeros.
    alignas(16) static constexpr std::int8_t kPowers[16] = {-128, -64, -32, -16, -8, -4, -2, -1,
                                                            -1,   -1,  -1,  -1,  -1, -1, -1, -1};
    const simd::I power = simd::look_up_halves(kPowers, simd::shift_right<11>(below));
    const simd::I x = simd::and_words(simd::shift_left<4>(below), simd::set_words(0x7fff));
    simd::I p = simd::set_words(curve.at3);
    for (const std::int16_t c : {curve.at2, curve.at1, curve.at0})
        p = simd::add_words(simd::multiply_words(p, x), simd::set_words(c));
    return simd::multiply_words(p, power);
}

// weights = 2^(slope * (score - largest)) for the slots of a page; adds sums of neighbors to `sums`.
inline simd::I weight_words(const float* scores, F largest, F slope, const WeightCurve& curve, std::int16_t* weights,
                            simd::I sums) {
    const auto below = [&](std::int64_t i) {
        return simd::to_ints(simd::mul(simd::sub(largest, simd::load(scores + i)), slope));
    };
    const simd::I ones = simd::set_words(1);
#pragma GCC unroll 2
    for (std::int64_t i = 0; i < kPageTokens; i += 2 * kLanes) {
        const simd::I words = weights_of(simd::pack_words(below(i), below(i + kLanes)), curve);
        simd::store_words(weights + i, words);
        sums = simd::multiply_pairs(words, ones, sums);
    }
    return sums;
}

// Of the state of kStep rows.
inline F load_step(const float* x) { return kLanes == kStep ? simd::load(x) : simd::load_first(x, kStep); }
inline void store_step(float* out, F x) { kLanes == kStep ? simd::store(out, x) : simd::store_first(out, kStep, x); }

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
    F factor = load_step(args.q_scale + row);
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
    const F largest = simd::across(most, [](F a, F b) { return simd::max(a, b); });
    float tops[kStep], slopes[kStep];
    store_step(tops, largest);
    store_step(slopes, simd::mul(factor, simd::set(2048.0f * 1.44269504088896341f)));
    for (int r = 0; r < kStep; ++r) {
        simd::I sum = simd::no_sums();
        for (std::int64_t i = r * kBlockSlots; i < r * kBlockSlots + kSlots; i += kPageTokens)
            sum = weight_words(s.scores + i, simd::broadcast(tops + r), simd::broadcast(slopes + r), curve,
                               s.weights + i, sum);
        sums[r] = simd::as_floats(sum);
    }
    const F total = simd::across(
        sums, [](F a, F b) { return simd::as_floats(simd::add_ints(simd::as_ints(a), simd::as_ints(b))); });
    // Lanes of rows that do not count keep what they had.
    const F lane = lane_numbers(row);
    const F first = simd::set(static_cast<float>(args.first)), end = simd::set(static_cast<float>(args.end));
    const auto counted = [&](F yes, F no) {
        return simd::select_less(lane, first, no, simd::select_less(lane, end, yes, no));
    };
    const F here = simd::mul(largest, factor), before = load_step(args.max + row);
    const F now = counted(simd::max(before, here), before);
    const F keep = counted(weight_of(simd::sub(before, now)), simd::set(1.0f));
    const F part = counted(simd::mul(weight_of(simd::sub(here, now)), simd::set(1.0f / curve.most)), simd::zero());
    store_step(s.keep, keep);
    store_step(s.part, part);
    store_step(args.max + row, now);
    const F sum = simd::mul(simd::to_floats(simd::as_ints(total)), part);
    store_step(args.sum + row, simd::fma(load_step(args.sum + row), keep, sum));
    return 0xff & ~simd::equal_bits(keep, simd::set(1.0f));
}

// Asks for line numbers [begin, end) of the blocks that are turned into words next.
inline void prefetch_lines(const WordArgs& args, std::int64_t begin, std::int64_t end) {
    const std::int64_t each = (args.key_dim + args.value_dim) * kPageTokens * 2 / 64;
    for (std::int64_t line = begin; line < end; ++line)
        prefetch_line(reinterpret_cast<const char*>(args.next[line / each]) + line % each * 64);
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
    .columns = kLanes, .page = page_words, .block = block_words, .queries = query_words, .attend = attend_words};
constexpr const WordKernels* words = &kWords;

}  // namespace
}  // namespace undiced

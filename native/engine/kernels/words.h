// Keys, values and queries as 16-bit words, written once over the vectors of a level, whose strip_*.h says how many
// rows meet a strip together (kTile). What words are, kernels.h says; attend_words.h multiplies them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "attend.h"

namespace undiced {
namespace {

inline constexpr float kValueLength = 16383.0f;     // of a column of values
inline constexpr std::int64_t kStrip = 2 * kLanes;  // keys, or columns of values, whose words lie together
static_assert(kPageTokens % kStrip == 0);

// What numbers whose squares add up to `squares` are turned into words of a length with; 0 where all of them are 0.
struct WordScale {
    F inverse, scale;

    WordScale(F squares, float length) : scale(simd::mul(simd::sqrt(squares), simd::set(1.0f / length))) {
        const F least = simd::set(1e-30f);  // whose inverse is finite
        inverse = simd::select_less(scale, least, simd::zero(), simd::div(simd::set(1.0f), scale));
        scale = simd::select_less(scale, least, simd::zero(), scale);
    }
};

// Pairs of weights come out of packing two vectors in this order of their slots.
constexpr std::int64_t packed_pair(std::int64_t pair) {
    const std::int64_t of_two = pair % kLanes, vector = of_two / 2 % 2;
    return pair - of_two + vector * (kLanes / 2) + of_two / 4 * 2 + of_two % 2;
}

// Words of pairs of rows, whose numbers lie side by side, strip by strip: [strip][pair][column][2]. The last strip may
// have one vector of columns.
struct Strips {
    std::int16_t* words;
    std::int64_t pairs, columns;

    std::int64_t width(std::int64_t column) const { return std::min(kStrip, columns - column / kStrip * kStrip); }
    std::int16_t* at(std::int64_t pair, std::int64_t column) const {
        const std::int64_t first = column / kStrip * kStrip;
        return words + 2 * (first * pairs + pair * width(column) + column - first);
    }
};

// The sums of the squares of N vectors of columns, in two parts.
template <int N>
inline void add_squares(const std::uint16_t* x, std::int64_t rows, std::int64_t columns, F (&squares)[2][N]) {
    for (std::int64_t row = 0; row < rows; row += 2)
#pragma GCC unroll 2
        for (int odd = 0; odd < 2; ++odd)
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n) {
                const F value = simd::load_f16(x + (row + odd) * columns + n * kLanes);
                squares[odd][n] = simd::fma(value, value, squares[odd][n]);
            }
}

// Turns N vectors of columns, from `column` on, of f16 rows into words; the rows lie in `parts`, one below the other.
// A column has a scale of its own. Returns 0, or NaN where a number is not finite.
template <int N>
inline F pair_columns(std::span<const std::uint16_t* const> parts, std::int64_t rows, std::int64_t column, bool values,
                      const Strips& out, float* scales) {
    F squares[2][N];
    for (auto& row : squares)
        for (F& sum : row) sum = simd::zero();
    for (const std::uint16_t* part : parts) add_squares<N>(part + column, rows, out.columns, squares);
    F bad = simd::zero(), inverse[N];
    for (int n = 0; n < N; ++n) {
        const F sum = simd::add(squares[0][n], squares[1][n]);
        const WordScale scale(sum, values ? kValueLength : kWordLength);
        inverse[n] = scale.inverse;
        simd::store(scales + column + n * kLanes, scale.scale);
        bad = simd::fma(sum, simd::zero(), bad);
    }
    std::int16_t* to[N];
    for (int n = 0; n < N; ++n) to[n] = out.at(0, column + n * kLanes);
    for (const std::uint16_t* part : parts)
        for (std::int64_t pair = 0; pair < rows / 2; ++pair) {
            const std::uint16_t* at = part + 2 * (values ? packed_pair(pair) : pair) * out.columns + column;
#pragma GCC unroll 4
            for (int n = 0; n < N; ++n, at += kLanes) {
                const simd::I first = simd::to_ints(simd::mul(simd::load_f16(at), inverse[n]));
                const simd::I second = simd::to_ints(simd::mul(simd::load_f16(at + out.columns), inverse[n]));
                simd::store_words(to[n], simd::pair_words(first, second));
                to[n] += 2 * (N == 1 ? out.width(column) : kStrip);
            }
        }
    return bad;
}

inline F pair_rows(std::span<const std::uint16_t* const> parts, std::int64_t rows, bool values, const Strips& out,
                   float* scales) {
    F bad = simd::zero();
    std::int64_t column = 0;
    const auto step = [&]<int N>() {
        bad = simd::add(bad, pair_columns<N>(parts, rows, column, values, out, scales));
        column += N * kLanes;
    };
    while (out.columns - column >= 4 * kLanes) step.template operator()<4>();
    while (out.columns - column >= 2 * kLanes) step.template operator()<2>();
    while (column < out.columns) step.template operator()<1>();
    return bad;
}

// Keys are scaled one by one, so that pages of a block are turned one by one; columns of values have one scale in all.
bool block_words(const std::uint16_t* const* k, const std::uint16_t* const* v, std::int64_t key_dim,
                 std::int64_t value_dim, const PageWords& out) {
    const auto pages = static_cast<std::size_t>(out.pages);
    F bad = pair_rows({v, pages}, kPageTokens, true, {out.v, out.pages * kPageTokens / 2, value_dim}, out.v_scale);
    for (std::size_t page = 0; page < pages; ++page) {
        const auto at = static_cast<std::int64_t>(page) * kPageTokens;
        const Strips words{out.k + at * key_dim, key_dim / 2, kPageTokens};
        bad = simd::add(bad, pair_rows({k + page, 1}, key_dim, false, words, out.k_scale + at));
    }
    return simd::sum(bad) == 0.0f;
}

bool page_words(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                const PageWords& out) {
    return block_words(&k, &v, key_dim, value_dim, out);
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
            std::int16_t words[kLanes];
            std::int32_t pairs[kLanes / 2];
            simd::store_i16(words, simd::mul(simd::load(q + d), scale.inverse));
            __builtin_memcpy(pairs, words, sizeof pairs);
            for (const std::int32_t pair : pairs) to[0] = pair, to += kTile;
        }
    }
}

}  // namespace
}  // namespace undiced

// Attention over one page of int8 codes, written once over the vectors of a level. Scores and values are the same
// product of 16-bit numbers with codes, whose sums are exact: C[row][lane] = sum over i of A[row][i] * B[i][lane], two
// i at a time. A is the query's codes, then the weights' (each times its token's scale, in 16 bits of the largest).
#pragma once

#include "attend.h"
#include "levels.h"

namespace undiced {
namespace {

inline constexpr std::int64_t kMostWeight = 32767;
inline constexpr int kPairVectors = 2;  // vectors of lanes whose sums stay in registers, beside those of up to 6 rows

// sums[r][v] += a[r] x b for R rows and V vectors of lanes, over pairs in [begin, end). Ahead: what lies `ahead` words
// behind b is prefetched.
template <int R, int V, bool Ahead>
inline void add_products(const std::int16_t* const (&a)[R], const std::uint16_t* b, std::int64_t ldb,
                         std::int64_t begin, std::int64_t end, std::ptrdiff_t ahead, simd::I (&sums)[R][V]) {
    for (auto& row : sums)
        for (simd::I& sum : row) sum = simd::no_sums();
    for (std::int64_t i = begin; i < end; ++i) {
        const std::uint16_t* at = b + i * ldb;
        if (Ahead) __builtin_prefetch(at + ahead);
        simd::Pairs lanes[V];
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) lanes[v] = simd::load_pairs(at + v * simd::kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const simd::Pairs factor = simd::broadcast_pair(a[r] + 2 * i);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) sums[r][v] = simd::multiply_pairs(factor, lanes[v], sums[r][v]);
        }
    }
}

// scores[r][slot] = row r of the queries times each key.
template <int R, bool Ahead>
inline void score_codes(const AttendArgs& args, std::int64_t row, std::ptrdiff_t ahead, float* scores) {
    constexpr int V = kScoreVectors < kPairVectors ? kScoreVectors : kPairVectors;
    const std::int64_t groups = blocks_of(args.key_dim);
    for (std::int64_t group = 0; group < groups; ++group) {
        const std::int16_t* codes[R];
        for (int r = 0; r < R; ++r) codes[r] = args.qx[(row + r) * groups + group].code;
        const std::uint16_t* keys = args.k + group * (kBlockCols / 2) * kPageTokens;
        const std::uint16_t* scales = args.k + (args.key_dim / 2 + group) * kPageTokens;
        const std::int64_t pairs = std::min(kBlockCols, args.key_dim - group * kBlockCols) / 2;
        if (Ahead) __builtin_prefetch(scales + ahead);
        for (std::int64_t first = 0; first < kScoreVectors; first += V) {
            simd::I sums[R][V];
            const std::uint16_t* at = keys + first * simd::kLanes;
            if (Ahead && first == 0)
                add_products<R, V, true>(codes, at, kPageTokens, 0, pairs, ahead, sums);
            else
                add_products<R, V, false>(codes, at, kPageTokens, 0, pairs, 0, sums);
            for (int v = 0; v < V; ++v) {
                const std::int64_t slot = (first + v) * simd::kLanes;
                const simd::F scale = simd::load_f16(scales + slot);
                for (int r = 0; r < R; ++r) {
                    const simd::F factor = simd::set(args.qx[(row + r) * groups + group].scale);
                    const simd::F product = simd::mul(simd::to_floats(sums[r][v]), scale);
                    float* to = scores + r * kPageTokens + slot;
                    simd::store(to, simd::fma(product, factor, group == 0 ? simd::zero() : simd::load(to)));
                }
            }
        }
    }
}

// Codes of weights times scales of tokens, of which unseen ones may hold anything: their weight is 0, and least of the
// others is e^-87. Returns what a code is worth; NaN if a weight or a seen scale is.
inline float weigh(const float* weights, const std::uint16_t* scales, std::int16_t* codes) {
    simd::F weighed[kScoreVectors], most = simd::zero();
    for (std::int64_t v = 0; v < kScoreVectors; ++v) {
        const simd::F weight = simd::load(weights + v * simd::kLanes);
        const simd::F product = simd::mul(weight, simd::load_f16(scales + v * simd::kLanes));
        weighed[v] = simd::select_less(weight, simd::set(1e-38f), simd::zero(), simd::abs(product));
        most = simd::larger_unsigned(most, weighed[v]);
    }
    const float largest = simd::largest_unsigned(most);
    const bool nothing = largest <= kSmallestActivation;
    const simd::F inverse = simd::set(nothing ? 0.0f : static_cast<float>(kMostWeight) / largest);
    for (std::int64_t v = 0; v < kScoreVectors; ++v)
        simd::store_i16(codes + v * simd::kLanes, simd::mul(weighed[v], inverse));
    return nothing ? 0.0f : largest / static_cast<float>(kMostWeight);
}

// out[r][column] = out[r][column] * keep[r] + the weighed values, where [begin, end) are the tokens that any row sees.
template <int R, bool Ahead>
inline void mix_codes(const AttendArgs& args, const float* weights, std::int64_t begin, std::int64_t end,
                      const float* keep, std::ptrdiff_t ahead, float* out) {
    const std::uint16_t* scales = args.v + args.value_dim / 2 * kPageTokens;
    for (std::int64_t column = 0; column < args.value_dim; column += kBlockCols, scales += kPageTokens) {
        alignas(64) std::int16_t codes[R][kPageTokens];
        const std::int16_t* rows[R];
        float worth[R];
        for (int r = 0; r < R; ++r) {
            worth[r] = weigh(weights + r * kPageTokens, scales, codes[r]);
            rows[r] = codes[r];
        }
        if (Ahead) __builtin_prefetch(scales + ahead);
        const auto step = [&]<int V, bool Partial>(std::int64_t at, std::int64_t partial) {
            simd::I sums[R][V];
            if (Ahead && at % kLineValues == 0)
                add_products<R, V, true>(rows, args.v + at, args.value_dim, begin / 2, (end + 1) / 2, ahead, sums);
            else
                add_products<R, V, false>(rows, args.v + at, args.value_dim, begin / 2, (end + 1) / 2, 0, sums);
            for (int r = 0; r < R; ++r)
                for (int v = 0; v < V; ++v) {
                    float* to = out + r * args.ldo + at + v * simd::kLanes;
                    const simd::F before = Partial ? simd::load_first(to, partial) : simd::load(to);
                    const simd::F kept = simd::mul(before, simd::set(keep[r]));
                    const simd::F sum = simd::fma(simd::to_floats(sums[r][v]), simd::set(worth[r]), kept);
                    Partial ? simd::store_first(to, partial, sum) : simd::store(to, sum);
                }
        };
        std::int64_t at = column;
        const std::int64_t stop = std::min(column + kBlockCols, args.value_dim);
        for (; stop - at >= kPairVectors * simd::kLanes; at += kPairVectors * simd::kLanes)
            step.template operator()<kPairVectors, false>(at, 0);
        for (; stop - at >= simd::kLanes; at += simd::kLanes) step.template operator()<1, false>(at, 0);
        if (at < stop) step.template operator()<1, true>(at, stop - at);
    }
}

template <int R, bool Ahead>
void attend_codes_of(const AttendArgs& args, std::int64_t row) {
    std::int64_t begin = kPageTokens, end = 0;
    for (std::int64_t r = row; r < row + R; ++r) {
        if (args.begin[r] >= args.end[r]) continue;
        begin = std::min<std::int64_t>(begin, args.begin[r]);
        end = std::max<std::int64_t>(end, args.end[r]);
    }
    if (begin >= end) return;
    alignas(64) float scores[R * kPageTokens];
    float keep[R];
    const std::ptrdiff_t ahead = Ahead ? args.next - args.k : 0;
    score_codes<R, Ahead>(args, row, ahead, scores);
    for (int r = 0; r < R; ++r) keep[r] = soften(args, row + r, scores + r * kPageTokens);
    mix_codes<R, Ahead>(args, scores, begin, end, keep, ahead, args.out + row * args.ldo);
}

void attend_int8(const AttendArgs& args) {
    const auto some = [&]<int R>(std::int64_t row) {
        row == 0 && args.next != nullptr ? attend_codes_of<R, true>(args, row) : attend_codes_of<R, false>(args, row);
        return row + R;
    };
    std::int64_t row = 0;
    for (std::int64_t left = args.rows; left > 0; left = args.rows - row) {
        if (left >= 9 || left == 6)
            row = some.template operator()<6>(row);
        else if (left >= 7 || left == 4)
            row = some.template operator()<4>(row);
        else if (left >= 3)
            row = some.template operator()<3>(row);
        else if (left == 2)
            row = some.template operator()<2>(row);
        else
            row = some.template operator()<1>(row);
    }
}

// The scale of up to 32 columns, and their codes.
inline std::uint16_t code_columns(const float* x, std::int64_t count, std::int16_t* codes) {
    F most = simd::zero();
    const auto at = [&](std::int64_t d) {
        return count - d >= kLanes ? simd::load(x + d) : simd::load_first(x + d, count - d);
    };
    for (std::int64_t d = 0; d < count; d += kLanes) most = simd::larger_unsigned(most, simd::abs(at(d)));
    const std::uint16_t scale = code_scale(simd::largest_unsigned(most));
    const bool none = scale == 0 || scale == 0x7e00;
    const F inverse = simd::set(none ? 0.0f : 1.0f / f16_to_float(scale));
    for (std::int64_t d = 0; d < count; d += kLanes) {
        const F code = simd::mul(none ? simd::zero() : at(d), inverse);
        simd::store_i16(codes + d, simd::min(simd::set(127.0f), simd::max(simd::set(-127.0f), code)));
    }
    return scale;
}

// Bytes are written one by one: another thread may write what lies between them, tokens that follow.
void kv_write_int8(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim, std::uint16_t* k,
                   std::uint16_t* v, std::int64_t slot) {
    alignas(64) std::int16_t codes[kBlockCols];
    for (std::int64_t d = 0; d < key_dim; d += kBlockCols) {
        const std::int64_t count = std::min(kBlockCols, key_dim - d);
        k[(key_dim / 2 + d / kBlockCols) * kPageTokens + slot] = code_columns(key + d, count, codes);
        auto* to = reinterpret_cast<std::int8_t*>(k + d / 2 * kPageTokens + slot);
        for (std::int64_t i = 0; i < count; i += 4, to += 4 * kPageTokens) {
            to[0] = static_cast<std::int8_t>(codes[i]);
            to[1] = static_cast<std::int8_t>(codes[i + 2]);
            to[2 * kPageTokens] = static_cast<std::int8_t>(codes[i + 1]);
            to[2 * kPageTokens + 1] = static_cast<std::int8_t>(codes[i + 3]);
        }
    }
    for (std::int64_t d = 0; d < value_dim; d += kBlockCols) {
        const std::int64_t count = std::min(kBlockCols, value_dim - d);
        v[(value_dim / 2 + d / kBlockCols) * kPageTokens + slot] = code_columns(value + d, count, codes);
        auto* to = reinterpret_cast<std::int8_t*>(v + slot / 2 * value_dim + d) + slot % 2;
        for (std::int64_t i = 0; i < count; ++i) to[2 * i] = static_cast<std::int8_t>(codes[i]);
    }
}

}  // namespace
}  // namespace undiced

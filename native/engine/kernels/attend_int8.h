// Attention over one page of int8 codes, written once over the vectors of a level. Scores and values are the same
// product of 16-bit numbers with codes, whose sums are exact: C[row][lane] = sum over i of A[row][i] * B[i][lane], two
// i at a time. A is the query's codes, then the weights' (each times its token's scale, in 16 bits of the largest).
#pragma once

#include "attend.h"
#include "levels.h"

namespace undiced {
namespace {

inline constexpr float kMostWeight = 32767.0f;
inline constexpr int kPairVectors = 2;  // vectors of lanes whose sums stay in registers, beside those of up to 6 rows

// sums[r][v] += a[r] x b for R rows and V vectors of lanes, over pairs in [begin, end). Ahead: what lies `ahead` words
// behind b is prefetched.
template <int R, int V, bool Ahead>
[[gnu::always_inline]] inline void add_products(const std::int16_t* const (&a)[R], const std::uint16_t* b,
                                                std::int64_t ldb, std::int64_t begin, std::int64_t end,
                                                std::ptrdiff_t ahead, simd::I (&sums)[R][V]) {
    for (auto& row : sums)
        for (simd::I& sum : row) sum = simd::no_sums();
#pragma GCC unroll 2
    for (std::int64_t i = begin; i < end; ++i) {
        const std::uint16_t* at = b + i * ldb;
        if (Ahead) prefetch_line(at + ahead);
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
    const WideBlock* q = args.qx + row * groups;
    for (std::int64_t first = 0; first < kPageTokens; first += V * simd::kLanes) {
        simd::F total[R][V];
        for (auto& line : total)
            for (simd::F& sum : line) sum = simd::zero();
        for (std::int64_t group = 0; group < groups; ++group) {
            const std::int16_t* codes[R];
            for (int r = 0; r < R; ++r) codes[r] = q[r * groups + group].code;
            const std::uint16_t* keys = args.k + group * (kBlockCols / 2) * kPageTokens + first;
            const std::uint16_t* scales = args.k + (args.key_dim / 2 + group) * kPageTokens + first;
            const std::int64_t pairs = std::min(kBlockCols, args.key_dim - group * kBlockCols) / 2;
            simd::I sums[R][V];
            if (Ahead && first == 0) {
                prefetch_line(scales + ahead);
                add_products<R, V, true>(codes, keys, kPageTokens, 0, pairs, ahead, sums);
            } else {
                add_products<R, V, false>(codes, keys, kPageTokens, 0, pairs, 0, sums);
            }
            for (int v = 0; v < V; ++v) {
                const simd::F scale = simd::load_f16(scales + v * simd::kLanes);
                for (int r = 0; r < R; ++r) {
                    const simd::F product = simd::mul(simd::to_floats(sums[r][v]), scale);
                    total[r][v] = simd::fma(product, simd::set(q[r * groups + group].scale), total[r][v]);
                }
            }
        }
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) simd::store(scores + r * kPageTokens + first + v * simd::kLanes, total[r][v]);
    }
}

// What makes codes of weights, which are 1 at most: each seen token's scale, in units of `worth`.
struct Weigher {
    simd::F factor[kScoreVectors];
    float worth;  // of a code; NaN if a seen token's scale is
};

// Of tokens in [begin, end); those beyond may hold anything.
inline Weigher weigher_of(const std::uint16_t* scales, std::int32_t begin, std::int32_t end) {
    Weigher out;
    simd::F most = simd::zero();
    for (std::int64_t v = 0; v < kScoreVectors; ++v) {
        out.factor[v] = simd::load_f16(scales + v * simd::kLanes);
        if (begin > 0 || end < kPageTokens) out.factor[v] = within(v, begin, end, out.factor[v], simd::zero());
        most = simd::larger_unsigned(most, out.factor[v]);
    }
    const float largest = simd::largest_unsigned(most);
    const simd::F inverse = simd::set(largest == 0.0f ? 0.0f : kMostWeight / largest);
    for (simd::F& factor : out.factor) factor = simd::mul(factor, inverse);
    out.worth = largest / kMostWeight;
    return out;
}

// out[r][column] = out[r][column] * keep[r] + worth[r] * the codes of weights x values, where [begin, end) are the
// tokens that any row sees.
template <int R, bool Ahead>
inline void mix_codes(const AttendArgs& args, const std::int16_t* const (&codes)[R], std::int64_t begin,
                      std::int64_t end, const float* keep, const float* worth, std::ptrdiff_t ahead, float* out) {
    const auto step = [&]<int V, bool Partial>(std::int64_t at, std::int64_t partial) {
        simd::I sums[R][V];
        if (Ahead && at % kLineValues == 0)
            add_products<R, V, true>(codes, args.v + at, args.value_dim, begin / 2, (end + 1) / 2, ahead, sums);
        else
            add_products<R, V, false>(codes, args.v + at, args.value_dim, begin / 2, (end + 1) / 2, 0, sums);
        for (int r = 0; r < R; ++r)
            for (int v = 0; v < V; ++v) {
                float* to = out + r * args.ldo + at + v * simd::kLanes;
                const simd::F before = Partial ? simd::load_first(to, partial) : simd::load(to);
                const simd::F kept = simd::mul(before, simd::set(keep[r]));
                const simd::F sum = simd::fma(simd::to_floats(sums[r][v]), simd::set(worth[r]), kept);
                Partial ? simd::store_first(to, partial, sum) : simd::store(to, sum);
            }
    };
    std::int64_t at = 0;
    for (; args.value_dim - at >= kPairVectors * simd::kLanes; at += kPairVectors * simd::kLanes)
        step.template operator()<kPairVectors, false>(at, 0);
    for (; args.value_dim - at >= simd::kLanes; at += simd::kLanes) step.template operator()<1, false>(at, 0);
    if (at < args.value_dim) step.template operator()<1, true>(at, args.value_dim - at);
}

template <int R, bool Ahead>
void attend_codes_of(const AttendArgs& args, const Weigher& whole, std::int64_t row) {
    const auto [begin, end] = seen_by<R>(args, row);
    if (begin >= end) return;
    alignas(64) float scores[R * kPageTokens];
    alignas(64) std::int16_t codes[R][kPageTokens];
    const std::int16_t* rows[R];
    float keep[R], worth[R];
    const std::ptrdiff_t ahead = Ahead ? args.next - args.k : 0;
    score_codes<R, Ahead>(args, row, ahead, scores);
    const std::uint16_t* scales = args.v + args.value_dim / 2 * kPageTokens;
    if (Ahead) prefetch_line(scales + ahead);
    for (int r = 0; r < R; ++r) {
        const Kept kept = soften<true>(args, row + r, scores + r * kPageTokens);
        const std::int32_t first = args.begin[row + r], last = args.end[row + r];
        const bool all = first == 0 && last == kPageTokens;
        const Weigher& own = all ? whole : weigher_of(scales, first, last);
        for (std::int64_t v = 0; v < kScoreVectors; ++v) {
            const simd::F weight = simd::load(scores + r * kPageTokens + v * simd::kLanes);
            simd::store_i16(codes[r] + v * simd::kLanes, simd::mul(weight, own.factor[v]));
        }
        rows[r] = codes[r];
        keep[r] = kept.before;
        worth[r] = kept.here * own.worth;
    }
    mix_codes<R, Ahead>(args, rows, begin, end, keep, worth, ahead, args.out + row * args.ldo);
}

void attend_int8(const AttendArgs& args) {
    const Weigher whole = weigher_of(args.v + args.value_dim / 2 * kPageTokens, 0, kPageTokens);
    by_row_groups(args.rows, [&]<int R>(std::int64_t row) {
        if (row == 0 && args.next != nullptr)
            attend_codes_of<R, true>(args, whole, row);
        else
            attend_codes_of<R, false>(args, whole, row);
    });
}

// Codes of columns, at most 32 a call of `put`, which is told where they begin; returns their scale.
template <class Put>
inline std::uint16_t code_columns(const float* x, std::int64_t count, const Put& put) {
    const auto at = [&](std::int64_t d) {
        return count - d >= kLanes ? simd::load(x + d) : simd::load_first(x + d, count - d);
    };
    F most = simd::zero();
    for (std::int64_t d = 0; d < count; d += kLanes) most = simd::larger_unsigned(most, simd::abs(at(d)));
    const std::uint16_t scale = code_scale(simd::largest_unsigned(most));
    const bool none = scale == 0 || scale == kNotFinite;
    const F inverse = simd::set(none ? 0.0f : 1.0f / f16_to_float(scale));
    alignas(64) std::int16_t codes[kBlockCols];
    for (std::int64_t begin = 0; begin < count; begin += kBlockCols) {
        for (std::int64_t d = begin; d < std::min(count, begin + kBlockCols); d += kLanes) {
            const F code = simd::mul(none ? simd::zero() : at(d), inverse);
            simd::store_i16(codes + d - begin, simd::min(simd::set(127.0f), simd::max(simd::set(-127.0f), code)));
        }
        put(begin, codes);
    }
    return scale;
}

// Bytes are written one by one: another thread may write what lies between them, tokens that follow.
void kv_write_int8(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim, std::uint16_t* k,
                   std::uint16_t* v, std::int64_t slot) {
    for (std::int64_t group = 0; group < blocks_of(key_dim); ++group) {
        const std::int64_t first = group * kBlockCols, count = std::min(kBlockCols, key_dim - first);
        const auto put = [&](std::int64_t, const std::int16_t* codes) {
            auto* to = reinterpret_cast<std::int8_t*>(k + first / 2 * kPageTokens + slot);
            for (std::int64_t i = 0; i < count; i += 4, to += 4 * kPageTokens) {
                to[0] = static_cast<std::int8_t>(codes[i]);
                to[1] = static_cast<std::int8_t>(codes[i + 2]);
                to[2 * kPageTokens] = static_cast<std::int8_t>(codes[i + 1]);
                to[2 * kPageTokens + 1] = static_cast<std::int8_t>(codes[i + 3]);
            }
        };
        k[(key_dim / 2 + group) * kPageTokens + slot] = code_columns(key + first, count, put);
    }
    v[value_dim / 2 * kPageTokens + slot] =
        code_columns(value, value_dim, [&](std::int64_t d, const std::int16_t* codes) {
            auto* to = reinterpret_cast<std::int8_t*>(v + slot / 2 * value_dim + d) + slot % 2;
            for (std::int64_t i = 0; i < std::min(kBlockCols, value_dim - d); ++i)
                to[2 * i] = static_cast<std::int8_t>(codes[i]);
        });
}

void widen_int8(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                std::uint16_t* wide_k, std::uint16_t* wide_v) {
    const std::uint16_t *key_scales = k + key_dim / 2 * kPageTokens, *value_scales = v + value_dim / 2 * kPageTokens;
    F even, odd;
    for (std::int64_t pair = 0; pair < key_dim / 2; ++pair) {
        const std::int64_t first = pair / 2 * 4 + pair % 2;  // of two columns; the other one is the next but one
        for (std::int64_t slot = 0; slot < kPageTokens; slot += kLanes) {
            const F scale = simd::load_f16(key_scales + first / kBlockCols * kPageTokens + slot);
            simd::split_pairs(simd::load_pairs(k + pair * kPageTokens + slot), even, odd);
            simd::store_f16(wide_k + first * kPageTokens + slot, simd::mul(even, scale));
            simd::store_f16(wide_k + (first + 2) * kPageTokens + slot, simd::mul(odd, scale));
        }
    }
    alignas(64) std::uint16_t half[2][kLanes];
    for (std::int64_t pair = 0; pair < kPageTokens / 2; ++pair) {
        const F scale[] = {simd::set(f16_to_float(value_scales[2 * pair])),
                           simd::set(f16_to_float(value_scales[2 * pair + 1]))};
        std::uint16_t* to = wide_v + 2 * pair * value_dim;
        for (std::int64_t d = 0; d < value_dim; d += kLanes) {
            const auto bytes = static_cast<std::size_t>(std::min(kLanes, value_dim - d)) * 2;
            simd::split_pairs(simd::load_pairs(v + pair * value_dim + d), even, odd);
            simd::store_f16(half[0], simd::mul(even, scale[0]));
            simd::store_f16(half[1], simd::mul(odd, scale[1]));
            __builtin_memcpy(to + d, half[0], bytes);
            __builtin_memcpy(to + value_dim + d, half[1], bytes);
        }
    }
}

}  // namespace
}  // namespace undiced

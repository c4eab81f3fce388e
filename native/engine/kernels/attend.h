// Attention over one page, written once over the vectors of a level. Scores and values are the same small product:
// C[row][lane] = sum over i of A[row][i] * B[i][lane], because keys are stored transposed. B is the f16 page: a copy in
// f32 for many rows was measured and gains nothing. Latents are not transposed, so that the same rows are keys and
// values: a score is a sum over lanes there.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "../kernels.h"
#include "pointwise.h"

namespace undiced {
namespace {

inline constexpr int kLaneVectors = 4;                            // vectors of lanes and
inline constexpr int kRowGroup = simd::kRegisters == 32 ? 6 : 3;  // rows whose sums stay in registers
inline constexpr std::int64_t kLineValues = 32;                   // f16 values of a cache line
inline constexpr std::int64_t kScoreVectors = kPageTokens / simd::kLanes;

// c = c * keep[row] + a x b for R rows and V vectors of lanes, over i in [begin, end). keep == nullptr starts at zero.
// `partial` > 0: the only vector has that many lanes. Ahead: what lies `ahead` values behind B is prefetched.
template <int R, int V, bool Partial, bool Ahead>
void multiply_page(const float* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb, std::int64_t begin,
                   std::int64_t end, const float* keep, float* c, std::int64_t ldc, std::int64_t partial,
                   std::ptrdiff_t ahead) {
    simd::F acc[R][V];
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) {
            const float* at = c + r * ldc + v * simd::kLanes;
            if (keep == nullptr)
                acc[r][v] = simd::zero();
            else
                acc[r][v] = simd::mul(Partial ? simd::load_first(at, partial) : simd::load(at), simd::set(keep[r]));
        }
    for (std::int64_t i = begin; i < end; ++i) {
        simd::F factors[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) factors[r] = simd::broadcast(a + r * lda + i);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            const std::uint16_t* at = b + i * ldb + v * simd::kLanes;
            if (Ahead && v * simd::kLanes % kLineValues == 0) prefetch_line(at + ahead);
            const simd::F lanes = Partial ? simd::load_f16_first(at, partial) : simd::load_f16(at);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) acc[r][v] = simd::fma(factors[r], lanes, acc[r][v]);
        }
    }
    for (int r = 0; r < R; ++r)
        for (int v = 0; v < V; ++v) {
            float* at = c + r * ldc + v * simd::kLanes;
            if (Partial)
                simd::store_first(at, partial, acc[r][v]);
            else
                simd::store(at, acc[r][v]);
        }
}

// The same for any number of lanes.
template <int R, bool Ahead>
void multiply_lanes(const float* a, std::int64_t lda, const std::uint16_t* b, std::int64_t ldb, std::int64_t lanes,
                    std::int64_t begin, std::int64_t end, const float* keep, float* c, std::int64_t ldc,
                    std::ptrdiff_t ahead) {
    std::int64_t at = 0;
    const auto step = [&]<int V, bool Partial>(std::int64_t partial) {
        multiply_page<R, V, Partial, Ahead>(a, lda, b + at, ldb, begin, end, keep, c + at, ldc, partial, ahead);
        at += V * simd::kLanes;
    };
    while (lanes - at >= kLaneVectors * simd::kLanes) step.template operator()<kLaneVectors, false>(0);
    while (lanes - at >= 2 * simd::kLanes) step.template operator()<2, false>(0);
    while (lanes - at >= simd::kLanes) step.template operator()<1, false>(0);
    if (at < lanes) step.template operator()<1, true>(lanes - at);
}

// c[r][s] = row r of a times row s of b for R and S rows, each with a sum of its own, whoever its neighbors are.
template <int R, int S, bool Ahead>
void dot_rows(const float* a, std::int64_t lda, const std::uint16_t* b, std::int64_t columns, float* c,
              std::ptrdiff_t ahead) {
    simd::F acc[R][S];
    for (auto& row : acc)
        for (simd::F& sum : row) sum = simd::zero();
    const auto step = [&]<bool Partial>(std::int64_t d, std::int64_t partial) {
        simd::F factors[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const float* at = a + r * lda + d;
            factors[r] = Partial ? simd::load_first(at, partial) : simd::load(at);
        }
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
            const std::uint16_t* at = b + s * columns + d;
            if (Ahead && d % kLineValues == 0) prefetch_line(at + ahead);
            const simd::F lanes = Partial ? simd::load_f16_first(at, partial) : simd::load_f16(at);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) acc[r][s] = simd::fma(factors[r], lanes, acc[r][s]);
        }
    };
    std::int64_t d = 0;
    for (; d + simd::kLanes <= columns; d += simd::kLanes) step.template operator()<false>(d, 0);
    if (d < columns) step.template operator()<true>(d, columns - d);
    for (int r = 0; r < R; ++r)
        for (int s = 0; s < S; ++s) c[r * kPageTokens + s] = simd::sum(acc[r][s]);
}

inline simd::F lane_numbers(std::int64_t first) {
    alignas(64) float numbers[simd::kLanes];
    for (std::int64_t i = 0; i < simd::kLanes; ++i) numbers[i] = static_cast<float>(first + i);
    return simd::load(numbers);
}

// e^x for x <= 0, never less than e^-87 (which is nothing next to the largest weight, 1): no subnormals to care for.
// n = x / ln 2 is rounded by adding 1.5 * 2^23, which also leaves it as an integer in the low bits.
inline simd::F weight_of(simd::F x) {
    const simd::F shift = simd::set(12582912.0f);
    x = simd::max(simd::set(-87.0f), x);
    const simd::F shifted = simd::fma(x, simd::set(1.44269504088896341f), shift), n = simd::sub(shifted, shift);
    return simd::add_exponent(exp_fraction(x, n), shifted);
}

// Of slots in vector v: `value` in [begin, end), else `other`.
inline simd::F within(std::int64_t v, std::int32_t begin, std::int32_t end, simd::F value, simd::F other) {
    const simd::F slot = lane_numbers(v * simd::kLanes);
    value = simd::select_less(slot, simd::set(static_cast<float>(begin)), other, value);
    return simd::select_less(slot, simd::set(static_cast<float>(end)), value, other);
}

// What a row's earlier output must be multiplied with, and what is mixed with its weights.
struct Kept {
    float before, here;
};

// Turns one row's raw scores into weights e^(score - largest), 0 where unseen, and updates its maximum and sum. Apart:
// the largest is the page's own, so that the largest weight is 1; else it is the row's, and `here` 1.
template <bool Apart>
inline Kept soften(const AttendArgs& args, std::int64_t row, float* scores) {
    const std::int32_t begin = args.begin[row], end = args.end[row];
    const simd::F factor = simd::set(args.scale), unseen = simd::set(-INFINITY);
    if (begin >= end) {
        for (std::int64_t v = 0; v < kScoreVectors; ++v) simd::store(scores + v * simd::kLanes, simd::zero());
        return {1.0f, 1.0f};
    }
    const bool whole = begin == 0 && end == kPageTokens;
    simd::F s[kScoreVectors], most = unseen;
    for (std::int64_t v = 0; v < kScoreVectors; ++v) {
        s[v] = simd::mul(simd::load(scores + v * simd::kLanes), factor);
        if (args.softcap > 0.0f)
            s[v] = simd::mul(simd::set(args.softcap), tanh(simd::mul(s[v], simd::set(1.0f / args.softcap))));
        if (!whole) s[v] = within(v, begin, end, s[v], unseen);
        most = simd::max(s[v], most);
    }
    const float before = args.max[row], here = simd::largest(most), largest = here > before ? here : before;
    Kept kept{1.0f, 1.0f};
    if (largest != before)
        kept.before = simd::first(weight_of(simd::set(before - largest)));
    else if (Apart && largest != here)
        kept.here = simd::first(weight_of(simd::set(here - largest)));
    const simd::F shift = simd::set(Apart ? here : largest);
    simd::F total = simd::zero();
    for (std::int64_t v = 0; v < kScoreVectors; ++v) {
        simd::F weight = weight_of(simd::sub(s[v], shift));
        if (!whole) weight = within(v, begin, end, weight, simd::zero());
        simd::store(scores + v * simd::kLanes, weight);
        total = simd::add(total, weight);
    }
    const float sum = simd::sum(total);
    args.sum[row] = std::fma(args.sum[row], kept.before, sum * kept.here);
    args.max[row] = largest;
    if (Apart) kept.here = std::fma(sum, 0.0f, kept.here);  // NaN where a score was: codes of weights don't hold it
    return kept;
}

struct SeenSlots {
    std::int64_t begin, end;
};

// Tokens of the page from the first to the last that any of R rows sees; none where begin >= end.
template <int R>
inline SeenSlots seen_by(const AttendArgs& args, std::int64_t row) {
    SeenSlots seen{kPageTokens, 0};
    for (std::int64_t r = row; r < row + R; ++r) {
        if (args.begin[r] >= args.end[r]) continue;
        seen.begin = std::min<std::int64_t>(seen.begin, args.begin[r]);
        seen.end = std::max<std::int64_t>(seen.end, args.end[r]);
    }
    return seen;
}

template <int R, bool Ahead>
void attend_rows_of(const AttendArgs& args, std::int64_t row) {
    const auto [begin, end] = seen_by<R>(args, row);
    if (begin >= end) return;
    alignas(64) float scores[R * kPageTokens];
    float keep[R];
    const std::ptrdiff_t ahead = Ahead ? args.next - args.k : 0;
    const float* q = args.q + row * args.ldq;
    float* out = args.out + row * args.ldo;
    const bool latent = args.v == nullptr;
    if (latent) {
        constexpr int kSlots = R == 1 ? 8 : 4;  // enough sums at a time to hide the latency of an addition
        for (std::int64_t slot = 0; slot < kPageTokens; slot += kSlots)
            dot_rows<R, kSlots, Ahead>(q, args.ldq, args.k + slot * args.key_dim, args.key_dim, scores + slot, ahead);
    } else {
        multiply_lanes<R, Ahead>(q, args.ldq, args.k, kPageTokens, kPageTokens, 0, args.key_dim, nullptr, scores,
                                 kPageTokens, ahead);
    }
    for (int r = 0; r < R; ++r) keep[r] = soften<false>(args, row + r, scores + r * kPageTokens).before;
    if (latent)
        multiply_lanes<R, false>(scores, kPageTokens, args.k, args.key_dim, args.value_dim, begin, end, keep, out,
                                 args.ldo, 0);
    else
        multiply_lanes<R, Ahead>(scores, kPageTokens, args.v, args.value_dim, args.value_dim, begin, end, keep, out,
                                 args.ldo, ahead);
}

// Calls body<R>(row) for rows in groups of R, whose sums stay in registers.
template <class Body>
inline void by_row_groups(std::int64_t rows, const Body& body) {
    std::int64_t row = 0;
    for (std::int64_t left = rows; left > 0; left = rows - row) {
        const std::int64_t next = left == 4 ? 2 : std::min<std::int64_t>(left, kRowGroup);  // 2 + 2 beats 3 + 1
        if (kRowGroup == 6 && next == 6)
            body.template operator()<kRowGroup>(row), row += 6;
        else if (next >= 3)
            body.template operator()<3>(row), row += 3;
        else if (next == 2)
            body.template operator()<2>(row), row += 2;
        else
            body.template operator()<1>(row), row += 1;
    }
}

// The first rows of a block prefetch the next one.
void attend(const AttendArgs& args) {
    by_row_groups(args.rows, [&]<int R>(std::int64_t row) {
        if (row == 0 && args.next != nullptr)
            attend_rows_of<R, true>(args, row);
        else
            attend_rows_of<R, false>(args, row);
    });
}

void attend_finish(float* out, std::int64_t ldo, std::int64_t rows, std::int64_t value_dim, const float* sum) {
    for (std::int64_t row = 0; row < rows; ++row)
        scale(sum[row] > 0.0f ? 1.0f / sum[row] : 0.0f, out + row * ldo, value_dim);
}

void kv_write(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim, std::uint16_t* k,
              std::uint16_t* v, std::int64_t slot) {
    const auto convert = [](const float* from, std::int64_t count, std::uint16_t* to) {
        const F x = count == kLanes ? simd::load(from) : simd::load_first(from, count);
        const F inside = simd::min(simd::set(65504.0f), simd::max(simd::set(-65504.0f), x));
        simd::store_f16(to, simd::fma(x, simd::zero(), inside));  // x * 0 is 0, or NaN where x is not finite
    };
    alignas(64) std::uint16_t half[kLanes];
    for (std::int64_t d = 0; d < key_dim; d += kLanes) {
        const std::int64_t count = std::min(kLanes, key_dim - d);
        convert(key + d, count, half);
        for (std::int64_t i = 0; i < count; ++i) k[(d + i) * kPageTokens + slot] = half[i];
    }
    for (std::int64_t d = 0; d < value_dim; d += kLanes) {
        const std::int64_t count = std::min(kLanes, value_dim - d);
        convert(value + d, count, half);
        __builtin_memcpy(v + slot * value_dim + d, half, static_cast<std::size_t>(count) * 2);
    }
}

}  // namespace
}  // namespace undiced

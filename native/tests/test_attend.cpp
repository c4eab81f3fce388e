// Attention over pages against a softmax in double precision, for decode and prefill shapes, windows, soft caps and
// latents, whose rows are keys and values.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "check.h"
#include "reference.h"
#include "tests.h"

namespace undiced::test {
namespace {

struct Case {
    std::int64_t rows, context, key_dim, value_dim, window;
    float softcap;
    bool latent = false;
};

// Where a number of the key or the value of token t lies in the pages.
std::size_t key_at(const Case& c, std::int64_t t, std::int64_t d) {
    const std::int64_t page = t / kPageTokens * kPageTokens, slot = t % kPageTokens;
    return static_cast<std::size_t>(c.latent ? t * c.key_dim + d : page * c.key_dim + d * kPageTokens + slot);
}
std::size_t value_at(const Case& c, std::int64_t t, std::int64_t d) {
    return static_cast<std::size_t>(t * (c.latent ? c.key_dim : c.value_dim) + d);
}

void run_case(const Kernels& kernels, Random& random, const Case& c) {
    const std::string what = std::string(kernels.name) + " attend rows=" + std::to_string(c.rows) +
                             " context=" + std::to_string(c.context) + " dims=" + std::to_string(c.key_dim);
    const std::int64_t pages = (c.context + kPageTokens - 1) / kPageTokens;
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.key_dim));
    const std::vector<float> q = random_floats(random, static_cast<std::size_t>(c.rows * c.key_dim), 2.0f);
    const std::vector<float> keys = random_floats(random, static_cast<std::size_t>(c.context * c.key_dim), 1.0f);
    const std::vector<float> values = random_floats(random, static_cast<std::size_t>(c.context * c.value_dim), 1.0f);
    // Slots that were never written hold NaN: nothing may read them into a result.
    std::vector<std::uint16_t> k(static_cast<std::size_t>(pages * kPageTokens * c.key_dim), 0x7e00);
    std::vector<std::uint16_t> v(static_cast<std::size_t>(pages * kPageTokens * c.value_dim), 0x7e00);
    for (std::int64_t t = 0; t < c.context && c.latent; ++t)
        kernels.kv_write(nullptr, keys.data() + t * c.key_dim, 0, c.key_dim, nullptr,
                         k.data() + t / kPageTokens * kPageTokens * c.key_dim, t % kPageTokens);
    for (std::int64_t t = 0; t < c.context && !c.latent; ++t)
        kernels.kv_write(keys.data() + t * c.key_dim, values.data() + t * c.value_dim, c.key_dim, c.value_dim,
                         k.data() + t / kPageTokens * kPageTokens * c.key_dim,
                         v.data() + t / kPageTokens * kPageTokens * c.value_dim, t % kPageTokens);

    const std::int64_t ldo = c.value_dim + 3;
    std::vector<float> out(static_cast<std::size_t>(c.rows * ldo)), sum(static_cast<std::size_t>(c.rows));
    std::vector<float> largest(static_cast<std::size_t>(c.rows), -std::numeric_limits<float>::infinity());
    std::vector<std::int32_t> begin(static_cast<std::size_t>(c.rows)), end(begin.size());
    // Row i is the query at position context - rows + i (a single decode group: all see everything if window is 0).
    const auto last = [&](std::int64_t row) { return c.rows <= 8 ? c.context : c.context - c.rows + row + 1; };
    const auto first = [&](std::int64_t row) {
        return c.window > 0 ? std::max<std::int64_t>(0, last(row) - c.window) : 0;
    };
    for (std::int64_t page = 0; page < pages; ++page) {
        for (std::int64_t row = 0; row < c.rows; ++row) {
            const std::int64_t from = std::clamp<std::int64_t>(first(row) - page * kPageTokens, 0, kPageTokens);
            const std::int64_t to = std::clamp<std::int64_t>(last(row) - page * kPageTokens, 0, kPageTokens);
            begin[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(std::min(from, to));
            end[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(to);
        }
        kernels.attend({.q = q.data(),
                        .ldq = c.key_dim,
                        .rows = c.rows,
                        .key_dim = c.key_dim,
                        .value_dim = c.value_dim,
                        .k = k.data() + page * kPageTokens * c.key_dim,
                        .v = c.latent ? nullptr : v.data() + page * kPageTokens * c.value_dim,
                        .next = page + 1 < pages ? k.data() + (page + 1) * kPageTokens * c.key_dim : nullptr,
                        .begin = begin.data(),
                        .end = end.data(),
                        .scale = scale,
                        .softcap = c.softcap,
                        .max = largest.data(),
                        .sum = sum.data(),
                        .out = out.data(),
                        .ldo = ldo});
    }
    kernels.attend_finish(out.data(), ldo, c.rows, c.value_dim, sum.data());

    for (std::int64_t row = 0; row < c.rows; ++row) {
        std::vector<double> weights;
        double top = -INFINITY, total = 0.0;
        for (std::int64_t t = first(row); t < last(row); ++t) {
            double s = 0.0;
            for (std::int64_t d = 0; d < c.key_dim; ++d)
                s += static_cast<double>(q[static_cast<std::size_t>(row * c.key_dim + d)]) *
                     reference_half(k[key_at(c, t, d)]);
            s *= scale;
            if (c.softcap > 0.0f) s = c.softcap * std::tanh(s / c.softcap);
            weights.push_back(s);
            top = std::max(top, s);
        }
        for (double& weight : weights) total += weight = std::exp(weight - top);
        for (std::int64_t d = 0; d < c.value_dim; ++d) {
            double want = 0.0;
            for (std::int64_t t = first(row); t < last(row); ++t)
                want += weights[static_cast<std::size_t>(t - first(row))] / total *
                        reference_half((c.latent ? k : v)[value_at(c, t, d)]);
            check_near(out[static_cast<std::size_t>(row * ldo + d)], want, 2e-5, what);
        }
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto at = static_cast<std::int64_t>(i);
        check_near(reference_half(k[key_at(c, at / c.key_dim, at % c.key_dim)]), keys[i],
                   5e-4 * std::fabs(keys[i]) + 1e-7, what + " stores keys");
    }
}

// Infinity and NaN are stored as NaN, wherever they stand; all else is stored as if they were not there.
void run_not_finite(const Kernels& kernels) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const auto is_nan = [](std::uint16_t half) { return (half & 0x7fff) > 0x7c00; };
    for (const std::int64_t dims : {8, 16, 40})
        for (const float bad : {infinity, -infinity, nan, -nan})
            for (std::int64_t at = 0; at < dims; ++at) {
                std::vector<std::uint16_t> k(static_cast<std::size_t>(32 * dims), 0), v = k;
                std::vector<float> x(static_cast<std::size_t>(dims), -1e6f);
                x[static_cast<std::size_t>(at)] = bad;
                kernels.kv_write(x.data(), x.data(), dims, dims, k.data(), v.data(), 3);
                for (std::int64_t d = 0; d < dims; ++d) {
                    const std::uint16_t key = k[static_cast<std::size_t>(d * 32 + 3)];
                    const std::uint16_t value = v[static_cast<std::size_t>(3 * dims + d)];
                    check(d == at ? is_nan(key) : key == 0xfbff, "what is not finite is a key of NaN");
                    check(d == at ? is_nan(value) : value == 0xfbff, "what is not finite is a value of NaN");
                }
            }
}

// A row whose range is empty on a page keeps its state; huge values saturate instead of becoming infinite.
void run_edges(const Kernels& kernels) {
    const std::int64_t dims = 16;
    std::vector<std::uint16_t> k(32 * dims, 0), v(32 * dims, 0);
    const std::vector<float> huge(dims, 1e6f), q(dims, 1.0f);
    kernels.kv_write(huge.data(), huge.data(), dims, dims, k.data(), v.data(), 0);
    check(k[0] == 0x7bff && v[0] == 0x7bff, "keys and values saturate");
    std::vector<float> out(dims, 5.0f);
    float largest = 1.5f, sum = 2.0f;
    const std::int32_t begin = 7, end = 7;
    kernels.attend({.q = q.data(),
                    .ldq = dims,
                    .rows = 1,
                    .key_dim = dims,
                    .value_dim = dims,
                    .k = k.data(),
                    .v = v.data(),
                    .begin = &begin,
                    .end = &end,
                    .max = &largest,
                    .sum = &sum,
                    .out = out.data(),
                    .ldo = dims});
    check(largest == 1.5f && sum == 2.0f && out[3] == 5.0f, "an empty range leaves the state");
    sum = 0.0f;
    kernels.attend_finish(out.data(), dims, 1, dims, &sum);
    check(out[3] == 0.0f, "a row that saw nothing is zero");
}

}  // namespace

void test_attend(const Kernels& kernels) {
    Random random(3);
    run_edges(kernels);
    run_not_finite(kernels);
    for (const std::int64_t dims : {8, 16, 40, 64, 80, 128, 256})
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 9, 12, 40})
            run_case(kernels, random, {rows, 70, dims, dims, 0, 0.0f});
    run_case(kernels, random, {3, 1, 64, 64, 0, 0.0f});
    run_case(kernels, random, {9, 96, 64, 64, 20, 0.0f});
    run_case(kernels, random, {70, 300, 64, 64, 33, 0.0f});
    run_case(kernels, random, {3, 200, 64, 64, 50, 30.0f});
    run_case(kernels, random, {16, 64, 192, 128, 0, 50.0f});
    run_case(kernels, random, {16, 64, 576, 512, 0, 0.0f});
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 12, 40})
        run_case(kernels, random, {rows, 70, 40, 32, 0, 0.0f, true});
    run_case(kernels, random, {16, 100, 576, 512, 0, 0.0f, true});
    run_case(kernels, random, {9, 96, 24, 8, 20, 0.0f, true});
}

}  // namespace undiced::test

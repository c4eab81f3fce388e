// Norms, activations, rotations, reductions and conversions against double precision.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "check.h"
#include "reference.h"
#include "tests.h"

namespace undiced::test {
namespace {

using Floats = std::vector<float>;

const std::int64_t kLengths[] = {1, 5, 8, 15, 16, 31, 64, 100, 576};

double exact_activation(Activation kind, double x) {
    switch (kind) {
        case Activation::kSilu:
            return x / (1.0 + std::exp(-x));
        case Activation::kGelu:
            return 0.5 * x * (1.0 + std::erf(x * std::sqrt(0.5)));
        case Activation::kGeluTanh:
            return 0.5 * x * (1.0 + std::tanh(std::sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
        case Activation::kRelu:
            return std::max(x, 0.0);
        case Activation::kTanh:
            return std::tanh(x);
        case Activation::kSigmoid:
            return 1.0 / (1.0 + std::exp(-x));
    }
    return std::nan("");
}

void test_norms(const Kernels& kernels, Random& random) {
    for (const std::int64_t n : kLengths) {
        const std::size_t size = static_cast<std::size_t>(n);
        const Floats x = random_floats(random, size, 3.0f), w = random_floats(random, size, 1.0f);
        const Floats b = random_floats(random, size, 1.0f);
        double squares = 0.0, mean = 0.0, variance = 0.0;
        for (const float value : x) squares += static_cast<double>(value) * value, mean += value;
        mean /= static_cast<double>(n);
        for (const float value : x) variance += (value - mean) * (value - mean);
        const double rms = std::sqrt(squares / static_cast<double>(n) + 1e-5);
        const double deviation = std::sqrt(variance / static_cast<double>(n) + 1e-5);
        for (const bool plain : {false, true}) {
            Floats got(size), in_place = x;
            kernels.rmsnorm(x.data(), plain ? nullptr : w.data(), got.data(), n, 1e-5f);
            kernels.rmsnorm(in_place.data(), plain ? nullptr : w.data(), in_place.data(), n, 1e-5f);
            Floats centered(size);
            kernels.layernorm(x.data(), plain ? nullptr : w.data(), plain ? nullptr : b.data(), centered.data(), n,
                              1e-5f);
            for (std::size_t i = 0; i < size; ++i) {
                const double weight = plain ? 1.0 : w[i], bias = plain ? 0.0 : b[i];
                check_near(got[i], x[i] / rms * weight, 3e-6 * (1 + std::fabs(weight)), "rmsnorm");
                check(got[i] == in_place[i], "rmsnorm in place");
                check_near(centered[i], (x[i] - mean) / deviation * weight + bias, 1e-5 * (1 + std::fabs(weight)),
                           "layernorm");
            }
        }
    }
}

void test_activations(const Kernels& kernels, Random& random) {
    for (const Activation kind : {Activation::kSilu, Activation::kGelu, Activation::kGeluTanh, Activation::kRelu,
                                  Activation::kTanh, Activation::kSigmoid}) {
        Floats x = random_floats(random, 1003, 3.0f);
        for (const float extreme : {0.0f, -0.0f, 1e-6f, 30.0f, -30.0f, 90.0f, -90.0f, 1e4f, -1e4f, 1e37f, -1e37f})
            x.push_back(extreme);
        const Floats up = random_floats(random, x.size(), 1.0f);
        const std::int64_t n = static_cast<std::int64_t>(x.size());
        Floats got(x.size()), gated(x.size());
        kernels.act(kind, x.data(), got.data(), n);
        kernels.glu(kind, x.data(), up.data(), gated.data(), n);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double want = exact_activation(kind, x[i]);
            const std::string what = std::string(kernels.name) + " activation " +
                                     std::to_string(static_cast<int>(kind)) + " at " + std::to_string(x[i]);
            check_near(got[i], want, 3e-6 * std::fabs(want) + 1e-6, what);
            check_near(gated[i], want * up[i], (3e-6 * std::fabs(want) + 1e-6) * (1 + std::fabs(up[i])),
                       what + " gated");
        }
    }
}

void test_exp(const Kernels& kernels) {
    Floats x;
    for (float value = -110.0f; value < 80.0f; value += 0.0371f) x.push_back(value);
    x.push_back(-std::numeric_limits<float>::infinity());
    Floats got(x.size());
    const std::int64_t n = static_cast<std::int64_t>(x.size());
    const double sum = kernels.exp_sum(x.data(), 0.5f, got.data(), n);
    double want_sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double want = std::exp(static_cast<double>(x[i] - 0.5f));
        want_sum += want;
        check_near(got[i], want, 1e-6 * want + 1.3e-38, std::string(kernels.name) + " exp of " + std::to_string(x[i]));
    }
    check_near(sum / want_sum, 1.0, 1e-6, "exp sum");
    check(kernels.exp_sum(x.data(), 0.5f, nullptr, n) == sum, "exp sum alone");
}

void test_rope(const Kernels& kernels, Random& random) {
    for (const std::int64_t dims : {2, 6, 16, 24, 64, 80}) {
        for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
            const std::int64_t heads = 3, head_dim = dims + (dims == 24 ? 8 : 0);
            const Floats x = random_floats(random, static_cast<std::size_t>(heads * head_dim), 1.0f);
            Floats cosine, sine, got = x;
            for (std::int64_t i = 0; i < dims / 2; ++i) {
                cosine.push_back(std::cos(0.3f * static_cast<float>(i + 1)));
                sine.push_back(std::sin(0.3f * static_cast<float>(i + 1)));
            }
            kernels.rope(got.data(), heads, head_dim, dims, cosine.data(), sine.data(), style);
            for (std::int64_t head = 0; head < heads; ++head) {
                const std::size_t at = static_cast<std::size_t>(head * head_dim);
                for (std::size_t i = 0; i < cosine.size(); ++i) {
                    const std::size_t a = at + (style == RopeStyle::kHalf ? i : 2 * i);
                    const std::size_t b = style == RopeStyle::kHalf ? a + cosine.size() : a + 1;
                    check_near(got[a], static_cast<double>(x[a]) * cosine[i] - static_cast<double>(x[b]) * sine[i],
                               1e-6, "rope");
                    check_near(got[b], static_cast<double>(x[a]) * sine[i] + static_cast<double>(x[b]) * cosine[i],
                               1e-6, "rope");
                }
                for (std::int64_t d = dims; d < head_dim; ++d)
                    check(got[at + static_cast<std::size_t>(d)] == x[at + static_cast<std::size_t>(d)],
                          "rope leaves the rest");
            }
        }
    }
}

void check_block_max(const Kernels& kernels, const Floats& x) {
    const std::size_t blocks = (x.size() + 31) / 32;
    Floats most(blocks + 1, 7.0f);
    check(kernels.block_max(x.data(), static_cast<std::int64_t>(x.size()), most.data()), "finite");
    for (std::size_t b = 0; b < blocks; ++b)
        check(most[b] == *std::max_element(x.begin() + static_cast<std::ptrdiff_t>(32 * b),
                                           x.begin() + static_cast<std::ptrdiff_t>(std::min(x.size(), 32 * b + 32))),
              "largest of a block");
    check(most[blocks] == 7.0f, "nothing behind the last block");
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY})
        for (const std::size_t at : {std::size_t{0}, x.size() / 2, x.size() - 1}) {
            Floats broken = x;
            broken[at] = bad;
            check(!kernels.block_max(broken.data(), static_cast<std::int64_t>(x.size()), most.data()), "not finite");
        }
}

void test_simple(const Kernels& kernels, Random& random) {
    for (const std::int64_t n : kLengths) {
        const std::size_t size = static_cast<std::size_t>(n);
        const Floats x = random_floats(random, size, 1.0f), y = random_floats(random, size, 1.0f);
        Floats axpy = y, sum(size), scaled = x, capped = x;
        kernels.axpy(0.7f, x.data(), axpy.data(), n);
        kernels.add(x.data(), y.data(), sum.data(), n);
        kernels.scale(-1.5f, scaled.data(), n);
        kernels.softcap(2.0f, capped.data(), n);
        for (std::size_t i = 0; i < size; ++i) {
            check_near(axpy[i], y[i] + static_cast<double>(0.7f) * x[i], 1e-6, "axpy");
            check(sum[i] == x[i] + y[i], "add");
            check(scaled[i] == x[i] * -1.5f, "scale");
            check_near(capped[i], 2.0 * std::tanh(x[i] / 2.0), 2e-6, "softcap");
        }
        Floats ties = x;
        ties[size - 1] = ties[size / 2] = 50.0f;
        check(kernels.argmax(x.data(), n) == std::max_element(x.begin(), x.end()) - x.begin(), "argmax");
        check(kernels.argmax(ties.data(), n) == n / 2, "argmax takes the first of equals");
        ties[0] = std::nanf("");
        if (n > 2) check(kernels.argmax(ties.data(), n) == n / 2, "argmax skips NaN");
        const Floats low(size, -std::numeric_limits<float>::infinity());
        check(kernels.argmax(low.data(), n) == 0, "argmax of equal infinities");
        check_block_max(kernels, x);
    }
}

void test_conversions(const Kernels& kernels) {
    std::vector<std::uint16_t> all(65536), back(65536);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
    Floats values(all.size());
    kernels.f16_to_f32(all.data(), values.data(), 65536);
    kernels.f32_to_f16(values.data(), back.data(), 65536);
    for (std::size_t i = 0; i < all.size(); ++i) {
        const double want = reference_half(all[i]);
        check(std::isnan(want) ? std::isnan(values[i]) : values[i] == want, "f16 to f32");
        check(std::isnan(want) ? (back[i] & 0x7c00) == 0x7c00 : back[i] == all[i], "f16 round trip");
    }
    kernels.bf16_to_f32(all.data(), values.data(), 65536);
    kernels.f32_to_bf16(values.data(), back.data(), 65536);
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, &values[i], 4);
        check(bits == static_cast<std::uint32_t>(i) << 16, "bf16 to f32");
        check(std::isnan(values[i]) ? (back[i] & 0x7f80) == 0x7f80 : back[i] == all[i], "bf16 round trip");
    }
    // Rounding: every finite f16 plus half a step goes to the even neighbour, a little more or less to the nearest.
    Floats ties;
    for (std::uint16_t i = 0; i < 0x7bff; ++i)
        for (const double nudge : {0.4999, 0.5, 0.5001})
            ties.push_back(static_cast<float>(
                reference_half(i) + nudge * (reference_half(static_cast<std::uint16_t>(i + 1)) - reference_half(i))));
    std::vector<std::uint16_t> halves(ties.size());
    kernels.f32_to_f16(ties.data(), halves.data(), static_cast<std::int64_t>(ties.size()));
    for (std::size_t i = 0; i < ties.size(); ++i) {
        const std::size_t below = i / 3;
        const std::size_t want = i % 3 == 0 ? below : i % 3 == 2 ? below + 1 : below + below % 2;
        check(halves[i] == want, "f32 to f16 rounds to nearest even");
    }
    const Floats edges = {65519.9f, 65520.0f, 1e9f, -1e9f, 1.00390625f, 1.01171875f};
    std::vector<std::uint16_t> out(edges.size());
    kernels.f32_to_f16(edges.data(), out.data(), static_cast<std::int64_t>(edges.size()));
    check(out[0] == 0x7bff && out[1] == 0x7c00 && out[2] == 0x7c00 && out[3] == 0xfc00, "f16 overflow");
    kernels.f32_to_bf16(edges.data(), out.data(), static_cast<std::int64_t>(edges.size()));
    check(out[4] == 0x3f80 && out[5] == 0x3f82, "bf16 ties go to even");
}

}  // namespace

void test_pointwise(const Kernels& kernels) {
    Random random(4);
    test_norms(kernels, random);
    test_activations(kernels, random);
    test_exp(kernels);
    test_rope(kernels, random);
    test_simple(kernels, random);
    test_conversions(kernels);
}

}  // namespace undiced::test

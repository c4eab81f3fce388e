// Norms, activations, rotations, reductions and conversions, written once over the vectors of a level (namespace simd).
#pragma once

#include <cmath>
#include <cstdint>

#include "../kernels.h"
#include "half.h"

namespace undiced {
namespace {

using simd::F;
using simd::kLanes;

// out[i] = body(x[i], ...) over n values, with a partial vector at the end.
template <class Body, class... Inputs>
inline void map(float* out, std::int64_t n, const Body& body, const Inputs*... inputs) {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) simd::store(out + i, body(simd::load(inputs + i)...));
    if (i < n) simd::store_first(out + i, n - i, body(simd::load_first(inputs + i, n - i)...));
}

// e^(x - n ln 2) within 2e-7 for whole n near x / ln 2. Coefficients: Cephes expf.
inline F exp_fraction(F x, F n) {
    F r = simd::fnma(n, simd::set(0.693359375f), x);
    r = simd::fnma(n, simd::set(-2.12194440e-4f), r);
    F p = simd::set(1.9875691500e-4f);
    for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
        p = simd::fma(p, r, simd::set(c));
    return simd::add(simd::fma(p, simd::mul(r, r), r), simd::set(1.0f));
}

inline F exp(F x) {
    x = simd::min(simd::set(89.0f), simd::max(simd::set(-104.0f), x));
    const F n = simd::round(simd::mul(x, simd::set(1.44269504088896341f)));
    return simd::scale_by_power(exp_fraction(x, n), n);
}

inline F sigmoid_of_minus(F x) { return simd::div(simd::set(1.0f), simd::add(simd::set(1.0f), exp(x))); }
inline F negate(F x) { return simd::sub(simd::zero(), x); }
inline F sigmoid(F x) { return sigmoid_of_minus(negate(x)); }

// A polynomial for small |x| (coefficients: Cephes tanhf), else from e^(-2|x|).
inline F tanh(F x) {
    const F size = simd::abs(x), square = simd::mul(x, x);
    F p = simd::set(-5.70498872745e-3f);
    for (const float c : {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f})
        p = simd::fma(p, square, simd::set(c));
    const F small = simd::fma(simd::mul(p, square), x, x);
    const F e = exp(simd::mul(size, simd::set(-2.0f)));
    const F big = simd::div(simd::sub(simd::set(1.0f), e), simd::add(simd::set(1.0f), e));
    return simd::select_less(size, simd::set(0.625f), small, simd::copy_sign(big, x));
}

// x * Phi(x); the tail 1 - erf from Abramowitz and Stegun 7.1.26 (within 1.5e-7).
inline F gelu(F x) {
    const F t = simd::mul(simd::abs(x), simd::set(0.70710678118654752f));
    const F k = simd::div(simd::set(1.0f), simd::fma(simd::set(0.3275911f), t, simd::set(1.0f)));
    F p = simd::set(1.061405429f);
    for (const float c : {-1.453152027f, 1.421413741f, -0.284496736f, 0.254829592f}) p = simd::fma(p, k, simd::set(c));
    const F tail = simd::mul(simd::mul(p, k), exp(negate(simd::mul(t, t))));
    const F part = simd::mul(simd::mul(simd::set(0.5f), x), tail);
    return simd::select_less(x, simd::zero(), part, simd::sub(x, part));
}

// 0.5 x (1 + tanh(u)) = x sigmoid(2u)
inline F gelu_tanh(F x) {
    const F cubic = simd::fma(simd::mul(simd::set(0.044715f), x), x, simd::set(1.0f));
    const F u = simd::mul(simd::mul(simd::set(2.0f * 0.79788456080286536f), x), cubic);
    return simd::mul(x, sigmoid(u));
}

template <Activation Kind>
inline F activate(F x) {
    switch (Kind) {
        case Activation::kSilu:
            return simd::mul(x, sigmoid(x));
        case Activation::kGelu:
            return gelu(x);
        case Activation::kGeluTanh:
            return gelu_tanh(x);
        case Activation::kRelu:
            return simd::max(simd::zero(), x);  // in this order NaN stays NaN
        case Activation::kTanh:
            return tanh(x);
        case Activation::kSigmoid:
            return sigmoid(x);
    }
    return x;
}

// body.operator()<kind>()
template <class Body>
inline void by_activation(Activation kind, const Body& body) {
    switch (kind) {
        case Activation::kSilu:
            return body.template operator()<Activation::kSilu>();
        case Activation::kGelu:
            return body.template operator()<Activation::kGelu>();
        case Activation::kGeluTanh:
            return body.template operator()<Activation::kGeluTanh>();
        case Activation::kRelu:
            return body.template operator()<Activation::kRelu>();
        case Activation::kTanh:
            return body.template operator()<Activation::kTanh>();
        case Activation::kSigmoid:
            return body.template operator()<Activation::kSigmoid>();
    }
}

void glu(Activation kind, const float* gate, const float* up, float* out, std::int64_t n) {
    by_activation(
        kind, [&]<Activation K>() { map(out, n, [](F g, F u) { return simd::mul(activate<K>(g), u); }, gate, up); });
}

void act(Activation kind, const float* x, float* out, std::int64_t n) {
    by_activation(kind, [&]<Activation K>() { map(out, n, [](F v) { return activate<K>(v); }, x); });
}

// Sums of body(x[i]) with four independent chains; lanes beyond n must contribute 0, so body gets (x, valid lanes).
template <class Body>
inline float reduce(const float* x, std::int64_t n, const Body& body) {
    F sums[4] = {simd::zero(), simd::zero(), simd::zero(), simd::zero()};
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes)
        for (int j = 0; j < 4; ++j) sums[j] = body(sums[j], simd::load(x + i + j * kLanes));
    for (; i + kLanes <= n; i += kLanes) sums[0] = body(sums[0], simd::load(x + i));
    float total = simd::sum(simd::add(simd::add(sums[0], sums[1]), simd::add(sums[2], sums[3])));
    if (i < n) {
        alignas(64) float rest[kLanes];
        simd::store(rest, body(simd::zero(), simd::load_first(x + i, n - i)));
        for (std::int64_t j = 0; j < n - i; ++j) total += rest[j];
    }
    return total;
}

void rmsnorm(const float* x, const float* weight, float* out, std::int64_t n, float eps) {
    const float squares = reduce(x, n, [](F sum, F v) { return simd::fma(v, v, sum); });
    const F inverse = simd::set(1.0f / std::sqrt(squares / static_cast<float>(n) + eps));
    if (weight == nullptr)
        map(out, n, [=](F v) { return simd::mul(v, inverse); }, x);
    else
        map(out, n, [=](F v, F w) { return simd::mul(simd::mul(v, inverse), w); }, x, weight);
}

void layernorm(const float* x, const float* weight, const float* bias, float* out, std::int64_t n, float eps) {
    const float mean = reduce(x, n, [](F sum, F v) { return simd::add(sum, v); }) / static_cast<float>(n);
    const F center = simd::set(mean);
    const float squares = reduce(x, n, [=](F sum, F v) {
        const F d = simd::sub(v, center);
        return simd::fma(d, d, sum);
    });
    const F inverse = simd::set(1.0f / std::sqrt(squares / static_cast<float>(n) + eps));
    map(out, n, [=](F v) { return simd::mul(simd::sub(v, center), inverse); }, x);
    if (weight != nullptr) map(out, n, [](F v, F w) { return simd::mul(v, w); }, out, weight);
    if (bias != nullptr) map(out, n, [](F v, F b) { return simd::add(v, b); }, out, bias);
}

void rope_half(float* x, std::int64_t pairs, const float* cosine, const float* sine) {
    const auto rotate = [](F a, F b, F c, F s, F& first, F& second) {
        first = simd::fnma(b, s, simd::mul(a, c));
        second = simd::fma(b, c, simd::mul(a, s));
    };
    float* y = x + pairs;
    std::int64_t i = 0;
    F first, second;
    for (; i + kLanes <= pairs; i += kLanes) {
        rotate(simd::load(x + i), simd::load(y + i), simd::load(cosine + i), simd::load(sine + i), first, second);
        simd::store(x + i, first);
        simd::store(y + i, second);
    }
    if (const std::int64_t rest = pairs - i; rest > 0) {
        rotate(simd::load_first(x + i, rest), simd::load_first(y + i, rest), simd::load_first(cosine + i, rest),
               simd::load_first(sine + i, rest), first, second);
        simd::store_first(x + i, rest, first);
        simd::store_first(y + i, rest, second);
    }
}

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, const float* cosine,
          const float* sine, RopeStyle style) {
    for (std::int64_t head = 0; head < heads; ++head, x += head_dim) {
        if (style == RopeStyle::kHalf) {
            rope_half(x, dims / 2, cosine, sine);
            continue;
        }
        for (std::int64_t i = 0; i < dims / 2; ++i) {
            const float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = a * cosine[i] - b * sine[i];
            x[2 * i + 1] = a * sine[i] + b * cosine[i];
        }
    }
}

void axpy(float a, const float* x, float* y, std::int64_t n) {
    const F factor = simd::set(a);
    map(y, n, [=](F v, F w) { return simd::fma(factor, v, w); }, x, static_cast<const float*>(y));
}

void add(const float* a, const float* b, float* out, std::int64_t n) {
    map(out, n, [](F v, F w) { return simd::add(v, w); }, a, b);
}

void scale(float a, float* x, std::int64_t n) {
    const F factor = simd::set(a);
    map(x, n, [=](F v) { return simd::mul(v, factor); }, static_cast<const float*>(x));
}

void softcap(float cap, float* x, std::int64_t n) {
    const F size = simd::set(cap), inverse = simd::set(1.0f / cap);
    map(x, n, [=](F v) { return simd::mul(size, tanh(simd::mul(v, inverse))); }, static_cast<const float*>(x));
}

// The largest value first, then where it is: the second pass stops there.
std::int64_t argmax(const float* x, std::int64_t n) {
    F most[4];
    for (F& m : most) m = simd::set(-INFINITY);
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= n; i += 4 * kLanes)
        for (int j = 0; j < 4; ++j) most[j] = simd::max(simd::load(x + i + j * kLanes), most[j]);
    float best = simd::largest(simd::max(simd::max(most[0], most[1]), simd::max(most[2], most[3])));
    for (; i < n; ++i) best = x[i] > best ? x[i] : best;
    const F wanted = simd::set(best);
    for (i = 0; i + kLanes <= n; i += kLanes)
        if (const unsigned found = simd::equal_bits(simd::load(x + i), wanted); found != 0)
            return i + __builtin_ctz(found);
    for (; i < n; ++i)
        if (x[i] == best) return i;
    return 0;  // nothing but NaNs
}

bool block_max(const float* x, std::int64_t n, float* out) {
    constexpr std::int64_t kBlock = 32, kVectors = kBlock / kLanes;
    F broken[kVectors];  // 0, or NaN where something was not finite
    for (F& lanes : broken) lanes = simd::zero();
    std::int64_t i = 0;
    for (; i + kBlock <= n; i += kBlock) {
        F most = simd::set(-INFINITY);
#pragma GCC unroll 8
        for (std::int64_t v = 0; v < kVectors; ++v) {
            const F value = simd::load(x + i + v * kLanes);
            broken[v] = simd::fma(value, simd::zero(), broken[v]);
            most = simd::max(value, most);
        }
        *out++ = simd::largest(most);
    }
    float rest = 0.0f, most = -INFINITY;
    for (; i < n; ++i) {
        rest = std::fma(x[i], 0.0f, rest);
        most = x[i] > most ? x[i] : most;
    }
    if (n % kBlock != 0) *out = most;
    for (const F& lanes : broken) rest += simd::sum(lanes);
    return rest == 0.0f;
}

double exp_sum(const float* x, float shift, float* out, std::int64_t n) {
    constexpr std::int64_t kRun = 512;  // values added in f32 before going to double
    const F center = simd::set(shift);
    double total = 0.0;
    for (std::int64_t i = 0; i < n; i += kRun) {
        const std::int64_t count = n - i < kRun ? n - i : kRun;
        alignas(64) float values[kRun];
        map(values, count, [=](F v) { return exp(simd::sub(v, center)); }, x + i);
        total += reduce(values, count, [](F sum, F v) { return simd::add(sum, v); });
        if (out != nullptr) map(out + i, count, [](F v) { return v; }, static_cast<const float*>(values));
    }
    return total;
}

template <auto Vector, auto Scalar, class From, class To>
inline void convert(const From* x, To* out, std::int64_t n) {
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) Vector(x + i, out + i);
    for (; i < n; ++i) out[i] = Scalar(x[i]);
}

void f32_to_f16(const float* x, std::uint16_t* out, std::int64_t n) {
    convert<[](const float* v, std::uint16_t* o) { simd::store_f16(o, simd::load(v)); }, float_to_f16>(x, out, n);
}
void f16_to_f32(const std::uint16_t* x, float* out, std::int64_t n) {
    convert<[](const std::uint16_t* v, float* o) { simd::store(o, simd::load_f16(v)); }, f16_to_float>(x, out, n);
}
void f32_to_bf16(const float* x, std::uint16_t* out, std::int64_t n) {
    convert<[](const float* v, std::uint16_t* o) { simd::store_bf16(o, simd::load(v)); }, float_to_bf16>(x, out, n);
}
void bf16_to_f32(const std::uint16_t* x, float* out, std::int64_t n) {
    convert<[](const std::uint16_t* v, float* o) { simd::store(o, simd::load_bf16(v)); }, bf16_to_float>(x, out, n);
}

}  // namespace
}  // namespace undiced

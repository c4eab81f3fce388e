// What the rungs of attention share: one token's heads that have keys and values of f16 in common, and the right
// answer.
#pragma once

#include "ladder.h"

constexpr int kHeads = 3, kDims = 64, kPositions = 1024;
constexpr float kScale = 0.125f;

struct Attention {
    std::vector<float> q = std::vector<float>(kHeads * kDims), out = q;
    std::vector<std::uint16_t> keys = std::vector<std::uint16_t>(kPositions * kDims), values = keys;

    Attention() {
        std::mt19937 random(2);
        std::normal_distribution<float> normal;
        for (float& each : q) each = normal(random);
        for (auto* all : {&keys, &values})
            for (std::uint16_t& each : *all) each = _cvtss_sh(normal(random), 0);
    }

    // The largest difference from sums in double.
    double error() const {
        double worst = 0;
        for (int h = 0; h < kHeads; ++h) {
            std::vector<double> weights(kPositions);
            double total = 0;
            for (int p = 0; p < kPositions; ++p) {
                double sum = 0;
                for (int d = 0; d < kDims; ++d) sum += double(q[h * kDims + d]) * _cvtsh_ss(keys[p * kDims + d]);
                total += weights[p] = std::exp(sum * kScale);
            }
            for (int d = 0; d < kDims; ++d) {
                double sum = 0;
                for (int p = 0; p < kPositions; ++p) sum += weights[p] / total * _cvtsh_ss(values[p * kDims + d]);
                worst = std::max(worst, std::abs(sum - out[h * kDims + d]));
            }
        }
        return worst;
    }
};

template <class Body>
int run_attention(const char* name, const Body& body) {
    static Attention a;
    const double s = seconds([&] { body(a); });
    return report(name, 4.0 * kHeads * kDims * kPositions, s, float_peak(), "the float peak", a.error(), 1e-4);
}

// What the rungs share: a Q4_1 matrix, activations, the right answer, a clock, and this machine's limits.
#pragma once

#include <immintrin.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

constexpr int kRows = 1536, kColumns = 576, kTokens = 32, kBlock = 32, kBlocks = kColumns / kBlock;

// 32 weights: scale * code + least, code 0 to 15; the low nibbles are the first 16 weights, as in a GGUF file.
struct Q41 {
    float scale, least;
    std::uint8_t code[16];
};
// 32 activations: scale * code; sum is that of the codes.
struct Q8 {
    float scale, sum;
    std::int8_t code[32];
};

inline int code_of(const Q41& block, int i) { return i < 16 ? block.code[i] & 15 : block.code[i - 16] >> 4; }

struct Product {
    std::vector<Q41> w = std::vector<Q41>(kRows * kBlocks);
    std::vector<float> x = std::vector<float>(kTokens * kColumns);
    std::vector<Q8> qx = std::vector<Q8>(kTokens * kBlocks);
    std::vector<float> out = std::vector<float>(kTokens * kRows);

    Product() {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        for (Q41& block : w) {
            block.scale = 0.01f + 0.001f * std::abs(normal(random));
            block.least = -7.5f * block.scale;
            for (std::uint8_t& code : block.code) code = static_cast<std::uint8_t>(random());
        }
        for (float& value : x) value = normal(random);
        for (int b = 0; b < kTokens * kBlocks; ++b) {
            const float* from = &x[b * kBlock];
            float most = 0;
            for (int i = 0; i < kBlock; ++i) most = std::max(most, std::abs(from[i]));
            qx[b].scale = most / 127;
            int sum = 0;
            for (int i = 0; i < kBlock; ++i)
                sum += qx[b].code[i] = static_cast<std::int8_t>(std::lround(from[i] / qx[b].scale));
            qx[b].sum = static_cast<float>(sum);
        }
    }

    // The largest difference from sums in double, over the root mean square of the results.
    double error() const {
        double worst = 0, squares = 0;
        for (int t = 0; t < kTokens; ++t)
            for (int r = 0; r < kRows; ++r) {
                double sum = 0;
                for (int c = 0; c < kColumns; ++c) {
                    const Q41& block = w[r * kBlocks + c / kBlock];
                    sum += double(block.scale * code_of(block, c % kBlock) + block.least) * x[t * kColumns + c];
                }
                worst = std::max(worst, std::abs(sum - out[t * kRows + r]));
                squares += sum * sum;
            }
        return worst / std::sqrt(squares / (kTokens * kRows));
    }
};

inline double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The best of many short runs: what others do on the machine makes runs longer, never shorter.
template <class Body>
double seconds(const Body& body) {
    double best = 1e9;
    const double end = now_s() + 1.0;
    for (int i = 0; i < 5 || now_s() < end; ++i) {
        const double begin = now_s();
        body();
        best = std::min(best, now_s() - begin);
    }
    return best;
}

// Operations a second (2 a multiply-add) of one core in registers: 8-bit integers, and floats.
inline double int8_peak() {
    constexpr int kSteps = 20000;
    const double s = seconds([] {
        __m256i sums[12] = {}, b = _mm256_set1_epi8(5);
        for (int i = 0; i < kSteps; ++i)
#pragma GCC unroll 12
            for (__m256i& sum : sums) {
                sum = _mm256_maddubs_epi16(sum, b);
                asm volatile("" : "+x"(sum));
            }
    });
    return kSteps * 12 * 64.0 / s;
}
inline double float_peak() {
    constexpr int kSteps = 20000;
    const double s = seconds([] {
        __m256 sums[10] = {}, a = _mm256_set1_ps(1.0f), b = _mm256_set1_ps(1e-9f);
        for (int i = 0; i < kSteps; ++i)
#pragma GCC unroll 10
            for (__m256& sum : sums) {
                sum = _mm256_fmadd_ps(a, b, sum);
                asm volatile("" : "+x"(sum));
            }
    });
    return kSteps * 10 * 16.0 / s;
}

// One line: the speed, its share of the limit, and the error, beyond which it is no result.
inline int report(const char* name, double operations, double s, double peak, const char* limit, double error,
                  double most) {
    std::printf("%-34s %9.1f us %8.1f GOP/s %5.1f %% of %s (%.0f)   error %.1e%s\n", name, s * 1e6,
                operations / s / 1e9, 100 * operations / s / peak, limit, peak / 1e9, error,
                error <= most ? "" : "  WRONG");
    return error <= most ? 0 : 1;
}

template <class Body>
int run_product(const char* name, const Body& body, double most_error) {
    static Product p;
    const double s = seconds([&] { body(p); });
    return report(name, 2.0 * kRows * kColumns * kTokens, s, int8_peak(), "the int8 peak", p.error(), most_error);
}

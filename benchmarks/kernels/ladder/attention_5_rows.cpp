// Rung 5: attention as it is written: scores of a query with all keys, their softmax, the weighted sum of the values.
// Keys lie one after the other, so that every score ends with adding up lanes, and all scores are stored in between.
#include "attention.h"

int main() {
    return run_attention("5 a key after the other", [](Attention& a) {
        static std::vector<float> scores(kPositions);
        for (int h = 0; h < kHeads; ++h) {
            const float* q = &a.q[h * kDims];
            float most = -INFINITY, total = 0;
            for (int p = 0; p < kPositions; ++p) {
                float sum = 0;
                for (int d = 0; d < kDims; ++d) sum += q[d] * _cvtsh_ss(a.keys[p * kDims + d]);
                scores[p] = sum * kScale;
                most = std::max(most, scores[p]);
            }
            for (float& score : scores) total += score = std::exp(score - most);
            for (int d = 0; d < kDims; ++d) a.out[h * kDims + d] = 0;
            for (int p = 0; p < kPositions; ++p)
                for (int d = 0; d < kDims; ++d)
                    a.out[h * kDims + d] += scores[p] / total * _cvtsh_ss(a.values[p * kDims + d]);
        }
    });
}

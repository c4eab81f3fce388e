// Rung 3: one instruction multiplies 32 codes and adds pairs (vpmaddubsw: unsigned times signed, which is what codes
// and activations are). What is left is adding up the lanes of every block.
#include "ladder.h"

int main() {
    return run_product(
        "3 vectors along a row",
        [](Product& p) {
            const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
            for (int t = 0; t < kTokens; ++t)
                for (int r = 0; r < kRows; ++r) {
                    __m256 total = _mm256_setzero_ps();
                    float offset = 0;
                    for (int b = 0; b < kBlocks; ++b) {
                        const Q41& w = p.w[r * kBlocks + b];
                        const Q8& x = p.qx[t * kBlocks + b];
                        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(w.code));
                        const __m256i codes = _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(bytes, 4), bytes), low);
                        const __m256i xs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x.code));
                        const __m256i sums = _mm256_madd_epi16(_mm256_maddubs_epi16(codes, xs), ones);
                        total = _mm256_fmadd_ps(_mm256_set1_ps(w.scale * x.scale), _mm256_cvtepi32_ps(sums), total);
                        offset += w.least * x.scale * x.sum;
                    }
                    float lanes[8];
                    _mm256_storeu_ps(lanes, total);
                    for (float lane : lanes) offset += lane;
                    p.out[t * kRows + r] = offset;
                }
        },
        0.05);
}

// Rung 4: eight rows side by side, so that a lane is a row: no lanes are ever added up, scales are loaded as they are,
// and a whole block fits into 16 bits (15 * 127 * 2 * 8 = 30480), so that one widening is paid for 32 weights. Unpacked
// codes meet four tokens before they are thrown away. Rows are laid out so once, when the model is loaded.
#include "ladder.h"

struct Tile {  // 8 rows of a block: four codes of row 0, four of row 1, ...; low nibbles first, then high ones
    float scale[8], least[8];
    std::uint8_t code[4][32];
};

static std::vector<Tile> packed(const Product& p) {
    std::vector<Tile> tiles(kRows / 8 * kBlocks);
    for (int r = 0; r < kRows; ++r)
        for (int b = 0; b < kBlocks; ++b) {
            const Q41& from = p.w[r * kBlocks + b];
            Tile& to = tiles[r / 8 * kBlocks + b];
            to.scale[r % 8] = from.scale, to.least[r % 8] = from.least;
            for (int i = 0; i < 16; ++i) to.code[i / 4][r % 8 * 4 + i % 4] = from.code[i];
        }
    return tiles;
}

int main() {
    static std::vector<Tile> tiles;
    return run_product(
        "4 rows as lanes, four tokens",
        [](Product& p) {
            if (tiles.empty()) tiles = packed(p);
            const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
            for (int r = 0; r < kRows; r += 8)
                for (int t = 0; t < kTokens; t += 4) {
                    __m256 total[4] = {};
                    for (int b = 0; b < kBlocks; ++b) {
                        const Tile& w = tiles[r / 8 * kBlocks + b];
                        __m256i sums[4] = {};
#pragma GCC unroll 8
                        for (int quad = 0; quad < 8; ++quad) {
                            __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w.code[quad % 4]));
                            codes = _mm256_and_si256(quad < 4 ? codes : _mm256_srli_epi16(codes, 4), low);
                            for (int k = 0; k < 4; ++k) {
                                int four;
                                std::memcpy(&four, &p.qx[(t + k) * kBlocks + b].code[quad * 4], 4);
                                sums[k] =
                                    _mm256_add_epi16(sums[k], _mm256_maddubs_epi16(codes, _mm256_set1_epi32(four)));
                                asm volatile(
                                    ""
                                    : "+x"(sums[k]));  // else the compiler keeps products, not sums, and spills
                            }
                        }
                        const __m256 scale = _mm256_loadu_ps(w.scale), least = _mm256_loadu_ps(w.least);
                        for (int k = 0; k < 4; ++k) {
                            const Q8& x = p.qx[(t + k) * kBlocks + b];
                            const __m256 whole = _mm256_cvtepi32_ps(_mm256_madd_epi16(sums[k], ones));
                            const __m256 value =
                                _mm256_fmadd_ps(scale, whole, _mm256_mul_ps(least, _mm256_set1_ps(x.sum)));
                            total[k] = _mm256_fmadd_ps(_mm256_set1_ps(x.scale), value, total[k]);
                        }
                    }
                    for (int k = 0; k < 4; ++k) _mm256_storeu_ps(&p.out[(t + k) * kRows + r], total[k]);
                }
        },
        0.05);
}

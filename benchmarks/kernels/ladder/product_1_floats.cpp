// Rung 1: what the format says. Every weight becomes a float for every token that meets it.
#include "ladder.h"

int main() {
    return run_product(
        "1 floats, one weight at a time",
        [](Product& p) {
            for (int t = 0; t < kTokens; ++t)
                for (int r = 0; r < kRows; ++r) {
                    float sum = 0;
                    for (int c = 0; c < kColumns; ++c) {
                        const Q41& block = p.w[r * kBlocks + c / kBlock];
                        sum += (block.scale * code_of(block, c % kBlock) + block.least) * p.x[t * kColumns + c];
                    }
                    p.out[t * kRows + r] = sum;
                }
        },
        1e-4);
}

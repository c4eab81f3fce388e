// Rung 2: activations get 8 bits, a scale for 32. Inside a block everything is integers; the offset needs only the sum
// of the activations' codes: sum((s w + m) a x) = a (s sum(w x) + m sum(x)).
#include "ladder.h"

int main() {
    return run_product(
        "2 integers inside a block",
        [](Product& p) {
            for (int t = 0; t < kTokens; ++t)
                for (int r = 0; r < kRows; ++r) {
                    float total = 0;
                    for (int b = 0; b < kBlocks; ++b) {
                        const Q41& w = p.w[r * kBlocks + b];
                        const Q8& x = p.qx[t * kBlocks + b];
                        int sum = 0;
                        for (int i = 0; i < 16; ++i)
                            sum += (w.code[i] & 15) * x.code[i] + (w.code[i] >> 4) * x.code[i + 16];
                        total += x.scale * (w.scale * static_cast<float>(sum) + w.least * x.sum);
                    }
                    p.out[t * kRows + r] = total;
                }
        },
        0.05);
}

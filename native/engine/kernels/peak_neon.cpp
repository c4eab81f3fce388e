// What one core can do with NEON and dot products, in registers.
#include <arm_neon.h>

#include "levels.h"
#include "peak.h"

namespace undiced {

// One sdot is 16 multiply-adds; twenty independent chains fill four units.
double neon_int8_peak() {
    constexpr int kChains = 20;
    return measure_peak(2.0 * 16 * kChains, [](int calls) {
        const int8x16_t codes = vdupq_n_s8(3);
        int32x4_t acc[kChains] = {};
        for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 20
            for (int i = 0; i < kChains; ++i) asm volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(acc[i]) : "w"(codes));
        }
    });
}

double neon_float_peak() {
    constexpr int kChains = 20;
    return measure_peak(2.0 * 4 * kChains, [](int calls) {
        const float32x4_t factor = vdupq_n_f32(0.5f);
        float32x4_t acc[kChains] = {};
        for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 20
            for (int i = 0; i < kChains; ++i) asm volatile("fmla %0.4s, %1.4s, %1.4s" : "+w"(acc[i]) : "w"(factor));
        }
    });
}

}  // namespace undiced

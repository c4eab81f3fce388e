// What one core can do with NEON and dot products, in registers.
#include <arm_neon.h>

#include "levels.h"

namespace undiced {
namespace {

constexpr int kChains = 20;  // independent ones, which fill four units

void run_int8(int calls) {
    const int8x16_t codes = vdupq_n_s8(3);
    int32x4_t acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 20
        for (int i = 0; i < kChains; ++i) asm volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(acc[i]) : "w"(codes));
    }
}

void run_floats(int calls) {
    const float32x4_t factor = vdupq_n_f32(0.5f);
    float32x4_t acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 20
        for (int i = 0; i < kChains; ++i) asm volatile("fmla %0.4s, %1.4s, %1.4s" : "+w"(acc[i]) : "w"(factor));
    }
}

}  // namespace

// One sdot is 16 multiply-adds.
constinit const Peaks kNeonPeaks = {{2.0 * 16 * kChains, kPeakCalls, run_int8},
                                    {2.0 * 4 * kChains, kPeakCalls, run_floats}};

}  // namespace undiced

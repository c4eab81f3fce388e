// What one core can do with AVX2, in registers.
#include <immintrin.h>

#include "levels.h"

namespace undiced {
namespace {

constexpr int kChains = 12;  // independent ones, which fill the units

void run_int8(int calls) {
    const __m256i codes = _mm256_set1_epi8(3);
    __m256i acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) asm volatile("vpmaddubsw %1, %0, %0" : "+x"(acc[i]) : "x"(codes));
    }
}

void run_floats(int calls) {
    const __m256 factor = _mm256_set1_ps(0.5f);
    __m256 acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 12
        for (int i = 0; i < kChains; ++i) asm volatile("vfmadd213ps %1, %1, %0" : "+x"(acc[i]) : "x"(factor));
    }
}

}  // namespace

// One vpmaddubsw is 32 multiply-adds.
constinit const Peaks kAvx2Peaks = {{2.0 * 32 * kChains, kPeakCalls, run_int8},
                                    {2.0 * 8 * kChains, kPeakCalls, run_floats}};

}  // namespace undiced

// What one core can do with AVX-512, in registers.
#include <immintrin.h>

#include "levels.h"

namespace undiced {
namespace {

constexpr int kChains = 16;  // independent ones, which fill the units

void run_int8(int calls) {
    const __m512i codes = _mm512_set1_epi8(3);
    __m512i acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 16
        for (int i = 0; i < kChains; ++i) asm volatile("vpdpbusd %1, %1, %0" : "+v"(acc[i]) : "v"(codes));
    }
}

void run_floats(int calls) {
    const __m512 factor = _mm512_set1_ps(0.5f);
    __m512 acc[kChains] = {};
    for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 16
        for (int i = 0; i < kChains; ++i) asm volatile("vfmadd213ps %1, %1, %0" : "+v"(acc[i]) : "v"(factor));
    }
}

}  // namespace

// One vpdpbusd is 64 multiply-adds.
constinit const Peaks kAvx512Peaks = {{2.0 * 64 * kChains, kPeakCalls, run_int8},
                                      {2.0 * 16 * kChains, kPeakCalls, run_floats}};

}  // namespace undiced

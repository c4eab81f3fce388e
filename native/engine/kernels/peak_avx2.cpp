// What one core can do with AVX2, in registers.
#include <immintrin.h>

#include "levels.h"
#include "peak.h"

namespace undiced {

// One vpmaddubsw is 32 multiply-adds; twelve independent chains fill the units.
double avx2_int8_peak() {
    constexpr int kChains = 12;
    return measure_peak(2.0 * 32 * kChains, [](int calls) {
        const __m256i codes = _mm256_set1_epi8(3);
        __m256i acc[kChains] = {};
        for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 12
            for (int i = 0; i < kChains; ++i) asm volatile("vpmaddubsw %1, %0, %0" : "+x"(acc[i]) : "x"(codes));
        }
    });
}

double avx2_float_peak() {
    constexpr int kChains = 12;
    return measure_peak(2.0 * 8 * kChains, [](int calls) {
        const __m256 factor = _mm256_set1_ps(0.5f);
        __m256 acc[kChains] = {};
        for (int call = 0; call < calls; ++call) {
#pragma GCC unroll 12
            for (int i = 0; i < kChains; ++i) asm volatile("vfmadd213ps %1, %1, %0" : "+x"(acc[i]) : "x"(factor));
        }
    });
}

}  // namespace undiced

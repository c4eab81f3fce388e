// The AVX2 level (with FMA and F16C).
#include <cmath>
#include <cstring>

#include "half.h"
#include "levels.h"
#include "peak.h"
#include "simd_avx2.h"
// The shared kernels below are written over namespace simd of this level.
#include "pointwise.h"
//
#include "attend.h"
#include "dense.h"
#include "quant_avx2.h"

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->group > 0 ? matmul_by_format<Avx2Policy>(args) : matmul_dense_any(args);
}

}  // namespace

const Kernels kAvx2Kernels = {
    .isa = Isa::kAvx2,
    .name = "avx2",
    .matmul = matmul,
    .quantize = quantize_avx2,
    .kv_write = kv_write,
    .attend = attend,
    .attend_finish = attend_finish,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .glu = glu,
    .act = act,
    .rope = rope,
    .axpy = axpy,
    .add = add,
    .scale = scale,
    .softcap = softcap,
    .argmax = argmax,
    .exp_sum = exp_sum,
    .f32_to_f16 = f32_to_f16,
    .f16_to_f32 = f16_to_f32,
    .f32_to_bf16 = f32_to_bf16,
    .bf16_to_f32 = bf16_to_f32,
};

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

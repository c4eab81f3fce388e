// The AVX2 level (with FMA and F16C).
// clang-format off: the shared kernels are written over namespace simd, which the level's own header must define first.
#include "simd_avx2.h"
#include "pointwise.h"
#include "attend.h"
#include "dense.h"
#include "quant_avx2.h"
// clang-format on
#include "levels.h"

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->integer() ? matmul_by_format<Avx2Policy>(args) : matmul_dense_any(args);
}

}  // namespace

const Kernels kAvx2Kernels = {
    .isa = Isa::kAvx2,
    .name = "avx2",
    .matmul = matmul,
    .quantize = quantize_avx2,
    .quantize_wide = quantize_avx2,
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

}  // namespace undiced

// The NEON level (AArch64 with dot products). Written and tested in emulation; its speed was never measured.
// clang-format off: the shared kernels are written over namespace simd, which the level's own header must define first.
#include "simd_neon.h"
#include "pointwise.h"
#include "attend.h"
#include "dense.h"
#include "quant_neon.h"
// clang-format on
#include "levels.h"

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->integer() ? matmul_by_format<NeonPolicy>(args) : matmul_dense_any(args);
}

}  // namespace

const Kernels kNeonKernels = {
    .isa = Isa::kNeon,
    .name = "neon",
    .matmul = matmul,
    .quantize = quantize_neon,
    .quantize_wide = quantize_neon,
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

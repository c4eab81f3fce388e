// The table of a level: of what its file has defined under these names. Included last, once in each level's file.
#pragma once

#include "levels.h"

namespace undiced {
namespace {

constexpr Kernels table_of(Isa isa, const char* name) {
    return {
        .isa = isa,
        .name = name,
        .matmul = matmul,
        .quantize = quantize,
        .quantize_wide = quantize,
        .kv_write = kv_write,
        .attend = attend,
        .kv_write_int8 = kv_write_int8,
        .attend_int8 = attend_int8,
        .widen_int8 = widen_int8,
        .words = words,
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
        .block_max = block_max,
        .exp_sum = exp_sum,
        .f32_to_f16 = f32_to_f16,
        .f16_to_f32 = f16_to_f32,
        .f32_to_bf16 = f32_to_bf16,
        .bf16_to_f32 = bf16_to_f32,
    };
}

}  // namespace
}  // namespace undiced

// The table of instructions, and the checks that they share; see ops.h.
#include "ops.h"

#include <array>
#include <stdexcept>

namespace undiced {
namespace {

int check_barrier(const Checker& c) {
    c.as<instr::Barrier>();
    return kNone;
}

constexpr std::array<OpEntry, 23> kOps = {{
    {Op::BARRIER, check_barrier, nullptr, nullptr},
    {Op::EMBED, check_embed, nullptr, run_embed},
    {Op::RMSNORM, check_rmsnorm, nullptr, run_rmsnorm},
    {Op::LAYERNORM, check_layernorm, nullptr, run_layernorm},
    {Op::QUANTIZE, check_quantize, nullptr, run_quantize},
    {Op::MATMUL, check_matmul, nullptr, run_matmul},
    {Op::ROPE, check_rope, nullptr, run_rope},
    {Op::KV_STORE, check_kv_store, nullptr, run_kv_store},
    {Op::ATTENTION, check_attention, nullptr, run_attention},
    {Op::GLU, check_glu, nullptr, run_glu},
    {Op::ACTIVATE, check_activate, nullptr, run_activate},
    {Op::ADD, check_add, nullptr, run_add},
    {Op::SCALE, check_scale, nullptr, run_scale},
    {Op::SOFTCAP, check_softcap, nullptr, run_softcap},
    {Op::GATHER, check_gather, nullptr, run_gather},
    {Op::SAMPLE, check_sample, run_scan, run_sample},
    {Op::ROUTE, check_route, nullptr, run_route},
    {Op::EXPERT_GLU, check_expert_glu, nullptr, run_expert_glu},
    {Op::EXPERT_SUM, check_expert_sum, nullptr, run_expert_sum},
    {Op::HEAD_MATMUL, check_head_matmul, nullptr, run_head_matmul},
    {Op::LATENT_STORE, check_latent_store, nullptr, run_latent_store},
    {Op::LATENT_ATTENTION, check_latent_attention, nullptr, run_latent_attention},
    {Op::POSITION_SCALE, check_position_scale, nullptr, run_position_scale},
}};

}  // namespace

const OpEntry* find_op(std::uint16_t code) {
    for (const OpEntry& entry : kOps)
        if (static_cast<std::uint16_t>(entry.op) == code) return &entry;
    return nullptr;
}

void Checker::refuse(const std::string& what) const {
    throw std::invalid_argument("instruction " + std::to_string(bound.index) + " (" + std::string(op_name(bound.i.op)) +
                                "): " + what);
}

const Buffer& Checker::any(int buffer, const char* operand) const {
    if (buffer < 0 || static_cast<std::size_t>(buffer) >= state.buffers.size())
        refuse(std::string(operand) + " names buffer " + std::to_string(buffer) + " of " +
               std::to_string(state.buffers.size()));
    return state.buffer(buffer);
}

const Buffer& Checker::floats(int buffer, const char* operand) const {
    const Buffer& b = any(buffer, operand);
    if (b.spec.code_bytes > 0) refuse(std::string(operand) + " must be an f32 buffer");
    return b;
}

const Buffer& Checker::codes(int buffer, const char* operand) const {
    const Buffer& b = any(buffer, operand);
    if (b.spec.code_bytes == 0) refuse(std::string(operand) + " must be a buffer of codes");
    return b;
}

const Buffer& Checker::columns(int buffer, const char* operand, std::int64_t start, std::int64_t count) const {
    const Buffer& b = floats(buffer, operand);
    if (start < 0 || count < 1 || start + count > b.spec.width)
        refuse(std::string(operand) + " has " + std::to_string(b.spec.width) + " columns; [" + std::to_string(start) +
               ", " + std::to_string(start + count) + ") asked");
    return b;
}

const Slot& Checker::matrix(int slot) const {
    if (slot < 0 || slot >= state.weights.count()) refuse("weight names slot " + std::to_string(slot));
    if (state.weights.slot(slot).vector) refuse("weight slot " + std::to_string(slot) + " is a vector");
    return state.weights.slot(slot);
}

void Checker::vector(int slot, std::int64_t count, bool optional) const {
    if (slot == kNone && optional) return;
    if (slot < 0 || slot >= state.weights.count()) refuse("names weight slot " + std::to_string(slot));
    const Slot& s = state.weights.slot(slot);
    if (!s.vector || s.columns() != count)
        refuse("weight slot " + std::to_string(slot) + " must be a vector of " + std::to_string(count));
}

void Checker::same_rows(const Buffer& x, const Buffer& y) const {
    require(x.spec.samples == y.spec.samples, "mixes token rows and sampled rows");
}

void Checker::layer(int index, int kv_heads, int head_dim, bool latent) const {
    if (index < 0 || index >= state.kv.layers()) refuse("names KV layer " + std::to_string(index));
    const KvSpec& spec = state.kv.spec(index);
    require(spec.kv_heads == kv_heads && spec.head_dim == head_dim, "kv_heads or head_dim differ from the KV layer's");
    require(spec.latent == latent, latent ? "the KV layer holds no latents" : "the KV layer holds latents");
}

}  // namespace undiced

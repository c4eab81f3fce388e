// Instructions whose rows are shared out over the team: every member does its own rows from end to end.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

const float* vector_or_null(const State& state, int slot) {
    return slot == kNone ? nullptr : state.weights.slot(slot).floats();
}

// The table's numbers are the kernels'.
constexpr RopeStyle kernel_of(instr::RopeStyle style) { return static_cast<RopeStyle>(style); }
static_assert(kernel_of(instr::RopeStyle::HALF) == RopeStyle::kHalf);
static_assert(kernel_of(instr::RopeStyle::INTERLEAVED) == RopeStyle::kInterleaved);

}  // namespace

int check_embed(const Checker& c) {
    const auto i = c.as<instr::Embed>();
    const Slot& table = c.matrix(i.table);
    c.require(table.columns() == i.columns, "columns differ from the table's");
    const Buffer& dst = c.columns(i.dst, "dst", 0, i.columns);
    c.require(!dst.spec.samples, "dst must hold token rows");
    c.require(std::isfinite(i.scale), "scale must be finite");
    return kNone;
}

void run_embed(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Embed>();
    const Buffer dst = state.buffer(i.dst, member);
    const PackedMatrix& table = state.weights.slot(i.table).matrix;
    const auto ids = i.positions() ? state.in.positions : state.in.tokens;
    const bool accumulate = i.accumulate();
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        float* line = accumulate ? state.lines[static_cast<std::size_t>(member)].get() : dst.row(t);
        unpack_row(table, ids[static_cast<std::size_t>(t)], line);
        if (i.scale != 1.0f) state.kernels.scale(i.scale, line, table.cols);
        if (accumulate) state.kernels.add(dst.row(t), line, dst.row(t), table.cols);
    }
}

int check_rmsnorm(const Checker& c) {
    const auto i = c.as<instr::Rmsnorm>();
    c.same_rows(c.columns(i.dst, "dst", i.start, i.columns), c.columns(i.a, "a", i.start, i.columns));
    c.require(i.width > 0 && i.columns % i.width == 0, "columns must be a multiple of width");
    c.require(i.eps >= 0.0f, "eps must not be negative");
    c.vector(i.weight, i.width, true);
    return kNone;
}

void run_rmsnorm(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Rmsnorm>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const float* weight = vector_or_null(state, i.weight);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t)
        for (int column = i.start; column < i.start + i.columns; column += i.width)
            state.kernels.rmsnorm(a.row(t) + column, weight, dst.row(t) + column, i.width, i.eps);
}

int check_layernorm(const Checker& c) {
    const auto i = c.as<instr::Layernorm>();
    c.same_rows(c.columns(i.dst, "dst", 0, i.columns), c.columns(i.a, "a", 0, i.columns));
    c.require(i.eps >= 0.0f, "eps must not be negative");
    c.vector(i.weight, i.columns, true);
    c.vector(i.bias, i.columns, true);
    return kNone;
}

void run_layernorm(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Layernorm>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const float *weight = vector_or_null(state, i.weight), *bias = vector_or_null(state, i.bias);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t)
        state.kernels.layernorm(a.row(t), weight, bias, dst.row(t), i.columns, i.eps);
}

int check_rope(const Checker& c) {
    const auto i = c.as<instr::Rope>();
    c.require(i.heads > 0 && i.head_dim > 0 && i.dims > 0 && i.dims % 2 == 0 && i.dims <= i.head_dim,
              "dims must be even and within head_dim");
    const Buffer& a = c.columns(i.a, "a", i.start, std::int64_t{i.heads} * i.head_dim);
    c.same_rows(c.columns(i.dst, "dst", i.start, std::int64_t{i.heads} * i.head_dim), a);
    c.require(!a.spec.samples, "a must hold token rows");
    c.require(known(i.style), "style must be half or interleaved");
    c.require(i.constant >= 0 && static_cast<std::size_t>(i.constant) < c.state.constants.size(), "no such constant");
    const auto& frequencies = c.state.constants[static_cast<std::size_t>(i.constant)];
    c.require(frequencies.size() == static_cast<std::size_t>(i.dims / 2), "the constant must hold dims / 2 values");
    c.vector(i.factors, i.dims / 2, true);
    c.require(i.magnitude > 0.0f && std::isfinite(i.magnitude), "magnitude must be positive");
    return c.state.rope.add(frequencies, vector_or_null(c.state, i.factors), i.magnitude);
}

void run_rope(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Rope>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        if (i.dst != i.a) std::copy_n(a.row(t) + i.start, i.heads * i.head_dim, dst.row(t) + i.start);
        state.kernels.rope(dst.row(t) + i.start, i.heads, i.head_dim, i.dims, state.rope.cosine(b.extra, t),
                           state.rope.sine(b.extra, t), kernel_of(i.style));
    }
}

int check_kv_store(const Checker& c) {
    const auto i = c.as<instr::KvStore>();
    c.layer(i.kv_layer, i.kv_heads, i.head_dim);
    const Buffer& k = c.columns(i.k, "k", i.k_start, std::int64_t{i.kv_heads} * i.head_dim);
    c.same_rows(k, c.columns(i.v, "v", i.v_start, std::int64_t{i.kv_heads} * i.head_dim));
    c.require(!k.spec.samples, "k must hold token rows");
    return kNone;
}

void run_kv_store(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::KvStore>();
    const Buffer k = state.buffer(i.k, member), v = state.buffer(i.v, member);
    const Share rows = state.small ? Share{0, state.rows(k)} : share(state.rows(k), state.members(), member);
    int sequence = 0;
    for (int t = rows.begin; t < rows.end; ++t) {
        while (state.in.seq_start[static_cast<std::size_t>(sequence) + 1] <= t) ++sequence;
        const int position = state.in.positions[static_cast<std::size_t>(t)];
        const int page = state.in.pages_of(sequence)[position / static_cast<int>(kPageTokens)];
        for (int head = 0; head < i.kv_heads; ++head) {
            if (state.small && !keeps(t * i.kv_heads + head, state.members(), member)) continue;
            state.kernels.kv_write(k.row(t) + i.k_start + head * i.head_dim, v.row(t) + i.v_start + head * i.head_dim,
                                   i.head_dim, i.head_dim, state.kv.keys(i.kv_layer, page, head),
                                   state.kv.values(i.kv_layer, page, head), position % kPageTokens);
        }
    }
}

int check_add(const Checker& c) {
    const auto i = c.as<instr::Add>();
    const Buffer& dst = c.columns(i.dst, "dst", 0, i.columns);
    c.same_rows(dst, c.columns(i.a, "a", 0, i.columns));
    c.same_rows(dst, c.columns(i.b, "b", 0, i.columns));
    return kNone;
}

void run_add(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Add>();
    const Buffer dst = state.buffer(i.dst, member), x = state.buffer(i.a, member), y = state.buffer(i.b, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) state.kernels.add(x.row(t), y.row(t), dst.row(t), i.columns);
}

int check_scale(const Checker& c) {
    const auto i = c.as<instr::Scale>();
    c.same_rows(c.columns(i.dst, "dst", 0, i.columns), c.columns(i.a, "a", 0, i.columns));
    c.require(std::isfinite(i.factor), "factor must be finite");
    return kNone;
}

void run_scale(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Scale>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        if (i.dst != i.a) std::copy_n(a.row(t), i.columns, dst.row(t));
        state.kernels.scale(i.factor, dst.row(t), i.columns);
    }
}

int check_gather(const Checker& c) {
    const auto i = c.as<instr::Gather>();
    c.require(c.columns(i.dst, "dst", 0, i.columns).spec.samples, "dst must hold sampled rows");
    c.require(!c.columns(i.a, "a", 0, i.columns).spec.samples, "a must hold token rows");
    return kNone;
}

void run_gather(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Gather>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int r = rows.begin; r < rows.end; ++r)
        std::copy_n(a.row(state.in.sample_rows[static_cast<std::size_t>(r)]), i.columns, dst.row(r));
}

}  // namespace undiced

// Instructions whose rows are shared out over the team: every member does its own rows from end to end.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

const float* vector_or_null(const State& state, int slot) {
    return slot == kNone ? nullptr : state.weights.slot(slot).floats();
}

}  // namespace

int check_embed(const Checker& c) {
    c.flags(kFlagAccumulate | kFlagPositions);
    const Slot& table = c.matrix(c.i.weight);
    const Buffer& dst = c.columns(c.i.dst, "dst", 0, table.columns());
    c.require(!dst.spec.samples, "dst must hold token rows");
    c.require(std::isfinite(c.i.f[0]), "scale must be finite");
    return kNone;
}

void run_embed(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member);
    const PackedMatrix& table = state.weights.slot(b.i.weight).matrix;
    const auto ids = (b.i.flags & kFlagPositions) != 0 ? state.in.positions : state.in.tokens;
    const bool accumulate = (b.i.flags & kFlagAccumulate) != 0;
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        float* line = accumulate ? state.lines[static_cast<std::size_t>(member)].get() : dst.row(t);
        unpack_row(table, ids[static_cast<std::size_t>(t)], line);
        if (b.i.f[0] != 1.0f) state.kernels.scale(b.i.f[0], line, table.cols);
        if (accumulate) state.kernels.add(dst.row(t), line, dst.row(t), table.cols);
    }
}

int check_rmsnorm(const Checker& c) {
    const auto& [start, columns, width, p3, p4, p5, p6] = c.i.p;
    c.flags(0);
    c.same_rows(c.columns(c.i.dst, "dst", start, columns), c.columns(c.i.a, "a", start, columns));
    c.require(width > 0 && columns % width == 0, "columns must be a multiple of width");
    c.require(c.i.f[0] >= 0.0f, "eps must not be negative");
    c.vector(c.i.weight, width, true);
    return kNone;
}

void run_rmsnorm(State& state, const Bound& b, int member) {
    const auto& [start, columns, width, p3, p4, p5, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const float* weight = vector_or_null(state, b.i.weight);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t)
        for (int column = start; column < start + columns; column += width)
            state.kernels.rmsnorm(a.row(t) + column, weight, dst.row(t) + column, width, b.i.f[0]);
}

int check_layernorm(const Checker& c) {
    const int columns = c.i.p[0];
    c.flags(0);
    c.same_rows(c.columns(c.i.dst, "dst", 0, columns), c.columns(c.i.a, "a", 0, columns));
    c.require(c.i.f[0] >= 0.0f, "eps must not be negative");
    c.vector(c.i.weight, columns, true);
    c.vector(c.i.bias, columns, true);
    return kNone;
}

void run_layernorm(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const float *weight = vector_or_null(state, b.i.weight), *bias = vector_or_null(state, b.i.bias);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t)
        state.kernels.layernorm(a.row(t), weight, bias, dst.row(t), b.i.p[0], b.i.f[0]);
}

int check_rope(const Checker& c) {
    const auto& [start, heads, head_dim, dims, style, constant, p6] = c.i.p;
    c.flags(0);
    c.require(heads > 0 && head_dim > 0 && dims > 0 && dims % 2 == 0 && dims <= head_dim,
              "dims must be even and within head_dim");
    const Buffer& a = c.columns(c.i.a, "a", start, std::int64_t{heads} * head_dim);
    c.same_rows(c.columns(c.i.dst, "dst", start, std::int64_t{heads} * head_dim), a);
    c.require(!a.spec.samples, "a must hold token rows");
    c.require(style == 0 || style == 1, "style must be 0 (half) or 1 (interleaved)");
    c.require(constant >= 0 && static_cast<std::size_t>(constant) < c.state.constants.size(), "no such constant");
    const auto& frequencies = c.state.constants[static_cast<std::size_t>(constant)];
    c.require(frequencies.size() == static_cast<std::size_t>(dims / 2), "the constant must hold dims / 2 values");
    c.vector(c.i.weight, dims / 2, true);
    c.require(c.i.f[0] > 0.0f && std::isfinite(c.i.f[0]), "magnitude must be positive");
    return c.state.rope.add(frequencies, vector_or_null(c.state, c.i.weight), c.i.f[0]);
}

void run_rope(State& state, const Bound& b, int member) {
    const auto& [start, heads, head_dim, dims, style, constant, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        if (b.i.dst != b.i.a) std::copy_n(a.row(t) + start, heads * head_dim, dst.row(t) + start);
        state.kernels.rope(dst.row(t) + start, heads, head_dim, dims, state.rope.cosine(b.extra, t),
                           state.rope.sine(b.extra, t), static_cast<RopeStyle>(style));
    }
}

int check_kv_store(const Checker& c) {
    const auto& [layer, k_start, v_start, kv_heads, head_dim, p5, p6] = c.i.p;
    c.flags(0);
    c.layer(layer, kv_heads, head_dim);
    const Buffer& k = c.columns(c.i.a, "a", k_start, std::int64_t{kv_heads} * head_dim);
    c.same_rows(k, c.columns(c.i.b, "b", v_start, std::int64_t{kv_heads} * head_dim));
    c.require(!k.spec.samples, "a must hold token rows");
    return kNone;
}

void run_kv_store(State& state, const Bound& b, int member) {
    const auto& [layer, k_start, v_start, kv_heads, head_dim, p5, p6] = b.i.p;
    const Buffer k = state.buffer(b.i.a, member), v = state.buffer(b.i.b, member);
    const Share rows = state.small ? Share{0, state.rows(k)} : share(state.rows(k), state.members(), member);
    int sequence = 0;
    for (int t = rows.begin; t < rows.end; ++t) {
        while (state.in.seq_start[static_cast<std::size_t>(sequence) + 1] <= t) ++sequence;
        const int position = state.in.positions[static_cast<std::size_t>(t)];
        const int page = state.in.pages_of(sequence)[position / static_cast<int>(kPageTokens)];
        for (int head = 0; head < kv_heads; ++head) {
            if (state.small && !keeps(t * kv_heads + head, state.members(), member)) continue;
            state.kernels.kv_write(k.row(t) + k_start + head * head_dim, v.row(t) + v_start + head * head_dim, head_dim,
                                   head_dim, state.kv.keys(layer, page, head), state.kv.values(layer, page, head),
                                   position % kPageTokens);
        }
    }
}

int check_add(const Checker& c) {
    const int columns = c.i.p[0];
    c.flags(0);
    const Buffer& dst = c.columns(c.i.dst, "dst", 0, columns);
    c.same_rows(dst, c.columns(c.i.a, "a", 0, columns));
    c.same_rows(dst, c.columns(c.i.b, "b", 0, columns));
    return kNone;
}

void run_add(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), x = state.buffer(b.i.a, member), y = state.buffer(b.i.b, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) state.kernels.add(x.row(t), y.row(t), dst.row(t), b.i.p[0]);
}

int check_scale(const Checker& c) {
    c.flags(0);
    c.same_rows(c.columns(c.i.dst, "dst", 0, c.i.p[0]), c.columns(c.i.a, "a", 0, c.i.p[0]));
    c.require(std::isfinite(c.i.f[0]), "factor must be finite");
    return kNone;
}

void run_scale(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        if (b.i.dst != b.i.a) std::copy_n(a.row(t), b.i.p[0], dst.row(t));
        state.kernels.scale(b.i.f[0], dst.row(t), b.i.p[0]);
    }
}

int check_gather(const Checker& c) {
    c.flags(0);
    c.require(c.columns(c.i.dst, "dst", 0, c.i.p[0]).spec.samples, "dst must hold sampled rows");
    c.require(!c.columns(c.i.a, "a", 0, c.i.p[0]).spec.samples, "a must hold token rows");
    return kNone;
}

void run_gather(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int r = rows.begin; r < rows.end; ++r)
        std::copy_n(a.row(state.in.sample_rows[static_cast<std::size_t>(r)]), b.i.p[0], dst.row(r));
}

}  // namespace undiced

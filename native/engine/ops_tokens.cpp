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
    c.require(i.heads > 0 && i.head_dim > 0 && i.dims > 0 && i.dims % 2 == 0 && i.offset >= 0 &&
                  std::int64_t{i.offset} + i.dims <= i.head_dim,
              "dims must be even and within head_dim");
    const Buffer& a = c.columns(i.a, "a", i.start, std::int64_t{i.heads} * i.head_dim);
    c.same_rows(c.columns(i.dst, "dst", i.start, std::int64_t{i.heads} * i.head_dim), a);
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
        const int token = state.token(dst, t);
        state.kernels.rope(dst.row(t) + i.start + i.offset, i.heads, i.head_dim, i.dims,
                           state.rope.cosine(b.extra, token), state.rope.sine(b.extra, token), kernel_of(i.style));
    }
}

int check_kv_store(const Checker& c) {
    const auto i = c.as<instr::KvStore>();
    c.layer(i.kv_layer, i.kv_heads, i.head_dim, false);
    const Buffer& k = c.columns(i.k, "k", i.k_start, std::int64_t{i.kv_heads} * i.head_dim);
    c.same_rows(k, c.columns(i.v, "v", i.v_start, std::int64_t{i.kv_heads} * i.head_dim));
    c.require(!k.spec.samples, "k must hold token rows");
    return kNone;
}

namespace {

// Calls body(t, head, page, slot) for every token of `rows` in all and every head that a member stores: the page that
// its position lies in, and where in there.
template <class Body>
void for_stored(const State& state, int rows, int heads, int member, Body&& body) {
    const Share mine = state.small ? Share{0, rows} : share(rows, state.members(), member);
    int sequence = 0;
    for (int t = mine.begin; t < mine.end; ++t) {
        while (state.in.seq_start[static_cast<std::size_t>(sequence) + 1] <= t) ++sequence;
        const int position = state.in.positions[static_cast<std::size_t>(t)], tokens = static_cast<int>(kPageTokens);
        const int page = state.in.pages_of(sequence)[position / tokens];
        for (int head = 0; head < heads; ++head)
            if (!state.small || keeps(t * heads + head, state.members(), member))
                body(t, head, page, position % tokens);
    }
}

}  // namespace

void run_kv_store(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::KvStore>();
    const Buffer k = state.buffer(i.k, member), v = state.buffer(i.v, member);
    const bool int8 = state.kv.spec(i.kv_layer).type == KvType::kInt8;
    const auto write = int8 ? state.kernels.kv_write_int8 : state.kernels.kv_write;
    for_stored(state, state.rows(k), i.kv_heads, member, [&](int t, int head, int page, int slot) {
        write(k.row(t) + i.k_start + head * i.head_dim, v.row(t) + i.v_start + head * i.head_dim, i.head_dim,
              i.head_dim, state.kv.keys(i.kv_layer, page, head), state.kv.values(i.kv_layer, page, head), slot);
    });
}

int check_latent_store(const Checker& c) {
    const auto i = c.as<instr::LatentStore>();
    c.layer(i.kv_layer, 1, i.columns, true);
    c.require(!c.columns(i.a, "a", 0, i.columns).spec.samples, "a must hold token rows");
    return kNone;
}

// Rows of latents lie as values do, and have no keys beside them.
void run_latent_store(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::LatentStore>();
    const Buffer a = state.buffer(i.a, member);
    for_stored(state, state.rows(a), 1, member, [&](int t, int head, int page, int slot) {
        state.kernels.kv_write(nullptr, a.row(t), 0, i.columns, nullptr, state.kv.keys(i.kv_layer, page, head), slot);
    });
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

int check_position_scale(const Checker& c) {
    const auto i = c.as<instr::PositionScale>();
    const Buffer& a = c.columns(i.a, "a", i.start, i.columns);
    c.same_rows(c.columns(i.dst, "dst", i.start, i.columns), a);
    c.require(i.floor > 0 && std::isfinite(i.scale), "floor must be positive and scale finite");
    return kNone;
}

void run_position_scale(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::PositionScale>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) {
        const auto token = static_cast<std::size_t>(state.token(dst, t));
        const std::int64_t steps = (std::int64_t{state.in.positions[token]} + 1) / i.floor;
        const double factor = 1.0 + static_cast<double>(i.scale) * std::log1p(static_cast<double>(steps));
        float* out = dst.row(t) + i.start;
        if (i.dst != i.a) std::copy_n(a.row(t) + i.start, i.columns, out);
        state.kernels.scale(static_cast<float>(factor), out, i.columns);
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

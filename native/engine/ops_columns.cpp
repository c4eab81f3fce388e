// Instructions whose columns are shared out over the team: every member does its own columns of all rows.
// A MATMUL's shares are shares of its weight's rows, so a member streams one run of tiles.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

// The table's numbers are the kernels'.
constexpr Activation kernel_of(instr::Activation activation) { return static_cast<Activation>(activation); }
static_assert(kernel_of(instr::Activation::SILU) == Activation::kSilu);
static_assert(kernel_of(instr::Activation::GELU) == Activation::kGelu);
static_assert(kernel_of(instr::Activation::GELU_TANH) == Activation::kGeluTanh);
static_assert(kernel_of(instr::Activation::RELU) == Activation::kRelu);

constexpr int kCodeBlock = static_cast<int>(kBlockCols);

template <class T>
void check_pointwise(const Checker& c, const T& i) {
    c.same_rows(c.columns(i.dst, "dst", 0, i.columns), c.columns(i.a, "a", 0, i.columns));
}

}  // namespace

int check_quantize(const Checker& c) {
    const auto i = c.as<instr::Quantize>();
    const Buffer& dst = c.codes(i.dst, "dst");
    c.same_rows(dst, c.columns(i.a, "a", 0, i.columns));
    c.require(i.columns <= dst.spec.width, "dst is narrower than columns");
    c.require(i.by == instr::Partition::TOKENS || i.by == instr::Partition::COLUMNS, "by must be tokens or columns");
    return kNone;
}

void run_quantize(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Quantize>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const bool by_rows = i.by == instr::Partition::TOKENS;
    const Share rows = by_rows ? state.row_share(dst, member) : Share{0, state.rows(dst)};
    const Share mine = by_rows ? Share{0, i.columns} : column_share(i.columns, state.members(), member);
    const std::int64_t blocks = blocks_of(i.columns);
    if (mine.begin >= mine.end) return;
    for (int t = rows.begin; t < rows.end; ++t) {
        const float* x = a.row(t) + mine.begin;
        const std::int64_t at = t * blocks + mine.begin / kCodeBlock;
        if (dst.spec.code_bytes == 1)
            state.kernels.quantize(x, mine.end - mine.begin, dst.blocks + at);
        else
            state.kernels.quantize_wide(x, mine.end - mine.begin, dst.wide + at);
    }
}

int check_matmul(const Checker& c) {
    const auto i = c.as<instr::Matmul>();
    const Slot& w = c.matrix(i.weight);
    c.require(w.rows() == i.rows && w.columns() == i.columns, "rows or columns differ from the weight's");
    const Buffer& dst = c.columns(i.dst, "dst", i.start, i.rows);
    if (w.matrix.format->integer()) {
        const Buffer& a = c.codes(i.a, "a");
        c.require(a.spec.width >= i.columns, "a is narrower than columns");
        c.same_rows(dst, a);
    } else {
        c.same_rows(dst, c.columns(i.a, "a", 0, i.columns));
        c.require(i.dst != i.a, "dst must not be a");
    }
    c.vector(i.bias, i.rows, true);
    return kNone;
}

void run_matmul(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Matmul>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share mine = column_share(i.rows, state.members(), member);
    if (state.small && b.attention != nullptr) state.attention.prefetch(b.attention->extra, state.in, member);
    MatmulArgs args;
    args.tokens = state.rows(dst);
    if (mine.begin >= mine.end || args.tokens == 0) return;
    args.w = &state.weights.slot(i.weight).matrix;
    args.tile_begin = mine.begin / kTileRows;
    args.tile_end = tiles_of(mine.end);
    args.qx = a.blocks;
    args.wx = a.wide;
    args.x = a.values;
    args.ldx = a.stride;
    args.out = dst.values + i.start;
    args.ldo = dst.stride;
    args.accumulate = i.accumulate();
    args.bias = i.bias == kNone ? nullptr : state.weights.slot(i.bias).floats();
    const auto next = b.next_matmul->as<instr::Matmul>();
    const Share after = column_share(next.rows, state.members(), member);
    const PackedMatrix& following = state.weights.slot(next.weight).matrix;
    for (int stream = 0; stream < kWeightStreams; ++stream)
        args.next[stream] = following.tile(stream_tile(after.begin / kTileRows, tiles_of(after.end), stream));
    state.kernels.matmul(args);
}

int check_head_matmul(const Checker& c) {
    const auto i = c.as<instr::HeadMatmul>();
    const Slot& w = c.matrix(i.weight);
    c.require(i.heads > 0 && i.rows > 0 && i.rows % kTileRows == 0 && i.columns > 0 && i.stride >= i.columns,
              "rows must be whole tiles, and heads must not overlap");
    c.require(w.experts == i.heads && w.rows() == std::int64_t{i.heads} * i.rows && w.columns() == i.columns,
              "heads, rows or columns differ from the weight's");
    const Buffer& dst = c.columns(i.dst, "dst", 0, std::int64_t{i.heads} * i.rows);
    const std::int64_t width = (std::int64_t{i.heads} - 1) * i.stride + i.columns;
    c.require(i.dst != i.a, "dst must not be a");
    if (!w.matrix.format->integer()) {
        c.same_rows(dst, c.columns(i.a, "a", 0, width));
        return kNone;
    }
    const Buffer& a = c.codes(i.a, "a");
    c.require(a.spec.code_bytes == 1 && a.spec.width >= width, "a is narrower than its heads");
    c.require(i.columns % kCodeBlock == 0 && i.stride % kCodeBlock == 0, "heads must be whole blocks of codes");
    c.same_rows(dst, a);
    c.state.make_room_for_heads(i.columns);
    return kNone;
}

// The codes of a head, token by token: those of one token where they lie, of several in `room`.
const QuantBlock* head_codes(const Buffer& a, int head, const instr::HeadMatmul& i, Share tokens, QuantBlock* room) {
    const std::int64_t row = blocks_of(a.spec.width), blocks = blocks_of(i.columns);
    const QuantBlock* first = a.blocks + tokens.begin * row + head * blocks_of(i.stride);
    if (tokens.end - tokens.begin == 1) return first;
    for (int t = 0; t < tokens.end - tokens.begin; ++t) std::copy_n(first + t * row, blocks, room + t * blocks);
    return room;
}

void run_head_matmul(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::HeadMatmul>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share mine = column_share(i.heads * i.rows, state.members(), member);
    const int tokens = state.rows(dst), most = a.spec.code_bytes > 0 ? kGatheredTokens : std::max(1, tokens);
    const Slot& stack = state.weights.slot(i.weight);
    for (int head = mine.begin / i.rows; head * i.rows < mine.end; ++head) {
        PackedMatrix one = stack.matrix;
        one.rows = i.rows;
        one.data = stack.matrix.tile(std::int64_t{head} * i.rows / kTileRows);
        MatmulArgs args;
        args.w = &one;
        args.tile_begin = std::max(0, mine.begin - head * i.rows) / kTileRows;
        args.tile_end = tiles_of(std::min(i.rows, mine.end - head * i.rows));
        args.ldx = a.stride;
        args.ldo = dst.stride;
        for (int first = 0; first < tokens; first += most) {
            const Share some{first, std::min(tokens, first + most)};
            if (a.spec.code_bytes > 0)
                args.qx = head_codes(a, head, i, some, state.head_codes[static_cast<std::size_t>(member)].data());
            else
                args.x = a.row(first) + std::int64_t{head} * i.stride;
            args.tokens = some.end - some.begin;
            args.out = dst.row(first) + std::int64_t{head} * i.rows;
            state.kernels.matmul(args);
        }
    }
}

int check_glu(const Checker& c) {
    const auto i = c.as<instr::Glu>();
    const Buffer& dst = c.columns(i.dst, "dst", 0, i.columns);
    c.same_rows(dst, c.columns(i.a, "a", i.gate, i.columns));
    c.same_rows(dst, c.columns(i.a, "a", i.up, i.columns));
    c.require(known(i.activation) && i.activation != instr::Activation::SWIGLU_OSS, "no such activation");
    return kNone;
}

void run_glu(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Glu>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share mine = column_share(i.columns, state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t)
        state.kernels.glu(kernel_of(i.activation), a.row(t) + i.gate + mine.begin, a.row(t) + i.up + mine.begin,
                          dst.row(t) + mine.begin, mine.end - mine.begin);
}

int check_activate(const Checker& c) {
    const auto i = c.as<instr::Activate>();
    check_pointwise(c, i);
    c.require(known(i.activation) && i.activation != instr::Activation::SWIGLU_OSS, "no such activation");
    return kNone;
}

void run_activate(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Activate>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share mine = column_share(i.columns, state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t)
        state.kernels.act(kernel_of(i.activation), a.row(t) + mine.begin, dst.row(t) + mine.begin,
                          mine.end - mine.begin);
}

int check_softcap(const Checker& c) {
    const auto i = c.as<instr::Softcap>();
    check_pointwise(c, i);
    c.require(i.cap > 0.0f && std::isfinite(i.cap), "cap must be positive");
    return kNone;
}

void run_softcap(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Softcap>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const Share mine = column_share(i.columns, state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t) {
        float* out = dst.row(t) + mine.begin;
        if (i.dst != i.a) std::copy_n(a.row(t) + mine.begin, mine.end - mine.begin, out);
        state.kernels.softcap(i.cap, out, mine.end - mine.begin);
    }
}

}  // namespace undiced

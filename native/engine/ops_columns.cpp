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

constexpr int kBlock = static_cast<int>(kBlockCols);

// Where the tiles [begin, end) are read from.
void set_next(MatmulArgs& args, const PackedMatrix& w, std::int64_t begin, std::int64_t end) {
    args.next[0] = w.tile(begin);
    args.next[1] = w.tile(middle_tile(begin, end));
}

template <class T>
void check_pointwise(const Checker& c, const T& i) {
    c.same_rows(c.columns(i.dst, "dst", 0, i.columns), c.columns(i.a, "a", 0, i.columns));
}

}  // namespace

int check_quantize(const Checker& c) {
    const auto i = c.as<instr::Quantize>();
    const Buffer& dst = c.int8(i.dst, "dst");
    c.same_rows(dst, c.columns(i.a, "a", 0, i.columns));
    c.require(i.columns <= dst.spec.width, "dst is narrower than columns");
    c.require(i.by == instr::Partition::TOKENS || i.by == instr::Partition::COLUMNS, "by must be tokens or columns");
    return kNone;
}

namespace {

// The second plane: what rounding to the first one lost, quantized by itself.
void quantize_rest(const Kernels& kernels, const float* x, int columns, const QuantBlock* first, QuantBlock* second) {
    for (int begin = 0; begin < columns; begin += kBlock, ++first, ++second) {
        float rest[kBlock];
        const int count = std::min(kBlock, columns - begin);
        for (int i = 0; i < count; ++i) rest[i] = x[begin + i] - first->scale * static_cast<float>(first->code[i]);
        kernels.quantize(rest, count, second);
    }
}

// A product with both planes of the activations: they are twice as many tokens to the kernel, and their sums belong
// together. Weights are read once for both, some tiles at a time, so that the sums stay in the nearest caches.
void multiply_planes(State& state, const MatmulArgs& whole, int member) {
    float* const sums = state.sums[static_cast<std::size_t>(member)].get();
    const std::int64_t blocks = blocks_of(whole.w->cols);
    for (std::int64_t token = 0; token < whole.tokens; token += kPlaneTokens) {
        const std::int64_t tokens = std::min<std::int64_t>(kPlaneTokens, whole.tokens - token);
        const std::int64_t step = kPlaneTiles * (tokens == 1 ? kPlaneTokens : 1);
        for (std::int64_t tile = whole.tile_begin; tile < whole.tile_end; tile += step) {
            const std::int64_t begin = tile * kTileRows, end = std::min(tile + step, whole.tile_end);
            const std::int64_t rows = std::min(end * kTileRows, whole.w->rows) - begin;
            MatmulArgs args = whole;
            args.tile_begin = tile;
            args.tile_end = end;
            args.qx = whole.qx + 2 * token * blocks;
            args.tokens = 2 * tokens;
            args.out = sums - begin;
            args.ldo = rows;
            args.accumulate = false;
            args.bias = nullptr;
            if (end < whole.tile_end) set_next(args, *whole.w, end, std::min(end + step, whole.tile_end));
            state.kernels.matmul(args);
            for (std::int64_t t = 0; t < tokens; ++t) {
                float* const out = whole.out + (token + t) * whole.ldo + begin;
                const float *high = sums + 2 * t * rows, *low = high + rows;
                for (std::int64_t r = 0; r < rows; ++r) {
                    const float bias = whole.bias != nullptr ? whole.bias[begin + r] : 0.0f;
                    out[r] = (whole.accumulate ? out[r] : 0.0f) + (high[r] + low[r] + bias);
                }
            }
        }
    }
}

}  // namespace

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
        QuantBlock* out = dst.blocks + t * dst.spec.planes * blocks + mine.begin / kBlock;
        state.kernels.quantize(x, mine.end - mine.begin, out);
        if (dst.spec.planes == 2) quantize_rest(state.kernels, x, mine.end - mine.begin, out, out + blocks);
    }
}

int check_matmul(const Checker& c) {
    const auto i = c.as<instr::Matmul>();
    const Slot& w = c.matrix(i.weight);
    c.require(w.rows() == i.rows && w.columns() == i.columns, "rows or columns differ from the weight's");
    const Buffer& dst = c.columns(i.dst, "dst", i.start, i.rows);
    if (w.matrix.format->group > 0) {
        const Buffer& a = c.int8(i.a, "a");
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
    if (state.small && b.attention != nullptr)
        state.attention.prefetch(b.attention->extra, b.attention->i.as<instr::Attention>().kv_layer, state.in, member);
    MatmulArgs args;
    args.tokens = state.rows(dst);
    if (mine.begin >= mine.end || args.tokens == 0) return;
    args.w = &state.weights.slot(i.weight).matrix;
    args.tile_begin = mine.begin / kTileRows;
    args.tile_end = tiles_of(mine.end);
    args.qx = a.blocks;
    args.x = a.values;
    args.ldx = a.stride;
    args.out = dst.values + i.start;
    args.ldo = dst.stride;
    args.accumulate = i.accumulate();
    args.bias = i.bias == kNone ? nullptr : state.weights.slot(i.bias).floats();
    const auto next = b.next_matmul->as<instr::Matmul>();
    const Share after = column_share(next.rows, state.members(), member);
    set_next(args, state.weights.slot(next.weight).matrix, after.begin / kTileRows, tiles_of(after.end));
    if (a.spec.planes == 2) return multiply_planes(state, args, member);
    state.kernels.matmul(args);
}

int check_glu(const Checker& c) {
    const auto i = c.as<instr::Glu>();
    const Buffer& dst = c.columns(i.dst, "dst", 0, i.columns);
    c.same_rows(dst, c.columns(i.a, "a", i.gate, i.columns));
    c.same_rows(dst, c.columns(i.a, "a", i.up, i.columns));
    c.require(known(i.activation), "no such activation");
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
    c.require(known(i.activation), "no such activation");
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

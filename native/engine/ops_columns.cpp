// Instructions whose columns are shared out over the team: every member does its own columns of all rows.
// A MATMUL's shares are shares of its weight's rows, so a member streams one run of tiles.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

constexpr int kBlock = static_cast<int>(kBlockCols);

// Where the tiles [begin, end) are read from.
void set_next(MatmulArgs& args, const PackedMatrix& w, std::int64_t begin, std::int64_t end) {
    args.next[0] = w.tile(begin);
    args.next[1] = w.tile(middle_tile(begin, end));
}

void check_pointwise(const Checker& c, int columns) {
    c.flags(0);
    c.same_rows(c.columns(c.i.dst, "dst", 0, columns), c.columns(c.i.a, "a", 0, columns));
}

}  // namespace

int check_quantize(const Checker& c) {
    const auto& [columns, partition, p2, p3, p4, p5, p6] = c.i.p;
    c.flags(0);
    const Buffer& dst = c.int8(c.i.dst, "dst");
    c.same_rows(dst, c.columns(c.i.a, "a", 0, columns));
    c.require(columns <= dst.spec.width, "dst is narrower than columns");
    c.require(partition == kPartitionTokens || partition == kPartitionColumns, "partition must be tokens or columns");
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
    const auto& [columns, partition, p2, p3, p4, p5, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const bool by_rows = partition == kPartitionTokens;
    const Share rows = by_rows ? state.row_share(dst, member) : Share{0, state.rows(dst)};
    const Share mine = by_rows ? Share{0, columns} : column_share(columns, state.members(), member);
    const std::int64_t blocks = blocks_of(columns);
    if (mine.begin >= mine.end) return;
    for (int t = rows.begin; t < rows.end; ++t) {
        const float* x = a.row(t) + mine.begin;
        QuantBlock* out = dst.blocks + t * dst.spec.planes * blocks + mine.begin / kBlock;
        state.kernels.quantize(x, mine.end - mine.begin, out);
        if (dst.spec.planes == 2) quantize_rest(state.kernels, x, mine.end - mine.begin, out, out + blocks);
    }
}

int check_matmul(const Checker& c) {
    const auto& [start, rows, columns, p3, p4, p5, p6] = c.i.p;
    c.flags(kFlagAccumulate);
    const Slot& w = c.matrix(c.i.weight);
    c.require(w.rows() == rows && w.columns() == columns, "rows or columns differ from the weight's");
    const Buffer& dst = c.columns(c.i.dst, "dst", start, rows);
    if (w.matrix.format->group > 0) {
        const Buffer& a = c.int8(c.i.a, "a");
        c.require(a.spec.width >= columns, "a is narrower than columns");
        c.same_rows(dst, a);
    } else {
        c.same_rows(dst, c.columns(c.i.a, "a", 0, columns));
        c.require(c.i.dst != c.i.a, "dst must not be a");
    }
    c.vector(c.i.bias, rows, true);
    return kNone;
}

void run_matmul(State& state, const Bound& b, int member) {
    const auto& [start, rows, columns, p3, p4, p5, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share mine = column_share(rows, state.members(), member);
    if (state.small && b.attention != nullptr)
        state.attention.prefetch(b.attention->extra, b.attention->i.p[0], state.in, member);
    MatmulArgs args;
    args.tokens = state.rows(dst);
    if (mine.begin >= mine.end || args.tokens == 0) return;
    args.w = &state.weights.slot(b.i.weight).matrix;
    args.tile_begin = mine.begin / kTileRows;
    args.tile_end = tiles_of(mine.end);
    args.qx = a.blocks;
    args.x = a.values;
    args.ldx = a.stride;
    args.out = dst.values + start;
    args.ldo = dst.stride;
    args.accumulate = (b.i.flags & kFlagAccumulate) != 0;
    args.bias = b.i.bias == kNone ? nullptr : state.weights.slot(b.i.bias).floats();
    const Share after = column_share(b.next_matmul->p[1], state.members(), member);
    set_next(args, state.weights.slot(b.next_matmul->weight).matrix, after.begin / kTileRows, tiles_of(after.end));
    if (a.spec.planes == 2) return multiply_planes(state, args, member);
    state.kernels.matmul(args);
}

int check_glu(const Checker& c) {
    const auto& [gate, up, columns, activation, p4, p5, p6] = c.i.p;
    c.flags(0);
    const Buffer& dst = c.columns(c.i.dst, "dst", 0, columns);
    c.same_rows(dst, c.columns(c.i.a, "a", gate, columns));
    c.same_rows(dst, c.columns(c.i.a, "a", up, columns));
    c.require(activation >= 0 && activation <= 3, "no such activation");
    return kNone;
}

void run_glu(State& state, const Bound& b, int member) {
    const auto& [gate, up, columns, activation, p4, p5, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share mine = column_share(columns, state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t)
        state.kernels.glu(static_cast<Activation>(activation), a.row(t) + gate + mine.begin, a.row(t) + up + mine.begin,
                          dst.row(t) + mine.begin, mine.end - mine.begin);
}

int check_activate(const Checker& c) {
    check_pointwise(c, c.i.p[0]);
    c.require(c.i.p[1] >= 0 && c.i.p[1] <= 3, "no such activation");
    return kNone;
}

void run_activate(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share mine = column_share(b.i.p[0], state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t)
        state.kernels.act(static_cast<Activation>(b.i.p[1]), a.row(t) + mine.begin, dst.row(t) + mine.begin,
                          mine.end - mine.begin);
}

int check_softcap(const Checker& c) {
    check_pointwise(c, c.i.p[0]);
    c.require(c.i.f[0] > 0.0f && std::isfinite(c.i.f[0]), "cap must be positive");
    return kNone;
}

void run_softcap(State& state, const Bound& b, int member) {
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const Share mine = column_share(b.i.p[0], state.members(), member);
    for (int t = 0; t < state.rows(dst); ++t) {
        float* out = dst.row(t) + mine.begin;
        if (b.i.dst != b.i.a) std::copy_n(a.row(t) + mine.begin, mine.end - mine.begin, out);
        state.kernels.softcap(b.i.f[0], out, mine.end - mine.begin);
    }
}

}  // namespace undiced

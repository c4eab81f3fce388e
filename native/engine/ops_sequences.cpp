// Instructions over whole sequences: attention and sampling. Members take work one by one from a counter.
#include <cmath>

#include "ops.h"

namespace undiced {

int check_attention(const Checker& c) {
    const auto& [layer, start, heads, kv_heads, head_dim, window, p6] = c.i.p;
    c.flags(0);
    c.layer(layer, kv_heads, head_dim);
    c.require(heads > 0 && heads % kv_heads == 0, "heads must be a multiple of kv_heads");
    c.require(window >= 0, "window must not be negative");
    const std::int64_t width = std::int64_t{heads} * head_dim;
    c.same_rows(c.columns(c.i.dst, "dst", 0, width), c.columns(c.i.a, "a", start, width));
    c.require(!c.state.buffer(c.i.a).spec.samples, "a must hold token rows");
    c.require(c.i.dst != c.i.a, "dst must not be a");
    c.require(std::isfinite(c.i.f[0]) && c.i.f[1] >= 0.0f && std::isfinite(c.i.f[1]), "scale or softcap is impossible");
    c.vector(c.i.weight, heads, true);
    return c.state.attention.add(layer, heads, window);
}

void run_attention(State& state, const Bound& b, int member) {
    const auto& [layer, start, heads, kv_heads, head_dim, window, p6] = b.i.p;
    const Buffer dst = state.buffer(b.i.dst, member), a = state.buffer(b.i.a, member);
    const float* sinks = b.i.weight == kNone ? nullptr : state.weights.slot(b.i.weight).floats();
    const AttentionCall call{b.extra,          layer,    heads,      window,    b.i.f[0], b.i.f[1], sinks,
                             a.row(0) + start, a.stride, dst.row(0), dst.stride};
    if (state.small)
        state.attention.run_kept(call, state.in, member);
    else
        state.attention.run(call, state.in, state.counters[static_cast<std::size_t>(b.index)].value, member);
}

int check_sample(const Checker& c) {
    c.flags(0);
    c.require(c.i.p[0] == c.state.limits.vocab, "vocab differs from the engine's");
    c.require(c.columns(c.i.a, "a", 0, c.i.p[0]).spec.samples, "a must hold sampled rows");
    return kNone;
}

void run_scan(State& state, const Bound& b, int member) {
    const Buffer logits = state.buffer(b.i.a, member);
    const Share mine = column_share(b.i.p[0], state.members(), member);
    state.sampler.scan(logits.values, logits.stride, state.rows(logits), mine.begin, mine.end);
}

namespace {

// Drawn rows of one slot follow each other and share its counts: one member takes them all, in order.
bool continues(std::span<const SamplingRow> sampling, int row) {
    if (row == 0) return false;
    const SamplingRow &before = sampling[static_cast<std::size_t>(row) - 1],
                      &here = sampling[static_cast<std::size_t>(row)];
    return before.slot == here.slot && before.drawn() && here.drawn();
}

}  // namespace

void run_sample(State& state, const Bound& b, int member) {
    const Buffer logits = state.buffer(b.i.a, member);
    const int rows = state.rows(logits);
    const auto& sampling = state.in.sampling;
    auto& next = state.counters[static_cast<std::size_t>(b.index)].value;
    for (int r = next.fetch_add(1, std::memory_order_relaxed); r < rows;
         r = next.fetch_add(1, std::memory_order_relaxed)) {
        if (continues(sampling, r)) continue;
        for (int row = r; row == r || (row < rows && continues(sampling, row)); ++row)
            state.sampler.sample(logits.row(row), row, sampling[static_cast<std::size_t>(row)], state.out, member);
    }
}

}  // namespace undiced

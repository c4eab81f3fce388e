// Instructions over whole sequences: attention and sampling. Members take work one by one from a counter.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

constexpr int kMostWidth = 1 << 20;
constexpr int kValueGranule = 8;  // columns of a value that kernels take together

void attend(State& state, const Bound& b, const AttentionCall& call, int member) {
    if (state.small)
        state.attention.run_kept(call, state.in, member);
    else
        state.attention.run(call, state.in, state.counters[static_cast<std::size_t>(b.index)].value, member);
}

}  // namespace

int check_attention(const Checker& c) {
    const auto i = c.as<instr::Attention>();
    c.layer(i.kv_layer, i.kv_heads, i.head_dim, false);
    c.require(i.heads > 0 && i.heads % i.kv_heads == 0, "heads must be a multiple of kv_heads");
    c.require(i.window >= 0 && i.chunk >= 0 && (i.window == 0 || i.chunk == 0),
              "window and chunk must not be negative, and one of them 0");
    const std::int64_t width = std::int64_t{i.heads} * i.head_dim;
    const Buffer& q = c.columns(i.q, "q", i.start, width);
    c.same_rows(c.columns(i.dst, "dst", 0, width), q);
    c.require(i.dst != i.q, "dst must not be q");
    c.require(std::isfinite(i.scale) && i.softcap >= 0.0f && std::isfinite(i.softcap),
              "scale or softcap is impossible");
    c.vector(i.sinks, i.heads, true);
    return c.state.attention.add(
        {i.kv_layer, i.heads, i.kv_heads, i.head_dim, i.head_dim, {i.window, i.chunk}, q.spec.samples});
}

void run_attention(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Attention>();
    const Buffer dst = state.buffer(i.dst, member), q = state.buffer(i.q, member);
    const float* sinks = i.sinks == kNone ? nullptr : state.weights.slot(i.sinks).floats();
    const AttentionCall call{
        b.extra,    i.scale,   i.softcap, sinks, {{{q.row(0) + i.start, q.stride, i.head_dim, i.head_dim}, {}}},
        dst.row(0), dst.stride};
    attend(state, b, call, member);
}

int check_latent_attention(const Checker& c) {
    const auto i = c.as<instr::LatentAttention>();
    c.require(i.heads > 0 && i.rank > 0 && i.nope > 0 && i.rope > 0, "sizes must be positive");
    c.require(std::int64_t{i.rank} + i.rope <= kMostWidth && std::int64_t{i.nope} + i.rope <= kMostWidth,
              "a head is too wide");
    c.require(i.rank % kValueGranule == 0, "rank must be a multiple of 8");
    c.layer(i.kv_layer, 1, i.rank + i.rope, true);
    const std::int64_t width = std::int64_t{i.heads} * i.rank;
    c.same_rows(c.columns(i.dst, "dst", 0, width), c.columns(i.q, "q", 0, width));
    c.same_rows(c.state.buffer(i.q), c.columns(i.turned, "turned", 0, std::int64_t{i.heads} * (i.nope + i.rope)));
    c.require(i.dst != i.q && i.dst != i.turned, "dst must not be q");
    c.require(std::isfinite(i.scale), "scale is impossible");
    // One row of the cache serves all heads: they fall into as many groups as the team can share out.
    int groups = std::min(c.state.members(), i.heads);
    while (i.heads % groups != 0) ++groups;
    return c.state.attention.add(
        {i.kv_layer, i.heads, groups, i.rank + i.rope, i.rank, {0, 0}, c.state.buffer(i.q).spec.samples});
}

void run_latent_attention(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::LatentAttention>();
    const Buffer dst = state.buffer(i.dst, member), q = state.buffer(i.q, member);
    const Buffer turned = state.buffer(i.turned, member);
    const AttentionCall call{
        b.extra,
        i.scale,
        0.0f,
        nullptr,
        {{{q.row(0), q.stride, i.rank, i.rank}, {turned.row(0) + i.nope, turned.stride, i.nope + i.rope, i.rope}}},
        dst.row(0),
        dst.stride};
    attend(state, b, call, member);
}

int check_sample(const Checker& c) {
    const auto i = c.as<instr::Sample>();
    c.require(i.vocab == c.state.limits.vocab, "vocab differs from the engine's");
    c.require(c.columns(i.a, "a", 0, i.vocab).spec.samples, "a must hold sampled rows");
    return kNone;
}

void run_scan(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Sample>();
    const Buffer logits = state.buffer(i.a, member);
    const Share mine = column_share(i.vocab, state.members(), member);
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

// A draft was left: the row before drew another token than the one that this row has read.
bool left(const State& state, int row) {
    const auto r = static_cast<std::size_t>(row);
    return state.in.tokens[static_cast<std::size_t>(state.in.sample_rows[r])] != state.out.tokens[r - 1];
}

void sample_row(State& state, float* logits, int row, int member) {
    const SamplingRow& sampling = state.in.sampling[static_cast<std::size_t>(row)];
    state.sampler.sample(logits, row, sampling, state.in.mask_of(sampling), state.out, member);
}

}  // namespace

void run_sample(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Sample>();
    const Buffer logits = state.buffer(i.a, member);
    const int rows = state.rows(logits);
    const auto& sampling = state.in.sampling;
    auto& next = state.counters[static_cast<std::size_t>(b.index)].value;
    for (int r = next.fetch_add(1, std::memory_order_relaxed); r < rows;
         r = next.fetch_add(1, std::memory_order_relaxed)) {
        if (continues(sampling, r)) continue;
        int row = r;
        do sample_row(state, logits.row(row), row, member);
        while (++row < rows && continues(sampling, row) && !left(state, row));
        for (; row < rows && continues(sampling, row); ++row) Sampler::say_nothing(row, kNotReached, state.out);
    }
}

}  // namespace undiced

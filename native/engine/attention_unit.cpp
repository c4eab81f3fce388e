// One unit of attention: its queries on their way over the pages of their context, and what becomes of chunks; see
// attention.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attention.h"

namespace undiced {
namespace {

constexpr int kNoEntry = -1;
constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr int kWordsFrom = kChunkPages * kPage;  // rows before it have the bits of floats however they come

// Those of some queries, number 0 at `position`, that see all slots of `pages` pages and may see them as words.
Share seeing_all(const Reach& reach, int position, Share tokens, int page, int pages) {
    const int begin = std::clamp(std::max((page + pages) * kPage - 1, kWordsFrom) - position, tokens.begin, tokens.end);
    int end = tokens.end;
    while (end > begin && reach.first(position + end - 1) > page * kPage) --end;
    return {begin, end};
}

}  // namespace

Attention::Partial Attention::partial(int merge, int group, int chunk) const {
    const auto rows = static_cast<std::size_t>(merge_rows_), dim = static_cast<std::size_t>(most_dim_);
    const std::size_t index =
        (static_cast<std::size_t>(merge) * static_cast<std::size_t>(most_groups_) + static_cast<std::size_t>(group)) *
            static_cast<std::size_t>(most_chunks_) +
        static_cast<std::size_t>(chunk);
    float* at = reinterpret_cast<float*>(partials_.data()) + index * rows * (dim + 2);
    return {at, at + rows, at + 2 * rows, static_cast<std::ptrdiff_t>(dim)};
}

void Attention::run_unit(const AttentionCall& call, const StepInput& in, const AttentionUnit& unit, int group,
                         const std::uint16_t* after, int member) {
    Scratch& scratch = scratch_[static_cast<std::size_t>(member)];
    const AttentionShape& shape = layer(call.index).shape;
    const int heads = shape.group(), rows = heads * unit.tokens, value_dim = shape.value_dim;
    Partial state{scratch.max.data(), scratch.sum.data(), scratch.out.data(), value_dim};
    if (unit.chunks > 1) state = partial(unit.merge, group, unit.chunk);
    for (int row = 0; row < rows; ++row) {
        const bool sink = call.sinks != nullptr && unit.chunk == 0;
        state.max[row] = sink ? call.sinks[group * heads + row % heads] : kNothing;
        state.sum[row] = sink ? 1.0f : 0.0f;
        std::fill_n(state.out + row * state.stride, value_dim, 0.0f);
    }
    attend_pages(call, in, unit, group, state, after, scratch);
    if (unit.chunks > 1) {
        // The member that finishes last sees all others' partial results and merges them.
        auto& finished = finished_[static_cast<std::size_t>(unit.merge * most_groups_ + group)];
        if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < unit.chunks) return;
        finished.store(0, std::memory_order_relaxed);
        merge(call, unit, group);
        return;
    }
    kernels_.attend_finish(state.out, state.stride, rows, value_dim, state.sum);
    for (int t = 0; t < unit.tokens; ++t) {
        float* out = call.out + (unit.row + t) * call.out_stride + group * heads * value_dim;
        std::copy_n(state.out + t * heads * state.stride, heads * value_dim, out);
    }
}

void Attention::copy_queries(const AttentionCall& call, const AttentionUnit& unit, int group, float* to) const {
    const int heads = layer(call.index).shape.group();
    for (int t = 0; t < unit.tokens; ++t)
        for (int head = group * heads; head < (group + 1) * heads; ++head)
            for (const Queries& part : call.parts)
                to = std::copy_n(part.at + (unit.row + t) * part.row + head * part.head, part.columns, to);
}

void Attention::attend_pages(const AttentionCall& call, const StepInput& in, const AttentionUnit& unit, int group,
                             const Partial& state, const std::uint16_t* after, Scratch& scratch) {
    const AttentionShape& shape = layer(call.index).shape;
    const KvSpec& spec = kv_.spec(shape.layer);
    const int heads = shape.group(), kv_head = spec.latent ? 0 : group;
    copy_queries(call, unit, group, scratch.q.data());
    AttendArgs args;
    args.q = scratch.q.data();
    args.ldq = args.key_dim = shape.key_dim;
    args.value_dim = shape.value_dim;
    if (spec.type == KvType::kInt8) {
        args.qx = scratch.codes.data();
        for (std::int64_t row = 0; row < heads * unit.tokens; ++row)
            kernels_.quantize_wide(args.q + row * args.ldq, args.key_dim,
                                   scratch.codes.data() + row * blocks_of(args.key_dim));
    }
    args.scale = call.scale;
    args.softcap = call.softcap;
    args.max = state.max;
    args.sum = state.sum;
    args.out = state.out;
    args.ldo = state.stride;
    const bool late = unit.position + unit.tokens > kWordsFrom;
    const WordKernels* words = unit.prompt && late && in_words(shape) ? kernels_.words : nullptr;
    if (words)
        words->queries(args.q, heads * unit.tokens, shape.key_dim, call.scale,
                       reinterpret_cast<std::int16_t*>(scratch.q_words.data()), scratch.q_scale.data());
    const std::uint64_t number = steps_ * layers_.size() + static_cast<std::size_t>(call.index);
    Walk walk{shape, unit, in.pages_of(unit.sequence), kv_head, words, after, number, args, scratch};
    for (int page = unit.first_page; page < unit.end_page;) {
        const bool block = words != nullptr && page % kBlock == 0 && page + kBlock <= unit.end_page;
        const Share done = block ? attend_words(walk, page, kBlock, {0, unit.tokens}) : Share{0, 0};
        const int end = page + (block ? kBlock : 1);
        for (; page < end; ++page) {
            attend_page(walk, page, {0, done.begin});
            attend_page(walk, page, {done.end, unit.tokens});
        }
    }
}

const std::uint16_t* Attention::keys(const Walk& walk, int page) const {
    return kv_.keys(walk.shape.layer, walk.pages[page], walk.kv_head);
}

// Tokens of `from` that see `count` pages whole, as words; those that were done.
Share Attention::attend_words(Walk& walk, int page, int count, Share from) {
    const AttentionShape& shape = walk.shape;
    const Share whole = seeing_all(shape.reach, walk.unit.position, from, page, count);
    PageWords words;
    if (whole.begin >= whole.end || !find_words(walk, page, count, words)) return {from.begin, from.begin};
    Scratch& scratch = walk.scratch;
    const std::uint16_t* next[kBlockPages];
    const bool ahead = page + count + kBlock <= walk.unit.end_page && kv_.spec(shape.layer).type == KvType::kF16;
    const int after = count == kBlock && ahead ? entry_of(walk, page + count) : kNoEntry;
    const auto entry = static_cast<std::size_t>(after);
    const bool made = after != kNoEntry && words_.made(entry, walk.call);
    const std::int16_t* k = made ? words_.at(entry, shape.key_dim, shape.value_dim).k : nullptr;
    for (int i = 0; ahead && i < kBlock; ++i)
        next[i] = made ? reinterpret_cast<const std::uint16_t*>(k + i * kPage * (shape.key_dim + shape.value_dim))
                       : keys(walk, page + count + i);
    const int heads = shape.group();
    walk.words->attend({.q = reinterpret_cast<const std::int16_t*>(scratch.q_words.data()),
                        .q_scale = scratch.q_scale.data(),
                        .first = whole.begin * heads,
                        .end = whole.end * heads,
                        .key_dim = shape.key_dim,
                        .value_dim = shape.value_dim,
                        .page = words,
                        .softcap = walk.args.softcap,
                        .max = walk.args.max,
                        .sum = walk.args.sum,
                        .out = walk.args.out,
                        .ldo = walk.args.ldo,
                        .next = ahead ? next : nullptr});
    return whole;
}

// Some tokens against a page, as words where they see all of it.
void Attention::attend_page(Walk& walk, int page, Share tokens) {
    tokens.begin = std::max(tokens.begin, page * kPage - walk.unit.position);
    if (tokens.begin >= tokens.end) return;
    walk.args.k = keys(walk, page);
    walk.args.v = kv_.spec(walk.shape.layer).latent
                      ? nullptr
                      : walk.args.k + key_words(kv_.spec(walk.shape.layer).type, walk.shape.key_dim);
    walk.args.next = page + 1 < walk.unit.end_page ? keys(walk, page + 1) : walk.after;
    const Share done = walk.words ? attend_words(walk, page, 1, tokens) : Share{tokens.begin, tokens.begin};
    attend_seen(walk, page, {tokens.begin, done.begin});
    attend_seen(walk, page, {done.end, tokens.end});
}

// The place of a block among shared words.
int Attention::entry_of(const Walk& walk, int page) const {
    if (walk.unit.words == kNotShared) return kNoEntry;
    const std::int64_t entry = std::int64_t{walk.unit.words + page / kBlock} * most_groups_ + walk.kv_head;
    return entry < static_cast<std::int64_t>(words_.entries()) ? static_cast<int>(entry) : kNoEntry;
}

// The words of pages; false if they hold what words don't.
bool Attention::find_words(Walk& walk, int page, int count, PageWords& words) {
    const int entry = count == kBlock ? entry_of(walk, page) : kNoEntry;
    if (entry != kNoEntry) {
        words = words_.at(static_cast<std::size_t>(entry), walk.shape.key_dim, walk.shape.value_dim);
        const auto found = words_.get(static_cast<std::size_t>(entry), walk.call,
                                      [&] { return make_words(walk, page, count, words); });
        if (found != SharedWords::Found::kNothing) return found == SharedWords::Found::kWords;
    }
    words = walk.scratch.page;
    words.pages = count;
    return make_words(walk, page, count, words);
}

bool Attention::make_words(const Walk& walk, int page, int count, PageWords& words) const {
    const KvType type = kv_.spec(walk.shape.layer).type;
    const std::int64_t key_dim = walk.shape.key_dim, value_dim = walk.shape.value_dim;
    const std::uint16_t *k[kBlockPages], *v[kBlockPages];
    std::uint16_t* wide = walk.scratch.wide.data();
    for (int i = 0; i < count; ++i) {
        k[i] = keys(walk, page + i);
        v[i] = k[i] + key_words(type, key_dim);
        if (type == KvType::kF16) continue;
        std::uint16_t* wide_v = wide + key_words(KvType::kF16, key_dim);
        kernels_.widen_int8(k[i], v[i], key_dim, value_dim, wide, wide_v);
        k[i] = wide, v[i] = wide_v;
        wide = wide_v + value_words(KvType::kF16, value_dim);
    }
    return walk.words->block(k, v, key_dim, value_dim, words);
}

// The rows of some tokens against what they see of the page of walk.args.
void Attention::attend_seen(const Walk& walk, int page, Share tokens) const {
    if (tokens.begin >= tokens.end) return;
    AttendArgs args = walk.args;
    const int heads = walk.shape.group(), begin = tokens.begin * heads, base = page * kPage;
    for (int row = begin; row < tokens.end * heads; ++row) {
        const int position = walk.unit.position + row / heads, end = std::clamp(position + 1 - base, 0, kPage);
        walk.scratch.begin[static_cast<std::size_t>(row)] = std::clamp(walk.shape.reach.first(position) - base, 0, end);
        walk.scratch.end[static_cast<std::size_t>(row)] = end;
    }
    args.rows = tokens.end * heads - begin;
    args.q += begin * args.ldq;
    args.begin = walk.scratch.begin.data() + begin;
    args.end = walk.scratch.end.data() + begin;
    args.max += begin;
    args.sum += begin;
    args.out += begin * args.ldo;
    if (args.qx != nullptr) {
        args.qx += begin * blocks_of(args.key_dim);
        kernels_.attend_int8(args);
    } else {
        kernels_.attend(args);
    }
}

void Attention::merge(const AttentionCall& call, const AttentionUnit& unit, int group) {
    const AttentionShape& shape = layer(call.index).shape;
    const int heads = shape.group(), value_dim = shape.value_dim;
    for (int row = 0; row < heads * unit.tokens; ++row) {
        float best = kNothing, total = 0.0f;
        for (int chunk = 0; chunk < unit.chunks; ++chunk)
            best = std::max(best, partial(unit.merge, group, chunk).max[row]);
        float* out = call.out + (unit.row + row / heads) * call.out_stride + (group * heads + row % heads) * value_dim;
        std::fill_n(out, value_dim, 0.0f);
        for (int chunk = 0; chunk < unit.chunks; ++chunk) {
            const Partial part = partial(unit.merge, group, chunk);
            const float weight = std::exp(part.max[row] - best);
            total += weight * part.sum[row];
            kernels_.axpy(weight, part.out + row * part.stride, out, value_dim);
        }
        kernels_.attend_finish(out, value_dim, 1, value_dim, &total);
    }
}

}  // namespace undiced

// Running and merging attention; see attention.h.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace undiced {
namespace {

constexpr int kRows = 64;        // queries that share one pass over a page: its block of K and V stays in L1
constexpr int kWordsRows = 192;  // the same where a page is turned into words first, which costs what 6 rows do
constexpr int kMemberUnits = 4;  // so many units of a prompt there should be for each member, so that all end together
constexpr int kNoEntry = -1;
constexpr std::size_t kSharedWords = std::size_t{16} << 20;    // bytes: half of a third-level cache
constexpr std::size_t kPrefetchBytes = std::size_t{64} << 10;  // of the pages of a layer, a member: an eighth of an L2
constexpr float kNothing = -std::numeric_limits<float>::infinity();
constexpr int kPage = static_cast<int>(kPageTokens);
constexpr int kBlock = static_cast<int>(kBlockPages);
constexpr int kWordsFrom = kChunkPages * kPage;  // rows before it have the bits of floats however they come

// Those of some queries, number 0 at `position`, that see all slots of `pages` pages and may see them as words.
Share seeing_all(const Reach& reach, int position, Share tokens, int page, int pages) {
    const int begin = std::clamp(std::max((page + pages) * kPage - 1, kWordsFrom) - position, tokens.begin, tokens.end);
    int end = tokens.end;
    while (end > begin && reach.first(position + end - 1) > page * kPage) --end;
    return {begin, end};
}

}  // namespace

Attention::Attention(const Kernels& kernels, const KvCache& kv, const Limits& limits, int members)
    : kernels_(kernels), kv_(kv), limits_(limits), members_(members) {}

int Attention::add(const AttentionShape& shape) {
    const int group = shape.group(), block_tokens = this->block_tokens(shape);
    most_groups_ = std::max(most_groups_, shape.groups);
    most_dim_ = std::max({most_dim_, shape.key_dim, shape.value_dim});
    most_rows_ = std::max(most_rows_, group * block_tokens);
    merge_rows_ = std::max(merge_rows_, group * std::min(block_tokens, kMergeTokens));
    if (kv_.spec(shape.layer).type == KvType::kInt8)
        most_codes_ = std::max(most_codes_, group * block_tokens * static_cast<int>(blocks_of(shape.key_dim)));
    layers_.push_back({shape, plan_for(shape)});
    return static_cast<int>(layers_.size()) - 1;
}

int Attention::block_tokens(const AttentionShape& shape) const {
    const int least = std::max(1, kRows / shape.group());
    if (!in_words(shape)) return least;
    const std::int64_t fair = std::int64_t{limits_.max_tokens} * shape.groups / (kMemberUnits * members_);
    return static_cast<int>(std::clamp<std::int64_t>(fair, least, std::max(least, kWordsRows / shape.group())));
}

int Attention::prompt_multiple() const {
    int found = 1;
    for (const Layer& layer : layers_) {
        found = std::lcm(found, block_tokens(layer.shape) * members_ / std::gcd(members_, layer.shape.groups));
        if (members_ == 1 || found > limits_.max_tokens) return 1;
    }
    return found;
}

std::size_t Attention::plan_for(const AttentionShape& shape) {
    const AttentionKind kind{shape.reach, block_tokens(shape), shape.sampled};
    const auto same = [&](const AttentionPlan& plan) { return plan.kind() == kind; };
    const auto found = std::find_if(plans_.begin(), plans_.end(), same);
    const auto index = static_cast<std::size_t>(found - plans_.begin());
    if (found == plans_.end()) plans_.emplace_back(kind);
    return index;
}

Attention::Scratch Attention::make_scratch() const {
    const std::size_t rows = (static_cast<std::size_t>(most_rows_) + kWordRows - 1) / kWordRows * kWordRows;
    const auto dim = static_cast<std::size_t>(most_dim_);
    Scratch s;
    s.codes.resize(static_cast<std::size_t>(most_codes_));
    s.q.resize(rows * dim);
    s.out.resize(rows * dim);
    s.max.resize(rows);
    s.sum.resize(rows);
    s.begin.resize(rows);
    s.end.resize(rows);
    if (kernels_.words == nullptr) return s;
    const auto pages = static_cast<std::size_t>(kBlockPages);
    if (most_codes_ > 0) s.wide.resize(2 * dim * kPageTokens * pages);
    s.q_scale.resize(rows);
    s.q_words.resize(rows * dim / 32);  // 32 words a line; rows are a multiple of 8, columns too
    s.page_lines.resize((2 * dim + 2) * pages + (dim + 15) / 16);
    s.page.k = reinterpret_cast<std::int16_t*>(&s.page_lines[0]);
    s.page.v = reinterpret_cast<std::int16_t*>(&s.page_lines[dim * pages]);
    s.page.k_scale = reinterpret_cast<float*>(&s.page_lines[2 * dim * pages]);
    s.page.v_scale = reinterpret_cast<float*>(&s.page_lines[(2 * dim + 2) * pages]);
    return s;
}

void Attention::prepare() {
    const auto rows = static_cast<std::size_t>(most_rows_ + kWordRows), dim = static_cast<std::size_t>(most_dim_);
    const std::size_t values = checked_product(rows, dim), members = static_cast<std::size_t>(members_);
    check_fits(checked_product(checked_product(values + 2 * rows, 3 * sizeof(float)), members), "attention's scratch");
    for (int i = 0; i < members_; ++i) scratch_.push_back(make_scratch());
    const auto batch = static_cast<std::size_t>(limits_.max_batch);
    std::size_t blocks = 1;
    for (AttentionPlan& plan : plans_) {
        const AttentionPlan::Most most = plan.most(limits_);
        if (checked_product(most.units, static_cast<std::size_t>(most_groups_)) > std::numeric_limits<int>::max())
            throw std::invalid_argument("a step of so many tokens and heads is too large");
        blocks = std::max(blocks, most.merges);
        most_chunks_ = std::max(most_chunks_, most.chunks);
        plan.prepare(limits_, members_);
    }
    const std::size_t merges = checked_product(checked_product(batch, blocks), static_cast<std::size_t>(most_groups_));
    const std::size_t one = checked_product(static_cast<std::size_t>(merge_rows_), dim + 2);
    partials_ = Region(checked_product(checked_product(merges, static_cast<std::size_t>(most_chunks_)),
                                       checked_product(one, sizeof(float))),
                       "attention's partial sums");
    finished_ = std::make_unique<std::atomic<int>[]>(merges);
    const bool words = std::any_of(layers_.begin(), layers_.end(), [&](const Layer& l) { return in_words(l.shape); });
    if (!words) return;
    const std::size_t most = static_cast<std::size_t>(limits_.pages / kBlock);
    const std::size_t block = static_cast<std::size_t>(most_groups_ * kBlock * kPage) * 2 * dim * sizeof(std::int16_t);
    words_.prepare(std::min(most, kSharedWords / block) * static_cast<std::size_t>(most_groups_), dim);
}

void Attention::build(const StepInput& in, std::span<const std::int32_t> prompt_tokens) {
    ++steps_;
    for (AttentionPlan& plan : plans_) plan.build(in, prompt_tokens);
}

void Attention::run(const AttentionCall& call, const StepInput& in, std::atomic<int>& next, int member) {
    const Layer& layer = this->layer(call.index);
    const AttentionPlan& plan = plans_[layer.plan];
    const int groups = layer.shape.groups;
    const Share kept = plan.kept(member);
    const auto unit_of = [&](int item) -> const AttentionUnit& { return plan.unit(item / groups); };
    for (int item = kept.end * groups; item-- > kept.begin * groups;) {
        const std::uint16_t* after =
            item > kept.begin * groups ? first_page(layer, in, unit_of(item - 1), (item - 1) % groups) : nullptr;
        run_unit(call, in, unit_of(item), item % groups, after, member);
    }
    const int items = static_cast<int>(plan.shared().size()) * groups;
    for (int item = next.fetch_add(1, std::memory_order_relaxed); item < items;
         item = next.fetch_add(1, std::memory_order_relaxed)) {
        const int unit = plan.shared()[static_cast<std::size_t>(item / groups)];
        run_unit(call, in, plan.unit(unit), groups - 1 - item % groups, nullptr, member);
    }
}

template <class Body>
void Attention::for_kept(const Layer& layer, const StepInput& in, int member, Body&& body) const {
    // A sequence's last unit holds its newest position; older pages are numbered behind all of those.
    const int groups = layer.shape.groups;
    int older = in.sequences() * groups;
    for (const AttentionUnit& unit : plans_[layer.plan].units()) {
        const bool newest = unit.chunk + 1 == unit.chunks;
        for (int group = 0; group < groups; ++group) {
            const int item = newest ? unit.sequence * groups + group : older++;
            if (keeps(item, members_, member)) body(unit, group);
        }
    }
}

void Attention::run_kept(const AttentionCall& call, const StepInput& in, int member) {
    for_kept(layer(call.index), in, member,
             [&](const AttentionUnit& unit, int group) { run_unit(call, in, unit, group, nullptr, member); });
}

void Attention::prefetch(int index, const StepInput& in, int member) const {
    const AttentionShape& shape = layer(index).shape;
    const std::size_t page_bytes = kv_.block_bytes(shape.layer);
    const bool latent = kv_.spec(shape.layer).latent;
    std::size_t left = kPrefetchBytes;
    for_kept(layer(index), in, member, [&](const AttentionUnit& unit, int group) {
        for (int page = unit.end_page - 1; page >= unit.first_page && left >= page_bytes; --page, left -= page_bytes) {
            const auto* block = reinterpret_cast<const std::byte*>(
                kv_.keys(shape.layer, in.pages_of(unit.sequence)[page], latent ? 0 : group));
            for (std::size_t i = 0; i < page_bytes; i += 64) __builtin_prefetch(block + i, 1);
        }
    });
}

Attention::Partial Attention::partial(int merge, int group, int chunk) const {
    const auto rows = static_cast<std::size_t>(merge_rows_), dim = static_cast<std::size_t>(most_dim_);
    const std::size_t index =
        (static_cast<std::size_t>(merge) * static_cast<std::size_t>(most_groups_) + static_cast<std::size_t>(group)) *
            static_cast<std::size_t>(most_chunks_) +
        static_cast<std::size_t>(chunk);
    float* at = reinterpret_cast<float*>(partials_.data()) + index * rows * (dim + 2);
    return {at, at + rows, at + 2 * rows, static_cast<std::ptrdiff_t>(dim)};
}

const std::uint16_t* Attention::first_page(const Layer& layer, const StepInput& in, const AttentionUnit& unit,
                                           int group) const {
    const int layer_of_cache = layer.shape.layer;
    return kv_.keys(layer_of_cache, in.pages_of(unit.sequence)[unit.first_page],
                    kv_.spec(layer_of_cache).latent ? 0 : group);
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

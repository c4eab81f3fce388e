// Cutting, running and merging attention; see attention.h.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "isa.h"

namespace undiced {
namespace {

constexpr int kRows = 64;        // queries that share one pass over a page: its block of K and V stays in L1
constexpr int kMergeTokens = 8;  // sequences with so few new tokens are cut over pages
constexpr int kChunkPages = 8;   // least pages of a chunk: 256 positions
constexpr int kEqualChunks = 8;  // so many have that; then two of four times as many pages, two of eight, and so on
constexpr int kWindowChunks = 16;
constexpr int kNoMerge = -1;
constexpr std::size_t kPrefetchBytes = std::size_t{64} << 10;  // of the pages of a layer, a member: an eighth of an L2
constexpr float kNothing = -std::numeric_limits<float>::infinity();

constexpr int kPage = static_cast<int>(kPageTokens);

// The chunk that a page belongs to. Chunks do not depend on how far a sequence has come, so that a query's sums have
// the same order in whatever step it is computed: alone, or among the tokens of a draft. A window moves over equal
// chunks.
int chunk_of(int page, int window) {
    if (window > 0) {
        const int pages = (window - 1) / kPage + 2;  // that a query may see
        return page / std::max(kChunkPages, (pages + kWindowChunks - 3) / (kWindowChunks - 2));
    }
    int chunk = kEqualChunks, end = kChunkPages * kEqualChunks;
    if (page < end) return page / kChunkPages;
    for (; page >= 2 * end; end *= 2) chunk += 2;
    return chunk + (page - end) / (end / 2);
}

int first_visible(int position, int window) { return window > 0 ? std::max(0, position - window + 1) : 0; }

}  // namespace

Attention::Attention(const Kernels& kernels, const KvCache& kv, const Limits& limits, int members)
    : kernels_(kernels), kv_(kv), limits_(limits), members_(members) {}

int Attention::add(int layer, int heads, int window) {
    const KvSpec& spec = kv_.spec(layer);
    const int group = heads / spec.kv_heads;
    const int block_tokens = std::max(1, kRows / group);
    most_group_ = std::max(most_group_, group);
    most_kv_heads_ = std::max(most_kv_heads_, spec.kv_heads);
    most_dim_ = std::max(most_dim_, spec.head_dim);
    most_rows_ = std::max(most_rows_, group * block_tokens);
    merge_rows_ = std::max(merge_rows_, group * std::min(block_tokens, kMergeTokens));
    for (std::size_t i = 0; i < plans_.size(); ++i)
        if (plans_[i].window == window && plans_[i].block_tokens == block_tokens) return static_cast<int>(i);
    plans_.push_back({window, block_tokens, {}});
    return static_cast<int>(plans_.size()) - 1;
}

void Attention::prepare() {
    const auto rows = static_cast<std::size_t>(most_rows_), dim = static_cast<std::size_t>(most_dim_);
    const std::size_t values = checked_product(rows, dim), members = static_cast<std::size_t>(members_);
    check_fits(checked_product(checked_product(values + 2 * rows, 2 * sizeof(float)), members), "attention's scratch");
    for (int i = 0; i < members_; ++i)
        scratch_.push_back({std::vector<float>(values), std::vector<float>(values), std::vector<float>(rows),
                            std::vector<float>(rows), std::vector<std::int32_t>(rows),
                            std::vector<std::int32_t>(rows)});
    const auto batch = static_cast<std::size_t>(limits_.max_batch);
    const int last_page = (limits_.context - 1) / kPage;
    std::size_t blocks = 1;
    for (Plan& plan : plans_) {
        const int cut = (kMergeTokens + plan.block_tokens - 1) / plan.block_tokens;
        const int chunks = plan.window > 0 ? kWindowChunks : chunk_of(last_page, 0) + 1;
        blocks = std::max(blocks, static_cast<std::size_t>(cut));
        most_chunks_ = std::max(most_chunks_, chunks);
        const std::size_t units = static_cast<std::size_t>(limits_.max_tokens / plan.block_tokens) +
                                  batch * static_cast<std::size_t>(cut * chunks + 1);
        if (checked_product(units, static_cast<std::size_t>(most_kv_heads_)) > std::numeric_limits<int>::max())
            throw std::invalid_argument("a step of so many tokens and heads is too large");
        plan.units.reserve(units);
    }
    const std::size_t merges =
        checked_product(checked_product(batch, blocks), static_cast<std::size_t>(most_kv_heads_));
    const std::size_t one = checked_product(static_cast<std::size_t>(merge_rows_), dim + 2);
    partials_ = Region(checked_product(checked_product(merges, static_cast<std::size_t>(most_chunks_)),
                                       checked_product(one, sizeof(float))),
                       "attention's partial sums");
    finished_ = std::make_unique<std::atomic<int>[]>(merges);
}

void Attention::build(const StepInput& in) {
    for (Plan& plan : plans_) {
        plan.units.clear();
        int merges = 0;
        for (int s = 0; s < in.sequences(); ++s) cut_sequence(plan, in, s, merges);
    }
}

void Attention::cut_sequence(Plan& plan, const StepInput& in, int sequence, int& merges) {
    const auto s = static_cast<std::size_t>(sequence);
    const int begin = in.seq_start[s], end = in.seq_start[s + 1];
    for (int row = begin; row < end; row += plan.block_tokens) {
        const int tokens = std::min(plan.block_tokens, end - row);
        const int position = in.positions[static_cast<std::size_t>(row)];
        int page = first_visible(position, plan.window) / kPage;
        const int pages_end = (position + tokens - 1) / kPage + 1;
        const auto chunk_at = [&](int at) { return end - begin <= kMergeTokens ? chunk_of(at, plan.window) : 0; };
        const int before = chunk_at(page), chunks = chunk_at(pages_end - 1) + 1 - before;
        const int place = chunks > 1 ? merges++ : kNoMerge;
        for (int chunk = 0; chunk < chunks; ++chunk) {
            const int first = page;
            if (chunk + 1 == chunks) page = pages_end;
            while (page < pages_end && chunk_at(page) == before + chunk) ++page;
            plan.units.push_back({sequence, row, tokens, position, first, page, chunk, chunks, place});
        }
    }
}

void Attention::run(const AttentionCall& call, const StepInput& in, std::atomic<int>& next, int member) {
    const Plan& plan = plans_[static_cast<std::size_t>(call.plan)];
    const int kv_heads = kv_.spec(call.layer).kv_heads;
    const int items = static_cast<int>(plan.units.size()) * kv_heads;
    // From the last unit on: a prompt's last tokens see most pages, and long units must not come at the end.
    for (int item = next.fetch_add(1, std::memory_order_relaxed); item < items;
         item = next.fetch_add(1, std::memory_order_relaxed)) {
        const int reversed = items - 1 - item;
        const Unit& unit = plan.units[static_cast<std::size_t>(reversed / kv_heads)];
        run_unit(call, in, unit, reversed % kv_heads, scratch_[static_cast<std::size_t>(member)]);
    }
}

template <class Body>
void Attention::for_kept(const Plan& plan, const StepInput& in, int kv_heads, int member, Body&& body) const {
    // A sequence's last unit holds its newest position; older pages are numbered behind all of those.
    int older = in.sequences() * kv_heads;
    for (const Unit& unit : plan.units) {
        const bool newest = unit.chunk + 1 == unit.chunks;
        for (int head = 0; head < kv_heads; ++head) {
            const int item = newest ? unit.sequence * kv_heads + head : older++;
            if (keeps(item, members_, member)) body(unit, head);
        }
    }
}

void Attention::run_kept(const AttentionCall& call, const StepInput& in, int member) {
    for_kept(plans_[static_cast<std::size_t>(call.plan)], in, kv_.spec(call.layer).kv_heads, member,
             [&](const Unit& unit, int head) {
                 run_unit(call, in, unit, head, scratch_[static_cast<std::size_t>(member)]);
             });
}

void Attention::prefetch(int plan, int layer, const StepInput& in, int member) const {
    const KvSpec& spec = kv_.spec(layer);
    const std::size_t page_bytes = 2 * sizeof(std::uint16_t) * static_cast<std::size_t>(spec.head_dim) * kPageTokens;
    std::size_t left = kPrefetchBytes;
    for_kept(plans_[static_cast<std::size_t>(plan)], in, spec.kv_heads, member, [&](const Unit& unit, int head) {
        for (int page = unit.end_page - 1; page >= unit.first_page && left >= page_bytes; --page, left -= page_bytes) {
            const auto* block =
                reinterpret_cast<const std::byte*>(kv_.keys(layer, in.pages_of(unit.sequence)[page], head));
            for (std::size_t i = 0; i < page_bytes; i += 64) __builtin_prefetch(block + i, 1);
        }
    });
}

Attention::Partial Attention::partial(int merge, int kv_head, int chunk) const {
    const auto rows = static_cast<std::size_t>(merge_rows_), dim = static_cast<std::size_t>(most_dim_);
    const std::size_t index = (static_cast<std::size_t>(merge) * static_cast<std::size_t>(most_kv_heads_) +
                               static_cast<std::size_t>(kv_head)) *
                                  static_cast<std::size_t>(most_chunks_) +
                              static_cast<std::size_t>(chunk);
    float* at = reinterpret_cast<float*>(partials_.data()) + index * rows * (dim + 2);
    return {at, at + rows, at + 2 * rows, static_cast<std::ptrdiff_t>(dim)};
}

void Attention::run_unit(const AttentionCall& call, const StepInput& in, const Unit& unit, int kv_head,
                         Scratch& scratch) {
    const KvSpec& spec = kv_.spec(call.layer);
    const int group = call.heads / spec.kv_heads, rows = group * unit.tokens;
    Partial state{scratch.max.data(), scratch.sum.data(), scratch.out.data(), spec.head_dim};
    if (unit.chunks > 1) state = partial(unit.merge, kv_head, unit.chunk);
    for (int row = 0; row < rows; ++row) {
        const bool sink = call.sinks != nullptr && unit.chunk == 0;
        state.max[row] = sink ? call.sinks[kv_head * group + row % group] : kNothing;
        state.sum[row] = sink ? 1.0f : 0.0f;
        std::fill_n(state.out + row * state.stride, spec.head_dim, 0.0f);
    }
    attend_pages(call, in, unit, kv_head, state, scratch);
    if (unit.chunks > 1) {
        // The member that finishes last sees all others' partial results and merges them.
        auto& finished = finished_[static_cast<std::size_t>(unit.merge * most_kv_heads_ + kv_head)];
        if (finished.fetch_add(1, std::memory_order_acq_rel) + 1 < unit.chunks) return;
        finished.store(0, std::memory_order_relaxed);
        merge(call, unit, kv_head);
        return;
    }
    kernels_.attend_finish(state.out, state.stride, rows, spec.head_dim, state.sum);
    for (int t = 0; t < unit.tokens; ++t) {
        float* out = call.out + (unit.row + t) * call.out_stride + kv_head * group * spec.head_dim;
        std::copy_n(state.out + t * group * state.stride, group * spec.head_dim, out);
    }
}

void Attention::attend_pages(const AttentionCall& call, const StepInput& in, const Unit& unit, int kv_head,
                             const Partial& state, Scratch& scratch) const {
    const KvSpec& spec = kv_.spec(call.layer);
    const int group = call.heads / spec.kv_heads, row_values = group * spec.head_dim;
    for (int t = 0; t < unit.tokens; ++t)
        std::copy_n(call.q + (unit.row + t) * call.q_stride + kv_head * row_values, row_values,
                    scratch.q.data() + t * row_values);
    AttendArgs args;
    args.q = scratch.q.data();
    args.ldq = args.key_dim = args.value_dim = spec.head_dim;
    args.rows = group * unit.tokens;
    args.begin = scratch.begin.data();
    args.end = scratch.end.data();
    args.scale = call.scale;
    args.softcap = call.softcap;
    args.max = state.max;
    args.sum = state.sum;
    args.out = state.out;
    args.ldo = state.stride;
    for (int page = unit.first_page; page < unit.end_page; ++page) {
        for (int row = 0; row < args.rows; ++row) {
            const int position = unit.position + row / group, base = page * kPage;
            const int end = std::clamp(position + 1 - base, 0, kPage);
            scratch.begin[static_cast<std::size_t>(row)] =
                std::clamp(first_visible(position, call.window) - base, 0, end);
            scratch.end[static_cast<std::size_t>(row)] = end;
        }
        const int id = in.pages_of(unit.sequence)[page];
        args.k = kv_.keys(call.layer, id, kv_head);
        args.v = kv_.values(call.layer, id, kv_head);
        args.next =
            page + 1 < unit.end_page ? kv_.keys(call.layer, in.pages_of(unit.sequence)[page + 1], kv_head) : nullptr;
        kernels_.attend(args);
    }
}

void Attention::merge(const AttentionCall& call, const Unit& unit, int kv_head) {
    const KvSpec& spec = kv_.spec(call.layer);
    const int group = call.heads / spec.kv_heads;
    for (int row = 0; row < group * unit.tokens; ++row) {
        float best = kNothing, total = 0.0f;
        for (int chunk = 0; chunk < unit.chunks; ++chunk)
            best = std::max(best, partial(unit.merge, kv_head, chunk).max[row]);
        float* out =
            call.out + (unit.row + row / group) * call.out_stride + (kv_head * group + row % group) * spec.head_dim;
        std::fill_n(out, spec.head_dim, 0.0f);
        for (int chunk = 0; chunk < unit.chunks; ++chunk) {
            const Partial part = partial(unit.merge, kv_head, chunk);
            const float weight = std::exp(part.max[row] - best);
            total += weight * part.sum[row];
            kernels_.axpy(weight, part.out + row * part.stride, out, spec.head_dim);
        }
        kernels_.attend_finish(out, spec.head_dim, 1, spec.head_dim, &total);
    }
}

}  // namespace undiced

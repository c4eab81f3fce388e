// What attention's layers share, and who does which unit; attention_unit.cpp does one. See attention.h.
#include "attention.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace undiced {
namespace {

constexpr int kRows = 64;        // queries that share one pass over a page: its block of K and V stays in L1
constexpr int kWordsRows = 192;  // the same where a page is turned into words first, which costs what 6 rows do
constexpr int kMemberUnits = 4;  // so many units of a prompt there should be for each member, so that all end together
constexpr std::size_t kSharedWords = std::size_t{16} << 20;    // bytes: half of a third-level cache
constexpr std::size_t kPrefetchBytes = std::size_t{64} << 10;  // of a layer's pages, a member; less and more is as fast

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
    const Layer& layer = this->layer(call.index);
    const AttentionUnit* last = nullptr;
    int last_group = 0;
    const auto run_last = [&](const std::uint16_t* after) {
        if (last != nullptr) run_unit(call, in, *last, last_group, after, member);
    };
    for_kept(layer, in, member, [&](const AttentionUnit& unit, int group) {
        run_last(first_page(layer, in, unit, group));
        last = &unit;
        last_group = group;
    });
    run_last(nullptr);
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
            for (std::size_t i = 0; i < page_bytes; i += 64) prefetch_line(block + i);
        }
    });
}

const std::uint16_t* Attention::first_page(const Layer& layer, const StepInput& in, const AttentionUnit& unit,
                                           int group) const {
    const int layer_of_cache = layer.shape.layer;
    return kv_.keys(layer_of_cache, in.pages_of(unit.sequence)[unit.first_page],
                    kv_.spec(layer_of_cache).latent ? 0 : group);
}

}  // namespace undiced

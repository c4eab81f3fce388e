// Partial selection and inverse-CDF draws; see select.h.
#include "select.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

namespace undiced {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr int kStretch = 1024;     // logits exponentiated at once: they stay in L1
constexpr int kSortedTopK = 1024;  // up to here candidates are few enough to sort

using Lanes = float __attribute__((vector_size(16)));

float max_of_block(const float* values) {
    Lanes best, next;
    std::memcpy(&best, values, sizeof best);
    for (int i = 4; i < kLogitBlock; i += 4) {
        std::memcpy(&next, values + i, sizeof next);
        best = next > best ? next : best;
    }
    return std::max(std::max(best[0], best[1]), std::max(best[2], best[3]));
}

// Candidates before others: the larger weight (or logit), then the lower id.
struct Before {
    const float* by;
    bool operator()(std::int32_t a, std::int32_t b) const { return by[a] != by[b] ? by[a] > by[b] : a < b; }
};

// Ids of values of at least `threshold`, ascending, into scratch.ids.
int gather(const LogitRow& row, float threshold, SelectScratch& scratch) {
    int found = 0;
    for (int block = 0; block < logit_blocks(row.count); ++block) {
        if (!(row.block_max[block] >= threshold)) continue;
        const int end = std::min(row.count, (block + 1) * kLogitBlock);
        for (int id = block * kLogitBlock; id < end; ++id) {
            scratch.ids[static_cast<std::size_t>(found)] = id;
            found += row.values[id] >= threshold && row.values[id] > kForbidden ? 1 : 0;
        }
    }
    return found;
}

// Walks `weights` until their running sum exceeds `target`; the last index if rounding keeps it below.
int walk(const float* weights, int count, double target) {
    double sum = 0.0;
    int last = 0;
    for (int i = 0; i < count; ++i) {
        if (weights[i] <= 0.0f) continue;
        last = i;
        sum += static_cast<double>(weights[i]);
        if (sum > target) return i;
    }
    return last;
}

// The k best of few candidates, sorted; then min-p and top-p cut the tail and u picks.
int draw_sorted(const Kernels& kernels, const LogitRow& row, const SamplingRow& sampling, double u,
                SelectScratch& scratch) {
    int kept = largest(row, sampling.top_k, scratch);
    float* weights = scratch.weights.data();
    const float best = row.values[scratch.ids[0]];
    for (int i = 0; i < kept; ++i)
        weights[i] = (row.values[scratch.ids[static_cast<std::size_t>(i)]] - best) / sampling.temperature;
    kernels.exp_sum(weights, 0.0f, weights, kept);
    while (kept > 1 && weights[kept - 1] < sampling.min_p * weights[0]) --kept;
    double total = 0.0;
    for (int i = 0; i < kept; ++i) total += static_cast<double>(weights[i]);
    if (sampling.top_p < 1.0f) {
        const double wanted = total * static_cast<double>(sampling.top_p);
        double sum = 0.0;
        int taken = 0;
        while (taken < kept && (taken == 0 || sum < wanted)) sum += static_cast<double>(weights[taken++]);
        kept = taken;
        total = sum;
    }
    return scratch.ids[static_cast<std::size_t>(walk(weights, kept, u * total))];
}

// A place in the order of candidates: everything heavier, and equals of lower id, come before it.
struct Rank {
    float weight;
    std::int32_t id;
};
constexpr Rank kBehindAll = {0.0f, 0};

float sum_if_above(const float* weights, int count, float least, bool or_equal) {
    constexpr int kLanes = 16;  // four independent sums of four: one alone waits for its additions
    float lanes[kLanes] = {};
    int i = 0;
    for (; i + kLanes <= count; i += kLanes)
        for (int lane = 0; lane < kLanes; ++lane) {
            const float w = weights[i + lane];
            lanes[lane] += (or_equal ? w >= least : w > least) ? w : 0.0f;
        }
    for (; i < count; ++i) lanes[0] += (or_equal ? weights[i] >= least : weights[i] > least) ? weights[i] : 0.0f;
    return std::accumulate(lanes, lanes + kLanes, 0.0f);
}

// Sums of the weights before `rank`, by stretch into scratch.sums; returns their total.
double sum_before(int count, Rank rank, SelectScratch& scratch) {
    double total = 0.0;
    for (int begin = 0, stretch = 0; begin < count; begin += kStretch, ++stretch) {
        const float* weights = scratch.weights.data() + begin;
        const int size = std::min(kStretch, count - begin), below = std::clamp(rank.id - begin, 0, size);
        const double sum = static_cast<double>(sum_if_above(weights, below, rank.weight, true)) +
                           static_cast<double>(sum_if_above(weights + below, size - below, rank.weight, false));
        scratch.sums[static_cast<std::size_t>(stretch)] = sum;
        total += sum;
    }
    return total;
}

// Weights of all logits; those below `min_p` become 0. Returns their sum, and leaves sums by stretch in scratch.sums.
double weigh_all(const Kernels& kernels, const LogitRow& row, float best, const SamplingRow& sampling,
                 SelectScratch& scratch) {
    const float inverse = 1.0f / sampling.temperature;
    double total = 0.0;
    for (int begin = 0, stretch = 0; begin < row.count; begin += kStretch, ++stretch) {
        const int count = std::min(kStretch, row.count - begin);
        float* weights = scratch.weights.data() + begin;
        for (int i = 0; i < count; ++i) weights[i] = (row.values[begin + i] - best) * inverse;
        const double sum = kernels.exp_sum(weights, 0.0f, weights, count);
        scratch.sums[static_cast<std::size_t>(stretch)] = sum;
        total += sum;
    }
    if (sampling.min_p == 0.0f) return total;
    for (int i = 0; i < row.count; ++i) {
        float& weight = scratch.weights[static_cast<std::size_t>(i)];
        weight = weight >= sampling.min_p ? weight : 0.0f;
    }
    return sum_before(row.count, kBehindAll, scratch);
}

// The id at which the running sum of weights before `rank` exceeds `target`; scratch.sums holds their sums. Should
// rounding carry `target` past them all, some id of the last stretch that has any.
int pick(int count, Rank rank, double target, const SelectScratch& scratch) {
    int chosen = 0, last = 0;
    for (int stretch = 0; stretch * kStretch < count; ++stretch) {
        const double sum = scratch.sums[static_cast<std::size_t>(stretch)];
        if (sum <= 0.0) continue;
        chosen = stretch;
        if (target < sum) break;
        target -= sum;
    }
    for (int id = chosen * kStretch; id < std::min(count, (chosen + 1) * kStretch); ++id) {
        const float weight = scratch.weights[static_cast<std::size_t>(id)];
        if (!(id < rank.id ? weight >= rank.weight : weight > rank.weight) || weight <= 0.0f) continue;
        last = id;
        target -= static_cast<double>(weight);
        if (target < 0.0) break;
    }
    return last;
}

// Leaves the `k` largest weights; the others become 0. For the rare k that is too large to sort.
double keep_largest(const LogitRow& row, int k, SelectScratch& scratch) {
    const int found = gather(row, kForbidden, scratch);
    const auto ids = scratch.ids.begin();
    if (found > k) std::nth_element(ids, ids + k, ids + found, Before{row.values});
    for (int i = k; i < found; ++i) scratch.weights[static_cast<std::size_t>(ids[i])] = 0.0f;
    return sum_before(row.count, kBehindAll, scratch);
}

// Draws from the smallest set that holds `wanted` of the weights without finding it: a draw is in the set exactly if
// what comes before it is less than `wanted`. A draw outside becomes the bound of the next, so few rounds are needed.
int draw_nucleus(int count, double total, double wanted, const SamplingRow& sampling, double u,
                 SelectScratch& scratch) {
    Rank bound = kBehindAll;
    for (std::uint64_t round = 1;; ++round) {
        const int id = pick(count, bound, u * total, scratch);
        const Rank rank = {scratch.weights[static_cast<std::size_t>(id)], id};
        const double before = sum_before(count, rank, scratch);
        if (before < wanted || before == 0.0 || before >= total) return id;
        bound = rank;
        total = before;
        u = uniform(sampling.seed ^ (round << 32), sampling.counter);
    }
}

}  // namespace

SelectScratch::SelectScratch(int vocab)
    : weights(static_cast<std::size_t>(vocab)),
      blocks(static_cast<std::size_t>(logit_blocks(vocab))),
      ids(static_cast<std::size_t>(vocab) + 1),
      sums(static_cast<std::size_t>(vocab / kStretch + 1)) {}

void update_block_max(const LogitRow& row, int begin, int end) {
    for (int block = begin; block < end; ++block) {
        const float* values = row.values + static_cast<std::ptrdiff_t>(block) * kLogitBlock;
        const int count = std::min(kLogitBlock, row.count - block * kLogitBlock);
        row.block_max[block] = count == kLogitBlock ? max_of_block(values) : *std::max_element(values, values + count);
    }
}

int largest_one(const LogitRow& row) {
    const int blocks = logit_blocks(row.count);
    const auto block = static_cast<int>(std::max_element(row.block_max, row.block_max + blocks) - row.block_max);
    float* end = row.values + std::min(row.count, (block + 1) * kLogitBlock);
    return static_cast<int>(std::max_element(row.values + block * kLogitBlock, end) - row.values);
}

int largest(const LogitRow& row, int k, SelectScratch& scratch) {
    const int blocks = logit_blocks(row.count);
    float threshold = kForbidden;
    if (k < blocks) {
        // k blocks reach the k-th largest maximum, so at least k values do.
        std::copy(row.block_max, row.block_max + blocks, scratch.blocks.begin());
        const auto kth = scratch.blocks.begin() + (k - 1);
        std::nth_element(scratch.blocks.begin(), kth, scratch.blocks.end(), std::greater<>());
        threshold = *kth;
    }
    const int found = gather(row, threshold, scratch);
    const auto ids = scratch.ids.begin();
    if (found > k) std::nth_element(ids, ids + k, ids + found, Before{row.values});
    std::sort(ids, ids + std::min(k, found), Before{row.values});
    return std::min(k, found);
}

int token_or_reason(int token, float largest) {
    if (std::isfinite(largest)) return token;
    return largest == kForbidden ? kNothingAllowed : kNonFinite;
}

int draw(const Kernels& kernels, const LogitRow& row, const SamplingRow& sampling, double u, SelectScratch& scratch) {
    SamplingRow wanted = sampling;
    if (wanted.top_k >= row.count) wanted.top_k = 0;
    const float best = *std::max_element(row.block_max, row.block_max + logit_blocks(row.count));
    if (!std::isfinite(best)) return token_or_reason(0, best);
    if (wanted.top_k > 0 && wanted.top_k <= kSortedTopK) return draw_sorted(kernels, row, wanted, u, scratch);
    double total = weigh_all(kernels, row, best, wanted, scratch);
    if (wanted.top_k > 0) total = keep_largest(row, wanted.top_k, scratch);
    if (wanted.top_p >= 1.0f) return pick(row.count, kBehindAll, u * total, scratch);
    return draw_nucleus(row.count, total, total * static_cast<double>(wanted.top_p), wanted, u, scratch);
}

// The finalizer of the splitmix64 generator (Steele, Lea, Flood 2014), once over each half of the pair.
double uniform(std::uint64_t seed, std::uint64_t counter) {
    const auto mix = [](std::uint64_t x) {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
    };
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15u;
    const std::uint64_t bits = mix(mix(seed + kGolden) + (counter + 1) * kGolden);
    return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace undiced

// Partial selection and inverse-CDF draws; see select.h.
#include "select.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace undiced {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr int kStretch = 1024;     // logits exponentiated at once: they stay in L1
constexpr int kSortedTopK = 1024;  // up to here candidates are few enough to sort
constexpr int kBins = 1024;
constexpr float kBinsPerNat = 32.0f;

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

// Weights of all logits and their sum; stretch by stretch, so that a draw can skip whole stretches.
double weigh_all(const Kernels& kernels, const LogitRow& row, float best, float temperature, SelectScratch& scratch) {
    const float inverse = 1.0f / temperature;
    double total = 0.0;
    for (int begin = 0, stretch = 0; begin < row.count; begin += kStretch, ++stretch) {
        const int count = std::min(kStretch, row.count - begin);
        float* weights = scratch.weights.data() + begin;
        for (int i = 0; i < count; ++i) weights[i] = (row.values[begin + i] - best) * inverse;
        const double sum = kernels.exp_sum(weights, 0.0f, weights, count);
        scratch.sums[static_cast<std::size_t>(stretch)] = sum;
        total += sum;
    }
    return total;
}

int draw_unfiltered(const LogitRow& row, double target, const SelectScratch& scratch) {
    int begin = 0;
    for (std::size_t stretch = 0; begin + kStretch < row.count; ++stretch, begin += kStretch) {
        if (target < scratch.sums[stretch]) break;
        target -= scratch.sums[stretch];
    }
    return begin + walk(scratch.weights.data() + begin, std::min(kStretch, row.count - begin), target);
}

// Keeps the smallest set of candidates whose weights reach `wanted`: sums by magnitude find the bin in which the
// running sum crosses, and only that bin is sorted. Returns how many of scratch.ids are left.
int keep_mass(int count, double wanted, SelectScratch& scratch, const LogitRow& row, float best, float temperature) {
    const float per_logit = kBinsPerNat / temperature;
    const auto bin_of = [&](std::int32_t id) {
        return static_cast<int>(std::min((best - row.values[id]) * per_logit, static_cast<float>(kBins - 1)));
    };
    std::int32_t* ids = scratch.ids.data();
    std::fill(scratch.bins.begin(), scratch.bins.end(), 0.0);
    for (int i = 0; i < count; ++i)
        scratch.bins[static_cast<std::size_t>(bin_of(ids[i]))] +=
            static_cast<double>(scratch.weights[static_cast<std::size_t>(ids[i])]);
    int crossing = 0;
    double sum = 0.0;
    while (crossing < kBins - 1 && sum + scratch.bins[static_cast<std::size_t>(crossing)] < wanted)
        sum += scratch.bins[static_cast<std::size_t>(crossing++)];
    std::int32_t* const above =
        std::stable_partition(ids, ids + count, [&](std::int32_t id) { return bin_of(id) < crossing; });
    std::int32_t* const end =
        std::partition(above, ids + count, [&](std::int32_t id) { return bin_of(id) == crossing; });
    std::sort(above, end, Before{scratch.weights.data()});
    std::int32_t* last = above;
    while (last < end && (last == ids || sum < wanted))
        sum += static_cast<double>(scratch.weights[static_cast<std::size_t>(*last++)]);
    return static_cast<int>(last - ids);
}

int draw_filtered(const LogitRow& row, const SamplingRow& sampling, double u, double total, float best,
                  SelectScratch& scratch) {
    // Values below (1 - p) / count of the total add up to less than 1 - p of it: top-p alone never keeps one.
    double least = static_cast<double>(sampling.min_p);
    const bool only_top_p = sampling.min_p == 0.0f && sampling.top_k == 0;
    if (only_top_p) least = std::min(1.0, (1.0 - static_cast<double>(sampling.top_p)) * total / row.count);
    const float threshold = best + static_cast<float>(std::log(least)) * sampling.temperature;
    int kept = gather(row, threshold, scratch);
    const auto sum_of = [&](int count) {
        double sum = 0.0;
        for (int i = 0; i < count; ++i)
            sum += static_cast<double>(
                scratch.weights[static_cast<std::size_t>(scratch.ids[static_cast<std::size_t>(i)])]);
        return sum;
    };
    if (sampling.top_k > 0 && sampling.top_k < kept) {
        std::nth_element(scratch.ids.begin(), scratch.ids.begin() + sampling.top_k, scratch.ids.begin() + kept,
                         Before{row.values});
        kept = sampling.top_k;
    }
    if (sampling.top_p < 1.0f) {
        const double base = only_top_p ? total : sum_of(kept);
        kept = keep_mass(kept, base * static_cast<double>(sampling.top_p), scratch, row, best, sampling.temperature);
    }
    double target = u * sum_of(kept);
    for (int i = 0; i < kept; ++i) {
        const std::int32_t id = scratch.ids[static_cast<std::size_t>(i)];
        target -= static_cast<double>(scratch.weights[static_cast<std::size_t>(id)]);
        if (target < 0.0) return id;
    }
    return scratch.ids[0];
}

}  // namespace

SelectScratch::SelectScratch(int vocab)
    : weights(static_cast<std::size_t>(vocab)),
      blocks(static_cast<std::size_t>(logit_blocks(vocab))),
      ids(static_cast<std::size_t>(vocab) + 1),
      sums(static_cast<std::size_t>(vocab / kStretch + 1)),
      bins(kBins) {}

void update_block_max(const LogitRow& row, int begin, int end) {
    for (int block = begin; block < end; ++block) {
        const float* values = row.values + static_cast<std::ptrdiff_t>(block) * kLogitBlock;
        const int count = std::min(kLogitBlock, row.count - block * kLogitBlock);
        float best = values[0];
        for (int i = 1; i < count; ++i) best = values[i] > best ? values[i] : best;
        row.block_max[block] = best;
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

int draw(const Kernels& kernels, const LogitRow& row, const SamplingRow& sampling, double u, SelectScratch& scratch) {
    SamplingRow wanted = sampling;
    if (wanted.top_k >= row.count) wanted.top_k = 0;
    const float best = *std::max_element(row.block_max, row.block_max + logit_blocks(row.count));
    if (best == kForbidden) return largest_one(row);
    if (wanted.top_k > 0 && wanted.top_k <= kSortedTopK) return draw_sorted(kernels, row, wanted, u, scratch);
    const double total = weigh_all(kernels, row, best, wanted.temperature, scratch);
    if (wanted.top_k == 0 && wanted.min_p == 0.0f && wanted.top_p >= 1.0f)
        return draw_unfiltered(row, u * total, scratch);
    return draw_filtered(row, wanted, u, total, best, scratch);
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

// The two phases of sampling; see sampler.h.
#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace undiced {
namespace {

static_assert(kLogitBlock == 32);  // a word of a mask is a block of logits, as kernels know it

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

bool allows(const std::int32_t* mask, std::int32_t id) {
    return (static_cast<std::uint32_t>(mask[id / kLogitBlock]) >> (id % kLogitBlock) & 1u) != 0;
}

}  // namespace

Sampler::Sampler(const Kernels& kernels, const Limits& limits, int members)
    : kernels_(kernels),
      vocab_(limits.vocab),
      slots_(limits.max_batch, limits.vocab),
      block_max_(checked_product(static_cast<std::size_t>(limits.max_samples),
                                 static_cast<std::size_t>(logit_blocks(limits.vocab)))),
      broken_(std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(limits.max_samples))) {
    // Per member: weights, ids, a row of its own, and up to three changes of every logit.
    check_fits(checked_product(static_cast<std::size_t>(limits.vocab) * (12 + 3 * sizeof(Change)),
                               static_cast<std::size_t>(members)),
               "the sampling scratch");
    for (int i = 0; i < members; ++i) scratch_.push_back(std::make_unique<Scratch>(limits.vocab));
}

void Sampler::reset(int rows) {
    for (int r = 0; r < rows; ++r) broken_[static_cast<std::size_t>(r)].store(false, std::memory_order_relaxed);
}

void Sampler::scan(float* logits, std::ptrdiff_t stride, int rows, int begin, int end) {
    if (begin >= end) return;
    const std::ptrdiff_t blocks = logit_blocks(vocab_);
    for (int r = 0; r < rows; ++r) {
        float* values = logits + r * stride;
        if (!kernels_.block_max(values + begin, end - begin, block_max_.data() + r * blocks + begin / kLogitBlock))
            broken_[static_cast<std::size_t>(r)].store(true, std::memory_order_relaxed);
    }
}

void Sampler::sample(float* logits, int r, const SamplingRow& sampling, const std::int32_t* mask, const StepOutput& out,
                     int member) {
    Scratch& scratch = *scratch_[static_cast<std::size_t>(member)];
    const auto index = static_cast<std::size_t>(r);
    const LogitRow row{logits, block_max_.data() + index * static_cast<std::size_t>(logit_blocks(vocab_)), vocab_};
    say_nothing(r, kNonFinite, out);
    if (broken_[index].load(std::memory_order_relaxed)) return;
    std::int32_t& token = out.tokens[index];
    float& logprob = out.logprobs[index];
    std::int32_t* top_ids = out.top_ids.data() + index * kTopLogprobsMax;
    float* top_values = out.top_logprobs.data() + index * kTopLogprobsMax;
    float log_total = 0.0f;
    if (sampling.top_logprobs >= 0) log_total = write_top(row, sampling.top_logprobs, top_ids, top_values, scratch);
    token = sampling.drawn() ? bend_and_choose(row, sampling, mask, scratch) : sampling.target;
    if (token >= 0 && sampling.top_logprobs >= 0) logprob = row.values[token] - log_total;
}

void Sampler::say_nothing(int r, std::int32_t reason, const StepOutput& out) {
    const auto index = static_cast<std::size_t>(r);
    out.tokens[index] = reason;
    out.logprobs[index] = 0.0f;
    std::fill_n(out.top_ids.data() + index * kTopLogprobsMax, kTopLogprobsMax, -1);
    std::fill_n(out.top_logprobs.data() + index * kTopLogprobsMax, kTopLogprobsMax,
                -std::numeric_limits<float>::infinity());
}

int Sampler::bend_and_choose(const LogitRow& row, const SamplingRow& sampling, const std::int32_t* mask,
                             Scratch& scratch) {
    const auto allowed = slots_.allowed(sampling.slot);
    const LogitRow eligible = !allowed.empty()  ? only(row, allowed, mask, scratch)
                              : mask != nullptr ? masked(row, mask, scratch)
                                                : row;
    slots_.bend(sampling, eligible, scratch.changes);
    const int token = choose(eligible, sampling, scratch);
    unbend(eligible, scratch.changes);
    if (token >= 0) slots_.count(sampling.slot, token);
    return token;
}

LogitRow Sampler::only(const LogitRow& row, std::span<const std::int32_t> allowed, const std::int32_t* mask,
                       Scratch& scratch) {
    std::fill(scratch.few.begin(), scratch.few.end(), kForbidden);
    std::fill(scratch.few_block_max.begin(), scratch.few_block_max.end(), kForbidden);
    for (const std::int32_t id : allowed) {
        if (mask != nullptr && !allows(mask, id)) continue;
        float& most = scratch.few_block_max[static_cast<std::size_t>(id / kLogitBlock)];
        scratch.few[static_cast<std::size_t>(id)] = row.values[id];
        most = std::max(most, row.values[id]);
    }
    return {scratch.few.data(), scratch.few_block_max.data(), row.count};
}

LogitRow Sampler::masked(const LogitRow& row, const std::int32_t* mask, Scratch& scratch) {
    const int blocks = logit_blocks(row.count);
    for (int block = 0; block < blocks; ++block) {
        const auto word = static_cast<std::uint32_t>(mask[block]);
        const std::ptrdiff_t begin = static_cast<std::ptrdiff_t>(block) * kLogitBlock;
        float* few = scratch.few.data() + begin;
        const float* values = row.values + begin;
        const int count = std::min(kLogitBlock, row.count - block * kLogitBlock);
        float most = kForbidden;
        if (word == 0) {
            std::fill_n(few, count, kForbidden);
        } else if (word == ~0u) {
            std::copy_n(values, count, few);
            most = row.block_max[block];
        } else {
            for (int i = 0; i < count; ++i) few[i] = (word >> i & 1u) != 0 ? values[i] : kForbidden;
            most = *std::max_element(few, few + count);
        }
        scratch.few_block_max[static_cast<std::size_t>(block)] = most;
    }
    return {scratch.few.data(), scratch.few_block_max.data(), row.count};
}

float Sampler::write_top(const LogitRow& row, int count, std::int32_t* ids, float* values, Scratch& scratch) {
    const float best = *std::max_element(row.block_max, row.block_max + logit_blocks(row.count));
    const float log_total = best + static_cast<float>(std::log(kernels_.exp_sum(row.values, best, nullptr, row.count)));
    const int found = count > 0 ? largest(row, count, scratch.select) : 0;
    for (int i = 0; i < found; ++i) {
        ids[i] = scratch.select.ids[static_cast<std::size_t>(i)];
        values[i] = row.values[ids[i]] - log_total;
    }
    return log_total;
}

int Sampler::choose(const LogitRow& row, const SamplingRow& sampling, Scratch& scratch) {
    if (sampling.temperature == 0.0f) {
        const int token = largest_one(row);
        return token_or_reason(token, row.values[token]);
    }
    return draw(kernels_, row, sampling, uniform(sampling.seed, sampling.counter), scratch.select);
}

}  // namespace undiced

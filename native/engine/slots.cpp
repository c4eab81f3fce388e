// Counting tokens and bending logits; see slots.h.
#include "slots.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>

namespace undiced {

SlotStates::SlotStates(int slots, int vocab)
    : vocab_(vocab),
      memory_(checked_product(static_cast<std::size_t>(slots), align64(static_cast<std::size_t>(vocab) * 4) * 2),
              "the sampling state"),
      slots_(static_cast<std::size_t>(slots)) {
    const std::size_t bytes = align64(static_cast<std::size_t>(vocab) * 4);
    std::byte* at = memory_.data();
    for (Slot& slot : slots_) {
        slot.seen = reinterpret_cast<std::uint32_t*>(at);
        slot.ids = reinterpret_cast<std::int32_t*>(at + bytes);
        at += 2 * bytes;
    }
}

void SlotStates::check_ids(std::span<const std::int32_t> ids, const char* what) const {
    for (const std::int32_t id : ids)
        if (id < 0 || id >= vocab_)
            throw std::invalid_argument(std::string(what) + " holds token " + std::to_string(id) + ", outside [0, " +
                                        std::to_string(vocab_) + ")");
}

void SlotStates::check_slot(int slot) const {
    if (slot < 0 || slot >= static_cast<int>(slots_.size()))
        throw std::invalid_argument("slot " + std::to_string(slot) + " is outside [0, " +
                                    std::to_string(slots_.size()) + ")");
}

void SlotStates::open(int index, std::span<const std::int32_t> prompt, std::span<const std::int32_t> bias_ids,
                      std::span<const float> bias_values, std::span<const std::int32_t> eos,
                      std::span<const std::int32_t> allowed) {
    check_slot(index);
    check_ids(prompt, "prompt");
    check_ids(bias_ids, "bias");
    check_ids(eos, "eos");
    check_ids(allowed, "allowed");
    if (std::adjacent_find(allowed.begin(), allowed.end(), std::greater_equal<>()) != allowed.end())
        throw std::invalid_argument("allowed tokens must ascend");
    const auto vocab = static_cast<std::size_t>(vocab_);
    if (bias_ids.size() != bias_values.size() || bias_ids.size() > vocab || eos.size() > vocab)
        throw std::invalid_argument("bias ids and values differ in length, or exceed the vocabulary");
    for (const float value : bias_values)
        if (!(value >= -kBiasMost && value <= kBiasMost))
            throw std::invalid_argument("a logit bias is " + std::to_string(value) + ", beyond " +
                                        std::to_string(kBiasMost));
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    for (int i = 0; i < slot.id_count; ++i) slot.seen[slot.ids[i]] = 0;
    slot.id_count = 0;
    slot.bias_ids.assign(bias_ids.begin(), bias_ids.end());
    slot.bias_values.assign(bias_values.begin(), bias_values.end());
    slot.eos.assign(eos.begin(), eos.end());
    slot.allowed.assign(allowed.begin(), allowed.end());
    for (const std::int32_t token : prompt)
        if ((slot.seen[token] & kInPrompt) == 0) mark(slot, token, kInPrompt);
}

void SlotStates::mark(Slot& slot, std::int32_t token, std::uint32_t what) {
    if (slot.seen[token] == 0) slot.ids[slot.id_count++] = token;
    slot.seen[token] += what;
}

bool SlotStates::ends(int slot, std::int32_t token) const {
    const std::vector<std::int32_t>& eos = slots_[static_cast<std::size_t>(slot)].eos;
    return std::find(eos.begin(), eos.end(), token) != eos.end();
}

void SlotStates::count(int slot, std::int32_t token) { mark(slots_[static_cast<std::size_t>(slot)], token, 1); }

void SlotStates::count_all(int slot, std::span<const std::int32_t> tokens) {
    check_slot(slot);
    check_ids(tokens, "counted");
    for (const std::int32_t token : tokens) count(slot, token);
}

void SlotStates::bend(const SamplingRow& sampling, const LogitRow& row, std::vector<Change>& changes) const {
    const Slot& slot = slots_[static_cast<std::size_t>(sampling.slot)];
    const auto set = [&](std::int32_t id, float value) {
        changes.push_back({id, row.values[id]});
        row.values[id] = value;
    };
    const float repetition = sampling.repetition_penalty;
    if (repetition != 1.0f || sampling.frequency_penalty != 0.0f || sampling.presence_penalty != 0.0f) {
        for (int i = 0; i < slot.id_count; ++i) {
            const std::int32_t id = slot.ids[i];
            const std::uint32_t generated = slot.seen[id] & ~kInPrompt;
            float value = row.values[id];
            value = value > 0.0f ? value / repetition : value * repetition;
            value -= sampling.frequency_penalty * static_cast<float>(generated);
            if (generated > 0) value -= sampling.presence_penalty;
            set(id, value);
        }
    }
    for (std::size_t i = 0; i < slot.bias_ids.size(); ++i)
        set(slot.bias_ids[i], row.values[slot.bias_ids[i]] + slot.bias_values[i]);
    if (sampling.min_tokens_mask != 0)
        for (const std::int32_t id : slot.eos) set(id, -std::numeric_limits<float>::infinity());
    if (changes.size() > static_cast<std::size_t>(logit_blocks(row.count))) {
        update_block_max(row, 0, logit_blocks(row.count));
    } else {
        for (const Change& change : changes)
            update_block_max(row, change.id / kLogitBlock, change.id / kLogitBlock + 1);
    }
}

void unbend(const LogitRow& row, std::vector<Change>& changes) {
    for (; !changes.empty(); changes.pop_back()) row.values[changes.back().id] = changes.back().before;
}

}  // namespace undiced

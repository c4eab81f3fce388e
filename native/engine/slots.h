// What sampling remembers of each sequence: tokens seen, logit bias, end-of-sequence tokens; and how they bend logits.
// Knows nothing of threads; two rows of one slot must not be worked on at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory.h"
#include "select.h"

namespace undiced {

// A logit as it was before it was bent.
struct Change {
    std::int32_t id;
    float before;
};

class SlotStates {
  public:
    SlotStates(int slots, int vocab);

    // Starts a new sequence; the old one's counts are cleared in time proportional to the tokens it saw.
    // `allowed`: the only tokens that may be drawn, ascending; empty: all. Throws std::invalid_argument for ids outside
    // the vocabulary and for bias that is too large or NaN.
    void open(int slot, std::span<const std::int32_t> prompt, std::span<const std::int32_t> bias_ids,
              std::span<const float> bias_values, std::span<const std::int32_t> eos,
              std::span<const std::int32_t> allowed);

    // Whether a sequence ends with this token: it is one of its end-of-sequence tokens.
    bool ends(int slot, std::int32_t token) const;

    // Counts a generated token.
    void count(int slot, std::int32_t token);

    // Counts tokens that were generated without being drawn. Throws as `open` does.
    void count_all(int slot, std::span<const std::int32_t> tokens);

    // Applies repetition, frequency and presence penalties, then bias, then forbids end-of-sequence tokens where asked.
    // Appends what it overwrote to `changes` (room for 3 x vocabulary) and updates the row's block maxima.
    void bend(const SamplingRow& sampling, const LogitRow& row, std::vector<Change>& changes) const;

    // The only tokens that may be drawn; empty: all.
    std::span<const std::int32_t> allowed(int slot) const { return slots_[static_cast<std::size_t>(slot)].allowed; }

    const Region& memory() const { return memory_; }

  private:
    struct Slot {
        std::uint32_t* seen;  // by id: kInPrompt, plus how often it was generated
        std::int32_t* ids;    // those with seen != 0
        int id_count = 0;
        std::vector<std::int32_t> bias_ids, eos, allowed;
        std::vector<float> bias_values;
    };
    static constexpr std::uint32_t kInPrompt = 1u << 31;

    void mark(Slot& slot, std::int32_t token, std::uint32_t what);
    void check_slot(int slot) const;
    void check_ids(std::span<const std::int32_t> ids, const char* what) const;

    int vocab_;
    Region memory_;
    std::vector<Slot> slots_;
};

// Puts the logits back, newest change first. Block maxima stay as they are.
void unbend(const LogitRow& row, std::vector<Change>& changes);

}  // namespace undiced

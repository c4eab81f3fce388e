// Cores by the cycle in which they are to be looked at: a wheel of the next cycles, and a heap of those beyond.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "simulator.h"

namespace undiced::fabric {

class Wheel {
  public:
    // `now` is the cycle that is being worked on; `cycle` is not before it.
    void add(std::uint32_t core, std::uint32_t cycle, std::uint32_t now) {
        if (cycle - now >= kSlots) {
            far_.emplace(cycle, core);
            return;
        }
        const std::uint32_t slot = cycle % kSlots;
        slots_[slot].push_back(core);
        bits_[slot / 64] |= std::uint64_t{1} << slot % 64;
    }

    // The cores of a cycle; they are in the wheel no more. `into` is empty.
    void take(std::uint32_t cycle, std::vector<std::uint32_t>& into) {
        const std::uint32_t slot = cycle % kSlots;
        into.swap(slots_[slot]);
        bits_[slot / 64] &= ~(std::uint64_t{1} << slot % 64);
        while (!far_.empty() && far_.top().first == cycle) {
            into.push_back(far_.top().second);
            far_.pop();
        }
    }

    // The first cycle from `from` on that has a core, or kNever.
    [[nodiscard]] std::uint32_t next(std::uint32_t from) const {
        const std::uint32_t far = far_.empty() ? kNever : far_.top().first;
        for (std::uint32_t step = 0; step <= kSlots / 64; ++step) {
            const std::uint32_t word = (from / 64 + step) % (kSlots / 64);
            std::uint64_t bits = bits_[word];
            if (step == 0) bits &= ~std::uint64_t{0} << from % 64;
            if (step == kSlots / 64) bits &= ~(~std::uint64_t{0} << from % 64);
            if (bits == 0) continue;
            const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
            const std::uint32_t cycle = from + (slot - from) % kSlots;
            return cycle < far ? cycle : far;
        }
        return far;
    }

  private:
    static constexpr std::uint32_t kSlots = 1024;
    using Far = std::pair<std::uint32_t, std::uint32_t>;
    std::array<std::vector<std::uint32_t>, kSlots> slots_;
    std::array<std::uint64_t, kSlots / 64> bits_{};
    std::priority_queue<Far, std::vector<Far>, std::greater<>> far_;
};

}  // namespace undiced::fabric

// The words of blocks of pages that several units of one attention call need: who comes first makes them for all.
// Knows neither pages nor sequences: entries are numbers, and what an entry holds is up to the caller of one call.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels.h"
#include "memory.h"

namespace undiced {

class SharedWords {
  public:
    enum class Found { kNothing, kWords, kNotFinite };  // nothing: another member makes them at this moment

    // Room for so many entries of keys and values of up to `dim` columns; before the first call.
    void prepare(std::size_t entries, std::size_t dim);
    std::size_t entries() const { return entries_; }

    // Where the words of an entry lie, values right behind keys, for blocks of these sizes.
    PageWords at(std::size_t entry, std::int64_t key_dim, std::int64_t value_dim) const;

    // The words of an entry in attention call number `call`, which no call before had and which is not 0. make(), which
    // writes them and returns whether all numbers are finite, is called once a call and entry.
    template <class Make>
    Found get(std::size_t entry, std::uint64_t call, const Make& make) {
        std::atomic<std::uint64_t>& state = states_[entry];
        std::uint64_t seen = state.load(std::memory_order_acquire);
        // Nobody reads words of another call any more: a barrier lies between calls.
        if (seen / kStates != call &&
            state.compare_exchange_strong(seen, kStates * call + kBusy, std::memory_order_acquire,
                                          std::memory_order_acquire)) {
            seen = kStates * call + (make() ? kFinite : kOther);
            state.store(seen, std::memory_order_release);
        }
        return seen % kStates == kBusy     ? Found::kNothing
               : seen % kStates == kFinite ? Found::kWords
                                           : Found::kNotFinite;
    }
    // Whether they are there, without waiting for them or making them.
    bool made(std::size_t entry, std::uint64_t call) const {
        return states_[entry].load(std::memory_order_relaxed) == kStates * call + kFinite;
    }

  private:
    static constexpr std::uint64_t kStates = 4, kBusy = 1, kFinite = 2, kOther = 3;

    std::size_t entries_ = 0, bytes_ = 0;  // of an entry
    Region memory_;
    std::unique_ptr<std::atomic<std::uint64_t>[]> states_;
};

}  // namespace undiced

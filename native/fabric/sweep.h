// Which rows are looked at in which cycles, by whom: several cycles in a row for a part of the mesh that caches hold,
// instead of all rows cycle by cycle. What a core does in a cycle depends on what it and its four neighbors did in the
// cycle before. A chunk of rows can therefore run ahead of its neighbors, if it loses a row on each side with every
// cycle; the gaps between chunks, which gain a row on each side with every cycle, follow. Chunks touch no row of
// each other, nor do gaps, so that threads need no locks but meet twice a round.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace undiced::fabric {

struct Span {
    std::uint32_t first;
    std::uint32_t last;  // not in it
};

class Sweep {
  public:
    // `row_bytes`: of the state of a row.
    Sweep(std::uint32_t rows, std::uint64_t row_bytes, std::uint32_t threads) : rows_(rows) {
        const auto held = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(kHeld / (row_bytes + 1), 1, rows));
        const std::uint32_t wanted = std::max(threads, rows / held);
        const std::uint32_t height = std::clamp(rows / wanted, std::min(rows, least(1)), rows);
        const std::uint32_t chunks = rows / height;
        cycles_ = chunks == 1 ? kLongest : std::clamp((rows / chunks - 2) / 4, 1U, kLongest);
        for (std::uint32_t i = 0; i <= chunks; ++i)
            edges_.push_back(static_cast<std::uint32_t>(std::uint64_t{rows} * i / chunks));
    }

    [[nodiscard]] std::uint32_t cycles() const { return cycles_; }  // of a round at most
    [[nodiscard]] std::uint32_t chunks() const { return static_cast<std::uint32_t>(edges_.size() - 1); }
    [[nodiscard]] std::uint32_t gaps() const { return chunks() - 1; }

    // The rows of a chunk, or of the gap behind one, in a round's cycle.
    [[nodiscard]] Span chunk(std::uint32_t number, std::uint32_t cycle) const {
        return {inner(number, cycle + 1), edges_[number + 1] == rows_ ? rows_ : edges_[number + 1] - cycle - 1};
    }
    [[nodiscard]] Span gap(std::uint32_t number, std::uint32_t cycle) const {
        return {edges_[number + 1] - cycle - 1, edges_[number + 1] + cycle + 1};
    }
    // The rows that no one else touches in a round any more.
    [[nodiscard]] Span left(std::uint32_t chunk_number) const { return chunk(chunk_number, cycles_); }
    [[nodiscard]] Span touched(std::uint32_t gap_number) const { return gap(gap_number, cycles_); }

  private:
    static constexpr std::uint64_t kHeld = 10 << 20;  // ours: bytes of state that a thread works on for a round
    static constexpr std::uint32_t kLongest = 16;     // ours: cycles of a round

    static constexpr std::uint32_t least(std::uint32_t cycles) { return 2 * cycles + 2; }  // rows of a chunk
    [[nodiscard]] std::uint32_t inner(std::uint32_t number, std::uint32_t rows) const {
        return edges_[number] == 0 ? 0 : edges_[number] + rows;
    }

    std::uint32_t rows_;
    std::uint32_t cycles_;
    std::vector<std::uint32_t> edges_;
};

}  // namespace undiced::fabric

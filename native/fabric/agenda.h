// Which cores are to be looked at in which cycle, row by row: a bit for each core in each of the next 64 cycles, and a
// heap for later ones. A core has one place in a cycle, however often it is named.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "simulator.h"
#include "zeroed.h"

namespace undiced::fabric {

class Agenda {
  public:
    static constexpr std::uint32_t kNear = 62;  // cycles ahead; neighbors may be a cycle before or behind each other

    Agenda(std::uint32_t rows, std::uint32_t columns)
        : words_((columns + 63) / 64),
          rows_(rows),
          bits_(std::size_t{rows} * kSlots * words_ * sizeof(std::uint64_t)) {}

    // `cycle` is less than kNear ahead.
    void near(std::uint32_t row, std::uint32_t column, std::uint32_t cycle) {
        slot(row, cycle)[column / 64] |= std::uint64_t{1} << column % 64;
        rows_[row].slots |= std::uint64_t{1} << cycle % kSlots;
    }

    // The bits of one row in one cycle; they count once they are closed.
    struct Line {
        std::uint64_t* words = nullptr;
        bool some = false;

        void add(std::uint32_t column) {
            words[column / 64] |= std::uint64_t{1} << column % 64;
            some = true;
        }
    };
    [[nodiscard]] Line open(std::uint32_t row, std::uint32_t cycle) const { return {slot(row, cycle), false}; }
    void close(const Line& line, std::uint32_t row, std::uint32_t cycle) {
        if (line.some) rows_[row].slots |= std::uint64_t{1} << cycle % kSlots;
    }

    void far(std::uint32_t row, std::uint32_t column, std::uint32_t cycle) {
        Row& r = rows_[row];
        r.far.emplace_back(cycle, column);
        std::push_heap(r.far.begin(), r.far.end(), std::greater<>());
        r.far_next = r.far.front().first;
    }

    [[nodiscard]] bool has(std::uint32_t row, std::uint32_t cycle) const {
        return (rows_[row].slots >> cycle % kSlots & 1U) != 0 || rows_[row].far_next == cycle;
    }

    // The columns of a row in a cycle, ascending; they are in the agenda no more. How many there are.
    std::uint32_t take(std::uint32_t row, std::uint32_t cycle, std::uint32_t* columns) {
        Row& r = rows_[row];
        while (r.far_next == cycle) bring(row, r);
        r.slots &= ~(std::uint64_t{1} << cycle % kSlots);
        std::uint64_t* words = slot(row, cycle);
        std::uint32_t count = 0;
        for (std::uint32_t word = 0; word < words_; ++word) {
            for (std::uint64_t bits = words[word]; bits != 0; bits &= bits - 1)
                columns[count++] = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
            words[word] = 0;
        }
        return count;
    }

    // The first cycle from `from` on that has a core of the row, or kNever; none is before `from`.
    [[nodiscard]] std::uint32_t next(std::uint32_t row, std::uint32_t from) const {
        const Row& r = rows_[row];
        if (r.slots == 0) return r.far_next;
        const std::uint64_t turned = std::rotr(r.slots, static_cast<int>(from % kSlots));
        return std::min(r.far_next, from + static_cast<std::uint32_t>(std::countr_zero(turned)));
    }

  private:
    static constexpr std::uint32_t kSlots = 64;
    struct Row {
        std::uint64_t slots = 0;  // by cycle modulo 64: whether there is a core
        std::uint32_t far_next = kNever;
        std::vector<std::pair<std::uint32_t, std::uint32_t>> far;
    };

    [[nodiscard]] std::uint64_t* slot(std::uint32_t row, std::uint32_t cycle) const {
        return reinterpret_cast<std::uint64_t*>(bits_.data()) + (std::size_t{row} * kSlots + cycle % kSlots) * words_;
    }

    void bring(std::uint32_t row, Row& r) {
        near(row, r.far.front().second, r.far_next);
        std::pop_heap(r.far.begin(), r.far.end(), std::greater<>());
        r.far.pop_back();
        r.far_next = r.far.empty() ? kNever : r.far.front().first;
    }

    std::uint32_t words_;
    std::vector<Row> rows_;
    Zeroed bits_;
};

}  // namespace undiced::fabric

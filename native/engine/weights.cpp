// Sizing and filling of weight slots; see weights.h.
#include "weights.h"

#include <algorithm>
#include <stdexcept>

#include "isa.h"
#include "kept.h"

namespace undiced {
namespace {

constexpr std::int64_t kMostRows = std::int64_t{1} << 30;  // shares of rows are counted in 32 bits

[[noreturn]] void refuse(int slot, const std::string& what) {
    throw std::invalid_argument("weight slot " + std::to_string(slot) + ": " + what);
}

Slot make_slot(int index, const SlotSpec& spec) {
    if (spec.rows < 1 || spec.columns < 1 || spec.rows >= kMostRows || spec.columns >= kMostRows)
        refuse(index, "impossible shape " + std::to_string(spec.rows) + " x " + std::to_string(spec.columns));
    if (spec.experts < 1 || spec.rows % spec.experts != 0) refuse(index, "rows are not a multiple of experts");
    const Format& format = format_named(spec.format.c_str());
    Slot slot;
    slot.vector = spec.rows == 1;
    slot.experts = spec.experts;
    if (slot.vector && format.layout != Layout::kF32) refuse(index, "a vector must be F32");
    checked_product(static_cast<std::size_t>(spec.rows + kTileRows),
                    static_cast<std::size_t>(spec.columns + kBlockCols) * 8);
    slot.matrix = view_packed(format, spec.rows, spec.columns, nullptr);
    slot.bytes = align64(slot.vector ? static_cast<std::size_t>(spec.columns) * sizeof(float)
                                     : static_cast<std::size_t>(packed_bytes(format, spec.rows, spec.columns)));
    return slot;
}

// The stacked sources and, for each row of the slot, the row of the stack that it is.
struct Stack {
    std::vector<PackSource> sources;
    std::vector<std::int64_t> row_map;
};

Stack stack_parts(int index, const Slot& slot, std::span<const LoadPart> parts) {
    Stack stack;
    std::int64_t first = 0;
    for (const LoadPart& part : parts) {
        if (part.format != slot.matrix.format->name)
            refuse(index, "a part is " + part.format + ", the slot is " + slot.matrix.format->name);
        if (part.rows < 1 || part.columns < 1 || part.rows >= kMostRows || part.columns >= kMostRows)
            refuse(index, "a part has an impossible shape");
        const std::int64_t rows = part.transposed ? part.columns : part.rows;
        const std::int64_t columns = part.transposed ? part.rows : part.columns;
        if (columns != slot.columns())
            refuse(index,
                   "a part has " + std::to_string(columns) + " columns, the slot " + std::to_string(slot.columns()));
        stack.sources.push_back({part.bytes.data(), part.bytes.size(), rows, columns, part.transposed});
        for (const std::int32_t row : part.row_index) {
            if (row < 0 || row >= rows) refuse(index, "row_index " + std::to_string(row) + " leaves its part");
            stack.row_map.push_back(first + row);
        }
        first += rows;
    }
    if (static_cast<std::int64_t>(stack.row_map.size()) != slot.rows())
        refuse(index,
               std::to_string(stack.row_map.size()) + " rows given, the slot has " + std::to_string(slot.rows()));
    return stack;
}

}  // namespace

Weights::Weights(const std::vector<SlotSpec>& specs) {
    std::size_t total = 0;
    for (std::size_t i = 0; i < specs.size(); ++i) {
        slots_.push_back(make_slot(static_cast<int>(i), specs[i]));
        total = checked_sum(total, slots_.back().bytes);
    }
    memory_ = Region(total, "the weights");
    bytes_ = total;
    auto* at = reinterpret_cast<std::uint8_t*>(memory_.data());
    for (Slot& slot : slots_) {
        slot.data = at;
        slot.matrix.data = at;
        at += slot.bytes;
    }
}

Slot& Weights::checked(int index, bool vector) {
    if (index < 0 || index >= count()) refuse(index, "no such slot");
    Slot& slot = slots_[static_cast<std::size_t>(index)];
    if (slot.vector != vector) refuse(index, slot.vector ? "is a vector" : "is a matrix");
    return slot;
}

void Weights::touch(std::span<const int> slots, Team& team) {
    for (const int slot : slots) checked(slot, false);
    const auto base = reinterpret_cast<std::uintptr_t>(memory_.data());
    team.run([&](int member) {
        for (const int index : slots) {
            const Slot& slot = slots_[static_cast<std::size_t>(index)];
            if (slot.loaded) continue;  // what it holds is there
            const std::size_t begin = reinterpret_cast<std::uintptr_t>(slot.data) - base, end = begin + slot.bytes;
            const std::size_t shard = slot.bytes / static_cast<std::size_t>(team.size());
            for (std::size_t at = (begin + kHugePage - 1) / kHugePage * kHugePage; at < end; at += kHugePage) {
                const std::size_t owner = shard >= kHugePage ? (at - begin) / shard : at / kHugePage;
                if (static_cast<int>(owner % static_cast<std::size_t>(team.size())) == member)
                    reinterpret_cast<volatile std::uint8_t*>(memory_.data())[at] = 0;
            }
        }
    });
}

void Weights::load(int index, std::span<const LoadPart> parts, Team& team) {
    Slot& slot = checked(index, false);
    const Stack stack = stack_parts(index, slot, parts);
    slot.loaded = false;
    std::vector<std::string> errors(static_cast<std::size_t>(team.size()));
    team.run([&](int member) {
        const Share rows = column_share(static_cast<int>(slot.rows()), team.size(), member);
        const std::int64_t begin = rows.begin / kTileRows, end = tiles_of(rows.end);
        if (rows.begin >= rows.end) return;
        try {
            pack(*slot.matrix.format, stack.sources, stack.row_map, begin, end,
                 slot.data + begin * slot.matrix.tile_bytes);
        } catch (const std::exception& error) {
            errors[static_cast<std::size_t>(member)] = error.what();
        }
    });
    for (const std::string& error : errors)
        if (!error.empty()) refuse(index, error);
    slot.loaded = true;
}

void Weights::load_vector(int index, std::span<const float> values) {
    Slot& slot = checked(index, true);
    if (static_cast<std::int64_t>(values.size()) != slot.columns())
        refuse(index, std::to_string(values.size()) + " values given, the slot has " + std::to_string(slot.columns()));
    std::copy(values.begin(), values.end(), reinterpret_cast<float*>(slot.data));
    slot.loaded = true;
}

bool Weights::view(int fd, std::uint64_t offset, std::span<const std::uint64_t> sums, Team& team) {
    for (Slot& slot : slots_) slot.loaded = false;
    if (!view_kept(fd, offset, memory_, bytes_, sums, team)) {
        memory_.clear();
        return false;
    }
    for (Slot& slot : slots_) slot.loaded = true;
    return true;
}

bool Weights::settle(std::size_t chunk) const {
    return chunk < kept_chunks(bytes_) && memory_.settle(chunk * kKeptChunk);
}

std::uint64_t Weights::write(int fd, std::uint64_t offset, std::size_t chunk) const {
    check_loaded();
    return write_kept(fd, offset, {reinterpret_cast<const std::uint8_t*>(memory_.data()), bytes_}, chunk);
}

void Weights::check_loaded() const {
    for (int i = 0; i < count(); ++i)
        if (!slot(i).loaded) refuse(i, "has not been loaded");
}

}  // namespace undiced

// Weight slots: what a program says of them, where they lie, and filling them from checkpoint bytes.
// A slot of one row is a float vector; any other is a packed matrix. Knows no tensor name and no instruction.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "memory.h"
#include "packed.h"
#include "team.h"

namespace undiced {

struct SlotSpec {
    std::int64_t rows, columns;
    std::string format;
    int experts;
};

// One tensor as stored. `rows` and `columns` are the file's; `transposed` says that the slot wants the other order.
// `row_index` selects and orders rows, counted after the transposition.
struct LoadPart {
    std::span<const std::uint8_t> bytes;
    std::string format;
    std::int64_t rows, columns;
    std::span<const std::int32_t> row_index;
    bool transposed;
};

struct Slot {
    bool vector = false;
    bool loaded = false;
    int experts = 1;
    PackedMatrix matrix;           // meaningful unless `vector`
    std::uint8_t* data = nullptr;  // packed tiles, or floats
    std::size_t bytes = 0;

    std::int64_t rows() const { return matrix.rows; }
    std::int64_t columns() const { return matrix.cols; }
    const float* floats() const { return reinterpret_cast<const float*>(data); }
};

class Weights {
  public:
    // Reserves memory for all slots. Throws std::invalid_argument for shapes or formats that can't be.
    explicit Weights(const std::vector<SlotSpec>& specs);

    int count() const { return static_cast<int>(slots_.size()); }
    const Slot& slot(int index) const { return slots_[static_cast<std::size_t>(index)]; }
    const Region& memory() const { return memory_; }

    // Has the system provide the memory of slots that are about to be filled. Each huge page is touched by one member,
    // so that no two are cleared for it, and where shards are larger than such pages by the one that it belongs to.
    void touch(std::span<const int> slots, Team& team);

    // Packs stacked parts into a matrix slot; every member of the team packs, and so first touches, its own shard.
    // Throws std::invalid_argument if shapes, formats or sizes disagree; the slot is then left unloaded.
    void load(int index, std::span<const LoadPart> parts, Team& team);
    void load_vector(int index, std::span<const float> values);

    // All slots as a view of a file that holds them as they lie in memory (kept.h), of `kept_bytes` from `offset` on.
    // False leaves every slot unloaded and its memory zero.
    bool view(int fd, std::uint64_t offset, std::span<const std::uint64_t> sums, Team& team);
    // Writes one chunk of what was loaded and returns its sum; steps may run meanwhile. Throws std::system_error.
    std::uint64_t write(int fd, std::uint64_t offset, std::size_t chunk) const;
    // Gives one chunk of a view memory of its own, in huge pages, on which steps are up to 8 % faster; they may run
    // meanwhile. False if the system can't.
    bool settle(std::size_t chunk) const;
    std::size_t kept_bytes() const { return bytes_; }

    // Throws std::invalid_argument that names the first slot without values.
    void check_loaded() const;

  private:
    Slot& checked(int index, bool vector);

    std::vector<Slot> slots_;
    Region memory_;
    std::size_t bytes_ = 0;  // of all slots
};

}  // namespace undiced

// Packed weights in a file, byte for byte as they lie in memory: a view of them takes a tenth of what packing takes.
// Every chunk of a huge page has a sum, which finds damage; who may have written the file is the caller's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "memory.h"
#include "team.h"

namespace undiced {

inline constexpr std::size_t kKeptChunk = kHugePage;

// Chunks of so many bytes; the last one may be shorter.
constexpr std::size_t kept_chunks(std::size_t bytes) { return (bytes + kKeptChunk - 1) / kKeptChunk; }

// A sum of bytes that is as fast as memory on any processor: eight lanes of 64-bit words in turn, each one
// lane = rotate(lane ^ word, 29) * 0x9e3779b97f4a7c15, the rest of less than 64 bytes padded with zeros. Both steps are
// one to one, so no change of a single word goes unseen. Chunks may come in pieces that are multiples of 64 bytes.
class Sum {
  public:
    explicit Sum(std::size_t bytes);
    void add(const std::uint8_t* data, std::size_t bytes);
    std::uint64_t value() const;

  private:
    std::uint64_t lanes_[8];
    std::uint64_t bytes_;
};

// The region's first bytes become a view of the file's from `offset` on; all members of the team look at them, none of
// which waits for another. False if the file ends early, can't be read, or a chunk has another sum: clear the region.
bool view_kept(int fd, std::uint64_t offset, const Region& region, std::size_t bytes,
               std::span<const std::uint64_t> sums, Team& team);

// Writes chunk `index` of `from` to its place in the file and returns its sum. Throws std::system_error.
std::uint64_t write_kept(int fd, std::uint64_t offset, std::span<const std::uint8_t> from, std::size_t index);

}  // namespace undiced

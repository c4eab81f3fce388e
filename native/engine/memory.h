// Large zeroed regions of memory: 2 MiB aligned, huge pages asked for, first touch left to whoever writes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace undiced {

// Throws std::invalid_argument if `bytes` exceed the machine's memory: for what is not reserved as a region.
void check_fits(std::size_t bytes, const std::string& purpose);

inline constexpr std::size_t kHugePage = std::size_t{2} << 20;

class Region {
  public:
    Region() = default;
    // Reserves `bytes`; throws std::invalid_argument if they exceed the machine's memory or the system refuses.
    Region(std::size_t bytes, const std::string& purpose);
    ~Region();
    Region(Region&& other) noexcept;
    Region& operator=(Region&& other) noexcept;

    std::byte* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }

    // Bytes [begin, end) are seldom touched: no huge page shall provide them with their neighbors.
    void mostly_unused(std::size_t begin, std::size_t end) const;

    // Has the system provide bytes [begin, end) now, before anything is written; contents stay as they are, also where
    // another thread writes meanwhile. False where it can't.
    bool populate(std::size_t begin, std::size_t end) const;

    // The first `bytes` become a private view of a file from `offset` on, a multiple of the system's pages: nothing is
    // copied, and what is written does not reach the file. False if the system can't; `clear` ends it.
    bool view(int fd, std::uint64_t offset, std::size_t bytes) const;
    // Has the system map bytes [begin, end) of a view now. False if the file can't be read there.
    bool map(std::size_t begin, std::size_t end) const;
    // Puts memory of its own, a huge page if there is one, in the place of the view's kHugePage bytes from `begin` on:
    // the same bytes, whoever reads them meanwhile. False if the system can't.
    bool settle(std::size_t begin) const;

    // All bytes are zero again, and take no memory.
    void clear() const;

    // Bytes of the region that lie in huge pages now; 0 where the system does not tell.
    std::size_t huge_bytes() const;

  private:
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
};

// Rounds up to a multiple of 64, a cache line and the widest vector.
constexpr std::size_t align64(std::size_t bytes) { return (bytes + 63) & ~std::size_t{63}; }

// a * b and a + b, throwing std::invalid_argument if they exceed 2^62: sizes come from program files.
std::size_t checked_product(std::size_t a, std::size_t b);
std::size_t checked_sum(std::size_t a, std::size_t b);

}  // namespace undiced

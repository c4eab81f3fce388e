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

// Zeroed memory that costs nothing until it is touched; large pieces are asked for in huge pages.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace undiced::fabric {

inline constexpr std::size_t kLine = 64;  // of a cache

class Zeroed {
  public:
    Zeroed() = default;
    explicit Zeroed(std::size_t bytes) : memory_(static_cast<std::uint8_t*>(std::calloc(bytes + kLine, 1))) {
        if (!memory_) throw std::bad_alloc();
        at_ = memory_.get() + (kLine - reinterpret_cast<std::uintptr_t>(memory_.get()) % kLine) % kLine;
#ifdef MADV_HUGEPAGE
        const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(at_) + kHuge - 1) / kHuge * kHuge;
        const std::uintptr_t end = (reinterpret_cast<std::uintptr_t>(at_) + bytes) / kHuge * kHuge;
        if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);  // only advice
#endif
    }

    [[nodiscard]] std::uint8_t* data() const { return at_; }

  private:
    static constexpr std::uintptr_t kHuge = std::uintptr_t{1} << 21;
    struct Free {
        void operator()(std::uint8_t* at) const { std::free(at); }
    };
    std::unique_ptr<std::uint8_t, Free> memory_;
    std::uint8_t* at_ = nullptr;
};

}  // namespace undiced::fabric

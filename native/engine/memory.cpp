// Mapping and inspecting regions; see memory.h.
#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace undiced {
namespace {

constexpr std::size_t kPage = std::size_t{64} << 10;  // the largest that systems have
constexpr std::size_t kMost = std::size_t{1} << 62;
#if defined(__linux__)
// MADV_POPULATE_READ and _WRITE of Linux 5.14; headers may be older than the system.
constexpr int kPopulateRead = 22, kPopulateWrite = 23;
#endif

std::size_t physical_bytes() {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(size) : kMost;
}

void ask_for_huge_pages([[maybe_unused]] std::byte* data, [[maybe_unused]] std::size_t bytes) {
#if defined(MADV_HUGEPAGE)
    madvise(data, bytes, MADV_HUGEPAGE);
#endif
}

[[noreturn]] void refuse(std::size_t bytes, const std::string& purpose) {
    throw std::invalid_argument(purpose + " would take " + std::to_string(bytes >> 20) + " MiB; this machine has " +
                                std::to_string(physical_bytes() >> 20) + " MiB");
}

}  // namespace

std::size_t checked_product(std::size_t a, std::size_t b) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(a, b, &product) || product > kMost) throw std::invalid_argument("sizes are too large");
    return product;
}

std::size_t checked_sum(std::size_t a, std::size_t b) {
    std::size_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum) || sum > kMost) throw std::invalid_argument("sizes are too large");
    return sum;
}

void check_fits(std::size_t bytes, const std::string& purpose) {
    if (bytes > physical_bytes()) refuse(bytes, purpose);
}

Region::Region(std::size_t bytes, const std::string& purpose) {
    if (bytes == 0) return;
    check_fits(bytes, purpose);
    const std::size_t rounded = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    const std::size_t mapped = rounded + kHugePage;
    void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED) refuse(bytes, purpose);
    auto* base = static_cast<std::byte*>(raw);
    const std::size_t head = (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
    if (head > 0) munmap(base, head);
    if (head < kHugePage) munmap(base + head + rounded, kHugePage - head);
    data_ = base + head;
    bytes_ = rounded;
    if (bytes >= kHugePage) ask_for_huge_pages(data_, bytes_);  // what is smaller would only grow by them
}

void Region::mostly_unused(std::size_t begin, std::size_t end) const {
#if defined(MADV_NOHUGEPAGE)
    const std::size_t first = (begin + kPage - 1) & ~(kPage - 1), last = end & ~(kPage - 1);
    if (first + kHugePage <= last && last <= bytes_) madvise(data_ + first, last - first, MADV_NOHUGEPAGE);
#endif
}

bool Region::populate(std::size_t begin, std::size_t end) const {
#if defined(__linux__)
    return begin < end && end <= bytes_ && madvise(data_ + begin, end - begin, kPopulateWrite) == 0;
#else
    return false;
#endif
}

bool Region::view(int fd, std::uint64_t offset, std::size_t bytes) const {
    return bytes > 0 && bytes <= bytes_ &&
           mmap(data_, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, static_cast<off_t>(offset)) == data_;
}

bool Region::map([[maybe_unused]] std::size_t begin, [[maybe_unused]] std::size_t end) const {
#if defined(__linux__)
    return madvise(data_ + begin, end - begin, kPopulateRead) == 0 ||
           errno == EINVAL;  // an older system maps on reading
#else
    return true;
#endif
}

bool Region::settle([[maybe_unused]] std::size_t begin) const {
#if defined(__linux__)
    if (begin % kHugePage != 0 || begin >= bytes_) return false;
    Region own;
    try {
        own = Region(kHugePage, "a huge page");
    } catch (const std::invalid_argument&) {
        return false;
    }
    std::memcpy(own.data_, data_ + begin, kHugePage);
    if (mremap(own.data_, kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, data_ + begin) == MAP_FAILED)
        return false;
    own.data_ = nullptr;  // it has moved
    return true;
#else
    return false;
#endif
}

void Region::clear() const {
    if (data_ == nullptr) return;
    if (mmap(data_, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) !=
        data_)
        refuse(bytes_, "memory");
    ask_for_huge_pages(data_, bytes_);
}

Region::~Region() {
    if (data_ != nullptr) munmap(data_, bytes_);
}

Region::Region(Region&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Region& Region::operator=(Region&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

std::size_t Region::huge_bytes() const {
    std::FILE* file = data_ == nullptr ? nullptr : std::fopen("/proc/self/smaps", "r");
    if (file == nullptr) return 0;
    const auto first = reinterpret_cast<std::uintptr_t>(data_), last = first + bytes_;
    std::size_t total = 0, kib = 0;
    bool inside = false;
    char line[512];
    while (std::fgets(line, sizeof line, file) != nullptr) {
        unsigned long long begin = 0, end = 0;
        if (std::sscanf(line, "%llx-%llx ", &begin, &end) == 2) inside = begin < last && end > first;
        if (inside && std::sscanf(line, "AnonHugePages: %zu kB", &kib) == 1) total += kib << 10;
    }
    std::fclose(file);
    return total < bytes_ ? total : bytes_;
}

}  // namespace undiced

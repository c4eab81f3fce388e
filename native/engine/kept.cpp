// Reading, writing and sums; see kept.h.
#include "kept.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace undiced {
namespace {

constexpr std::uint64_t kFactor = 0x9e3779b97f4a7c15;
constexpr int kTurn = 29;
constexpr std::size_t kLine = 64;
constexpr std::size_t kAlone = std::size_t{256} << 20;  // up to here, a core is left to who prepares texts meanwhile

std::uint64_t mixed(std::uint64_t lane, std::uint64_t word) { return std::rotl(lane ^ word, kTurn) * kFactor; }

}  // namespace

Sum::Sum(std::size_t bytes) : bytes_(bytes) {
    for (std::size_t i = 0; i < 8; ++i) lanes_[i] = (i + 1) * kFactor;
}

void Sum::add(const std::uint8_t* data, std::size_t bytes) {
    std::uint64_t lanes[8], words[8];
    std::copy(std::begin(lanes_), std::end(lanes_), lanes);
    for (; bytes >= kLine; data += kLine, bytes -= kLine) {
        std::memcpy(words, data, kLine);
        for (std::size_t i = 0; i < 8; ++i) lanes[i] = mixed(lanes[i], words[i]);
    }
    if (bytes > 0) {
        std::memset(words, 0, kLine);
        std::memcpy(words, data, bytes);
        for (std::size_t i = 0; i < 8; ++i) lanes[i] = mixed(lanes[i], words[i]);
    }
    std::copy(std::begin(lanes), std::end(lanes), lanes_);
}

std::uint64_t Sum::value() const {
    std::uint64_t all = bytes_;
    for (const std::uint64_t lane : lanes_) all = mixed(all, lane);
    return all;
}

bool view_kept(int fd, std::uint64_t offset, const Region& region, std::size_t bytes,
               std::span<const std::uint64_t> sums, Team& team) {
    if (sums.size() != kept_chunks(bytes) || !region.view(fd, offset, bytes)) return false;
    std::atomic<std::size_t> next{0};
    std::atomic<bool> good{true};
    const int readers = bytes <= kAlone ? std::max(1, team.size() - 1) : team.size();
    team.run(readers, [&](int) {
        for (;;) {
            const std::size_t index = next.fetch_add(1, std::memory_order_relaxed), begin = index * kKeptChunk;
            if (begin >= bytes || !good.load(std::memory_order_relaxed)) return;
            const std::size_t chunk = std::min(kKeptChunk, bytes - begin);
            Sum sum(chunk);
            const bool mapped = region.map(begin, begin + chunk);
            if (mapped) sum.add(reinterpret_cast<const std::uint8_t*>(region.data()) + begin, chunk);
            if (!mapped || sum.value() != sums[index]) good.store(false, std::memory_order_relaxed);
        }
    });
    return good.load(std::memory_order_relaxed);
}

std::uint64_t write_kept(int fd, std::uint64_t offset, std::span<const std::uint8_t> from, std::size_t index) {
    if (index >= kept_chunks(from.size())) throw std::invalid_argument("no such chunk");
    const std::size_t at = index * kKeptChunk;
    const std::span<const std::uint8_t> chunk = from.subspan(at, std::min(kKeptChunk, from.size() - at));
    for (std::size_t done = 0; done < chunk.size();) {
        const ssize_t put =
            pwrite(fd, chunk.data() + done, chunk.size() - done, static_cast<off_t>(offset + at + done));
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) throw std::system_error(put < 0 ? errno : ENOSPC, std::generic_category());
        done += static_cast<std::size_t>(put);
    }
    Sum sum(chunk.size());
    sum.add(chunk.data(), chunk.size());
    return sum.value();
}

}  // namespace undiced

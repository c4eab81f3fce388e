// See lane.h.
#include "lane.h"

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <utility>

namespace undiced::wire {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

void append_hex(std::size_t value, std::string& to) {
    int digits = 1;
    while (value >> (4 * digits) != 0) ++digits;
    while (digits-- > 0) to.push_back("0123456789abcdef"[value >> (4 * digits) & 15]);
}

}  // namespace

void Lane::open(int socket, std::string before, std::string after, std::string_view text, Meter meter) {
    socket_ = socket;
    before_ = std::move(before);
    after_ = std::move(after);
    meter_ = meter;
    open_ = true;
    write(text);
}

bool Lane::say(std::uint32_t tokens, std::string_view text) {
    if (meter_.slot != nullptr && meter_.tokens + tokens > meter_.most) {
        close();
        return false;
    }
    count_ += tokens;
    meter_.tokens += tokens;
    write(text);
    return true;
}

void Lane::write(std::string_view text) {
    if (!text.empty()) send(text);
    if (meter_.slot != nullptr) std::atomic_ref(*meter_.slot).store(meter_.tokens, std::memory_order_relaxed);
}

void Lane::send(std::string_view text) {
    chunk_.clear();
    append_hex(before_.size() + text.size() + after_.size(), chunk_);
    for (const std::string_view part : {kLineEnd, std::string_view(before_), text, std::string_view(after_), kLineEnd})
        chunk_.append(part);
    const ssize_t sent = ::send(socket_, chunk_.data(), chunk_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < static_cast<ssize_t>(chunk_.size())) {  // also where the socket is broken: its owner will hear of that
        rest_.assign(chunk_, static_cast<std::size_t>(sent < 0 ? 0 : sent));
        close();
    }
    said_s_ = std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::uint64_t Lane::take_count() { return std::exchange(count_, 0); }

std::string Lane::take_rest() { return std::exchange(rest_, {}); }

}  // namespace undiced::wire

// See relay.h.
#include "relay.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace undiced::wire {
namespace {

constexpr std::uint32_t kLongest = 64 << 20;  // more than that is no frame, which the reader of what is left says
constexpr std::size_t kRead = 256 << 10;

std::uint32_t length_at(std::string_view data) {
    std::uint32_t length = 0;
    std::memcpy(&length, data.data(), sizeof length);  // little-endian, as all processors here are
    return length;
}

}  // namespace

std::shared_ptr<Lane> Relay::lane(std::string_view request_id, std::shared_ptr<Texts> texts) {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(request_id);
    if (found != lanes_.end()) return found->second;
    return lanes_.emplace(request_id, std::make_shared<Lane>(std::move(texts))).first->second;
}

void Relay::forget(std::string_view request_id) {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(request_id);
    if (found == lanes_.end()) return;
    found->second->close();
    lanes_.erase(found);
}

bool Relay::open(Lane& lane, int socket, std::string before, std::string after, std::string_view text, Meter meter) {
    const std::lock_guard lock(mutex_);
    if (!left_.empty()) return false;
    lane.open(socket, std::move(before), std::move(after), text, meter);
    return true;
}

std::pair<std::uint64_t, std::string> Relay::close(Lane& lane) {
    const std::lock_guard lock(mutex_);
    lane.close();
    return {lane.take_count(), lane.take_rest()};
}

double Relay::said_s(const Lane& lane) {
    const std::lock_guard lock(mutex_);
    return lane.said_s();
}

void Relay::feed(std::string_view data) {
    const std::lock_guard lock(mutex_);
    const bool none = left_.empty();
    if (begun_.empty()) {
        begun_ = data.substr(take_frames(data));
    } else {
        begun_.append(data);
        begun_.erase(0, take_frames(begun_));
    }
    if (none && !left_.empty()) signal(true);
}

// Returns how many bytes whole frames have.
std::size_t Relay::take_frames(std::string_view data) {
    std::size_t at = 0;
    while (data.size() - at >= sizeof(std::uint32_t)) {
        const std::uint32_t length = length_at(data.substr(at));
        const std::size_t whole = sizeof(std::uint32_t) + length;
        if (length > kLongest) {
            left_.append(data.substr(at));
            return data.size();
        }
        if (data.size() - at < whole) break;
        if (lanes_.empty()) figures_.clear();
        if (lanes_.empty() || !carry(data.substr(at + sizeof(std::uint32_t), length)))
            left_.append(data.substr(at, whole));
        at += whole;
    }
    return at;
}

// Lets the lanes have what is theirs, and leaves the rest of the step; false if the frame has to be left as it is.
bool Relay::carry(std::string_view payload) {
    if (!step_.cut(payload)) return false;
    const bool told = step_.behind != "\xc0";
    kept_.clear();
    for (const auto& delta : step_.deltas)
        if (!carry_one(delta)) kept_.push_back(delta);
    if (kept_.empty() && told && !step_.deltas.empty())
        figures_ = step_.behind;
    else if (told)
        figures_.clear();
    if (kept_.size() == step_.deltas.size()) return false;
    if (!kept_.empty()) step_.append(kept_, left_);
    return true;
}

bool Relay::carry_one(std::string_view delta) {
    TokensOnly news;
    const bool plain = news.read(delta);
    const auto found = lanes_.find(news.request_id);
    if (found == lanes_.end()) return false;
    Lane& lane = *found->second;
    if (!lane.is_open()) return false;
    text_.clear();
    bool said = plain;
    for (std::uint32_t i = 0; said && i < news.count; ++i) said = lane.texts().append(*news.tokens.number(), text_);
    if (said) return lane.say(news.count, text_);
    lane.close();
    return false;
}

std::string Relay::take() {
    const std::lock_guard lock(mutex_);
    const std::string_view rest = std::string_view(left_).substr(taken_);
    if (rest.size() < sizeof(std::uint32_t)) return {};  // there is none
    const std::uint32_t length = length_at(rest);
    std::string frame(rest.substr(0, length > kLongest ? rest.size() : sizeof length + length));
    taken_ += frame.size();
    if (taken_ == left_.size()) {
        left_.clear();
        taken_ = 0;
        if (!ended_) signal(false);
    }
    return frame;
}

std::string Relay::take_figures() {
    const std::lock_guard lock(mutex_);
    return std::exchange(figures_, {});
}

void Relay::signal(bool on) {
    if (bell_ < 0) return;
    std::uint64_t count = 1;
    const ssize_t done = on ? ::write(bell_, &count, sizeof count) : ::read(bell_, &count, sizeof count);
    static_cast<void>(done);  // it rings already, or does not
}

int Relay::start(int socket) {
    stop();
    bell_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (bell_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
    socket_ = socket;
    thread_ = std::thread([this] { read(); });
    return bell_;
}

void Relay::stop() {
    if (thread_.joinable()) {
        ::shutdown(socket_, SHUT_RDWR);
        thread_.join();
    }
    if (bell_ >= 0) ::close(bell_);
    socket_ = bell_ = -1;
    const std::lock_guard lock(mutex_);
    begun_.clear(), left_.clear(), figures_.clear();
    taken_ = 0;
    ended_ = false;
}

bool Relay::ended() {
    const std::lock_guard lock(mutex_);
    return ended_;
}

void Relay::read() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the interpreter's
    std::string buffer(kRead, '\0');
    while (true) {
        const ssize_t came = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (came > 0)
            feed({buffer.data(), static_cast<std::size_t>(came)});
        else if (came == 0 || errno != EINTR)
            break;
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    signal(true);
}

}  // namespace undiced::wire

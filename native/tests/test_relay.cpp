// Tokens on their way from an engine's socket to a client's, while lanes are opened and closed: none is lost, said
// twice or overtaken. The thread sanitizer sees what a second thread touches.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "check.h"
#include "engine_tests.h"
#include "reference.h"
#include "relay.h"

namespace undiced::test {
namespace {

constexpr std::uint32_t kTokens = 20000;
constexpr std::uint64_t kMost = 40;  // tokens that a lane may say
constexpr std::string_view kName =
    "\xa1"
    "a";
constexpr std::string_view kNoMore("\x90\x90\xc0\xc0\xc0\x00\x90\x90\xc4\x00", 10);

// A token whose text was never looked up: its news have to be left.
bool is_unknown(std::uint32_t token) { return token % 97 == 13; }

// A step that says one token of sequence "a" (undiced/remote/frames.py).
std::string frame_of(std::uint32_t token) {
    std::string payload("\x93\xa4Step\x91\x9b");
    payload += kName;
    payload += "\x91\xcd";
    payload.push_back(static_cast<char>(token >> 8));
    payload.push_back(static_cast<char>(token));
    payload += kNoMore;
    payload.push_back('\xc0');
    return std::string{static_cast<char>(payload.size()), 0, 0, 0} + payload;
}

// The token of a frame that was left; its bytes are those of `frame_of`, but for the list's length.
std::uint32_t token_of(const std::string& frame) {
    const std::size_t at = frame.find(
                               "\xa1"
                               "a") +
                           4;
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(frame[at])) << 8 |
           static_cast<std::uint8_t>(frame[at + 1]);
}

// Tokens of chunks "SIZE\r\nTOKEN;\r\n".
void read_chunks(std::string_view data, std::vector<std::uint32_t>& seen) {
    while (!data.empty()) {
        const std::size_t begin = data.find("\r\n") + 2, end = data.find("\r\n", begin);
        if (begin == 1 || end == std::string_view::npos) {
            check(false, "the client gets whole chunks");
            return;
        }
        seen.push_back(static_cast<std::uint32_t>(std::atoi(std::string(data.substr(begin, end - begin)).c_str())));
        data.remove_prefix(end + 2);
    }
}

void send_all(int socket, std::string_view data) {
    while (!data.empty()) {
        const ssize_t sent = ::send(socket, data.data(), data.size(), 0);
        if (sent <= 0) return;
        data.remove_prefix(static_cast<std::size_t>(sent));
    }
}

}  // namespace

void test_relay() {
    int engine[2], client[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM, 0, engine) == 0 && ::socketpair(AF_UNIX, SOCK_STREAM, 0, client) == 0,
          "sockets are there");
    const auto texts = std::make_shared<wire::Texts>([](std::uint32_t token) { return std::to_string(token) + ";"; });
    for (std::uint32_t token = 0; token < kTokens; ++token)
        if (!is_unknown(token)) texts->learn(token);
    wire::Relay relay;
    const std::shared_ptr<wire::Lane> lane = relay.lane("a", texts);
    check(relay.start(engine[0]) >= 0, "a file says when something is left");
    std::uint64_t slot = 0;
    std::vector<std::uint32_t> seen;
    const auto open = [&] {
        const wire::Meter meter{&slot, seen.size(), seen.size() + kMost};
        return relay.open(*lane, client[0], "", "", "", meter);
    };
    bool opened = open(), metered = true;
    check(opened, "nothing is left before anything comes");
    std::thread process([&] {
        Random random(3);
        std::string all;
        for (std::uint32_t token = 0; token < kTokens; ++token) all += frame_of(token);
        for (std::size_t at = 0; at < all.size();) {
            const std::size_t size = std::min<std::size_t>(1 + random() % 300, all.size() - at);
            send_all(engine[1], std::string_view(all).substr(at, size));
            at += size;
        }
        ::shutdown(engine[1], SHUT_WR);
    });
    pollfd said_something{client[1], POLLIN, 0};
    check(::poll(&said_something, 1, 60'000) == 1, "an open lane says what comes");
    std::uint64_t counted = 0, by_lane = 0;
    std::string buffer(1 << 20, '\0');
    for (bool ended = false; !ended;) {
        ended = relay.ended();  // what came before its end is taken below
        std::this_thread::yield();
        const auto [count, rest] = relay.close(*lane);
        counted += count;
        std::string said;  // all that was written is there: it was written with the lock held
        for (ssize_t came; (came = ::recv(client[1], buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0;)
            said.append(buffer, 0, static_cast<std::size_t>(came));
        const std::size_t before = seen.size();
        read_chunks(said + rest, seen);
        by_lane += seen.size() - before;
        metered &= seen.size() - before <= kMost && (!opened || slot == seen.size());
        for (std::string frame; !(frame = relay.take()).empty();) seen.push_back(token_of(frame));
        std::this_thread::sleep_for(std::chrono::microseconds(20));  // so that something may be left
        opened = open();
    }
    process.join();
    relay.stop();
    bool in_order = seen.size() == kTokens;
    for (std::size_t i = 0; in_order && i < seen.size(); ++i) in_order = seen[i] == i;
    check(in_order, "each token comes once, in its place; " + std::to_string(seen.size()) + " came");
    check(by_lane == counted, "a lane counts the tokens that it says");
    check(metered, "a meter has all tokens that were handed over, and a lane says no more than it may");
    check(0 < by_lane && by_lane < kTokens, "what has no text of its own is left, other tokens are said");
    for (const int socket : {engine[0], engine[1], client[0], client[1]}) ::close(socket);
}

}  // namespace undiced::test

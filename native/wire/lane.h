// The short way of one answer: tokens become chunks of its stream (RFC 9112, section 7.1) and go to the client's socket
// at once. Whoever else writes to that socket closes it before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "texts.h"

namespace undiced::wire {

// Where the tokens of an answer are counted that were handed over, so that whoever finds it later knows.
struct Meter {
    std::uint64_t* slot = nullptr;  // null: nowhere
    std::uint64_t tokens = 0;       // of the answer, the text with which the lane is opened included
    std::uint64_t most = 0;         // that may be handed over here
};

class Lane {
  public:
    explicit Lane(std::shared_ptr<Texts> texts) : texts_(std::move(texts)) {}

    // Writes a text to this socket, which does not block: `before`, the text, `after`. What `say` says follows.
    void open(int socket, std::string before, std::string after, std::string_view text, Meter meter = {});
    // Nothing is written any more. What was counted and what was not written is still to be had.
    void close() { open_ = false; }
    bool is_open() const { return open_; }

    Texts& texts() { return *texts_; }
    // Writes a text that so many tokens make. What the client does not take is kept, and closes the lane. False, with
    // the lane closed and nothing said, if these are more tokens than it may say.
    bool say(std::uint32_t tokens, std::string_view text);

    // Tokens said since the last call.
    std::uint64_t take_count();
    // The end of what was said, if it was not written.
    std::string take_rest();
    // When it has last written, in seconds of the system's monotonic clock; 0 before.
    double said_s() const { return said_s_; }

  private:
    void write(std::string_view text);
    void send(std::string_view text);

    const std::shared_ptr<Texts> texts_;
    bool open_ = false;
    int socket_ = -1;
    std::string before_, after_, chunk_, rest_;
    std::uint64_t count_ = 0;
    Meter meter_;
    double said_s_ = 0.0;
};

}  // namespace undiced::wire

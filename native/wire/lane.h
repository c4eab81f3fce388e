// The short way of one answer: tokens become chunks of its stream (RFC 9112, section 7.1) and go to the client's socket
// at once. Whoever else writes to that socket closes it before.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "texts.h"

namespace undiced::wire {

class Lane {
  public:
    explicit Lane(std::shared_ptr<Texts> texts) : texts_(std::move(texts)) {}

    // From now on `say` writes to this socket, which does not block: `before`, the text, `after`.
    void open(int socket, std::string before, std::string after);
    // Nothing is written any more. What was counted and what was not written is still to be had.
    void close() { open_ = false; }
    bool is_open() const { return open_; }

    Texts& texts() { return *texts_; }
    // Writes a text that so many tokens make. What the client does not take is kept, and closes the lane.
    void say(std::uint32_t tokens, std::string_view text);

    // Tokens said since the last call.
    std::uint64_t take_count();
    // The end of what was said, if it was not written.
    std::string take_rest();
    // When it has last written, in seconds of the system's monotonic clock; 0 before.
    double said_s() const { return said_s_; }

  private:
    const std::shared_ptr<Texts> texts_;
    bool open_ = false;
    int socket_ = -1;
    std::string before_, after_, chunk_, rest_;
    std::uint64_t count_ = 0;
    double said_s_ = 0.0;
};

}  // namespace undiced::wire

// What the engine process says in a step, as msgpack; the frames are those of undiced/remote/frames.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace undiced::wire {

// Walks msgpack. What is not there, or of another kind, is nothing, and the walk stays where it was.
class Walker {
  public:
    explicit Walker(std::string_view data) : data_(data) {}

    std::string_view rest() const { return data_.substr(at_); }
    bool take(std::string_view exactly);
    std::optional<std::uint32_t> array();  // its length
    std::optional<std::uint32_t> number();
    std::optional<std::string_view> text();
    // The next value as it is, whatever it is.
    std::optional<std::string_view> value();

  private:
    std::optional<std::uint64_t> big_endian(std::size_t at, std::size_t bytes) const;

    std::string_view data_;
    std::size_t at_ = 0;
};

// A step's frame in parts: each sequence's news, and what comes behind them.
struct StepFrame {
    std::vector<std::string_view> deltas;
    std::string_view behind;

    // Cuts a payload; false if it is no step, or broken. The parts lie in the payload.
    bool cut(std::string_view payload);
    // Appends a frame of a step, its length included, with these deltas in place of its own.
    void append(const std::vector<std::string_view>& chosen, std::string& to) const;
};

// News of a sequence that are tokens and nothing else.
struct TokensOnly {
    std::string_view request_id;
    std::uint32_t count = 0;
    Walker tokens{{}};  // `count` numbers

    // False if there is more to it.
    bool read(std::string_view delta);
};

}  // namespace undiced::wire

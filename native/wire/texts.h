// The texts of tokens as they stand in a JSON string, each looked up once. Knows no tokenizer.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace undiced::wire {

// `learn` is called from one thread; texts are read from any.
class Texts {
  public:
    // Of a token; nothing if its text depends on other tokens, or on who asks.
    using Spell = std::function<std::optional<std::string>(std::uint32_t token)>;

    explicit Texts(Spell spell) : spell_(std::move(spell)) {}

    // Looks a token up, if that was not done yet.
    void learn(std::uint32_t token);
    // Appends a token's text; false if it has none of its own, or was never looked up.
    bool append(std::uint32_t token, std::string& to);

  private:
    static constexpr std::uint32_t kUnknown = 0, kNone = 1;  // else a place in `texts_`, plus two
    static constexpr std::uint32_t kMost = 1 << 24;          // token ids; no vocabulary has as many
    static constexpr std::size_t kLongest = 255;             // bytes; longer ones count as none

    std::uint32_t place_of(std::uint32_t token) const { return token < places_.size() ? places_[token] : kUnknown; }

    const Spell spell_;
    std::mutex mutex_;
    std::vector<std::uint32_t> places_;
    std::string texts_;  // a byte with the length before each
};

}  // namespace undiced::wire

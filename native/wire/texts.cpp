// See texts.h.
#include "texts.h"

namespace undiced::wire {

bool Texts::append(std::uint32_t token, std::string& to) {
    const std::lock_guard lock(mutex_);
    const std::uint32_t place = place_of(token);
    if (place == kUnknown || place == kNone) return false;
    const std::size_t at = place - 2;
    to.append(texts_, at + 1, static_cast<std::uint8_t>(texts_[at]));
    return true;
}

void Texts::learn(std::uint32_t token) {
    if (token >= kMost || place_of(token) != kUnknown) return;  // nobody else writes
    const std::optional<std::string> text = spell_(token);
    const std::lock_guard lock(mutex_);
    if (token >= places_.size()) places_.resize(token + 1, kUnknown);
    places_[token] = kNone;
    if (!text || text->size() > kLongest || texts_.size() >= UINT32_MAX - 2 * kLongest) return;
    places_[token] = static_cast<std::uint32_t>(texts_.size()) + 2;
    texts_.push_back(static_cast<char>(text->size()));
    texts_ += *text;
}

}  // namespace undiced::wire

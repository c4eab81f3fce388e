// See texts.h.
#include "texts.h"

namespace undiced::wire {

bool Texts::append(std::uint32_t token, std::string& to) {
    std::uint32_t place = token < places_.size() ? places_[token] : kUnknown;
    if (place == kUnknown) place = look_up(token);
    if (place == kNone) return false;
    const std::size_t at = place - 2;
    to.append(texts_, at + 1, static_cast<std::uint8_t>(texts_[at]));
    return true;
}

std::uint32_t Texts::look_up(std::uint32_t token) {
    if (token >= kMost) return kNone;
    const std::optional<std::string> text = spell_(token);
    std::uint32_t place = kNone;
    if (text && text->size() <= kLongest && texts_.size() < UINT32_MAX - 2 * kLongest) {
        place = static_cast<std::uint32_t>(texts_.size()) + 2;
        texts_.push_back(static_cast<char>(text->size()));
        texts_ += *text;
    }
    if (token >= places_.size()) places_.resize(token + 1, kUnknown);
    return places_[token] = place;
}

}  // namespace undiced::wire

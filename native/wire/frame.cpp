// Reading msgpack (github.com/msgpack/msgpack, spec.md); see frame.h.
#include "frame.h"

namespace undiced::wire {
namespace {

constexpr std::string_view kStep{"\x93\xa4Step", 6};  // an array of three, whose first is the name
constexpr char kFields = '\x9b';                      // an array of eleven
// Behind the tokens: no log-probabilities, no likeliest, no reason, no stop token, no account, no error, no
// log-probabilities of the prompt, no likeliest there, no hidden state.
constexpr std::string_view kNoMore{"\x90\x90\xc0\xc0\xc0\x00\x90\x90\xc4\x00", 10};

// What stands behind a value's first byte: so many bytes of a length, so many bytes of its own, or values.
struct Shape {
    std::size_t length_bytes = 0, bytes = 0;
    std::uint64_t values = 0;
    int values_each = 0;  // for each that the length counts; 0: it counts bytes
};

std::optional<Shape> shape_of(std::uint8_t first) {
    if (first <= 0x7f || first >= 0xe0) return Shape{};                                           // a small number
    if (first <= 0x8f) return Shape{0, 0, 2 * std::uint64_t(first & 0x0f), 0};                    // a small map
    if (first <= 0x9f) return Shape{0, 0, std::uint64_t(first & 0x0f), 0};                        // a small array
    if (first <= 0xbf) return Shape{0, std::size_t(first & 0x1f), 0, 0};                          // a small text
    if (first == 0xc0 || first == 0xc2 || first == 0xc3) return Shape{};                          // nil, false, true
    if (first >= 0xc4 && first <= 0xc6) return Shape{std::size_t(1) << (first - 0xc4), 0, 0, 0};  // bytes
    if (first >= 0xc7 && first <= 0xc9) return Shape{std::size_t(1) << (first - 0xc7), 1, 0, 0};  // an extension
    if (first >= 0xca && first <= 0xcb) return Shape{0, std::size_t(4) << (first - 0xca), 0, 0};  // a float
    if (first >= 0xcc && first <= 0xcf) return Shape{0, std::size_t(1) << (first - 0xcc), 0, 0};  // from 0 on
    if (first >= 0xd0 && first <= 0xd3) return Shape{0, std::size_t(1) << (first - 0xd0), 0, 0};  // signed
    if (first >= 0xd4 && first <= 0xd8) return Shape{0, 1 + (std::size_t(1) << (first - 0xd4)), 0, 0};  // extensions
    if (first >= 0xd9 && first <= 0xdb) return Shape{std::size_t(1) << (first - 0xd9), 0, 0, 0};        // a text
    if (first >= 0xdc && first <= 0xdd) return Shape{std::size_t(2) << (first - 0xdc), 0, 0, 1};        // an array
    if (first >= 0xde && first <= 0xdf) return Shape{std::size_t(2) << (first - 0xde), 0, 0, 2};        // a map
    return std::nullopt;                                                                                // never used
}

}  // namespace

std::optional<std::uint64_t> Walker::big_endian(std::size_t at, std::size_t bytes) const {
    if (at > data_.size() || data_.size() - at < bytes) return std::nullopt;
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < bytes; ++i) found = found << 8 | static_cast<std::uint8_t>(data_[at + i]);
    return found;
}

bool Walker::take(std::string_view exactly) {
    if (!rest().starts_with(exactly)) return false;
    at_ += exactly.size();
    return true;
}

std::optional<std::uint32_t> Walker::array() {
    const auto first = big_endian(at_, 1);
    if (!first) return std::nullopt;
    if (*first >= 0x90 && *first <= 0x9f) {
        ++at_;
        return static_cast<std::uint32_t>(*first & 0x0f);
    }
    if (*first != 0xdc && *first != 0xdd) return std::nullopt;
    const std::size_t bytes = *first == 0xdc ? 2 : 4;
    const auto length = big_endian(at_ + 1, bytes);
    if (!length) return std::nullopt;
    at_ += 1 + bytes;
    return static_cast<std::uint32_t>(*length);
}

std::optional<std::uint32_t> Walker::number() {
    const auto first = big_endian(at_, 1);
    if (!first) return std::nullopt;
    if (*first <= 0x7f) {
        ++at_;
        return static_cast<std::uint32_t>(*first);
    }
    if (*first < 0xcc || *first > 0xce) return std::nullopt;
    const std::size_t bytes = std::size_t{1} << (*first - 0xcc);
    const auto value = big_endian(at_ + 1, bytes);
    if (!value) return std::nullopt;
    at_ += 1 + bytes;
    return static_cast<std::uint32_t>(*value);
}

std::optional<std::string_view> Walker::text() {
    const auto first = big_endian(at_, 1);
    if (!first) return std::nullopt;
    std::size_t head = 1;
    std::uint64_t length = *first & 0x1f;
    if (*first >= 0xd9 && *first <= 0xdb) {
        const std::size_t bytes = std::size_t{1} << (*first - 0xd9);
        const auto found = big_endian(at_ + 1, bytes);
        if (!found) return std::nullopt;
        head += bytes;
        length = *found;
    } else if (*first < 0xa0 || *first > 0xbf) {
        return std::nullopt;
    }
    if (data_.size() - at_ - head < length) return std::nullopt;
    const auto found = data_.substr(at_ + head, length);
    at_ += head + length;
    return found;
}

std::optional<std::string_view> Walker::value() {
    std::size_t at = at_;
    for (std::uint64_t left = 1; left > 0; --left) {  // every value that is still to come has a byte at least
        const auto first = big_endian(at, 1);
        if (!first || left > data_.size() - at) return std::nullopt;
        const auto shape = shape_of(static_cast<std::uint8_t>(*first));
        if (!shape) return std::nullopt;
        const auto length = big_endian(at + 1, shape->length_bytes);
        if (!length) return std::nullopt;
        const std::uint64_t bytes = shape->bytes + (shape->values_each == 0 ? *length : 0);
        at += 1 + shape->length_bytes;
        if (data_.size() - at < bytes) return std::nullopt;
        at += bytes;
        left += shape->values + *length * static_cast<std::uint64_t>(shape->values_each);
    }
    const auto found = data_.substr(at_, at - at_);
    at_ = at;
    return found;
}

bool StepFrame::cut(std::string_view payload) {
    Walker walker(payload);
    deltas.clear();
    if (!walker.take(kStep)) return false;
    const auto count = walker.array();
    if (!count) return false;
    for (std::uint32_t i = 0; i < *count; ++i) {
        const auto delta = walker.value();
        if (!delta) return false;
        deltas.push_back(*delta);
    }
    behind = walker.rest();
    return walker.value() && walker.rest().empty();
}

void StepFrame::append(const std::vector<std::string_view>& chosen, std::string& to) const {
    const std::size_t begin = to.size();
    const auto count = static_cast<std::uint32_t>(chosen.size());
    to.append(4, '\0');
    to.append(kStep);
    to.push_back('\xdd');
    for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<char>(count >> shift));
    for (const auto& delta : chosen) to.append(delta);
    to.append(behind);
    const auto length = static_cast<std::uint32_t>(to.size() - begin - 4);
    for (int i = 0; i < 4; ++i) to[begin + static_cast<std::size_t>(i)] = static_cast<char>(length >> (8 * i));
}

bool TokensOnly::read(std::string_view delta) {
    Walker walker(delta);
    if (!walker.take({&kFields, 1})) return false;
    const auto name = walker.text();
    if (!name) return false;
    request_id = *name;
    const auto length = walker.array();
    if (!length || *length == 0) return false;
    count = *length;
    tokens = walker;
    for (std::uint32_t i = 0; i < count; ++i)
        if (!walker.number()) return false;
    return walker.rest() == kNoMore;
}

}  // namespace undiced::wire

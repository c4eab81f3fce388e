// Lists of strings as GGUF has them: a length of eight bytes, then as many bytes of UTF-8. Nothing of the file is
// trusted. What is irregular is None, and the caller's own loop says what is wrong with it.
#include "bind.h"

#include <nanobind/ndarray.h>

#include <cstdint>
#include <cstring>
#include <optional>

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::files {
namespace {

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

struct Text {
    const char* begin;
    std::size_t size;
};

// Walks strings from `at` on, none of which may reach beyond `end`.
class Strings {
  public:
    Strings(const Bytes& file, std::uint64_t at, std::uint64_t end)
        : data_(reinterpret_cast<const char*>(file.data())), at_(at), end_(end < file.size() ? end : file.size()) {}

    std::uint64_t at() const { return at_; }

    std::optional<Text> next() {
        std::uint64_t size = 0;
        if (at_ > end_ || end_ - at_ < sizeof size) return std::nullopt;
        std::memcpy(&size, data_ + at_, sizeof size);  // little-endian, as all processors here are
        at_ += sizeof size;
        if (size > end_ - at_) return std::nullopt;
        const Text text{data_ + at_, static_cast<std::size_t>(size)};
        at_ += size;
        return text;
    }

  private:
    const char* data_;
    std::uint64_t at_, end_;
};

nb::object decoded(Text text) {
    PyObject* found = PyUnicode_DecodeUTF8(text.begin, static_cast<Py_ssize_t>(text.size), nullptr);
    if (found == nullptr) PyErr_Clear();
    return nb::steal(found);
}

// Where so many strings end, or None.
nb::object skip(const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end) {
    Strings strings(file, at, end);
    for (std::uint64_t i = 0; i < count; ++i)
        if (!strings.next()) return nb::none();
    return nb::int_(strings.at());
}

// A list of what `made` makes of each string; None if it makes nothing of one.
template <class Made>
nb::object listed(const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end, Made made) {
    Strings strings(file, at, end);
    nb::list found;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::optional<Text> text = strings.next();
        nb::object each = text ? made(*text) : nb::object();
        if (!each.is_valid()) return nb::none();
        found.append(std::move(each));
    }
    return found;
}

nb::object pair(Text text) {
    const void* blank = std::memchr(text.begin, ' ', text.size);
    if (blank == nullptr) return {};
    const std::size_t left = static_cast<std::size_t>(static_cast<const char*>(blank) - text.begin);
    const Text right{text.begin + left + 1, text.size - left - 1};
    if (std::memchr(right.begin, ' ', right.size) != nullptr) return {};
    const nb::object first = decoded({text.begin, left}), second = decoded(right);
    if (!first.is_valid() || !second.is_valid()) return {};
    return nb::make_tuple(first, second);
}

}  // namespace

void bind(nb::module_& m) {
    m.def("skip_strings", &skip, "file"_a, "at"_a, "count"_a, "end"_a, "Where so many strings end, or None.");
    m.def(
        "read_strings",
        [](const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end) {
            return listed(file, at, count, end, decoded);
        },
        "file"_a, "at"_a, "count"_a, "end"_a, "Strings, or None if one is damaged.");
    m.def(
        "read_pairs",
        [](const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end) {
            return listed(file, at, count, end, pair);
        },
        "file"_a, "at"_a, "count"_a, "end"_a, "Strings cut at their only blank, or None if one is damaged or no pair.");
}

}  // namespace undiced::files

// Lists of strings as GGUF has them: a length of eight bytes, then as many bytes of UTF-8. Nothing of the file is
// trusted. What is irregular is None, and the caller's own loop says what is wrong with it.
#include "bind.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string_view.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::files {
namespace {

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Walks strings from `at` on, none of which may reach beyond `end`.
class Walk {
  public:
    Walk(const Bytes& file, std::uint64_t at, std::uint64_t end)
        : data_(reinterpret_cast<const char*>(file.data())), at_(at), end_(end < file.size() ? end : file.size()) {}

    std::uint64_t at() const { return at_; }

    std::optional<std::string_view> next() {
        std::uint64_t size = 0;
        if (at_ > end_ || end_ - at_ < sizeof size) return std::nullopt;
        std::memcpy(&size, data_ + at_, sizeof size);  // little-endian, as all processors here are
        at_ += sizeof size;
        if (size > end_ - at_) return std::nullopt;
        const std::string_view text(data_ + at_, static_cast<std::size_t>(size));
        at_ += size;
        return text;
    }

  private:
    const char* data_;
    std::uint64_t at_, end_;
};

// Where so many strings end, or None.
nb::object skip(const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end) {
    Walk walk(file, at, end);
    for (std::uint64_t i = 0; i < count; ++i)
        if (!walk.next()) return nb::none();
    return nb::int_(walk.at());
}

// Whether a character that begins with one byte may go on with another.
bool second_fits(unsigned first, unsigned second) {
    const unsigned least = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned most = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    return second >= least && second <= most;
}

// Whether Python would decode it: no overlong form, no surrogate, nothing beyond U+10FFFF (Unicode, table 3-7).
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto first = static_cast<unsigned char>(text[i]);
        const std::size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
        if (length == 0 || first > 0xF4 || length > text.size() - i) return false;
        for (std::size_t k = 1; k < length; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if (k == 1 ? !second_fits(first, byte) : (byte & 0xC0) != 0x80) return false;
        }
        i += length;
    }
    return true;
}

nb::object decoded(std::string_view text) {
    PyObject* found = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), nullptr);
    if (found == nullptr) throw nb::python_error();
    return nb::steal(found);
}

// Texts side by side: a string of Python's takes fifty bytes beside its text. All are UTF-8.
class Strings {
  public:
    // Copied out of a file; None if they reach beyond `end`, or one is no UTF-8.
    static nb::object read(const Bytes& file, std::uint64_t at, std::uint64_t count, std::uint64_t end) {
        const std::uint64_t begin = at;
        Walk walk(file, at, end);
        for (std::uint64_t i = 0; i < count; ++i)
            if (!walk.next()) return nb::none();
        Strings made;
        made.text_.reserve(static_cast<std::size_t>(walk.at() - begin - 8 * count));
        made.ends_.reserve(static_cast<std::size_t>(count));
        Walk again(file, begin, end);
        for (std::uint64_t i = 0; i < count; ++i)
            if (const auto text = again.next(); !text || !made.add(*text)) return nb::none();
        return nb::cast(std::move(made));
    }

    explicit Strings(const nb::list& texts) {
        ends_.reserve(texts.size());
        for (nb::handle text : texts) {
            Py_ssize_t size = 0;
            const char* data = PyUnicode_Check(text.ptr()) ? PyUnicode_AsUTF8AndSize(text.ptr(), &size) : nullptr;
            if (data == nullptr || !add({data, static_cast<std::size_t>(size)})) {
                PyErr_Clear();
                throw nb::value_error("a list of texts holds something else");
            }
        }
    }

    std::size_t size() const { return ends_.size(); }

    std::string_view text(std::size_t i) const {
        const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
        return std::string_view(text_).substr(begin, ends_[i] - begin);
    }

    nb::object at(Py_ssize_t i) const {
        const auto count = static_cast<Py_ssize_t>(size());
        if (i < -count || i >= count) throw nb::index_error();
        return decoded(text(static_cast<std::size_t>(i < 0 ? i + count : i)));
    }

    nb::list texts() const {
        nb::list found;
        for (std::size_t i = 0; i < size(); ++i) found.append(decoded(text(i)));
        return found;
    }

    // (name, place) of each text that is one of the names, in order of places.
    nb::list places(const nb::iterable& names) const {
        std::unordered_map<std::string_view, nb::object> wanted;
        std::array<bool, 256> begins{};
        for (nb::handle name : names) {
            const auto text = nb::cast<std::string_view>(name);  // lies in the name
            wanted.emplace(text, nb::borrow(name));
            if (!text.empty()) begins[static_cast<unsigned char>(text[0])] = true;
        }
        const bool blank = wanted.contains({});
        nb::list found;
        for (std::size_t i = 0; i < size(); ++i) {
            const std::string_view here = text(i);
            if (here.empty() ? !blank : !begins[static_cast<unsigned char>(here[0])]) continue;
            if (const auto known = wanted.find(here); known != wanted.end())
                found.append(nb::make_tuple(known->second, i));
        }
        return found;
    }

    // Each cut at its only blank; None if that is not so of one.
    nb::object pairs() const {
        nb::list found;
        for (std::size_t i = 0; i < size(); ++i) {
            const std::string_view here = text(i);
            const std::size_t blank = here.find(' ');
            if (blank == std::string_view::npos || here.find(' ', blank + 1) != std::string_view::npos)
                return nb::none();
            found.append(nb::make_tuple(decoded(here.substr(0, blank)), decoded(here.substr(blank + 1))));
        }
        return found;
    }

  private:
    Strings() = default;

    bool add(std::string_view text) {
        if (text.size() > std::numeric_limits<std::uint32_t>::max() - text_.size() || !is_utf8(text)) return false;
        text_.append(text);
        ends_.push_back(static_cast<std::uint32_t>(text_.size()));
        return true;
    }

    std::string text_;
    std::vector<std::uint32_t> ends_;
};

}  // namespace

void bind(nb::module_& m) {
    m.def("skip_strings", &skip, "file"_a, "at"_a, "count"_a, "end"_a, "Where so many strings end, or None.");
    nb::class_<Strings>(m, "Strings", "Texts, as bytes side by side.")
        .def(nb::init<const nb::list&>(), "texts"_a)
        .def_static("read", &Strings::read, "file"_a, "at"_a, "count"_a, "end"_a,
                    "Copied out of a file, or None if one is damaged.")
        .def("__len__", &Strings::size)
        .def("__getitem__", &Strings::at)
        .def("texts", &Strings::texts, "As strings of Python's.")
        .def("places", &Strings::places, "names"_a, "(name, place) of each that has one of these names, in order.")
        .def("pairs", &Strings::pairs, "Each cut at its only blank, or None.");
}

}  // namespace undiced::files

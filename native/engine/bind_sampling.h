// The sampling records of a step as Python has them: a structured array, whose type is checked field by field.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "step.h"

namespace undiced {

namespace nb = nanobind;

inline std::string numpy_type(const SamplingField& field) { return field.kind + std::to_string(field.bytes); }

inline void check_sampling_type(nb::handle type) {
    if (nb::cast<std::size_t>(type.attr("itemsize")) != sizeof(SamplingRow) || type.attr("fields").is_none())
        throw std::invalid_argument("sampling must be an array of the sampling record");
    const nb::object fields = type.attr("fields");
    for (const SamplingField& field : kSamplingFields) {
        const nb::object entry = fields.attr("get")(field.name);
        if (entry.is_none() || nb::cast<std::size_t>(entry[1]) != field.offset ||
            nb::cast<std::string>(entry[0].attr("str")) != "<" + numpy_type(field))
            throw std::invalid_argument(std::string("sampling must have a field ") + field.name + " of type " +
                                        numpy_type(field) + " at byte " + std::to_string(field.offset));
    }
}

// (name, numpy type, byte, least, most) of each field of the sampling record.
inline nb::list sampling_record() {
    nb::list out;
    for (const SamplingField& field : kSamplingFields)
        out.append(nb::make_tuple(field.name, numpy_type(field), field.offset, field.least, field.most));
    return out;
}

// The buffer of a structured array, which no typed array view can describe, or bytes that Python has packed as rows.
class SamplingView {
  public:
    explicit SamplingView(nb::handle array) {
        if (PyObject_GetBuffer(array.ptr(), &view_, PyBUF_STRIDED_RO) != 0) throw nb::python_error();
        const bool bytes = view_.itemsize == 1 && view_.len % static_cast<Py_ssize_t>(sizeof(SamplingRow)) == 0;
        const bool dense = view_.ndim == 1 && (bytes || view_.itemsize == sizeof(SamplingRow)) &&
                           (view_.shape[0] < 2 || view_.strides[0] == view_.itemsize);
        const bool aligned = reinterpret_cast<std::uintptr_t>(view_.buf) % alignof(SamplingRow) == 0;
        if (dense && (aligned || view_.len == 0)) return;
        PyBuffer_Release(&view_);
        throw std::invalid_argument("sampling must be one contiguous row of sampling records");
    }
    ~SamplingView() { PyBuffer_Release(&view_); }
    SamplingView(const SamplingView&) = delete;
    SamplingView& operator=(const SamplingView&) = delete;

    std::span<const SamplingRow> rows() const {
        return {static_cast<const SamplingRow*>(view_.buf), static_cast<std::size_t>(view_.len) / sizeof(SamplingRow)};
    }

  private:
    Py_buffer view_{};
};

}  // namespace undiced

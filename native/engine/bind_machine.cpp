// Instruction set levels, and probes of memory and arithmetic; probes run without the interpreter's lock.
#include "bind_machine.h"

#include <nanobind/stl/string.h>

#include <cstddef>
#include <stdexcept>
#include <string>

#include "kernels.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::machine {
namespace {

bool isa_supported(const std::string& name) {
    for (const Isa isa : levels())
        if (name == isa_name(isa)) return supported(isa);
    return false;
}

void check_threads(int threads) {
    if (threads < 1 || threads > 1024) throw std::invalid_argument("threads must be 1 to 1024");
}

double probe_bytes(int threads, std::size_t bytes, int rounds) {
    check_threads(threads);
    nb::gil_scoped_release unlocked;
    return probe_bandwidth(threads, bytes, rounds).bytes_per_s;
}

double probe_operations(int threads, const std::string& isa, Arithmetic kind) {
    check_threads(threads);
    const Isa level = parse_isa(isa);
    nb::gil_scoped_release unlocked;
    return probe_peak(level, kind, threads);
}

}  // namespace

void bind(nb::module_& m) {
    m.def("isa_detect", [] { return std::string(isa_name(detect())); });
    m.def("isa_supported", &isa_supported, "name"_a);
    m.def("probe_bandwidth", &probe_bytes, "threads"_a, "bytes"_a = std::size_t{256} << 20, "rounds"_a = 5,
          "Bytes a second that `threads` threads read from memory together.");
    m.def(
        "probe_int8_peak",
        [](int threads, const std::string& isa) { return probe_operations(threads, isa, Arithmetic::kInt8); },
        "threads"_a, "isa"_a = "", "int8 operations a second (2 a multiply-add) of `threads` threads in registers.");
    m.def(
        "probe_float_peak",
        [](int threads, const std::string& isa) { return probe_operations(threads, isa, Arithmetic::kFloat); },
        "threads"_a, "isa"_a = "", "float operations a second (2 a multiply-add) of `threads` threads in registers.");
}

}  // namespace undiced::machine

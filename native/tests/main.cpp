// Runs every test group; those of kernels once for each level this processor supports (or the one named as argument),
// or for the emulated AVX-512 level alone if this is its build.
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "check.h"
#include "tests.h"

namespace undiced {
extern const Kernels kAvx512Kernels;
}

namespace undiced::test {

void test_dispatch() {
    check(supported(Isa::kPortable) && supported(detect()), "detection");
    check(parse_isa("") == detect() && parse_isa("portable") == Isa::kPortable, "level names");
    check_throws<std::runtime_error>([] { parse_isa("sse9"); }, "an unknown level");
    for (const Isa isa : levels()) {
        if (supported(isa))
            check(kernels(isa).isa == isa && kernels(isa).name == std::string(isa_name(isa)), "a table names itself");
        else
            check_throws<std::runtime_error>([=] { kernels(isa); }, "an unsupported level");
    }
    const Bandwidth bandwidth = probe_bandwidth(2, std::size_t{8} << 20, 2);
    check(bandwidth.bytes_per_s > 1e8 && bandwidth.bytes_per_s < 1e13, "bandwidth is plausible");
    for (const Isa isa : levels())
        for (const Arithmetic kind : {Arithmetic::kInt8, Arithmetic::kFloat}) {
            if (!supported(isa)) continue;
            const double peak = probe_peak(isa, kind, 2);
            check(peak > 1e6 && peak < 1e14, "peaks are plausible");  // also in emulation
        }
    check_throws<std::invalid_argument>([] { probe_peak(detect(), Arithmetic::kInt8, 0); }, "no thread");
}

namespace {

void run_level(const Kernels& table) {
    const long failed = counts.failed;
    test_matmul(table);
    test_attend(table);
    test_pointwise(table);
    std::printf("%-8s %s\n", table.name, counts.failed == failed ? "ok" : "FAILED");
}

void run([[maybe_unused]] const char* only) {
#if defined(UNDICED_EMULATED_AVX512)
    run_level(kAvx512Kernels);
#else
    test_pack();
    test_dispatch();
    for (const Isa isa : levels())
        if (supported(isa) && (only == nullptr || isa == parse_isa(only))) run_level(kernels(isa));
#endif
}

}  // namespace
}  // namespace undiced::test

int main(int argc, char** argv) {
    try {
        undiced::test::run(argc > 1 ? argv[1] : nullptr);
    } catch (const std::exception& error) {
        std::printf("FAILED: %s\n", error.what());
        return 1;
    }
    std::printf("%ld checks passed, %ld failed\n", undiced::test::counts.passed, undiced::test::counts.failed);
    return undiced::test::counts.failed == 0 ? 0 : 1;
}

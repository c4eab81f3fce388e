// Which levels exist, which this processor can run, and how a level is named. Knows no kernel.
#include <array>
#include <stdexcept>
#include <string>

#include "levels.h"

namespace undiced {
namespace {

constexpr std::array<Isa, 3> kLevels = {Isa::kPortable, Isa::kAvx2, Isa::kAvx512};

[[noreturn]] void refuse(std::string_view name, const char* why) {
    std::string message = "instruction set level \"" + std::string(name) + "\" " + why + "; this processor can run: ";
    const char* separator = "";
    for (const Isa isa : kLevels) {
        if (!supported(isa)) continue;
        message += separator;
        message += isa_name(isa);
        separator = ", ";
    }
    throw std::runtime_error(message);
}

}  // namespace

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::kPortable:
            return "portable";
        case Isa::kAvx2:
            return "avx2";
        case Isa::kAvx512:
            return "avx512";
    }
    return "unknown";
}

// The compiler's run-time check includes that the operating system saves the wide registers.
bool supported(Isa isa) {
#if defined(UNDICED_X86)
    if (isa == Isa::kAvx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    if (isa == Isa::kAvx512)
        return supported(Isa::kAvx2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vnni");
#endif
    return isa == Isa::kPortable;
}

Isa detect() {
    Isa best = Isa::kPortable;
    for (const Isa isa : kLevels)
        if (supported(isa)) best = isa;
    return best;
}

Isa parse_isa(std::string_view name) {
    if (name.empty()) return detect();
    for (const Isa isa : kLevels) {
        if (name != isa_name(isa)) continue;
        if (!supported(isa)) refuse(name, "is not available");
        return isa;
    }
    refuse(name, "is unknown");
}

const Kernels& kernels(Isa isa) {
    if (!supported(isa)) refuse(isa_name(isa), "is not available");
#if defined(UNDICED_X86)
    if (isa == Isa::kAvx2) return kAvx2Kernels;
    if (isa == Isa::kAvx512) return kAvx512Kernels;
#endif
    return kPortableKernels;
}

double probe_int8_peak(Isa isa) {
    if (!supported(isa)) refuse(isa_name(isa), "is not available");
#if defined(UNDICED_X86)
    if (isa == Isa::kAvx2) return avx2_int8_peak();
    if (isa == Isa::kAvx512) return avx512_int8_peak();
#endif
    return portable_int8_peak();
}

double probe_float_peak(Isa isa) {
    if (!supported(isa)) refuse(isa_name(isa), "is not available");
#if defined(UNDICED_X86)
    if (isa == Isa::kAvx2) return avx2_float_peak();
    if (isa == Isa::kAvx512) return avx512_float_peak();
#endif
    return portable_float_peak();
}

}  // namespace undiced

// Which levels exist, which this processor can run, and how a level is named. Knows no kernel.
#include <array>
#include <stdexcept>
#include <string>

#include "levels.h"

#if defined(UNDICED_ARM64) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(UNDICED_ARM64) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace undiced {
namespace {

// The better ones last.
constexpr std::array<Isa, 4> kLevels = {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512};

#if defined(UNDICED_ARM64)
// Whether the processor has sdot and udot: they came with ARMv8.2, where cores may leave them out. Without them the
// portable level runs, which the compiler turns into NEON of the first kind.
bool has_dot_products() {
#if defined(__linux__)
    constexpr unsigned long kAsimdDp = 1ul << 20;  // HWCAP_ASIMDDP
    return (getauxval(AT_HWCAP) & kAsimdDp) != 0;
#elif defined(__APPLE__)
    int has = 0;
    std::size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
#else
    return false;
#endif
}
#endif

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
        case Isa::kNeon:
            return "neon";
    }
    return "unknown";
}

std::span<const Isa> levels() { return kLevels; }

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
#if defined(UNDICED_ARM64)
    if (isa == Isa::kNeon) return has_dot_products();
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
#elif defined(UNDICED_ARM64)
    if (isa == Isa::kNeon) return kNeonKernels;
#endif
    return kPortableKernels;
}

const Peaks& peaks_of(Isa isa) {
    if (!supported(isa)) refuse(isa_name(isa), "is not available");
#if defined(UNDICED_X86)
    if (isa == Isa::kAvx2) return kAvx2Peaks;
    if (isa == Isa::kAvx512) return kAvx512Peaks;
#elif defined(UNDICED_ARM64)
    if (isa == Isa::kNeon) return kNeonPeaks;
#endif
    return kPortablePeaks;
}

}  // namespace undiced

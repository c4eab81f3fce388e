// What one ISA level's file gives to the dispatcher. Private to the kernels.
#pragma once

#include "../kernels.h"

namespace undiced {

// Blocks whose largest magnitude is not above this are all zero: 127 / largest must be finite.
inline constexpr float kSmallestActivation = 1e-35f;

// A loop of arithmetic with no memory beyond the nearest cache: run(calls) goes round it `calls` times and does
// `operations` (2 a multiply-add) each time. So many calls are shorter than a time slice.
struct Peak {
    double operations;
    int calls;
    void (*run)(int calls);
};
inline constexpr int kPeakCalls = 50000;  // of a dozen instructions and more
struct Peaks {
    Peak int8, floats;
};

extern const Kernels kPortableKernels;
extern const Peaks kPortablePeaks;

#if defined(UNDICED_X86)
extern const Kernels kAvx2Kernels;
extern const Peaks kAvx2Peaks;

extern const Kernels kAvx512Kernels;
extern const Peaks kAvx512Peaks;
#elif defined(UNDICED_ARM64)
extern const Kernels kNeonKernels;
extern const Peaks kNeonPeaks;
#endif

const Peaks& peaks_of(Isa isa);  // of a level that this processor can run

}  // namespace undiced

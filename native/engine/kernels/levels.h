// What one ISA level's file gives to the dispatcher. Private to the kernels.
#pragma once

#include "../kernels.h"

namespace undiced {

// Blocks whose largest magnitude is not above this are all zero: 127 / largest must be finite.
inline constexpr float kSmallestActivation = 1e-35f;

extern const Kernels kPortableKernels;
double portable_int8_peak();
double portable_float_peak();

#if defined(UNDICED_X86)
extern const Kernels kAvx2Kernels;
double avx2_int8_peak();
double avx2_float_peak();

extern const Kernels kAvx512Kernels;
double avx512_int8_peak();
double avx512_float_peak();
#elif defined(UNDICED_ARM64)
extern const Kernels kNeonKernels;
double neon_int8_peak();
double neon_float_peak();
#endif

}  // namespace undiced

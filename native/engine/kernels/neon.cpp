// The NEON level (AArch64 with dot products). Written and tested in emulation; its speed was never measured.
// clang-format off: the shared kernels are written over namespace simd, which the level's own header must define first.
#include "simd_neon.h"
#include "pointwise.h"
#include "attend.h"
#include "attend_int8.h"
#include "dense.h"
#include "quant_neon.h"
// clang-format on

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->integer() ? matmul_by_format<NeonPolicy>(args) : matmul_dense_any(args);
}

constexpr const WordKernels* words = nullptr;

}  // namespace
}  // namespace undiced

#include "table.h"

namespace undiced {

constinit const Kernels kNeonKernels = table_of(Isa::kNeon, "neon");

}  // namespace undiced

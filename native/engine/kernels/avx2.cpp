// The AVX2 level (with FMA and F16C).
// clang-format off: the shared kernels are written over namespace simd, which the level's own header must define first.
#include "simd_avx2.h"
#include "pointwise.h"
#include "attend.h"
#include "attend_int8.h"
#include "strip_avx2.h"
#include "attend_words.h"
#include "dense.h"
#include "quant_avx2.h"
#include "quantize_avx2.h"
// clang-format on

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->integer() ? matmul_by_format<Avx2Policy>(args) : matmul_dense_any(args);
}

}  // namespace
}  // namespace undiced

#include "table.h"

namespace undiced {

constinit const Kernels kAvx2Kernels = table_of(Isa::kAvx2, "avx2");

}  // namespace undiced

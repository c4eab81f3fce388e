// The AVX-512 level (F, BW, VL, DQ, VNNI).
// clang-format off: the shared kernels are written over namespace simd, which the level's own header must define first.
#include "simd_avx512.h"
#include "pointwise.h"
#include "attend.h"
#include "attend_int8.h"
#include "strip_avx512.h"
#include "attend_words.h"
#include "dense.h"
#include "quant_avx512.h"
// clang-format on

namespace undiced {
namespace {

void matmul(const MatmulArgs& args) {
    args.w->format->integer() ? matmul_by_format<Avx512Policy>(args) : matmul_dense_any(args);
}

}  // namespace
}  // namespace undiced

#include "table.h"

namespace undiced {

constinit const Kernels kAvx512Kernels = table_of(Isa::kAvx512, "avx512");

}  // namespace undiced

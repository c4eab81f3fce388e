// What one core can do without special instructions, as the compiler sees fit.
#include <cstdint>

#include "levels.h"

namespace undiced {
namespace {

constexpr int kValues = 4096, kLanes = 64;

// A plain loop over blocks in the first-level cache, of which the compiler knows nothing.
void run_int8(int calls) {
    alignas(64) static std::int8_t blocks[2][kValues];
    const std::int8_t *a = blocks[0], *b = blocks[1];
    asm volatile("" : "+r"(a), "+r"(b) : : "memory");
    for (int call = 0; call < calls; ++call) {
        std::int32_t sum = 0;
        for (int i = 0; i < kValues; ++i) sum += static_cast<std::int32_t>(a[i]) * b[i];
        asm volatile("" : "+r"(sum) : : "memory");
    }
}

void run_floats(int calls) {
    float sums[kLanes] = {};
    float factor = 0.999f;
    asm volatile("" : "+m"(factor));
    for (int call = 0; call < calls; ++call)
        for (int i = 0; i < kLanes; ++i) sums[i] = sums[i] * factor + factor;
    float total = 0.0f;
    for (int i = 0; i < kLanes; ++i) total += sums[i];
    asm volatile("" : : "m"(total));
}

}  // namespace

constinit const Peaks kPortablePeaks = {{2.0 * kValues, 300, run_int8}, {2.0 * kLanes, 20000, run_floats}};

}  // namespace undiced

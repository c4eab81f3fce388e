// Sums in the order and with the roundings of a wafer's cores: products of tiles, and trees over lines of cores.
// Knows arrays of floats; knows no program, no layout and no thread. Numbers of 16 bits lie in floats that hold them.
#pragma once

#include <cstdint>

#include "kernels.h"

namespace undiced::mesh {

// `tiles` products x (rows by inner) times w (inner by columns) that are added to total (rows by columns), one after
// the other in memory. Each element's sum takes its inputs in order; with `half` it is rounded to 16 bits at every
// input, and x and w hold 16-bit numbers, so that a product is exact.
struct Products {
    const float* x = nullptr;
    const float* w = nullptr;
    float* total = nullptr;
    std::int64_t tiles = 0;
    std::int64_t rows = 0;
    std::int64_t inner = 0;
    std::int64_t columns = 0;
    bool half = false;
};

enum class Join : std::int32_t { kSum = 0, kMax = 1 };

// Hops over `lines` lines, each of `places` vectors of `length` floats in held: hop i adds (or takes the maximum of)
// the vector at hops[2 i] into the one at hops[2 i + 1]. With wire_half what is sent is rounded to 16 bits, with
// kept_half what the receiver then holds.
struct Hops {
    float* held = nullptr;
    std::int64_t lines = 0;
    std::int64_t places = 0;
    std::int64_t length = 0;
    const std::int32_t* hops = nullptr;
    std::int64_t count = 0;
    Join join = Join::kSum;
    bool wire_half = false;
    bool kept_half = false;
};

struct Sums {
    void (*multiply_add)(const Products& p, std::int64_t first_tile, std::int64_t last_tile);
    void (*join)(const Hops& h, std::int64_t first_line, std::int64_t last_line);
};

extern const Sums kPortableSums;
#if defined(UNDICED_X86)
extern const Sums kAvx2Sums;
#endif

// The table of a level; AVX-512 machines use the AVX2 one. Throws std::runtime_error where the level can't run.
const Sums& sums(Isa isa);

}  // namespace undiced::mesh

// Rows of words times a strip of words, for AVX2: vpmaddwd and an addition make twice the products of fused
// multiply-adds in a cycle.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace undiced {
namespace {

inline constexpr int kTile = 4;  // rows whose sums with two vectors stay in registers

// sums = kTile rows of words times a strip of `pairs` pairs of rows, an even number. In `a` neighboring rows are
// RowWords apart, and their pairs PairWords. In assembly because order and registers count: an addition that is ready
// takes a port that only products could use otherwise (docs/LOG.md), so that sums follow two rows behind their
// products, in all sixteen registers. As the compiler has it, it takes up to 1.6 times the cycles.
// clang-format off: an instruction a line.
#define UNDICED_PRODUCTS(row, pair, low, high)                                                             \
    "vpbroadcastd " #row "*%c[row_bytes]+" #pair "*%c[pair_bytes](%[a]), %%ymm" #high "\n\t"               \
    "vpmaddwd %%ymm8, %%ymm" #high ", %%ymm" #low "\n\t"                                                   \
    "vpmaddwd %%ymm9, %%ymm" #high ", %%ymm" #high "\n\t"
#define UNDICED_SUMS(row, low, high)                                                                       \
    "vpaddd %%ymm" #low ", %[low" #row "], %[low" #row "]\n\t"                                             \
    "vpaddd %%ymm" #high ", %[high" #row "], %[high" #row "]\n\t"
template <int RowWords, int PairWords>
inline __attribute__((always_inline)) void multiply_strip(const std::int16_t* a, const std::int16_t* b,
                                                          std::int64_t pairs, __m256i (&sums)[kTile][2]) {
#pragma GCC unroll 4
    for (auto& row : sums) row[0] = row[1] = _mm256_setzero_si256();
    asm(".p2align 5\n"
        "1:\n\t"
        "vmovdqa (%[b]), %%ymm8\n\t"
        "vmovdqa 32(%[b]), %%ymm9\n\t"
        UNDICED_PRODUCTS(0, 0, 10, 11)
        UNDICED_PRODUCTS(1, 0, 12, 13)
        UNDICED_PRODUCTS(2, 0, 14, 15)
        UNDICED_SUMS(0, 10, 11)
        UNDICED_PRODUCTS(3, 0, 10, 11)
        UNDICED_SUMS(1, 12, 13)
        "vmovdqa 64(%[b]), %%ymm8\n\t"
        "vmovdqa 96(%[b]), %%ymm9\n\t"
        UNDICED_PRODUCTS(0, 1, 12, 13)
        UNDICED_SUMS(2, 14, 15)
        UNDICED_PRODUCTS(1, 1, 14, 15)
        UNDICED_SUMS(3, 10, 11)
        UNDICED_PRODUCTS(2, 1, 10, 11)
        UNDICED_SUMS(0, 12, 13)
        UNDICED_PRODUCTS(3, 1, 12, 13)
        UNDICED_SUMS(1, 14, 15)
        UNDICED_SUMS(2, 10, 11)
        UNDICED_SUMS(3, 12, 13)
        "add $2*%c[pair_bytes], %[a]\n\t"
        "sub $-128, %[b]\n\t"
        "sub $2, %[pairs]\n\t"
        "jg 1b"
        : [low0] "+x"(sums[0][0]), [high0] "+x"(sums[0][1]), [low1] "+x"(sums[1][0]), [high1] "+x"(sums[1][1]),
          [low2] "+x"(sums[2][0]), [high2] "+x"(sums[2][1]), [low3] "+x"(sums[3][0]), [high3] "+x"(sums[3][1]),
          [a] "+r"(a), [b] "+r"(b), [pairs] "+r"(pairs)
        : [row_bytes] "i"(2 * RowWords), [pair_bytes] "i"(2 * PairWords)
        : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
}
// clang-format on
#undef UNDICED_PRODUCTS
#undef UNDICED_SUMS

}  // namespace
}  // namespace undiced

// Products with dense weights (bf16, f16, f32; fp8 in fp8.h) and f32 activations, written once over the vectors of a
// level.
#pragma once

#include <algorithm>
#include <cstdint>

#include "fp8.h"
#include "quant_matmul.h"

namespace undiced {
namespace {

template <Layout L>
inline constexpr std::int64_t kValueBytes = L == Layout::kF32 ? 4 : 2;

// Columns k and k + 1 (k even) of one vector of rows.
template <Layout L>
inline simd::Pair load_pair(const std::uint8_t* tile, std::int64_t k, std::int64_t part) {
    const std::int64_t lane = part * simd::kLanes;
    if constexpr (L == Layout::kBf16) return simd::load_bf16_pairs(tile + (k * kTileRows + 2 * lane) * 2);
    if constexpr (L == Layout::kF16) {
        const std::uint16_t* at = reinterpret_cast<const std::uint16_t*>(tile) + k * kTileRows + lane;
        return {simd::load_f16(at), simd::load_f16(at + kTileRows)};
    }
    const float* at = reinterpret_cast<const float*>(tile) + k * kTileRows + lane;
    return {simd::load(at), simd::load(at + kTileRows)};
}

// sums (Tiles x NT x 16) = products of tiles that lie `stride` bytes apart. Few tokens take two tiles at a time, to
// hide the latency of the additions: every sum has the same order, however many tokens and tiles there are.
template <Layout L, int NT, int Tiles>
void multiply_dense(const std::uint8_t* tile, std::int64_t stride, std::int64_t cols, const float* x, std::int64_t ldx,
                    const Stream* stream, float* sums) {
    simd::F acc[Tiles][NT][kParts];
    for (auto& one : acc)
        for (auto& row : one)
            for (simd::F& a : row) a = simd::zero();
    std::int64_t k = 0;
    for (; k + 2 <= cols; k += 2) {
#pragma GCC unroll 2
        for (int n = 0; n < Tiles; ++n) {
            const std::uint8_t* at = tile + n * stride;
            if (stream != nullptr)
                stream->prefetch(at + k * kTileRows * kValueBytes<L>, 2 * kTileRows * kValueBytes<L>);
            simd::Pair w[kParts];
#pragma GCC unroll 4
            for (std::int64_t part = 0; part < kParts; ++part) w[part] = load_pair<L>(at, k, part);
#pragma GCC unroll 16
            for (int t = 0; t < NT; ++t) {
                const simd::F even = simd::broadcast(x + t * ldx + k), odd = simd::broadcast(x + t * ldx + k + 1);
#pragma GCC unroll 4
                for (std::int64_t part = 0; part < kParts; ++part) {
                    acc[n][t][part] = simd::fma(w[part].even, even, acc[n][t][part]);
                    acc[n][t][part] = simd::fma(w[part].odd, odd, acc[n][t][part]);
                }
            }
        }
    }
    for (int n = 0; n < Tiles; ++n) {
        for (int t = 0; t < NT; ++t) {
            for (std::int64_t part = 0; part < kParts; ++part) {
                simd::F total = acc[n][t][part];
                if (k < cols)
                    total = simd::fma(load_pair<L>(tile + n * stride, k, part).even, simd::broadcast(x + t * ldx + k),
                                      total);
                simd::store(sums + (n * NT + t) * kTileRows + part * simd::kLanes, total);
            }
        }
    }
}

// The products of `Tiles` tiles from `tile` on with `count` tokens from `first` on.
template <Layout L, int Tiles>
void multiply_tiles(const MatmulArgs& args, const Stream& stream, std::int64_t tile, std::int64_t first,
                    std::int64_t count) {
    const PackedMatrix& w = *args.w;
    for_token_groups<Tiles == 1 ? kDenseGroup : kDenseFew>(count, [&]<int N>(std::int64_t token) {
        alignas(64) float sums[Tiles * N * kTileRows];
        multiply_dense<L, N, Tiles>(w.tile(tile), w.tile_bytes, w.cols, args.x + (first + token) * args.ldx, args.ldx,
                                    token == 0 ? &stream : nullptr, sums);
        for (int n = 0; n < Tiles; ++n) write_tile(args, tile + n, first + token, N, sums + n * N * kTileRows);
    });
}

template <Layout L>
void matmul_dense(const MatmulArgs& args) {
    for_float_tiles(args,
                    [&]<int Tiles>(const Stream& stream, std::int64_t tile, std::int64_t first, std::int64_t count) {
                        multiply_tiles<L, Tiles>(args, stream, tile, first, count);
                    });
}

inline void matmul_dense_any(const MatmulArgs& args) {
    switch (args.w->format->layout) {
        case Layout::kBf16:
            return matmul_dense<Layout::kBf16>(args);
        case Layout::kF16:
            return matmul_dense<Layout::kF16>(args);
        case Layout::kFp8:
            return args.w->format->span() > 1 ? matmul_fp8<4>(args) : matmul_fp8<1>(args);
        default:
            return matmul_dense<Layout::kF32>(args);
    }
}

}  // namespace
}  // namespace undiced

// Products with weights of 8 bits (E4M3) and f32 activations, written once over the vectors of a level; and which
// tokens meet which tile in any product of floats.
//
// A weight becomes an f16 of 2^-8 times its value by a shift and a mask, because both have a sign, then an exponent:
// no table, and what is below the smallest normal number needs no care. NaN was refused by the packer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "quant_matmul.h"

namespace undiced {
namespace {

inline constexpr std::int64_t kParts = kTileRows / simd::kLanes;  // vectors that hold the 16 rows of a tile
inline constexpr std::int64_t kDenseTokenBlock = 64;
inline constexpr int kDenseFew = kParts == 1 ? 4 : 2;  // tokens that take two tiles at a time
// Tokens whose sums stay in registers, beside the weights of two columns and two activations.
inline constexpr int kDenseGroup = kParts == 1 ? 12 : kParts == 2 ? 4 : 5;

// Calls body<Tiles>(stream, tile, first token, tokens): few tokens take two tiles at a time.
template <class Body>
inline void for_float_tiles(const MatmulArgs& args, Body&& body) {
    const Stream stream{args.w->tile(args.tile_end), args.next[0]};
    for (std::int64_t first = 0; first < args.tokens; first += kDenseTokenBlock) {
        const std::int64_t count = std::min(kDenseTokenBlock, args.tokens - first);
        std::int64_t tile = args.tile_begin;
        if (count <= kDenseFew)
            for (; tile + 2 <= args.tile_end; tile += 2) body.template operator()<2>(stream, tile, first, count);
        for (; tile < args.tile_end; ++tile) body.template operator()<1>(stream, tile, first, count);
    }
}

// totals += scale * (products of the columns that share it), for tiles that lie `stride` bytes apart.
template <int Span, int NT, int Tiles>
inline void add_fp8_group(const std::uint8_t* block, std::int64_t stride, const float* x, std::int64_t ldx,
                          const Stream* stream, simd::F (&totals)[Tiles][NT][kParts]) {
    simd::F acc[Tiles][NT][kParts];
    for (auto& one : acc)
        for (auto& row : one)
            for (simd::F& a : row) a = simd::zero();
    for (std::int64_t k = 0; k < Span * kBlockCols; k += 2) {
#pragma GCC unroll 2
        for (int n = 0; n < Tiles; ++n) {
            const std::uint8_t* at = block + n * stride + k * kTileRows;
            if (stream != nullptr && k % 4 == 0) stream->prefetch(at, 64);
            simd::Pair w[kParts];
            simd::load_fp8_pairs(at, w);
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
    for (int n = 0; n < Tiles; ++n)
        for (std::int64_t part = 0; part < kParts; ++part) {
            const float* scales = reinterpret_cast<const float*>(block + n * stride + Span * kBlockCols * kTileRows);
            const simd::F scale = simd::mul(simd::load(scales + part * simd::kLanes), simd::set(256.0f));
            for (int t = 0; t < NT; ++t) totals[n][t][part] = simd::fma(acc[n][t][part], scale, totals[n][t][part]);
        }
}

template <int Span, int NT, int Tiles>
void multiply_fp8(const PackedMatrix& w, const std::uint8_t* tile, const float* x, std::int64_t ldx,
                  const Stream* stream, float* sums) {
    simd::F totals[Tiles][NT][kParts];
    for (auto& one : totals)
        for (auto& row : one)
            for (simd::F& total : row) total = simd::zero();
    for (std::int64_t col = 0; col < w.cols; col += Span * kBlockCols, tile += w.block_bytes)
        add_fp8_group<Span, NT, Tiles>(tile, w.tile_bytes, x + col, ldx, stream, totals);
    for (int n = 0; n < Tiles; ++n)
        for (int t = 0; t < NT; ++t)
            for (std::int64_t part = 0; part < kParts; ++part)
                simd::store(sums + (n * NT + t) * kTileRows + part * simd::kLanes, totals[n][t][part]);
}

// Span: blocks of 32 columns that share a scale.
template <int Span>
void matmul_fp8(const MatmulArgs& args) {
    for_float_tiles(args,
                    [&]<int Tiles>(const Stream& stream, std::int64_t tile, std::int64_t first, std::int64_t count) {
                        const PackedMatrix& w = *args.w;
                        for_token_groups<Tiles == 1 ? kDenseGroup : kDenseFew>(count, [&]<int N>(std::int64_t token) {
                            alignas(64) float sums[Tiles * N * kTileRows];
                            multiply_fp8<Span, N, Tiles>(w, w.tile(tile), args.x + (first + token) * args.ldx, args.ldx,
                                                         token == 0 ? &stream : nullptr, sums);
                            for (int n = 0; n < Tiles; ++n)
                                write_tile(args, tile + n, first + token, N, sums + n * N * kTileRows);
                        });
                    });
}

}  // namespace
}  // namespace undiced

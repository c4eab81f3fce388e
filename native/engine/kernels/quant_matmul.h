// The loops around integer products, shared by all vector levels: which tokens and blocks meet which tile, and when.
// A level gives a Policy: direct<NT>() multiplies straight from packed blocks, expand() unpacks blocks into plain codes with
// f32 scales, expanded<NT>() multiplies from those.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../kernels.h"

namespace undiced {
namespace {

enum class Codes { kFour, kFive, kSix, kEight };  // bits of a code; six-bit codes have two groups a block

template <Codes C>
inline constexpr int kGroups = C == Codes::kSix ? 2 : 1;

inline constexpr std::int64_t kAheadBytes = 4096;       // software prefetch distance of a weight stream
inline constexpr std::int64_t kTokenBlock = 128;        // tokens whose activations stay in the second-level cache
inline constexpr std::int64_t kExpandedBytes = 20480;   // expanded codes that stay in the first-level cache

// A weight stream and what the thread reads after it.
struct Stream {
    const std::uint8_t* end;
    const std::uint8_t* next;

    void prefetch(const std::uint8_t* at, std::int64_t bytes) const {
        const std::uint8_t* ahead = at + kAheadBytes;
        if (next != nullptr && ahead >= end) ahead = next + (ahead - end);
        for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(ahead + i);
    }
};

// Adds finished sums (tokens x 16 rows) of a tile to the output, with bias; rows beyond the matrix are dropped.
inline void write_tile(const MatmulArgs& args, std::int64_t tile, std::int64_t token, std::int64_t count,
                       const float* sums) {
    const std::int64_t row = tile * kTileRows, rows = std::min(kTileRows, args.w->rows - row);
    for (std::int64_t t = 0; t < count; ++t, sums += kTileRows) {
        float* out = args.out + (token + t) * args.ldo + row;
        for (std::int64_t r = 0; r < rows; ++r) {
            const float value = args.bias != nullptr ? sums[r] + args.bias[row + r] : sums[r];
            out[r] = args.accumulate ? out[r] + value : value;
        }
    }
}

// Calls body<n>(first) for groups of Most tokens and one smaller last group.
template <int Most, class Body>
inline void for_token_groups(std::int64_t tokens, Body&& body) {
    std::int64_t token = 0;
    for (; token + Most <= tokens; token += Most) body.template operator()<Most>(token);
    const std::int64_t rest = tokens - token;
    if constexpr (Most > 1)
        if (rest > 0) for_token_groups<Most - 1>(rest, [&]<int N>(std::int64_t first) { body.template operator()<N>(token + first); });
}

template <class Policy>
void matmul_direct(const MatmulArgs& args) {
    const PackedMatrix& w = *args.w;
    const std::int64_t blocks = blocks_of(w.cols);
    const Stream stream{w.tile(args.tile_end), static_cast<const std::uint8_t*>(args.next)};
    for (std::int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) {
        for_token_groups<Policy::kDirectGroup>(args.tokens, [&]<int N>(std::int64_t token) {
            alignas(64) float sums[N * kTileRows];
            Policy::template direct<N>(w, w.tile(tile), blocks, args.qx + token * blocks, token == 0 ? &stream : nullptr, sums);
            write_tile(args, tile, token, N, sums);
        });
    }
}

template <class Policy>
void matmul_expanded(const MatmulArgs& args) {
    const PackedMatrix& w = *args.w;
    const std::int64_t blocks = blocks_of(w.cols);
    constexpr std::int64_t kMostBlocks = kExpandedBytes / Policy::kExpandedBlockBytes;
    const std::int64_t chunks = (blocks + kMostBlocks - 1) / kMostBlocks, chunk_blocks = (blocks + chunks - 1) / chunks;
    alignas(64) std::uint8_t expanded[kMostBlocks * Policy::kExpandedBlockBytes];
    alignas(64) float sums[kTokenBlock * kTileRows];
    for (std::int64_t first = 0; first < args.tokens; first += kTokenBlock) {
        const std::int64_t count = std::min(kTokenBlock, args.tokens - first);
        for (std::int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) {
            std::fill_n(sums, count * kTileRows, 0.0f);
            for (std::int64_t begin = 0; begin < blocks; begin += chunk_blocks) {
                const std::int64_t size = std::min(chunk_blocks, blocks - begin);
                Policy::expand(w, w.tile(tile) + begin * w.block_bytes, size, expanded);
                for_token_groups<Policy::kExpandedGroup>(count, [&]<int N>(std::int64_t token) {
                    Policy::template expanded<N>(expanded, size, args.qx + (first + token) * blocks + begin, blocks,
                                                 sums + token * kTileRows);
                });
            }
            write_tile(args, tile, first, count, sums);
        }
    }
}

template <class Policy>
void matmul_quantized(const MatmulArgs& args) {
    args.tokens <= Policy::kDirectTokens ? matmul_direct<Policy>(args) : matmul_expanded<Policy>(args);
}

// Policies by format: Make<codes, scales are f32, has minimum>.
template <template <Codes, bool, bool> class Policy>
void matmul_by_format(const MatmulArgs& args) {
    const Format& format = *args.w->format;
    const bool wide = format.scale_bytes == 4;
    if (format.layout == Layout::kNibbles) {
        if (wide) return matmul_quantized<Policy<Codes::kFour, true, true>>(args);
        if (format.has_min) return matmul_quantized<Policy<Codes::kFour, false, true>>(args);
        return matmul_quantized<Policy<Codes::kFour, false, false>>(args);
    }
    if (format.code_max == 31) {
        if (wide) return matmul_quantized<Policy<Codes::kFive, true, true>>(args);
        if (format.has_min) return matmul_quantized<Policy<Codes::kFive, false, true>>(args);
        return matmul_quantized<Policy<Codes::kFive, false, false>>(args);
    }
    if (format.code_max == 63) return matmul_quantized<Policy<Codes::kSix, true, false>>(args);
    return matmul_quantized<Policy<Codes::kEight, false, false>>(args);
}

}  // namespace
}  // namespace undiced

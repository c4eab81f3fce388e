// The loops around products, shared by all vector levels: which tokens meet which tile, and when. A level gives a
// Policy whose multiply<NT>() multiplies one packed tile with NT tokens and unpacks its codes each time; it may have a
// multiply_many() that unpacks them once. How many tokens come together does not show in their bits.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "../kernels.h"

namespace undiced {
namespace {

// Bits of a code. The first four lie in nibbles: codes of 4 bits, those with two groups a block (all low nibbles are
// the first), and places of codes of 5 and of 8 bits. Six-bit codes have two groups a block, too.
// Codes of 4 and 8 bits may have a zero point a group, and in long groups four blocks share their factors.
enum class Codes {
    kFour,
    kZeroFour,
    kLongFour,
    kTwoFours,
    kSeenFive,
    kSeenEight,
    kFive,
    kSix,
    kEight,
    kZeroEight,
    kLongEight
};

template <Codes C>
inline constexpr int kGroups = C == Codes::kSix || C == Codes::kTwoFours ? 2 : 1;

template <Codes C>
inline constexpr bool kInNibbles = C <= Codes::kSeenEight;

template <Codes C>
inline constexpr bool kFourBits = C <= Codes::kLongFour;

// Whether a zero point stands next to each scale; all such groups that are long have one.
template <Codes C>
inline constexpr bool kHasZero =
    C == Codes::kZeroFour || C == Codes::kLongFour || C == Codes::kZeroEight || C == Codes::kLongEight;

// Blocks of 32 columns that share their factors.
template <Codes C>
inline constexpr int kSpan = C == Codes::kLongFour || C == Codes::kLongEight ? 4 : 1;

// Whether nibbles are places of codes, and of which. (GCC's undefined behavior sanitizer compares no pointer of a
// constant.)
template <Codes C>
inline constexpr bool kSeen = C == Codes::kSeenFive || C == Codes::kSeenEight;

template <Codes C>
inline constexpr const std::uint8_t* kLookup = C == Codes::kSeenFive    ? kE2m1Codes
                                               : C == Codes::kSeenEight ? kIq4Codes
                                                                        : nullptr;

inline constexpr std::int64_t kAheadBytes = 4096;  // software prefetch distance of a weight stream
inline constexpr std::int64_t kTokenBlock = 64;    // tokens whose activations stay in the second-level cache
inline constexpr std::int64_t kOpenBlocks = 24;  // blocks that are unpacked together: they stay in the first-level one
inline constexpr std::int64_t kOpenTokens = 48;  // tokens from which on that pays, whatever the format

// A weight stream and what the thread reads after it.
struct Stream {
    const std::uint8_t* end;
    const std::uint8_t* next;

    // Prefetches what is read `distance` bytes after the `bytes` at `at`.
    void prefetch(const std::uint8_t* at, std::int64_t bytes, std::int64_t distance = kAheadBytes) const {
        const std::uint8_t* ahead = at + distance;
        if (next != nullptr && ahead >= end) ahead = next + (ahead - end);
        for (std::int64_t i = 0; i < bytes; i += 64) prefetch_line(ahead + i);
    }
};

// Adds finished sums (tokens x 16 rows) of a tile to the output, with bias; rows beyond the matrix are dropped.
// N is the number of rows if it is known: whole tiles take vector code.
template <int N>
inline void write_rows(const MatmulArgs& args, std::int64_t row, std::int64_t rows, std::int64_t token,
                       std::int64_t count, const float* sums) {
    const std::int64_t n = N > 0 ? N : rows;
    const float* bias = args.bias != nullptr ? args.bias + row : nullptr;
    float* out = args.out + token * args.ldo + row;
    for (std::int64_t t = 0; t < count; ++t, sums += kTileRows, out += args.ldo) {
        float values[kTileRows];
        for (std::int64_t r = 0; r < n; ++r) values[r] = sums[r];
        if (bias != nullptr)
            for (std::int64_t r = 0; r < n; ++r) values[r] += bias[r];
        if (args.accumulate)
            for (std::int64_t r = 0; r < n; ++r) values[r] += out[r];
        for (std::int64_t r = 0; r < n; ++r) out[r] = values[r];
    }
}

inline void write_tile(const MatmulArgs& args, std::int64_t tile, std::int64_t token, std::int64_t count,
                       const float* sums) {
    const std::int64_t row = tile * kTileRows, rows = args.w->rows - row;
    if (rows >= kTileRows)
        write_rows<kTileRows>(args, row, rows, token, count, sums);
    else
        write_rows<0>(args, row, rows, token, count, sums);
}

// Calls body<n>(first) for groups of Most tokens and one smaller last group.
template <int Most, class Body>
inline void for_token_groups(std::int64_t tokens, Body&& body) {
    std::int64_t token = 0;
    for (; token + Most <= tokens; token += Most) body.template operator()<Most>(token);
    const std::int64_t rest = tokens - token;
    if constexpr (Most > 1)
        if (rest > 0)
            for_token_groups<Most - 1>(rest,
                                       [&]<int N>(std::int64_t first) { body.template operator()<N>(token + first); });
}

// One token: memory is what counts.
template <class Policy, class X>
void matmul_streams(const MatmulArgs& args, const X* x) {
    const PackedMatrix& w = *args.w;
    const std::int64_t tiles = args.tile_end - args.tile_begin, rounds = tiles / kWeightStreams;
    std::int64_t first[kWeightStreams + 1];
    for (int s = 0; s <= kWeightStreams; ++s) first[s] = stream_tile(args.tile_begin, args.tile_end, s);
    Stream streams[kWeightStreams];
    for (int s = 0; s < kWeightStreams; ++s) streams[s] = {w.tile(first[s + 1]), args.next[s]};
    // The tiles number `round` of N streams from stream `from` on.
    const auto multiply = [&]<int N>(int from, std::int64_t round) {
        alignas(64) float sums[N][kTileRows];
        const std::uint8_t* at[N];
        for (int s = 0; s < N; ++s) at[s] = w.tile(first[from + s] + round);
        Policy::template multiply_streams<N>(w, at, x, streams + from, sums);
        for (int s = 0; s < N; ++s) write_tile(args, first[from + s] + round, 0, 1, sums[s]);
    };
    for (std::int64_t round = 0; round < rounds; ++round) multiply.template operator()<kWeightStreams>(0, round);
    const int rest = static_cast<int>(tiles % kWeightStreams);  // the first streams have a tile more
    if (rest >= 2) multiply.template operator()<2>(0, rounds);
    if (rest % 2 == 1) multiply.template operator()<1>(rest - 1, rounds);
}

// A tile with many tokens, for a level that unpacks it for all of them.
template <class Policy, class X>
[[gnu::noinline]] void multiply_many(const MatmulArgs& args, std::int64_t tile, std::int64_t token, std::int64_t count,
                                     const X* x, const Stream& stream) {
    alignas(64) float sums[kTokenBlock * kTileRows];
    Policy::multiply_many(*args.w, args.w->tile(tile), x, count, stream, sums);
    write_tile(args, tile, token, count, sums);
}

template <class Policy, class X>
void matmul_quantized(const MatmulArgs& args, const X* x) {
    const PackedMatrix& w = *args.w;
    const std::int64_t blocks = blocks_of(w.cols);
    if (args.tokens == 1) return matmul_streams<Policy>(args, x);
    const Stream stream{w.tile(args.tile_end), args.next[0]};
    for (std::int64_t first = 0; first < args.tokens; first += kTokenBlock) {
        const std::int64_t count = std::min(kTokenBlock, args.tokens - first);
        for (std::int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) {
            if constexpr (requires { requires Policy::template kOpens<X>; })
                if (count >= kOpenTokens) {
                    multiply_many<Policy>(args, tile, first, count, x + first * blocks, stream);
                    continue;
                }
            for_token_groups<Policy::kGroup>(count, [&]<int N>(std::int64_t token) {
                alignas(64) float sums[N * kTileRows];
                Policy::template multiply<N>(w, w.tile(tile), blocks, x + (first + token) * blocks,
                                             token == 0 ? &stream : nullptr, sums);
                write_tile(args, tile, first + token, N, sums);
            });
        }
    }
}

template <class Policy>
void matmul_either(const MatmulArgs& args) {
    if (args.wx != nullptr) return matmul_quantized<Policy>(args, args.wx);
    matmul_quantized<Policy>(args, args.qx);
}

// The policy of a format: Policy<codes, scales are f32, has minimum>.
template <template <Codes, bool, bool> class Policy>
void matmul_by_format(const MatmulArgs& args) {
    const Format& format = *args.w->format;
    const bool wide = format.scale_bytes == 4;
    if (format.has_zero && format.layout == Layout::kNibbles) {
        if (format.span() > 1) return matmul_either<Policy<Codes::kLongFour, true, false>>(args);
        return matmul_either<Policy<Codes::kZeroFour, true, false>>(args);
    }
    if (format.has_zero) {
        if (format.span() > 1) return matmul_either<Policy<Codes::kLongEight, true, false>>(args);
        return matmul_either<Policy<Codes::kZeroEight, true, false>>(args);
    }
    if (format.lookup == kE2m1Codes) return matmul_either<Policy<Codes::kSeenFive, true, false>>(args);
    if (format.lookup == kIq4Codes) {
        if (wide) return matmul_either<Policy<Codes::kSeenEight, true, false>>(args);
        return matmul_either<Policy<Codes::kSeenEight, false, false>>(args);
    }
    if (format.layout == Layout::kNibbles && format.group == 16) {
        if (format.has_min) return matmul_either<Policy<Codes::kTwoFours, true, true>>(args);
        return matmul_either<Policy<Codes::kTwoFours, true, false>>(args);
    }
    if (format.layout == Layout::kNibbles) {
        if (wide) return matmul_either<Policy<Codes::kFour, true, true>>(args);
        if (format.has_min) return matmul_either<Policy<Codes::kFour, false, true>>(args);
        return matmul_either<Policy<Codes::kFour, false, false>>(args);
    }
    if (format.code_max == 31) {
        if (wide) return matmul_either<Policy<Codes::kFive, true, true>>(args);
        if (format.has_min) return matmul_either<Policy<Codes::kFive, false, true>>(args);
        return matmul_either<Policy<Codes::kFive, false, false>>(args);
    }
    if (format.code_max == 63) return matmul_either<Policy<Codes::kSix, true, false>>(args);
    if (wide) return matmul_either<Policy<Codes::kEight, true, false>>(args);
    return matmul_either<Policy<Codes::kEight, false, false>>(args);
}

}  // namespace
}  // namespace undiced

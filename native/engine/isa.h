// The 64-byte instruction record and its codes: the mirror of undiced/program/isa.py, which defines both.
// Knows how an instruction's work is split over a team; knows nothing of what an instruction does.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace undiced {

enum class Op : std::uint16_t {
    BARRIER = 0,
    EMBED = 1,
    RMSNORM = 2,
    LAYERNORM = 3,
    QUANTIZE = 4,
    MATMUL = 5,
    ROPE = 6,
    KV_STORE = 7,
    ATTENTION = 8,
    GLU = 9,
    ACTIVATE = 10,
    ADD = 11,
    SCALE = 12,
    SOFTCAP = 13,
    GATHER = 14,
    SAMPLE = 15,
};

inline constexpr std::array<std::pair<std::string_view, Op>, 16> kOpNames = {{
    {"BARRIER", Op::BARRIER},
    {"EMBED", Op::EMBED},
    {"RMSNORM", Op::RMSNORM},
    {"LAYERNORM", Op::LAYERNORM},
    {"QUANTIZE", Op::QUANTIZE},
    {"MATMUL", Op::MATMUL},
    {"ROPE", Op::ROPE},
    {"KV_STORE", Op::KV_STORE},
    {"ATTENTION", Op::ATTENTION},
    {"GLU", Op::GLU},
    {"ACTIVATE", Op::ACTIVATE},
    {"ADD", Op::ADD},
    {"SCALE", Op::SCALE},
    {"SOFTCAP", Op::SOFTCAP},
    {"GATHER", Op::GATHER},
    {"SAMPLE", Op::SAMPLE},
}};

// The name of an operation code, or an empty view for a code that the host does not know.
constexpr std::string_view op_name(std::uint16_t code) {
    for (const auto& [name, op] : kOpNames)
        if (static_cast<std::uint16_t>(op) == code) return name;
    return {};
}

inline constexpr std::uint16_t kFlagAccumulate = 1;
inline constexpr std::uint16_t kFlagPositions = 2;
inline constexpr std::uint16_t kFlagLarge = 4;

inline constexpr int kPartitionTokens = 1;
inline constexpr int kPartitionColumns = 2;

inline constexpr int kNone = -1;
inline constexpr int kInstrBytes = 64;
inline constexpr int kShardGranule = 32;
inline constexpr int kSmallStepTokens = 2;

struct Instr {
    std::uint16_t op;
    std::uint16_t flags;
    std::int32_t dst, a, b, c;
    std::int32_t weight, bias;
    std::int32_t p[7];
    float f[2];
};
static_assert(sizeof(Instr) == kInstrBytes);

struct Share {
    int begin, end;
};

// Contiguous share of `count` items that `part` of `parts` owns: sizes differ by one at most, the first parts take
// more.
constexpr Share share(int count, int parts, int part) {
    const int base = count / parts, extra = count % parts;
    const int begin = part * base + std::min(part, extra);
    return {begin, begin + base + (part < extra ? 1 : 0)};
}

// Whether item number `item` of a small step's attention belongs to `part`: the first items are (sequence, kv head)
// pairs with the newest keys and values, which are stored by the part that reads them.
constexpr bool keeps(int item, int parts, int part) { return item % parts == part; }

// Share of `columns` columns (or matrix rows) in multiples of the shard granule; the last share takes what is left
// over.
constexpr Share column_share(int columns, int parts, int part) {
    const Share s = share((columns + kShardGranule - 1) / kShardGranule, parts, part);
    return {std::min(columns, s.begin * kShardGranule), std::min(columns, s.end * kShardGranule)};
}

}  // namespace undiced

// How an instruction's work is split over a team, in large and in small steps, as program/host/instruction.py says.
// Knows nothing of what an instruction does.
#pragma once

#include <algorithm>

#include "instructions.h"

namespace undiced {

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

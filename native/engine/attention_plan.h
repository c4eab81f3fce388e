// How a step's attention is cut into units, and who does which: for layers that look back alike.
// How a sequence is cut depends on that sequence alone, and where it is cut not even on that, so its result depends
// neither on what else is in the batch nor, with at most eight new tokens, on how many of them come together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "isa.h"
#include "kernels.h"
#include "step.h"

namespace undiced {

inline constexpr int kPage = static_cast<int>(kPageTokens), kBlock = static_cast<int>(kBlockPages);
inline constexpr int kMergeTokens = 8;  // sequences with so few new tokens are cut over pages, but for prompts
inline constexpr int kChunkPages = 8;   // least pages of a chunk: 256 positions
inline constexpr int kNoMerge = -1, kNotShared = std::numeric_limits<int>::min();

// What a query may look back at: the last `window` positions, or the aligned `chunk` of positions that it lies in; 0
// and 0: all.
struct Reach {
    int window, chunk;

    int most() const { return std::max(window, chunk); }  // positions; 0: all
    int first(int position) const {
        if (chunk > 0) return position - position % chunk;
        return window > 0 ? std::max(0, position - window + 1) : 0;
    }
    bool operator==(const Reach&) const = default;
};

// Some tokens of one sequence against some of its pages.
struct AttentionUnit {
    int sequence, row, tokens, position;  // queries: `tokens` rows from `row`, at `position` and what follows
    int first_page, end_page;
    int chunk, chunks;  // which part of the visible pages this is; a query of a draft may see none of it
    int merge;          // place of the first chunk's partial result, kNoMerge where chunks == 1
    bool prompt;        // of a prompt: pages that are seen whole are multiplied as words
    int words;          // plus the number of a block of pages: its place among shared words; or kNotShared
};

// What the layers of a plan have in common.
struct AttentionKind {
    Reach reach;
    int block_tokens;  // of a unit at most
    bool sampled;      // queries are of sampled rows alone

    bool operator==(const AttentionKind&) const = default;
};

class AttentionPlan {
  public:
    explicit AttentionPlan(const AttentionKind& kind) : kind_(kind) {}
    const AttentionKind& kind() const { return kind_; }

    // The most that a step within the limits has of each.
    struct Most {
        std::size_t units;
        std::size_t merges;  // of a sequence
        int chunks;          // that are merged
    };
    Most most(const Limits& limits) const;
    // Takes memory for such steps. Before the first one.
    void prepare(const Limits& limits, int members);

    // Cuts a step. `prompt_tokens`: of each slot, how many positions its sequence's prompt has; 0 if that is not known.
    void build(const StepInput& in, std::span<const std::int32_t> prompt_tokens);

    // All units; of a step that is not small, those that a member does first, and those that anyone may take then.
    std::span<const AttentionUnit> units() const { return units_; }
    Share kept(int member) const { return kept_[static_cast<std::size_t>(member)]; }
    std::span<const int> shared() const { return shared_; }
    const AttentionUnit& unit(int index) const { return units_[static_cast<std::size_t>(index)]; }

  private:
    void cut_sampled(const StepInput& in, std::span<const std::int32_t> prompt_tokens);
    void cut_rows(const StepInput& in, int sequence, Share rows, bool prompt);
    void share_out(const StepInput& in);

    const AttentionKind kind_;
    std::vector<AttentionUnit> units_;
    std::vector<Share> kept_;
    std::vector<int> shared_;
    int merges_ = 0, blocks_ = 0;  // of what is shared, how much the sequences of a step have taken
};

}  // namespace undiced

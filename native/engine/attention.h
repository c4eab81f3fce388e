// Attention of a step over paged keys and values, cut into units that members of the team take one by one.
// A unit is some tokens of one sequence against some of its pages; long decodes are cut over pages and merged.
// How a sequence is cut depends on that sequence alone, and where it is cut not even on that, so its result depends
// neither on what else is in the batch nor, with at most eight new tokens, on how many of them come together.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "kernels.h"
#include "kv.h"
#include "memory.h"
#include "step.h"

namespace undiced {

// The shape of one attention layer and where its operands lie.
struct AttentionCall {
    int plan, layer, heads, window;
    float scale, softcap;
    const float* sinks;  // one per head, or nullptr
    const float* q;      // row t at q + t * q_stride, heads x head_dim
    std::ptrdiff_t q_stride;
    float* out;
    std::ptrdiff_t out_stride;
};

class Attention {
  public:
    Attention(const Kernels& kernels, const KvCache& kv, const Limits& limits, int members);

    // Announces a layer before the first step; returns the plan to name in calls.
    int add(int layer, int heads, int window);
    // Allocates scratch for all announced layers. Throws std::invalid_argument if there would be too much of it.
    void prepare();
    // Cuts a step into units, for every plan. One thread, before the step begins.
    void build(const StepInput& in);

    // Takes units from `next` until there are none left.
    void run(const AttentionCall& call, const StepInput& in, std::atomic<int>& next, int member);
    // Does the units that are `member`'s in a small step (isa.h: keeps).
    void run_kept(const AttentionCall& call, const StepInput& in, int member);
    // Begins to load the pages of those units: weights have swept them out of the caches since the last step.
    void prefetch(int plan, int layer, const StepInput& in, int member) const;

  private:
    struct Unit {
        int sequence, row, tokens, position;  // queries: `tokens` rows from `row`, the first at `position`
        int first_page, end_page;
        int chunk, chunks;  // which part of the visible pages this is; a query of a draft may see none of it
        int merge;          // place of the first chunk's partial result, kNoMerge where chunks == 1
    };
    struct Plan {
        int window, block_tokens;
        std::vector<Unit> units;
    };
    struct Scratch {
        std::vector<float> q, out, max, sum;
        std::vector<std::int32_t> begin, end;
    };
    // Running softmax of `rows` queries.
    struct Partial {
        float *max, *sum, *out;
        std::ptrdiff_t stride;
    };

    template <class Body>
    void for_kept(const Plan& plan, const StepInput& in, int kv_heads, int member, Body&& body) const;
    void cut_sequence(Plan& plan, const StepInput& in, int sequence, int& merges);
    void run_unit(const AttentionCall& call, const StepInput& in, const Unit& unit, int kv_head, Scratch& scratch);
    void attend_pages(const AttentionCall& call, const StepInput& in, const Unit& unit, int kv_head,
                      const Partial& state, Scratch& scratch) const;
    void merge(const AttentionCall& call, const Unit& unit, int kv_head);
    Partial partial(int merge, int kv_head, int chunk) const;

    const Kernels& kernels_;
    const KvCache& kv_;
    const Limits limits_;
    const int members_;
    int most_group_ = 1, most_kv_heads_ = 1, most_dim_ = 8, most_rows_ = 1, merge_rows_ = 1, most_chunks_ = 1;
    std::vector<Plan> plans_;
    std::vector<Scratch> scratch_;
    Region partials_;
    std::unique_ptr<std::atomic<int>[]> finished_;
};

}  // namespace undiced

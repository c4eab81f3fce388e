// Attention of a step over paged keys and values, cut into units that members of the team take one by one.
// A unit is some tokens of one sequence against some of its pages (attention_plan.h); long decodes are cut over pages
// and merged.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "attention_plan.h"
#include "isa.h"
#include "kernels.h"
#include "kv.h"
#include "memory.h"
#include "shared_words.h"
#include "step.h"

namespace undiced {

// The shape of one attention layer.
struct AttentionShape {
    int layer, heads;        // of the cache; of queries
    int groups;              // of heads that are attended for together: those of a kv head, or parts of a latent's
    int key_dim, value_dim;  // the cache's, and columns that each head's result has
    Reach reach;
    bool sampled;  // queries are of sampled rows alone

    int group() const { return heads / groups; }  // heads of one
};

// Columns of queries: those of token t and head h begin at `at` + t * row + h * head.
struct Queries {
    const float* at = nullptr;
    std::ptrdiff_t row = 0, head = 0;
    int columns = 0;
};

// Where the operands of one attention layer lie.
struct AttentionCall {
    int index;  // what `add` returned
    float scale, softcap;
    const float* sinks;            // one per head, or nullptr
    std::array<Queries, 2> parts;  // that make up key_dim columns, one after the other
    float* out;                    // row t at out + t * out_stride, heads x value_dim
    std::ptrdiff_t out_stride;
};

class Attention {
  public:
    Attention(const Kernels& kernels, const KvCache& kv, const Limits& limits, int members);

    // Announces a layer before the first step; returns the index to name in calls.
    int add(const AttentionShape& shape);
    // Allocates scratch for all announced layers. Throws std::invalid_argument if there would be too much of it.
    void prepare();
    // Cuts a step into units, for every plan. One thread, before the step begins.
    // `prompt_tokens`: of each slot, how many positions its sequence's prompt has; 0 if that is not known.
    void build(const StepInput& in, std::span<const std::int32_t> prompt_tokens);

    // Tokens of a prompt in a step in multiples of which all layers' units are shared out evenly; 1: none are.
    int prompt_multiple() const;

    // Does the units that are `member`'s, then takes others from `next` until there are none left.
    void run(const AttentionCall& call, const StepInput& in, std::atomic<int>& next, int member);
    // Does the units that are `member`'s in a small step (isa.h: keeps).
    void run_kept(const AttentionCall& call, const StepInput& in, int member);
    // Begins to load the pages of those units: weights have swept them out of the caches since the last step.
    void prefetch(int index, const StepInput& in, int member) const;

  private:
    struct Layer {
        AttentionShape shape;
        std::size_t plan;
    };
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    struct Scratch {
        std::vector<float> q, out, max, sum;
        std::vector<WideBlock> codes;  // of q, where keys are int8
        std::vector<std::int32_t> begin, end;
        std::vector<float> q_scale;
        std::vector<Line> q_words, page_lines;
        std::vector<std::uint16_t> wide;  // int8 pages as f16 pages
        PageWords page;
    };
    // Running softmax of `rows` queries.
    struct Partial {
        float *max, *sum, *out;
        std::ptrdiff_t stride;
    };

    // A unit on its way over its pages.
    struct Walk {
        const AttentionShape& shape;
        const AttentionUnit& unit;
        const std::int32_t* pages;
        int kv_head;
        const WordKernels* words;    // nullptr: all is multiplied as floats
        const std::uint16_t* after;  // the page that this member looks at next, or nullptr
        std::uint64_t call;          // its number since the beginning
        AttendArgs args;
        Scratch& scratch;
    };

    const Layer& layer(int index) const { return layers_[static_cast<std::size_t>(index)]; }
    // Whether whole pages are turned into words for prompts.
    bool in_words(const AttentionShape& shape) const {
        if (kernels_.words == nullptr || kv_.spec(shape.layer).latent) return false;
        return shape.key_dim % kernels_.words->columns == 0 && shape.value_dim % kernels_.words->columns == 0;
    }
    int block_tokens(const AttentionShape& shape) const;
    std::size_t plan_for(const AttentionShape& shape);
    Scratch make_scratch() const;
    template <class Body>
    void for_kept(const Layer& layer, const StepInput& in, int member, Body&& body) const;
    void run_unit(const AttentionCall& call, const StepInput& in, const AttentionUnit& unit, int group,
                  const std::uint16_t* after, int member);
    void copy_queries(const AttentionCall& call, const AttentionUnit& unit, int group, float* to) const;
    void attend_pages(const AttentionCall& call, const StepInput& in, const AttentionUnit& unit, int group,
                      const Partial& state, const std::uint16_t* after, Scratch& scratch);
    const std::uint16_t* first_page(const Layer& layer, const StepInput& in, const AttentionUnit& unit,
                                    int group) const;
    const std::uint16_t* keys(const Walk& walk, int page) const;
    Share attend_words(Walk& walk, int page, int count, Share from);
    void attend_page(Walk& walk, int page, Share tokens);
    bool find_words(Walk& walk, int page, int count, PageWords& words);
    bool make_words(const Walk& walk, int page, int count, PageWords& words) const;
    int entry_of(const Walk& walk, int page) const;
    void attend_seen(const Walk& walk, int page, Share tokens) const;
    void merge(const AttentionCall& call, const AttentionUnit& unit, int group);
    Partial partial(int merge, int group, int chunk) const;

    const Kernels& kernels_;
    const KvCache& kv_;
    const Limits limits_;
    const int members_;
    int most_groups_ = 1, most_dim_ = 8, most_rows_ = 1, most_codes_ = 0, merge_rows_ = 1, most_chunks_ = 1;
    std::vector<Layer> layers_;
    std::vector<AttentionPlan> plans_;
    std::vector<Scratch> scratch_;
    std::uint64_t steps_ = 0;
    SharedWords words_;
    Region partials_;
    std::unique_ptr<std::atomic<int>[]> finished_;
};

}  // namespace undiced

// Everything that instructions act on: buffers, weights, the KV cache, tables, and the step in progress.
// Knows no instruction.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "attention.h"
#include "isa.h"
#include "kernels.h"
#include "kv.h"
#include "memory.h"
#include "rope.h"
#include "sampler.h"
#include "step.h"
#include "team.h"
#include "weights.h"

namespace undiced {

struct BufferSpec {
    int width;       // columns
    bool samples;    // one row per sampled row, instead of one per token
    int code_bytes;  // 0: floats; 1 or 2: blocks of 32 codes of so many bytes
    bool own;        // in a small step every member has a copy of its own
};

struct Buffer {
    BufferSpec spec;
    std::ptrdiff_t stride = 0;     // floats from row to row
    float* values = nullptr;       // rows x stride
    QuantBlock* blocks = nullptr;  // rows x blocks of the columns that were quantized, dense: of one byte a code,
    WideBlock* wide = nullptr;     // or of two
    std::size_t copy_bytes = 0;    // from one member's copy to the next one's, if it is their own

    float* row(int index) const { return values + index * stride; }
};

// A counter that no other shares its cache line with. Relaxed throughout: it only gives numbers out, once each; what is
// done with them others see behind the next barrier, and the start of a run releases its zero.
struct alignas(64) Counter {
    std::atomic<int> value{0};
};

struct EngineSpec {
    std::vector<Instr> stream;
    std::vector<BufferSpec> buffers;
    std::vector<SlotSpec> slots;
    std::vector<KvSpec> kv;
    std::vector<std::vector<float>> constants;
    Limits limits;
    int threads;
    SpinTimes spin;
    std::shared_ptr<Team> team;  // of another engine, which never steps at the same time; none: one of its own
};

// Where a member gathers the tokens of one expert at a time.
struct ExpertScratch {
    std::vector<int> starts, entries;  // by expert; tokens with their experts, by expert
    std::vector<QuantBlock> codes;
    std::vector<float> values, gates, ups, line;
};
inline constexpr int kMostExperts = 1024;
inline constexpr int kGatheredTokens = 64;  // of one expert or head that are multiplied at once

class State {
  public:
    State(const EngineSpec& spec, const Kernels& kernels);

    const Kernels& kernels;
    const Limits limits;
    const std::vector<std::vector<float>> constants;
    Weights weights;
    KvCache kv;
    RopeTables rope;
    Attention attention;
    Sampler sampler;
    Region buffer_memory;
    std::vector<Buffer> buffers;
    std::vector<std::unique_ptr<float[]>> lines;      // one per member: room for the widest row
    std::vector<ExpertScratch> experts;               // one per member, as large as the program's experts need
    std::vector<std::vector<QuantBlock>> head_codes;  // one per member: a head's inputs of several tokens
    std::unique_ptr<Counter[]> counters;              // one an instruction, zero when a step begins
    StepInput in;
    StepOutput out;
    bool small = false;                       // the step in progress is small (isa.h)
    const std::shared_ptr<Team> shared_team;  // with the engines of models that take turns
    Team& team;

    const Buffer& buffer(int index) const { return buffers[static_cast<std::size_t>(index)]; }
    // The buffer as `member` sees it.
    Buffer buffer(int index, int member) const;
    // Work is cut into as many shares as the team has threads, however many of them run.
    int members() const { return team.size(); }
    int rows(const Buffer& buffer) const { return buffer.spec.samples ? in.samples() : in.token_count(); }
    // The token that a row is of.
    int token(const Buffer& buffer, int row) const {
        return buffer.spec.samples ? in.sample_rows[static_cast<std::size_t>(row)] : row;
    }
    // The rows that a member does of an instruction with destination `dst`.
    Share row_share(const Buffer& dst, int member) const {
        return small && dst.spec.own ? Share{0, rows(dst)} : share(rows(dst), members(), member);
    }

    // Room in `experts` for such products; before the first step. Throws std::invalid_argument for too much of it.
    void make_room_for_experts(int experts, int top_k, int columns, int rows);
    // The same in `head_codes`.
    void make_room_for_heads(int columns);

  private:
    void allocate_buffers(const EngineSpec& spec);
};

}  // namespace undiced

// The engine: a checked program, its state, and the loop that runs one step of it on the team.
// Everything that can be refused is refused before a step begins; a step allocates nothing and takes no lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "flights.h"
#include "fold.h"
#include "ops.h"
#include "state.h"
#include "step.h"

namespace undiced {

// Whether steps may run on half of the team: when that is faster, never, or always (for tests and measurements).
enum class Folding { kAuto, kNever, kAlways };

struct MemoryReport {
    std::size_t weights, buffers, kv, sampling, huge;  // bytes; `huge`: of them in huge pages now
};

class Engine {
  public:
    // Throws std::invalid_argument for a program that cannot be run, std::runtime_error for an unknown ISA level.
    Engine(const EngineSpec& spec, const std::string& isa);
    ~Engine();

    // One call at a time: a second one while one runs throws std::runtime_error, as does any call after `close`.
    void touch(std::span<const int> slots);
    void load(int slot, std::span<const LoadPart> parts);
    void load_vector(int slot, std::span<const float> values);
    // Instead of `load`; see Weights::view. False: nothing is loaded.
    bool view_kept(int fd, std::uint64_t offset, std::span<const std::uint64_t> sums);
    // See Weights::settle and write. May be called while another call runs, but not while `close` does.
    bool settle_kept(std::size_t chunk) const;
    std::uint64_t write_kept(int fd, std::uint64_t offset, std::size_t chunk) const;
    std::size_t kept_bytes() const;
    // See Attention::prompt_multiple.
    int prompt_multiple() const;
    // `prompt_tokens`: positions that are its prompt's; 0: not known, then many new tokens are a prompt's.
    void open_slot(int slot, std::span<const std::int32_t> prompt, std::span<const std::int32_t> bias_ids,
                   std::span<const float> bias_values, std::span<const std::int32_t> eos,
                   std::span<const std::int32_t> allowed, int prompt_tokens = 0);
    // Counts tokens of a sequence that were generated, but not drawn. Throws std::invalid_argument.
    void count_tokens(int slot, std::span<const std::int32_t> tokens);

    // Runs one step and returns its seconds. Throws std::invalid_argument for bad input, which changes nothing.
    // Where a token is one that the step before drew and that row drew none, or one that ends its sequence, the row is
    // computed for nobody. A step whose rows are all behind such ends is not computed: they get kNotReached, in 0
    // seconds.
    double step(const StepInput& in, const StepOutput& out);
    // The same on a thread of the engine's own, one step after another; see flights.h.
    std::uint64_t submit(const StepInput& in, const StepOutput& out);
    double wait(std::uint64_t ticket);
    // Copies the last step's rows of a float buffer; returns {rows, columns}.
    std::pair<int, int> read_buffer(int index, std::vector<float>& values);
    MemoryReport memory();
    // Its threads, for another engine that steps while this one does not. Throws std::runtime_error.
    std::shared_ptr<Team> team();
    void close();

    void set_folding(Folding folding) { folding_.store(folding, std::memory_order_relaxed); }
    void set_profile(bool on) { profile_.store(on, std::memory_order_relaxed); }
    // Seconds by operation code, as thread 0 saw them while profiling was on; barriers are waiting. Between steps
    // alone; the counts below may be asked at any time.
    using OpSeconds = std::array<double, kOpNames.size()>;
    const OpSeconds& op_seconds() const { return op_seconds_; }
    std::uint64_t steps() const { return steps_; }
    std::uint64_t tokens() const { return tokens_; }
    std::uint64_t folded_steps() const { return folded_steps_; }  // steps that ran on half of the team
    // Instructions that thread 0 has done since the beginning; any thread may ask at any time. It stands still only
    // between steps, and when a step hangs.
    std::uint64_t progress() const { return progress_.load(std::memory_order_relaxed); }
    const char* isa() const { return isa_; }

  private:
    class Busy;

    const State& opened() const;  // throws std::runtime_error for a closed engine
    void bind(const EngineSpec& spec);
    void bind_one(const Instr& instr);
    StepInput with_tokens(const StepInput& in);
    bool ended(const StepInput& given, const StepInput& in, int sequence) const;
    void keep_ends(const StepInput& given, const StepInput& in);
    Flights& flights();
    bool prepare();
    bool choose_fold(double now_s) const;
    void run_thread(int thread);
    void run_bound(const Bound& bound, int thread);

    std::unique_ptr<State> state_;
    std::vector<Bound> program_;
    std::unique_ptr<StepChecker> checker_;
    FoldPolicy fold_;
    std::atomic<bool> busy_{false};
    std::atomic<bool> profile_{false};
    std::atomic<std::uint64_t> progress_{0};
    std::atomic<Folding> folding_{Folding::kAuto};
    bool loaded_ = false;
    const char* isa_;
    int instructions_ = 0;
    int last_tokens_ = 0, last_samples_ = 0;
    std::atomic<std::uint64_t> steps_{0}, tokens_{0}, folded_steps_{0};
    OpSeconds op_seconds_{};
    std::vector<std::int32_t> prompt_tokens_;        // of each slot; see `open_slot`
    std::vector<std::int32_t> tokens_read_, drawn_;  // of a step that follows another; by the last step, per row
    std::unique_ptr<Flights> flights_;               // ends before the rest does
};

}  // namespace undiced

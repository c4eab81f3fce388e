// Binding a program and running steps; see engine.h.
#include "engine.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <stdexcept>

namespace undiced {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

// What a step's tokens and positions may be, by the program's lookups and attention layers.
StepChecker make_checker(const std::vector<Bound>& program, const State& state) {
    int window = 1, embed_rows = std::numeric_limits<int>::max(), position_rows = 0;
    for (const Bound& b : program) {
        if (b.is<instr::LatentAttention>()) window = 0;
        if (b.is<instr::Attention>()) {
            const auto i = b.i.as<instr::Attention>();
            const int looks_back = std::max(i.window, i.chunk);
            window = window == 0 || looks_back == 0 ? 0 : std::max(window, looks_back);
        }
        if (!b.is<instr::Embed>()) continue;
        const auto i = b.i.as<instr::Embed>();
        const int rows = static_cast<int>(state.weights.slot(i.table).rows());
        if (i.positions())
            position_rows = position_rows == 0 ? rows : std::min(position_rows, rows);
        else
            embed_rows = std::min(embed_rows, rows);
    }
    return {state.limits, window, embed_rows, position_rows};
}

}  // namespace

// Holds the engine for one call.
class Engine::Busy {
  public:
    explicit Busy(Engine& engine) : engine_(engine) {
        if (engine_.busy_.exchange(true, std::memory_order_acquire))
            throw std::runtime_error("the engine is in use by another thread");
        if (engine_.state_ == nullptr) {
            engine_.busy_.store(false, std::memory_order_release);
            throw std::runtime_error("the engine is closed");
        }
    }
    ~Busy() { engine_.busy_.store(false, std::memory_order_release); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

  private:
    Engine& engine_;
};

Engine::Engine(const EngineSpec& spec, const std::string& isa)
    : state_(std::make_unique<State>(spec, kernels(parse_isa(isa)))), isa_(state_->kernels.name) {
    bind(spec);
    state_->attention.prepare();
    checker_ = std::make_unique<StepChecker>(make_checker(program_, *state_));
    prompt_tokens_.resize(static_cast<std::size_t>(spec.limits.max_batch));
    tokens_read_.reserve(static_cast<std::size_t>(spec.limits.max_tokens));
    drawn_.reserve(static_cast<std::size_t>(spec.limits.max_samples));
    flights_ = std::make_unique<Flights>([this](const StepInput& in, const StepOutput& out) { return step(in, out); },
                                         [this] { return prepare(); });
}

Engine::~Engine() = default;

void Engine::bind(const EngineSpec& spec) {
    program_.reserve(3 * spec.stream.size());
    for (const Instr& instr : spec.stream) bind_one(instr);
    const Instr* next = nullptr;
    for (std::size_t i = 2 * program_.size(); i-- > 0;) {
        Bound& bound = program_[i % program_.size()];
        if (!bound.is<instr::Matmul>()) continue;
        bound.next_matmul = next != nullptr ? next : &bound.i;
        next = &bound.i;
    }
    Bound* product = nullptr;
    for (Bound& bound : program_) {
        if (bound.is<instr::Matmul>()) product = &bound;
        const bool attends = bound.is<instr::Attention>() || bound.is<instr::LatentAttention>();
        if (attends && product != nullptr) product->attention = &bound;
    }
}

void Engine::bind_one(const Instr& instr) {
    Bound bound{instr, instructions_++};
    bound.large = bound.is<instr::Barrier>() && instr.as<instr::Barrier>().large();
    const Checker checker(*state_, bound);
    const OpEntry* entry = find_op(instr.op);
    if (entry == nullptr) {
        const std::string name(op_name(instr.op));
        checker.refuse(name.empty() ? "no such operation: " + std::to_string(instr.op)
                                    : "this engine does not carry " + name);
    }
    bound.extra = entry->check(checker);
    if (entry->first != nullptr) {
        bound.run = entry->first;
        program_.push_back(bound);
        bound.run = nullptr;
        program_.push_back(bound);
    }
    bound.run = entry->run;
    program_.push_back(bound);
}

void Engine::touch(std::span<const int> slots) {
    const Busy busy(*this);
    state_->weights.touch(slots, state_->team);
}

void Engine::load(int slot, std::span<const LoadPart> parts) {
    const Busy busy(*this);
    loaded_ = false;
    state_->weights.load(slot, parts, state_->team);
}

void Engine::load_vector(int slot, std::span<const float> values) {
    const Busy busy(*this);
    state_->weights.load_vector(slot, values);
}

bool Engine::view_kept(int fd, std::uint64_t offset, std::span<const std::uint64_t> sums) {
    const Busy busy(*this);
    loaded_ = false;
    return state_->weights.view(fd, offset, sums, state_->team);
}

bool Engine::settle_kept(std::size_t chunk) const { return opened().weights.settle(chunk); }

std::uint64_t Engine::write_kept(int fd, std::uint64_t offset, std::size_t chunk) const {
    return opened().weights.write(fd, offset, chunk);
}

std::size_t Engine::kept_bytes() const { return opened().weights.kept_bytes(); }

int Engine::prompt_multiple() const { return opened().attention.prompt_multiple(); }

const State& Engine::opened() const {
    if (state_ == nullptr) throw std::runtime_error("the engine is closed");
    return *state_;
}

void Engine::open_slot(int slot, std::span<const std::int32_t> prompt, std::span<const std::int32_t> bias_ids,
                       std::span<const float> bias_values, std::span<const std::int32_t> eos,
                       std::span<const std::int32_t> allowed, int prompt_tokens) {
    const Busy busy(*this);
    if (prompt_tokens < 0)
        throw std::invalid_argument("a prompt can't have " + std::to_string(prompt_tokens) + " tokens");
    state_->sampler.slots().open(slot, prompt, bias_ids, bias_values, eos, allowed);
    prompt_tokens_[static_cast<std::size_t>(slot)] = prompt_tokens;
}

void Engine::count_tokens(int slot, std::span<const std::int32_t> tokens) {
    const Busy busy(*this);
    state_->sampler.slots().count_all(slot, tokens);
}

std::uint64_t Engine::submit(const StepInput& in, const StepOutput& out) { return flights().submit(in, out); }

double Engine::wait(std::uint64_t ticket) { return flights().wait(ticket); }

Flights& Engine::flights() {
    if (flights_ == nullptr) throw std::runtime_error("the engine is closed");
    return *flights_;
}

// The step with the tokens that the one before drew in place of what stands for them.
StepInput Engine::with_tokens(const StepInput& in) {
    if (!in.follows()) return in;
    tokens_read_.assign(in.tokens.begin(), in.tokens.end());
    for (std::int32_t& token : tokens_read_) {
        if (token >= 0) continue;
        const auto row = static_cast<std::size_t>(-(token + 1));
        if (row >= drawn_.size())
            throw std::invalid_argument("a token is that of row " + std::to_string(row) +
                                        " of the step before, which drew " + std::to_string(drawn_.size()));
        token = std::max(drawn_[row], 0);
    }
    StepInput found = in;
    found.tokens = tokens_read_;
    return found;
}

// Whether a sequence goes on with nothing but a token that the step before drew and that ended it.
bool Engine::ended(const StepInput& given, const StepInput& in, int sequence) const {
    const auto s = static_cast<std::size_t>(sequence), at = static_cast<std::size_t>(in.seq_start[s]);
    return in.seq_start[s + 1] == in.seq_start[s] + 1 && given.tokens[at] < 0 &&
           state_->sampler.slots().ends(in.slots[s], in.tokens[at]);
}

// Rows behind an end draw that end again, so that what follows on them is known to be for nobody, too.
void Engine::keep_ends(const StepInput& given, const StepInput& in) {
    if (!given.follows()) return;
    for (int r = 0, s = 0; r < in.samples(); ++r) {
        const auto row = static_cast<std::size_t>(r);
        while (in.seq_start[static_cast<std::size_t>(s) + 1] <= in.sample_rows[row]) ++s;
        if (ended(given, in, s)) drawn_[row] = in.tokens[static_cast<std::size_t>(in.sample_rows[row])];
    }
}

double Engine::step(const StepInput& given, const StepOutput& out) {
    const Busy busy(*this);
    const StepInput in = with_tokens(given);
    drawn_.clear();
    const auto start = Clock::now();
    State& state = *state_;
    if (!loaded_) state.weights.check_loaded();
    loaded_ = true;
    checker_->check(in, out);
    state.kv.written(checker_->pages_written());
    state.in = in;
    state.out = out;
    bool alive = !given.follows();
    for (int s = 0; s < in.sequences() && !alive; ++s) alive = !ended(given, in, s);
    if (!alive) {
        drawn_.assign(static_cast<std::size_t>(in.samples()), kNotReached);
        keep_ends(given, in);
        for (int r = 0; r < in.samples(); ++r) Sampler::say_nothing(r, kNotReached, out);
        return 0.0;
    }
    state.small = in.token_count() <= kSmallStepTokens && in.token_count() == in.sequences();
    if (state.small) state.rope.fill(in.positions, 0, in.token_count());
    state.sampler.reset(in.samples());
    state.attention.build(in, prompt_tokens_);
    for (int i = 0; i < instructions_; ++i)
        state.counters[static_cast<std::size_t>(i)].value.store(0, std::memory_order_relaxed);
    const bool folded = choose_fold(seconds_between(Clock::time_point(), start));
    state.team.run(folded ? (state.members() + 1) / 2 : state.members(), [this](int thread) { run_thread(thread); });
    drawn_.assign(out.tokens.begin(), out.tokens.begin() + in.samples());
    keep_ends(given, in);
    last_tokens_ = in.token_count();
    last_samples_ = in.samples();
    ++steps_;
    tokens_ += in.tokens.size();
    const auto end = Clock::now();
    const double seconds = seconds_between(start, end);
    if (folded)
        ++folded_steps_;
    else
        fold_.observe(seconds_between(Clock::time_point(), end), seconds, state.team.lost_seconds());
    return seconds;
}

// A step of another thread's goes first, too.
bool Engine::prepare() { return busy_.load(std::memory_order_relaxed) || state_->kv.prepare(); }

bool Engine::choose_fold(double now_s) const {
    const Folding folding = folding_.load(std::memory_order_relaxed);
    return folding == Folding::kAlways || (folding == Folding::kAuto && fold_.folded(now_s));
}

// The shares of a folded team's sleeping threads are done by the active ones.
void Engine::run_thread(int thread) {
    State& state = *state_;
    if (!state.small)  // otherwise the tables are there: every member reads all of their rows
        for (int member = thread; member < state.members(); member += state.team.active()) {
            const Share rows = share(state.in.token_count(), state.members(), member);
            state.rope.fill(state.in.positions, rows.begin, rows.end);
        }
    if (thread > 0) {
        for (const Bound& bound : program_) run_bound(bound, thread);
        return;
    }
    std::uint64_t done = progress();
    if (!profile_.load(std::memory_order_relaxed)) {
        for (const Bound& bound : program_) {
            run_bound(bound, thread);
            progress_.store(++done, std::memory_order_relaxed);
        }
        return;
    }
    auto before = Clock::now();
    for (const Bound& bound : program_) {
        run_bound(bound, thread);
        progress_.store(++done, std::memory_order_relaxed);
        const auto now = Clock::now();
        op_seconds_[bound.run == nullptr ? 0 : bound.i.op] += seconds_between(before, now);
        before = now;
    }
}

void Engine::run_bound(const Bound& bound, int thread) {
    if (bound.run == nullptr) {
        if (!state_->small || !bound.large) state_->team.barrier(thread);
        return;
    }
    for (int member = thread; member < state_->members(); member += state_->team.active())
        bound.run(*state_, bound, member);
}

std::pair<int, int> Engine::read_buffer(int index, std::vector<float>& values) {
    const Busy busy(*this);
    if (index < 0 || static_cast<std::size_t>(index) >= state_->buffers.size())
        throw std::invalid_argument("no buffer " + std::to_string(index));
    const Buffer& buffer = state_->buffer(index);
    if (buffer.spec.code_bytes > 0)
        throw std::invalid_argument("buffer " + std::to_string(index) + " holds blocks of codes");
    const int rows = buffer.spec.samples ? last_samples_ : last_tokens_, width = buffer.spec.width;
    values.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(width));
    for (int row = 0; row < rows; ++row)
        std::copy_n(buffer.row(row), width, values.data() + static_cast<std::ptrdiff_t>(row) * width);
    return {rows, width};
}

MemoryReport Engine::memory() {
    const Busy busy(*this);
    const Region &weights = state_->weights.memory(), &buffers = state_->buffer_memory, &kv = state_->kv.memory(),
                 &sampling = state_->sampler.slots().memory();
    return {weights.bytes(), buffers.bytes(), kv.bytes(), sampling.bytes(),
            weights.huge_bytes() + buffers.huge_bytes() + kv.huge_bytes() + sampling.huge_bytes()};
}

std::shared_ptr<Team> Engine::team() {
    const Busy busy(*this);
    return state_->shared_team;
}

void Engine::close() {
    flights_.reset();
    if (busy_.exchange(true, std::memory_order_acquire))
        throw std::runtime_error("the engine is in use by another thread");
    state_.reset();
    busy_.store(false, std::memory_order_release);
}

}  // namespace undiced

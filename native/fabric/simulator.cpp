// Rounds of several cycles, in which threads share the mesh out, and what is told when nothing goes on any more.
#include "simulator.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <thread>
#include <tuple>

#include "agenda.h"
#include "outcome.h"
#include "sweep.h"
#include "ways.h"
#include "worker.h"

namespace undiced::fabric {
namespace {

constexpr std::chrono::milliseconds kAskEvery{50};
constexpr std::uint32_t kLast = kNever - 1024;  // a cycle from which a round, a hop or a pause leads to no other era

// All threads meet here; the last lets the others go on.
class Barrier {
  public:
    explicit Barrier(std::uint32_t count) : count_(count) {}

    void meet() {
        if (count_ == 1) return;
        const std::uint32_t round = round_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
            return;
        }
        for (int spin = 0; round_.load(std::memory_order_acquire) == round; ++spin)
            if (spin > 4000) std::this_thread::yield();
    }

  private:
    std::uint32_t count_;
    std::atomic<std::uint32_t> arrived_{0};
    std::atomic<std::uint32_t> round_{0};
};

// Numbers from 0 to `count`, each given out once: a thread takes those of its own share first, then others'.
class Tickets {
  public:
    Tickets(std::uint32_t count, std::uint32_t threads) : count_(count), shares_(threads) { renew(); }

    void renew() {
        for (std::uint32_t i = 0; i < shares_.size(); ++i) shares_[i].next.store(first(i), std::memory_order_relaxed);
    }

    // kNever: none is left.
    std::uint32_t take(std::uint32_t thread) {
        const auto threads = static_cast<std::uint32_t>(shares_.size());
        for (std::uint32_t i = 0; i < threads; ++i) {
            const std::uint32_t share = (thread + i) % threads;
            if (shares_[share].next.load(std::memory_order_relaxed) >= first(share + 1)) continue;
            const std::uint32_t taken = shares_[share].next.fetch_add(1, std::memory_order_relaxed);
            if (taken < first(share + 1)) return taken;
        }
        return kNever;
    }

  private:
    [[nodiscard]] std::uint32_t first(std::uint32_t share) const {
        return static_cast<std::uint32_t>(std::uint64_t{count_} * share / shares_.size());
    }

    struct alignas(kLine) Share {
        std::atomic<std::uint32_t> next;
    };
    std::uint32_t count_;
    std::vector<Share> shares_;
};

struct alignas(kLine) Said {
    std::uint32_t next[2] = {kNever, kNever};  // in even rounds, and in odd ones
    bool stop[2] = {false, false};
};

class Run {
  public:
    Run(const Program& program, const Machine& machine, const AllWays& ways, std::uint8_t* memory,
        const Options& options, const std::function<bool(std::uint32_t)>& go_on)
        : limit_(std::min(options.limit, kLast)),
          go_on_(go_on),
          world_(program, machine, ways),
          agenda_(world_.mesh.rows, world_.mesh.columns),
          sweep_(world_.mesh.rows, world_.bytes / world_.mesh.rows, static_cast<std::uint32_t>(options.threads)),
          threads_(std::min(static_cast<std::uint32_t>(options.threads), sweep_.chunks())),
          barrier_(threads_),
          chunks_(sweep_.chunks(), threads_),
          gaps_(sweep_.gaps(), threads_),
          said_(threads_) {
        for (std::uint32_t i = 0; i < threads_; ++i)
            workers_.push_back(std::make_unique<Worker>(world_, agenda_, memory, options));
    }

    Result result(const Counts& counts) {
        for (std::uint32_t row = 0; row < world_.mesh.rows; ++row) {
            workers_[0]->begin(row);
            from_ = std::min(from_, agenda_.next(row, 0));
        }
        if (asked(0)) {
            std::vector<std::jthread> others;
            for (std::uint32_t i = 1; i < threads_; ++i) others.emplace_back([this, i] { loop(i); });
            loop(0);
        }
        if (failure_) std::rethrow_exception(failure_);
        return told(counts);
    }

  private:
    void loop(std::uint32_t number) {
        Worker& worker = *workers_[number];
        std::uint32_t from = from_;
        bool stop = false;
        for (std::size_t parity = 0; from <= limit_ && !stop; parity ^= 1) {
            Said& said = said_[number];
            said.next[parity] = round(worker, number, from, std::min(from + sweep_.cycles(), limit_ + 1));
            said.stop[parity] = worker.fault.has_value() || (number == 0 && !asked(from));
            barrier_.meet();
            from = kNever;
            for (const Said& each : said_) {
                from = std::min(from, each.next[parity]);
                stop |= each.stop[parity];
            }
        }
        if (number == 0) over_limit_ = from != kNever && from > limit_;
    }

    // The cycles from `from` to `end`: what of them this thread gets. The first behind them that has something to do.
    std::uint32_t round(Worker& worker, std::uint32_t number, std::uint32_t from, std::uint32_t end) {
        std::uint32_t next = kNever;
        if (number == 0) gaps_.renew();
        for (std::uint32_t i = chunks_.take(number); i != kNever; i = chunks_.take(number)) {
            run(worker, sweep_.chunk(i, 0), from, end, [&](std::uint32_t cycle) { return sweep_.chunk(i, cycle); });
            next = std::min(next, first_of(sweep_.left(i), end));
        }
        barrier_.meet();
        if (number == 0) chunks_.renew();
        for (std::uint32_t i = gaps_.take(number); i != kNever; i = gaps_.take(number)) {
            run(worker, sweep_.touched(i), from, end, [&](std::uint32_t cycle) { return sweep_.gap(i, cycle); });
            next = std::min(next, first_of(sweep_.touched(i), end));
        }
        return next;
    }

    template <class Rows>
    void run(Worker& worker, Span all, std::uint32_t from, std::uint32_t end, Rows rows) {
        if (first_of(all, from) >= end) return;
        for (std::uint32_t cycle = from; cycle < end; ++cycle) {
            const Span span = rows(cycle - from);
            for (std::uint32_t row = span.first; row < span.last; ++row)
                if (agenda_.has(row, cycle)) worker.work(row, cycle);
        }
    }

    [[nodiscard]] std::uint32_t first_of(Span rows, std::uint32_t from) const {
        std::uint32_t first = kNever;
        for (std::uint32_t row = rows.first; row < rows.last; ++row) first = std::min(first, agenda_.next(row, from));
        return first;
    }

    // Whether the caller wants to go on; it is asked now and then.
    bool asked(std::uint32_t now) {
        const auto time = std::chrono::steady_clock::now();
        if (time < ask_) return true;
        ask_ = time + kAskEvery;
        try {
            stopped_ = !go_on_(now);
        } catch (...) {
            failure_ = std::current_exception();
            stopped_ = true;
        }
        return !stopped_;
    }

    Result told(const Counts& counts) {
        Result r;
        r.section_start.assign(world_.program.sections.size(), kNever);
        r.section_end.assign(world_.program.sections.size(), 0);
        std::uint32_t acted = 0;
        for (const auto& worker : workers_) {
            join(*worker, r);
            acted = std::max(acted, worker->acted);
        }
        std::sort(r.events.begin(), r.events.end(), [](const Event& a, const Event& b) {
            return std::tie(a.core, a.start, a.thread, a.end, a.op) < std::tie(b.core, b.start, b.thread, b.end, b.op);
        });
        if (const Wait* fault = first_fault(); fault != nullptr) {
            r.status = Status::kFault;
            r.waiting.push_back(*fault);
        } else if (stopped_) {
            r.status = Status::kStopped;
        } else {
            r.waiting = waiting(world_);
            if (!r.waiting.empty()) r.status = over_limit_ ? Status::kLimit : Status::kDeadlock;
        }
        if (r.status == Status::kDeadlock) r.cycles = acted;
        if (r.status == Status::kLimit) {
            r.cycles = limit_;
            cut_short(world_, limit_, r);
        }
        count(world_, counts);
        return r;
    }

    static void join(const Worker& worker, Result& r) {
        r.hops += worker.hops;
        r.active += worker.active;
        r.worked += worker.worked;
        r.cycles = std::max(r.cycles, worker.last);
        r.events.insert(r.events.end(), worker.events.begin(), worker.events.end());
        for (std::size_t i = 0; i < r.section_start.size(); ++i) {
            r.section_start[i] = std::min(r.section_start[i], worker.section_start[i]);
            r.section_end[i] = std::max(r.section_end[i], worker.section_end[i]);
        }
    }

    [[nodiscard]] const Wait* first_fault() const {
        const Worker* first = nullptr;
        for (const auto& worker : workers_)
            if (worker->fault && (first == nullptr || std::tuple(worker->fault_cycle, worker->fault->core) <
                                                          std::tuple(first->fault_cycle, first->fault->core)))
                first = worker.get();
        return first == nullptr ? nullptr : &*first->fault;
    }

    std::uint32_t limit_;
    const std::function<bool(std::uint32_t)>& go_on_;
    World world_;
    Agenda agenda_;
    Sweep sweep_;
    std::uint32_t threads_;
    Barrier barrier_;
    Tickets chunks_, gaps_;
    std::vector<Said> said_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::chrono::steady_clock::time_point ask_;
    std::exception_ptr failure_;
    std::uint32_t from_ = kNever;
    bool stopped_ = false;
    bool over_limit_ = false;
};

}  // namespace

Result simulate(const Program& program, const Machine& machine, std::uint8_t* memory, const Options& options,
                const Counts& counts, const std::function<bool(std::uint32_t)>& go_on) {
    Run run(program, machine, check(program, machine), memory, options, go_on);
    return run.result(counts);
}

}  // namespace undiced::fabric

// Threads that work on the same cycle side by side, and what is told when nothing goes on any more.
#include "simulator.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>
#include <tuple>

#include "worker.h"

namespace undiced::fabric {
namespace {

constexpr std::size_t kTold = 64;  // waiting threads and wavelets that a result names
constexpr std::uint32_t kAskEvery = 1 << 12;

// All threads meet here once a round; the last lets the others go on.
class Barrier {
  public:
    explicit Barrier(int count) : count_(count) {}

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
    int count_;
    std::atomic<int> arrived_{0};
    std::atomic<std::uint32_t> round_{0};
};

struct alignas(64) Said {
    std::uint32_t next[2] = {kNever, kNever};
    bool stop[2] = {false, false};
};

class Run {
  public:
    Run(const Program& program, const Machine& machine, std::uint8_t* memory, const Options& options,
        const std::function<bool(std::uint32_t)>& go_on)
        : world_(program, machine),
          shares_(program, options.threads),
          options_(options),
          go_on_(go_on),
          barrier_(options.threads),
          said_(static_cast<std::size_t>(options.threads)),
          boxes_(static_cast<std::size_t>(options.threads)) {
        for (int i = 0; i < options.threads; ++i)
            workers_.push_back(std::make_unique<Worker>(world_, shares_, i, memory, options));
        for (auto& box : boxes_)
            for (auto& parity : box) parity.resize(static_cast<std::size_t>(options.threads));
    }

    Result result(const Counts& counts) {
        std::vector<std::jthread> others;
        for (int i = 1; i < options_.threads; ++i) others.emplace_back([this, i] { loop(i); });
        loop(0);
        others.clear();
        if (failure_) std::rethrow_exception(failure_);
        return told(counts);
    }

  private:
    void loop(int number) {
        Worker& worker = *workers_[static_cast<std::size_t>(number)];
        worker.begin();
        std::uint32_t now = 0;
        for (std::uint32_t round = 0;; ++round) {
            const std::size_t parity = round & 1U;
            receive(worker, number, parity ^ 1U, now);
            worker.mailed = kNever;
            worker.work(now);
            send(worker, number, parity);
            Said& said = said_[static_cast<std::size_t>(number)];
            said.next[parity] = std::min(worker.next(now), worker.mailed);
            said.stop[parity] = worker.fault.has_value() || (number == 0 && round % kAskEvery == 0 && stopped(now));
            barrier_.meet();
            std::uint32_t next = kNever;
            bool stop = false;
            for (const Said& each : said_) {
                next = std::min(next, each.next[parity]);
                stop |= each.stop[parity];
            }
            if (number == 0) end_ = now;
            if (stop || next == kNever || next > options_.limit) {
                if (number == 0) over_limit_ = !stop && next != kNever;
                return;
            }
            now = next;
        }
    }

    bool stopped(std::uint32_t now) {
        try {
            stopped_ = !go_on_(now);
        } catch (...) {
            failure_ = std::current_exception();
            stopped_ = true;
        }
        return stopped_;
    }

    void send(Worker& worker, int number, std::size_t parity) {
        for (int to = 0; to < options_.threads; ++to) {
            auto& out = worker.outbox(static_cast<std::uint32_t>(to));
            auto& box = boxes_[static_cast<std::size_t>(number)][parity][static_cast<std::size_t>(to)];
            box.clear();
            box.swap(out);
        }
    }

    void receive(Worker& worker, int number, std::size_t parity, std::uint32_t now) {
        for (int from = 0; from < options_.threads; ++from)
            for (const Mail& mail : boxes_[static_cast<std::size_t>(from)][parity][static_cast<std::size_t>(number)])
                worker.receive(mail, now);
    }

    Result told(const Counts& counts) {
        Result r;
        r.section_start.assign(world_.program.sections.size(), kNever);
        r.section_end.assign(world_.program.sections.size(), 0);
        const Wait* fault = nullptr;
        std::uint32_t first = kNever;
        for (const auto& worker : workers_) {
            r.hops += worker->hops;
            r.active += worker->active;
            r.worked += worker->worked;
            r.cycles = std::max(r.cycles, worker->last);
            r.events.insert(r.events.end(), worker->events.begin(), worker->events.end());
            for (std::size_t i = 0; i < r.section_start.size(); ++i) {
                r.section_start[i] = std::min(r.section_start[i], worker->section_start[i]);
                r.section_end[i] = std::max(r.section_end[i], worker->section_end[i]);
            }
            if (worker->fault && (fault == nullptr || worker->fault_cycle < first ||
                                  (worker->fault_cycle == first && worker->fault->core < fault->core))) {
                fault = &*worker->fault;
                first = worker->fault_cycle;
            }
        }
        std::sort(r.events.begin(), r.events.end(), [](const Event& a, const Event& b) {
            return std::tie(a.core, a.start, a.thread, a.end, a.op) < std::tie(b.core, b.start, b.thread, b.end, b.op);
        });
        if (fault != nullptr) {
            r.status = Status::kFault;
            r.waiting.push_back(*fault);
        } else if (stopped_) {
            r.status = Status::kStopped;
        } else {
            for (std::uint32_t at = 0; at < world_.cores && r.waiting.size() < kTold; ++at) tell(at, r.waiting);
            if (!r.waiting.empty()) r.status = over_limit_ ? Status::kLimit : Status::kDeadlock;
        }
        if (r.status == Status::kDeadlock) r.cycles = std::max(r.cycles, end_);
        if (r.status == Status::kLimit) r.cycles = options_.limit;
        count(counts);
        return r;
    }

    void tell(std::uint32_t at, std::vector<Wait>& out) {
        Core& core = world_.core(at);
        for (int thread = 0; thread < kThreads; ++thread)
            if ((core.threads >> thread & 1) != 0) out.push_back(waiting(at, core, thread));
        const Role& role = world_.role(at);
        for (int slot = 0; slot < role.slots; ++slot)
            if ((core.pending >> slot & 1U) != 0)
                out.push_back({at, -1, -1, -1, -1, Why::kWavelet, -1, role.color[static_cast<std::size_t>(slot)],
                               role.port[static_cast<std::size_t>(slot)]});
        for (int queue = 0; queue < kQueues; ++queue)
            if ((core.outs >> queue & 1) != 0) {
                const Queue& q = world_.output(at, queue);
                out.push_back({at, -1, -1, -1, -1, Why::kUnsent, queue,
                               static_cast<std::int32_t>(q.entries[q.head].meta >> kColorShift), 0});
            }
        for (int color = 0; color < kColors; ++color)
            if (core.hears[color] != 0 && world_.input(at, core.hears[color] - 1).count > 0 && core.threads == 0)
                out.push_back({at, -1, -1, -1, -1, Why::kUnread, core.hears[color] - 1, color, 0});
    }

    Wait waiting(std::uint32_t at, Core& core, int thread) {
        const Context& c = core.contexts[thread];
        Wait w{at, thread, c.section, -1, 0, Why::kWorking, -1, -1, -1};
        if (c.op == c.end) return w;
        const Op& op = *c.op;
        w.block = c.block;
        w.op = static_cast<std::int32_t>(
            &op - (world_.program.ops.data() + world_.program.blocks[static_cast<std::size_t>(c.block)].first));
        if (c.phase == Phase::kFetch && (op.kind == Kind::kFork || op.kind == Kind::kWait)) w.why = Why::kThreads;
        if (c.phase == Phase::kFetch && op.kind == Kind::kBind) {
            w.why = Why::kNotEmpty;
            w.queue = op.queue;
        }
        if (c.phase == Phase::kFetch && op.kind == Kind::kVector) {
            w.why = Why::kOtherWavelets;
            for (const Operand* in : {&op.a, &op.b, &op.c})
                if (in->place == Place::kFabric && world_.input(at, in->queue).count > 0) {
                    w.queue = in->queue;
                    w.color = in->color;
                }
        }
        if (c.phase != Phase::kStream) return w;
        w.why = Why::kFullQueue;
        w.queue = op.kind == Kind::kSend ? op.queue : op.target.queue;
        w.color = op.kind == Kind::kSend ? op.color : op.target.color;
        if (op.kind == Kind::kSend || c.control_left != 0) return w;
        for (const Operand* in : {&op.a, &op.b, &op.c})
            if (in->place == Place::kFabric && world_.input(at, in->queue).count == 0) {
                w.why = Why::kEmptyQueue;
                w.queue = in->queue;
                w.color = in->color;
            }
        return w;
    }

    void count(const Counts& counts) {
        for (std::uint32_t at = 0; at < world_.cores; ++at) {
            const Core& core = world_.core(at);
            if (counts.finished != nullptr) counts.finished[at] = core.finished;
            if (counts.busy != nullptr) counts.busy[at] = core.busy;
            for (int port = 0; counts.loads != nullptr && port < kPorts; ++port)
                counts.loads[std::size_t{at} * kPorts + static_cast<std::size_t>(port)] = core.links[port].load;
        }
    }

    World world_;
    Shares shares_;
    const Options& options_;
    const std::function<bool(std::uint32_t)>& go_on_;
    Barrier barrier_;
    std::vector<Said> said_;
    std::vector<std::array<std::vector<std::vector<Mail>>, 2>> boxes_;  // by sender, parity, receiver
    std::vector<std::unique_ptr<Worker>> workers_;
    std::exception_ptr failure_;
    bool stopped_ = false;
    bool over_limit_ = false;
    std::uint32_t end_ = 0;
};

}  // namespace

Result simulate(const Program& program, const Machine& machine, std::uint8_t* memory, const Options& options,
                const Counts& counts, const std::function<bool(std::uint32_t)>& go_on) {
    check(program, machine);
    return Run(program, machine, memory, options, go_on).result(counts);
}

}  // namespace undiced::fabric

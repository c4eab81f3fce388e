// A core's threads in one cycle: what they start, wait for and end, and which of them gets the datapath.
#include <algorithm>
#include <bit>

#include "numbers.h"
#include "worker.h"

namespace undiced::fabric {
namespace {

std::uint64_t mixed(std::uint64_t x) {  // splitmix64
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

constexpr unsigned bit(int thread) { return 1U << thread; }

}  // namespace

// Starts the main thread, when its time has come; whether it did.
bool Worker::start(const Here& here) {
    Core& core = here.core();
    if (core.started != 0 || !mesh_.coded(here.at)) return false;
    const std::uint32_t begin = start_of(here.at);
    if (now_ < begin) {
        soon(begin);
        return false;
    }
    core.started = 1;
    core.threads = bit(kMain);
    Context& context = here.context(kMain);
    context.phase = Phase::kFetch;
    context.section = -1;
    return true;
}

// The thread that had the datapath since it was granted has worked until now.
void Worker::account(const Here& here) {
    Core& core = here.core();
    const std::uint32_t elapsed = now_ - core.since;
    here.context(static_cast<int>(core.running) - 1).remaining -= elapsed;
    core.busy += elapsed;
    worked += elapsed;
    core.running = 0;
    acted = std::max(acted, now_);
}

// Lets all threads go on as far as they can without the datapath.
void Worker::settle(const Here& here) {
    Core& core = here.core();
    for (bool again = true; again;) {
        again = false;
        for (unsigned left = core.threads & ~(core.streaming | unsigned{core.stalled}); left != 0; left &= left - 1) {
            const int thread = std::countr_zero(left);
            if (core.held <= now_ || static_cast<int>(core.holder) != thread) again |= progress(here, thread);
        }
        if (again) acted = std::max(acted, now_ + 1);
    }
}

// The first thread that has cycles of a set-up or of work left takes the datapath.
void Worker::grant(const Here& here) {
    Core& core = here.core();
    for (unsigned left = core.threads; left != 0; left &= left - 1) {
        const int thread = std::countr_zero(left);
        const Context& context = here.context(thread);
        if (context.phase != Phase::kSetup && context.phase != Phase::kWork) continue;
        core.running = static_cast<unsigned>(thread + 1);
        core.since = now_;
        return soon(now_ + std::min(context.remaining, kNever - 1 - now_));
    }
}

// Lets a thread go on as far as it can without the datapath; whether it did.
bool Worker::progress(const Here& here, int thread) {
    Context& context = here.context(thread);
    bool changed = false;
    for (;;) {
        switch (context.phase) {
            case Phase::kSetup:
                if (context.remaining > 0) return changed;
                context.phase = Phase::kStream;
                here.core().streaming = static_cast<std::uint16_t>(here.core().streaming | bit(thread));
                return true;
            case Phase::kWork:
                if (context.remaining > 0) return changed;
                if (is_taken(here, *context.op)) {  // by another thread, since this one looked: it waits again
                    context.phase = Phase::kFetch;
                    break;
                }
                commit(here, thread, *context.op);
                finish_op(here, thread, now_);
                break;
            case Phase::kFetch:
                if (!fetch(here, thread)) {
                    here.core().stalled = static_cast<std::uint16_t>(here.core().stalled | bit(thread));
                    return changed;
                }
                break;
            default:
                return changed;
        }
        changed = true;
    }
}

// Whether an operation is a fork whose microthread runs.
bool Worker::is_taken(const Here& here, const Op& op) const {
    return op.kind == Kind::kFork && (here.core().threads >> op.threads & 1U) != 0;
}

// Starts the next operation, if nothing holds it back; whether anything happened.
bool Worker::fetch(const Here& here, int thread) {
    Context& context = here.context(thread);
    if (context.left == 0) {
        if (thread != kMain || !next_section(here, context)) end_thread(here, thread);
        return true;
    }
    const Op& op = *context.op;
    const auto work = [&] {
        context.remaining = whole_cycles(static_cast<double>(op.setup)) + jitter(here, thread, context.ops);
        context.phase = Phase::kWork;
        return true;
    };
    switch (op.kind) {
        case Kind::kVector:
            return begin_vector(here, thread, op);
        case Kind::kFork:
            return !is_taken(here, op) && work();
        case Kind::kWait:
            return (here.core().threads & static_cast<unsigned>(op.threads)) == 0 && work();
        case Kind::kBind:
            return here.output(op.queue).count == 0 && work();
        case Kind::kSend:
            return begin_send(here, thread, op);
        default:
            return work();
    }
}

bool Worker::begin_vector(const Here& here, int thread, const Op& op) {
    Context& context = here.context(thread);
    std::fill(std::begin(context.at), std::end(context.at), 0);
    if (op.fabric == 0) {
        double iterations = 1;
        for (int i = 0; i < op.loops; ++i) iterations *= op.extents[i];
        context.remaining =
            whole_cycles(iterations * (static_cast<double>(op.setup) + static_cast<double>(op.cycles))) +
            jitter(here, thread, context.ops);
        context.phase = Phase::kWork;
        return true;
    }
    if (!bind_operands(here, thread, op)) return false;
    context.control_left = false;
    context.remaining = whole_cycles(static_cast<double>(op.setup)) + jitter(here, thread, context.ops);
    context.phase = Phase::kSetup;
    return true;
}

bool Worker::begin_send(const Here& here, int thread, const Op& op) {
    Context& context = here.context(thread);
    Output& queue = here.output(op.queue);
    if (queue.color == 0) queue.color = op.color + 1U;
    if (bound_ && queue.color != op.color + 1U) {
        fail(here, thread, Why::kBound, op.queue, op.color);
        return false;
    }
    context.control_left = true;
    context.remaining = whole_cycles(static_cast<double>(op.setup)) + jitter(here, thread, context.ops);
    context.phase = Phase::kSetup;
    return true;
}

// Input queues hear the operation's colors from now on; an output queue that serves one color must serve this one.
bool Worker::bind_operands(const Here& here, int thread, const Op& op) {
    Core& core = here.core();
    for (const Operand* in : {&op.a, &op.b, &op.c}) {
        if (in->place != Place::kFabric) continue;
        const Input& queue = here.input(in->queue);
        if (queue.color != in->color + 1U && queue.count > 0) return false;
    }
    if (op.target.place == Place::kFabric) {
        Output& queue = here.output(op.target.queue);
        const auto wanted = op.target.color + 1U;
        if (queue.color == 0) queue.color = wanted;
        if (bound_ && queue.color != wanted) {
            fail(here, thread, Why::kBound, op.target.queue, op.target.color);
            return false;
        }
    }
    for (const Operand* in : {&op.a, &op.b, &op.c}) {
        if (in->place != Place::kFabric) continue;
        Input& queue = here.input(in->queue);
        const auto wanted = in->color + 1U;
        if (queue.color == wanted && core.heard_by(in->color) == in->queue) continue;
        if (queue.color != 0 && core.heard_by(static_cast<int>(queue.color) - 1) == in->queue)
            core.hear(static_cast<int>(queue.color) - 1, -1);
        queue.color = wanted;
        core.hear(in->color, in->queue);
        soon(now_ + 1);
    }
    return true;
}

void Worker::finish_op(const Here& here, int thread, std::uint32_t cycle) {
    Context& context = here.context(thread);
    if (!options_.watch.empty() && std::binary_search(options_.watch.begin(), options_.watch.end(), here.at))
        events.push_back({here.at, static_cast<std::uint32_t>(thread), static_cast<std::uint32_t>(context.section),
                          static_cast<std::uint32_t>(context.block), place_in_block(context), context.began, cycle});
    ++context.op;
    --context.left;
    ++context.ops;
    context.began = cycle;
    context.phase = Phase::kFetch;
}

void Worker::end_thread(const Here& here, int thread) {
    Core& core = here.core();
    Context& context = here.context(thread);
    context.phase = Phase::kEnded;
    core.stalled = 0;
    core.threads = static_cast<std::uint16_t>(core.threads & ~bit(thread));
    core.finished = now_;
    last = std::max(last, now_);
    if (context.section < 0) return;
    std::uint32_t& end = section_end[static_cast<std::size_t>(context.section)];
    end = std::max(end, now_);
}

bool Worker::next_section(const Here& here, Context& context) {
    const auto count = static_cast<std::int32_t>(program_.sections.size());
    std::int32_t section = context.section + 1;
    std::int32_t block = -1;
    for (; section < count && block < 0; ++section)
        block = program_.sections[static_cast<std::size_t>(section)].at(static_cast<std::int32_t>(here.column),
                                                                        static_cast<std::int32_t>(here.row));
    if (block < 0) return false;
    --section;
    if (context.section >= 0) {
        std::uint32_t& end = section_end[static_cast<std::size_t>(context.section)];
        end = std::max(end, now_);
    }
    std::uint32_t& begin = section_start[static_cast<std::size_t>(section)];
    begin = std::min(begin, now_);
    context.section = section;
    enter(context, block);
    context.began = now_;
    return true;
}

void Worker::enter(Context& context, std::int32_t number) const {
    const Block& block = program_.blocks[static_cast<std::size_t>(number)];
    context.block = number;
    context.op = program_.ops.data() + block.first;
    context.left = static_cast<std::uint32_t>(block.count);
}

std::uint32_t Worker::place_in_block(const Context& context) const {
    const Block& block = program_.blocks[static_cast<std::size_t>(context.block)];
    return static_cast<std::uint32_t>(block.count) - context.left;
}

// What an operation that needed no fabric leaves behind.
void Worker::commit(const Here& here, int thread, const Op& op) {
    Core& core = here.core();
    switch (op.kind) {
        case Kind::kVector:
            return compute_all(here, thread, op);
        case Kind::kFork: {
            Context& context = here.context(op.threads);
            const std::uint32_t ops = context.ops;
            context = Context{};
            context.phase = Phase::kFetch;
            context.section = here.context(thread).section;
            enter(context, op.script);
            context.began = now_;
            context.ops = ops;
            core.threads = static_cast<std::uint16_t>(core.threads | bit(op.threads));
            return;
        }
        case Kind::kTurn:
            if (op.position >= mesh_.switch_of(here, op.color).count)
                return fail(here, thread, Why::kNoWay, -1, op.color);
            core.turn_to(op.color, op.position);
            return soon(now_ + 1);
        case Kind::kBind:
            here.output(op.queue).color = op.color + 1U;
            return;
        case Kind::kRepaint:
            return repaint(here, thread, op);
        default:
            return;
    }
}

// Gives the router another switch of a color. What the old one would let pass must have gone: nothing says any more
// where it belongs. What waits for the new one, from ports that the old one never accepts, stays.
void Worker::repaint(const Here& here, int thread, const Op& op) {
    const Switch& before = mesh_.switch_of(here, op.color);
    unsigned sources = 0;
    for (std::size_t i = 0; i < before.count; ++i) sources |= before.ways[i].sources;
    for (unsigned left = sources & ~1U; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        const Buffer& b = mesh_.buffer(here.record, here.role->slot(op.color, port));
        // What neighbors send in this cycle may have come before this look or not: it is of the next.
        if (b.held() != 0 && b.ring[b.went & mesh_.ring].ready < now_ + mesh_.hop)
            return fail(here, thread, Why::kUnderway, -1, op.color, port);
    }
    for (int queue = 0; queue < kQueues && (sources & 1U) != 0; ++queue) {
        if ((here.core().pending >> (kFirstOut + queue) & 1U) == 0) continue;
        const Output& q = here.output(queue);
        for (std::uint32_t i = 0; i < q.count; ++i)
            if (q.ring[(q.head + i) % mesh_.out_room[queue]].color == op.color)
                return fail(here, thread, Why::kUnderway, queue, op.color, 0);
    }
    const auto none = static_cast<std::int32_t>(program_.switches.size());
    here.repainted(op.color) = static_cast<std::uint16_t>((op.position < 0 ? none : op.position) + 1);
    here.core().turn_to(op.color, 0);
    soon(now_ + 1);
}

std::uint32_t Worker::jitter(const Here& here, int thread, std::uint32_t ops) const {
    if (options_.jitter == 0) return 0;
    const std::uint64_t key = mixed(options_.seed) ^ mixed(static_cast<std::uint64_t>(here.at) << 32 | ops) ^
                              static_cast<std::uint64_t>(thread);
    return static_cast<std::uint32_t>(mixed(key) % (static_cast<std::uint64_t>(options_.jitter) + 1));
}

std::uint32_t Worker::start_of(std::uint32_t at) const {
    if (options_.skew == 0) return 0;
    return static_cast<std::uint32_t>(mixed(mixed(options_.seed) ^ at) %
                                      (static_cast<std::uint64_t>(options_.skew) + 1));
}

}  // namespace undiced::fabric

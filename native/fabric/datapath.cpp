// A core's cycle: threads that fetch and wait, the one that has the datapath, and what operations compute.
#include <algorithm>
#include <bit>
#include <cmath>

#include "numbers.h"
#include "worker.h"

namespace undiced::fabric {
namespace {

std::uint32_t cycles(double exact) { return static_cast<std::uint32_t>(std::min(std::ceil(exact), 4e9)); }

float half_of(std::uint32_t data, int which, Type type) {
    if (type == Type::kF32) return bits_to_float(data);
    const auto half = static_cast<std::uint16_t>(data >> 16 * which);
    return type == Type::kF16 ? f16_to_float(half) : bits_to_float(static_cast<std::uint32_t>(half) << 16);
}

std::int64_t element(const Operand& operand, const std::int32_t (&at)[kExtents]) {
    std::int64_t found = 0;
    for (int i = 0; i < kExtents; ++i) found += static_cast<std::int64_t>(at[i]) * operand.strides[i];
    return found;
}

float read(const Operand& operand, const std::uint8_t* memory, const std::int32_t (&at)[kExtents]) {
    const std::int64_t n = element(operand, at);
    const std::uint8_t* there = memory + operand.address + bytes_to(n, operand.type);
    if (operand.type == Type::kU4) return static_cast<float>(*there >> 4 * (n & 1) & 15);
    return load(there, operand.type);
}

void write(const Operand& operand, std::uint8_t* memory, const std::int32_t (&at)[kExtents], float value) {
    store(memory + operand.address + bytes_to(element(operand, at), operand.type), operand.type, value);
}

// Moves an operand to where a number in memory says; whether that is within the memory.
bool place(Operand& operand, const Op& op, const std::uint8_t* memory, std::int64_t bytes) {
    if (operand.place != Place::kMemory || operand.index < 0) return true;
    const float number = load(memory + operand.index, Type::kF32);
    if (!(std::abs(number) < 1e9F)) return false;
    const std::int64_t moved = static_cast<std::int64_t>(number) * operand.pitch + operand.address;
    const auto [first, last] = reach(op, operand);
    if (moved + bytes_to(first, operand.type) < 0) return false;
    if (moved + bytes_to(last, operand.type) + width_of(operand.type) > bytes) return false;
    operand.address = static_cast<std::int32_t>(moved);
    return true;
}

// Moves on to the next element; the outermost extent that turned over, or -1 behind the last.
int following(std::int32_t (&at)[kExtents], const Op& op) {
    for (int i = kExtents - 1; i >= 0; --i) {
        if (++at[i] < op.extents[i]) return i;
        at[i] = 0;
    }
    return -1;
}

std::uint64_t mixed(std::uint64_t x) {  // splitmix64
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    return x ^ x >> 31;
}

}  // namespace

bool Worker::execute(std::uint32_t at, Core& core) {
    if (core.started == 0 && world_.coded(at)) {
        const std::uint32_t start = start_of(at);
        if (now_ < start) {
            soon(start);
            return false;
        }
        core.started = 1;
        core.threads = static_cast<std::uint16_t>(core.threads | 1U << kMain);
        core.contexts[kMain].phase = Phase::kFetch;
        core.contexts[kMain].section = -1;
    }
    if (core.threads == 0) return false;
    if (core.running != 0) {
        const std::uint32_t elapsed = now_ - core.since;
        core.contexts[core.running - 1].remaining -= elapsed;
        core.busy += elapsed;
        worked += elapsed;
        core.running = 0;
    }
    for (bool again = true; again;) {
        again = false;
        for (unsigned left = core.threads; left != 0; left &= left - 1) {
            const int thread = std::countr_zero(left);
            if (core.held <= now_ || core.holder != thread) again |= progress(at, core, thread);
        }
    }
    if (core.held > now_) {
        soon(core.held);
        return false;
    }
    for (unsigned left = core.threads; left != 0; left &= left - 1) {
        const int thread = std::countr_zero(left);
        if (core.contexts[thread].phase != Phase::kStream || !can_beat(at, core, thread)) continue;
        beat(at, core, thread);
        return true;
    }
    for (unsigned left = core.threads; left != 0; left &= left - 1) {
        const int thread = std::countr_zero(left);
        const Context& context = core.contexts[thread];
        if (context.phase != Phase::kSetup && context.phase != Phase::kWork) continue;
        core.running = static_cast<std::uint8_t>(thread + 1);
        core.since = now_;
        soon(now_ + context.remaining);
        break;
    }
    return false;
}

// Lets a thread go on as far as it can without the datapath; whether it did.
bool Worker::progress(std::uint32_t at, Core& core, int thread) {
    Context& context = core.contexts[thread];
    bool changed = false;
    for (;;) {
        switch (context.phase) {
            case Phase::kSetup:
                if (context.remaining > 0) return changed;
                context.phase = Phase::kStream;
                break;
            case Phase::kWork:
                if (context.remaining > 0) return changed;
                commit(at, core, thread, *context.op);
                finish_op(at, core, thread, now_);
                break;
            case Phase::kFetch:
                if (!fetch(at, core, thread)) return changed;
                break;
            default:
                return changed;
        }
        changed = true;
    }
}

// Starts the next operation, if nothing holds it back; whether anything happened.
bool Worker::fetch(std::uint32_t at, Core& core, int thread) {
    Context& context = core.contexts[thread];
    const Op* op = context.op;
    if (op == context.end) {
        if (thread == kMain && next_section(at, core, context)) return true;
        end_thread(core, thread);
        return true;
    }
    const auto work = [&](float setup) {
        context.remaining = cycles(static_cast<double>(setup)) + jitter(at, thread, context.ops);
        context.phase = Phase::kWork;
        return true;
    };
    switch (op->kind) {
        case Kind::kVector:
            return begin_vector(at, core, thread, *op);
        case Kind::kFork:
            return (core.threads >> op->threads & 1) == 0 && work(op->setup);
        case Kind::kWait:
            return (core.threads & op->threads) == 0 && work(op->setup);
        case Kind::kBind:
            return world_.output(at, op->queue).count == 0 && work(op->setup);
        case Kind::kSend: {
            Queue& queue = world_.output(at, op->queue);
            if (queue.color == 0) queue.color = static_cast<std::uint8_t>(op->color + 1);
            if (world_.machine.bound && queue.color != op->color + 1) {
                fail(at, thread, Why::kBound, op->queue, op->color);
                return false;
            }
            context.control_left = 1;
            context.remaining = cycles(static_cast<double>(op->setup)) + jitter(at, thread, context.ops);
            context.phase = Phase::kSetup;
            return true;
        }
        default:
            return work(op->setup);
    }
}

bool Worker::begin_vector(std::uint32_t at, Core& core, int thread, const Op& op) {
    Context& context = core.contexts[thread];
    std::fill(std::begin(context.at), std::end(context.at), 0);
    if (op.fabric == 0) {
        double iterations = 1;
        for (int i = 0; i < op.loops; ++i) iterations *= op.extents[i];
        context.remaining = cycles(iterations * (static_cast<double>(op.setup) + static_cast<double>(op.cycles))) +
                            jitter(at, thread, context.ops);
        context.phase = Phase::kWork;
        return true;
    }
    if (!bind_operands(at, core, thread, op)) return false;
    context.control_left = 0;
    context.remaining = cycles(static_cast<double>(op.setup)) + jitter(at, thread, context.ops);
    context.phase = Phase::kSetup;
    return true;
}

// Input queues hear the operation's colors from now on; an output queue that serves one color must serve this one.
bool Worker::bind_operands(std::uint32_t at, Core& core, int thread, const Op& op) {
    for (const Operand* in : {&op.a, &op.b, &op.c}) {
        if (in->place != Place::kFabric) continue;
        Queue& queue = world_.input(at, in->queue);
        const auto wanted = static_cast<std::uint8_t>(in->color + 1);
        if (queue.color == wanted) continue;
        if (queue.count > 0) return false;
    }
    if (op.target.place == Place::kFabric) {
        Queue& queue = world_.output(at, op.target.queue);
        const auto wanted = static_cast<std::uint8_t>(op.target.color + 1);
        if (queue.color == 0) queue.color = wanted;
        if (world_.machine.bound && queue.color != wanted) {
            fail(at, thread, Why::kBound, op.target.queue, op.target.color);
            return false;
        }
    }
    for (const Operand* in : {&op.a, &op.b, &op.c}) {
        if (in->place != Place::kFabric) continue;
        Queue& queue = world_.input(at, in->queue);
        const auto wanted = static_cast<std::uint8_t>(in->color + 1);
        if (queue.color == wanted && core.hears[in->color] == in->queue + 1) continue;
        if (queue.color != 0 && core.hears[queue.color - 1] == in->queue + 1) core.hears[queue.color - 1] = 0;
        queue.color = wanted;
        core.hears[in->color] = static_cast<std::uint8_t>(in->queue + 1);
        soon(now_ + 1);
    }
    return true;
}

void Worker::finish_op(std::uint32_t at, Core& core, int thread, std::uint32_t cycle) {
    Context& context = core.contexts[thread];
    if (!options_.watch.empty() && std::binary_search(options_.watch.begin(), options_.watch.end(), at))
        events.push_back({at, static_cast<std::uint32_t>(thread), static_cast<std::uint32_t>(context.section),
                          static_cast<std::uint32_t>(context.block), place_in_block(context), context.began, cycle});
    ++context.op;
    ++context.ops;
    context.began = cycle;
    context.phase = Phase::kFetch;
}

void Worker::end_thread(Core& core, int thread) {
    Context& context = core.contexts[thread];
    context.phase = Phase::kEnded;
    core.threads = static_cast<std::uint16_t>(core.threads & ~(1U << thread));
    core.finished = now_;
    if (last < now_) last = now_;
    if (context.section >= 0) {
        std::uint32_t& end = section_end[static_cast<std::size_t>(context.section)];
        end = std::max(end, now_);
    }
}

bool Worker::next_section(std::uint32_t at, Core&, Context& context) {
    const auto width = static_cast<std::uint32_t>(world_.program.width);
    const auto x = static_cast<std::int32_t>(at % width);
    const auto y = static_cast<std::int32_t>(at / width);
    const auto count = static_cast<std::int32_t>(world_.program.sections.size());
    std::int32_t section = context.section + 1;
    std::int32_t block = -1;
    for (; section < count && block < 0; ++section)
        block = world_.program.sections[static_cast<std::size_t>(section)].at(x, y);
    if (block < 0) return false;
    --section;
    if (context.section >= 0) {
        std::uint32_t& end = section_end[static_cast<std::size_t>(context.section)];
        end = std::max(end, now_);
    }
    std::uint32_t& start = section_start[static_cast<std::size_t>(section)];
    start = std::min(start, now_);
    context.section = section;
    enter(context, block);
    context.began = now_;
    return true;
}

void Worker::enter(Context& context, std::int32_t number) const {
    const Block& block = world_.program.blocks[static_cast<std::size_t>(number)];
    context.block = number;
    context.op = world_.program.ops.data() + block.first;
    context.end = context.op + block.count;
}

std::uint32_t Worker::place_in_block(const Context& context) const {
    const Block& block = world_.program.blocks[static_cast<std::size_t>(context.block)];
    return static_cast<std::uint32_t>(context.op - (world_.program.ops.data() + block.first));
}

// What an operation that needed no fabric leaves behind.
void Worker::commit(std::uint32_t at, Core& core, int thread, const Op& op) {
    switch (op.kind) {
        case Kind::kVector:
            return compute_all(at, thread, op);
        case Kind::kFork: {
            Context& context = core.contexts[op.threads];
            const std::uint32_t ops = context.ops;
            context = Context{};
            context.phase = Phase::kFetch;
            context.section = core.contexts[thread].section;
            enter(context, op.script);
            context.began = now_;
            context.ops = ops;
            core.threads = static_cast<std::uint16_t>(core.threads | 1U << op.threads);
            return;
        }
        case Kind::kTurn: {
            const Switch* s = world_.role(at).switches[op.color];
            if (s == nullptr || op.position >= s->count) return fail(at, thread, Why::kNoWay, -1, op.color);
            core.position[op.color] = static_cast<std::uint8_t>(op.position);
            return soon(now_ + 1);
        }
        case Kind::kBind:
            world_.output(at, op.queue).color = static_cast<std::uint8_t>(op.color + 1);
            return;
        default:
            return;
    }
}

void Worker::compute_all(std::uint32_t at, int thread, const Op& given) {
    if (given.picks == 0) return compute_elements(at, given);
    const std::uint8_t* memory = memory_ + static_cast<std::int64_t>(at) * world_.program.memory_bytes;
    Op op = given;
    for (Operand* operand : {&op.target, &op.a, &op.b, &op.c})
        if (!place(*operand, op, memory, world_.program.memory_bytes)) return fail(at, thread, Why::kNoRow, -1, -1);
    compute_elements(at, op);
}

void Worker::compute_elements(std::uint32_t at, const Op& op) {
    std::uint8_t* memory = memory_ + static_cast<std::int64_t>(at) * world_.program.memory_bytes;
    std::int32_t index[kExtents] = {};
    const auto value = [&](const Operand& operand) {
        return operand.place == Place::kMemory ? read(operand, memory, index) : operand.value;
    };
    do {
        const float made = compute(op.function, value(op.a), value(op.b), value(op.c));
        write(op.target, memory, index, rounded(made, op.rounded));
    } while (following(index, op) >= 0);
}

bool Worker::can_beat(std::uint32_t at, Core& core, int thread) {
    const Context& context = core.contexts[thread];
    const Op& op = *context.op;
    if (op.kind == Kind::kSend || context.control_left != 0) {
        const int queue = op.kind == Kind::kSend ? op.queue : op.target.queue;
        return world_.output(at, queue).count < world_.room(true, queue);
    }
    for (const Operand* in = op.listens != 0 ? &op.a : &op.c + 1; in <= &op.c; ++in) {
        if (in->place != Place::kFabric) continue;
        const Queue& queue = world_.input(at, in->queue);
        if (queue.count == 0) return false;
        if (queue.entries[queue.head].ready > now_) {
            soon(queue.entries[queue.head].ready);
            return false;
        }
    }
    return op.target.place != Place::kFabric ||
           world_.output(at, op.target.queue).count < world_.room(true, op.target.queue);
}

void Worker::emit(std::uint32_t at, Core& core, int queue, Entry entry) {
    Queue& q = world_.output(at, queue);
    const int room = world_.room(true, queue);
    int place = q.head + q.count;
    if (place >= room) place -= room;
    entry.ready = now_ + 1 + static_cast<std::uint32_t>(world_.machine.ramp);
    q.entries[place] = entry;
    ++q.count;
    core.outs = static_cast<std::uint8_t>(core.outs | 1U << queue);
    soon(entry.ready);
}

// One wavelet of each operand on the fabric, and the elements that it carries.
void Worker::beat(std::uint32_t at, Core& core, int thread) {
    Context& context = core.contexts[thread];
    const Op& op = *context.op;
    ++core.busy;
    soon(now_ + 1);
    if (op.kind == Kind::kSend || context.control_left != 0) {
        const bool alone = op.kind == Kind::kSend;
        const auto color = static_cast<std::uint32_t>(alone ? op.color : op.target.color);
        emit(at, core, alone ? op.queue : op.target.queue, {op.control, kControl | color << kColorShift, 0});
        return finish_op(at, core, thread, now_ + 1);
    }
    const int count = std::min<int>(op.elements, op.extents[kExtents - 1] - context.at[kExtents - 1]);
    std::uint32_t heard[3] = {};
    for (const Operand* in = op.listens != 0 ? &op.a : &op.c + 1; in <= &op.c; ++in) {
        if (in->place != Place::kFabric) continue;
        Queue& q = world_.input(at, in->queue);
        heard[in - &op.a] = q.entries[q.head].data;
        q.head = static_cast<std::uint8_t>(q.head + 1 == world_.room(false, in->queue) ? 0 : q.head + 1);
        --q.count;
    }
    std::uint8_t* memory = memory_ + static_cast<std::int64_t>(at) * world_.program.memory_bytes;
    std::uint32_t sent = 0;
    int turned = kExtents - 1;
    for (int i = 0; i < count; ++i) {
        const auto value = [&](const Operand& operand, std::uint32_t data) {
            if (operand.place == Place::kMemory) return read(operand, memory, context.at);
            return operand.place == Place::kFabric ? half_of(data, i, operand.type) : operand.value;
        };
        const float made = rounded(
            compute(op.function, value(op.a, heard[0]), value(op.b, heard[1]), value(op.c, heard[2])), op.rounded);
        if (op.target.place == Place::kMemory)
            write(op.target, memory, context.at, made);
        else if (op.target.type == Type::kF32)
            sent = float_to_bits(made);
        else
            sent |= static_cast<std::uint32_t>(narrow(made, op.target.type)) << 16 * i;
        turned = following(context.at, op);
    }
    const bool over = turned < 0;
    if (op.target.place == Place::kFabric) {
        const bool advances = over && op.advance != 0;
        emit(at, core, op.target.queue,
             {sent, (advances ? kAdvance : 0) | static_cast<std::uint32_t>(op.target.color) << kColorShift, 0});
    }
    if (op.per_wavelet > 1) {
        core.held = now_ + static_cast<std::uint32_t>(op.per_wavelet);
        core.holder = static_cast<std::uint8_t>(thread);
        core.busy += static_cast<std::uint32_t>(op.per_wavelet - 1);
    }
    if (over && op.controls != 0) {
        context.control_left = 1;
    } else if (over) {
        finish_op(at, core, thread, now_ + static_cast<std::uint32_t>(op.per_wavelet));
    } else if (turned < op.loops) {
        context.remaining = cycles(static_cast<double>(op.setup));
        context.phase = Phase::kSetup;
    }
}

std::uint32_t Worker::jitter(std::uint32_t at, int thread, std::uint32_t ops) const {
    if (options_.jitter == 0) return 0;
    const std::uint64_t key =
        mixed(options_.seed) ^ mixed(static_cast<std::uint64_t>(at) << 32 | ops) ^ static_cast<std::uint64_t>(thread);
    return static_cast<std::uint32_t>(mixed(key) % (static_cast<std::uint64_t>(options_.jitter) + 1));
}

std::uint32_t Worker::start_of(std::uint32_t at) const {
    if (options_.skew == 0) return 0;
    return static_cast<std::uint32_t>(mixed(mixed(options_.seed) ^ at) %
                                      (static_cast<std::uint64_t>(options_.skew) + 1));
}

}  // namespace undiced::fabric

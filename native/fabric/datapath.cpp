// What operations compute: on the fabric wavelet by wavelet, as queues allow, and on memory alone at their end.
#include "datapath.h"

#include <algorithm>
#include <bit>

namespace undiced::fabric {
namespace {

float half_of(std::uint32_t data, int which, Type type) {
    if (type == Type::kF32) return bits_to_float(data);
    const auto half = static_cast<std::uint16_t>(data >> 16 * which);
    return type == Type::kF16 ? f16_to_float(half) : bits_to_float(static_cast<std::uint32_t>(half) << 16);
}

std::int64_t element(const Operand& operand, const Op& op, const Index& at) {
    std::int64_t found = static_cast<std::int64_t>(at[kExtents - 1]) * operand.strides[kExtents - 1];
    if ((op.form & kFlat) == 0)
        for (int i = 0; i < kExtents - 1; ++i) found += static_cast<std::int64_t>(at[i]) * operand.strides[i];
    return found;
}

float read(const Operand& operand, const Op& op, const std::uint8_t* memory, const Index& at) {
    const std::int64_t n = element(operand, op, at);
    const std::uint8_t* there = memory + operand.address + bytes_to(n, operand.type);
    if (operand.type == Type::kU4) return static_cast<float>(*there >> 4 * (n & 1) & 15);
    return load(there, operand.type);
}

void write(const Operand& operand, const Op& op, std::uint8_t* memory, const Index& at, float value) {
    store(memory + operand.address + bytes_to(element(operand, op, at), operand.type), operand.type, value);
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
int following(Index& at, const Op& op) {
    for (int i = kExtents - 1; i >= 0; --i) {
        if (++at[i] < op.extents[i]) return i;
        at[i] = 0;
    }
    return -1;
}

}  // namespace

// Computes the elements that a wavelet carries, and moves on; what is sent. `turned`: as of `following`.
std::uint32_t handle(const Op& op, std::uint8_t* memory, const std::uint32_t (&heard)[3], Index& at, int& turned) {
    const int count = std::min<int>(op.elements, op.extents[kExtents - 1] - at[kExtents - 1]);
    std::uint32_t sent = 0;
    for (int i = 0; i < count; ++i) {
        const auto value = [&](const Operand& operand, int source) {
            if (operand.place == Place::kMemory) return read(operand, op, memory, at);
            return operand.place == Place::kFabric ? half_of(heard[source], i, operand.type) : operand.value;
        };
        const float made = rounded(compute(op.function, value(op.a, 0), value(op.b, 1), value(op.c, 2)), op.rounded);
        if (op.target.place == Place::kMemory)
            write(op.target, op, memory, at, made);
        else if (op.target.type == Type::kF32)
            sent = float_to_bits(made);
        else
            sent |= static_cast<std::uint32_t>(narrow(made, op.target.type)) << 16 * i;
        turned = following(at, op);
    }
    return sent;
}

void Worker::compute_all(const Here& here, int thread, const Op& given) {
    if ((given.form & kPicks) == 0) return compute_elements(here, given);
    const std::uint8_t* memory = memory_ + static_cast<std::int64_t>(here.at) * memory_bytes_;
    Op op = given;
    for (Operand* operand : {&op.target, &op.a, &op.b, &op.c})
        if (!place(*operand, op, memory, memory_bytes_)) return fail(here, thread, Why::kNoRow, -1, -1);
    compute_elements(here, op);
}

void Worker::compute_elements(const Here& here, const Op& op) {
    std::uint8_t* memory = memory_ + static_cast<std::int64_t>(here.at) * memory_bytes_;
    Index index = {};
    const auto value = [&](const Operand& operand) {
        return operand.place == Place::kMemory ? read(operand, op, memory, index) : operand.value;
    };
    do {
        const float made = compute(op.function, value(op.a), value(op.b), value(op.c));
        write(op.target, op, memory, index, rounded(made, op.rounded));
    } while (following(index, op) >= 0);
}

bool Worker::send_control(const Here& here, int thread, const Op& op) {
    const bool alone = op.kind == Kind::kSend;
    const int queue = alone ? op.queue : op.target.queue;
    if (here.output(queue).count >= mesh_.out_room[queue]) return false;
    emit(here, queue, {op.control, 0, alone ? op.color : op.target.color, kControl});
    ++here.core().busy;
    soon(now_ + 1);
    here.core().streaming = static_cast<std::uint16_t>(here.core().streaming & ~(1U << thread));
    finish_op(here, thread, now_ + 1);
    return true;
}

// What follows where an operation or an iteration is over, or a wavelet takes longer than a cycle.
void Worker::end_beat(const Here& here, int thread, const Op& op, int turned) {
    Core& core = here.core();
    Context& context = here.context(thread);
    if (op.per_wavelet > 1) {
        core.held = now_ + static_cast<std::uint32_t>(op.per_wavelet);
        core.holder = static_cast<unsigned>(thread);
        core.busy += static_cast<std::uint32_t>(op.per_wavelet - 1);
    }
    if (turned >= op.loops) return;
    if (turned < 0 && op.controls != 0) {
        context.control_left = true;
        return;
    }
    core.streaming = static_cast<std::uint16_t>(core.streaming & ~(1U << thread));
    if (turned < 0) return finish_op(here, thread, now_ + static_cast<std::uint32_t>(op.per_wavelet));
    context.remaining = whole_cycles(static_cast<double>(op.setup));
    context.phase = Phase::kSetup;
}

}  // namespace undiced::fabric

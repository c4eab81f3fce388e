// A core's cycle: the thread that has the datapath, and the wavelet that it handles. Inline in Worker::look alone, as
// router.h is.
#pragma once

#include <bit>

#include "numbers.h"
#include "worker.h"

namespace undiced::fabric {

using Index = std::int32_t[kExtents];

// Computes the elements that a wavelet carries, and moves on; what is sent. `turned`: the outermost extent that turned
// over, or -1 behind the last element.
std::uint32_t handle(const Op& op, std::uint8_t* memory, const std::uint32_t (&heard)[3], Index& at, int& turned);

// The same where `form` is flat and plain: an element that needs neither rounding nor other extents.
inline std::uint32_t handle_plain(const Op& op, std::uint8_t* memory, const std::uint32_t (&heard)[3], Index& at,
                                  int& turned) {
    std::int32_t& index = at[kExtents - 1];
    const auto place = [&](const Operand& operand) {
        return memory + operand.address + std::int64_t{index} * operand.strides[kExtents - 1] * 4;
    };
    const auto value = [&](const Operand& operand, int source) {
        if (operand.place == Place::kFabric) return bits_to_float(heard[source]);
        return operand.place == Place::kMemory ? load(place(operand), Type::kF32) : operand.value;
    };
    const float a = value(op.a, 0);
    const float made = op.function == Function::kMove  ? a
                       : op.function == Function::kAdd ? a + value(op.b, 1)
                                                       : compute(op.function, a, value(op.b, 1), value(op.c, 2));
    if (op.target.place == Place::kMemory) store(place(op.target), Type::kF32, made);
    turned = kExtents - 1;
    if (++index == op.extents[kExtents - 1]) {
        index = 0;
        turned = -1;
    }
    return float_to_bits(made);
}

// Whether a wavelet of the fabric was handled.
[[gnu::always_inline]] inline bool Worker::execute(const Here& here) {
    Core& core = here.core();
    if (core.threads == 0 && !start(here)) return false;
    if (core.running != 0) account(here);
    if ((core.threads & ~(core.streaming | core.stalled)) != 0) settle(here);
    if (core.held > now_) {
        soon(core.held);
        return false;
    }
    for (unsigned left = core.streaming; left != 0; left &= left - 1)
        if (try_beat(here, std::countr_zero(left))) return true;
    if ((core.threads & ~(core.streaming | core.stalled)) != 0) grant(here);
    return false;
}

[[gnu::always_inline]] inline void Worker::emit(const Here& here, int queue, Outgoing wavelet) {
    Output& q = here.output(queue);
    std::uint32_t place = q.head + q.count;
    if (place >= mesh_.out_room[queue]) place -= mesh_.out_room[queue];
    wavelet.ready = now_ + 1 + mesh_.ramp;
    q.ring[place] = wavelet;
    ++q.count;
    here.core().pending |= std::uint64_t{1} << (kFirstOut + queue);
    soon(wavelet.ready);
}

// One wavelet of each operand on the fabric, and the elements that it carries; whether they are there and have room.
[[gnu::always_inline]] inline bool Worker::try_beat(const Here& here, int thread) {
    Context& context = here.context(thread);
    const Op& op = *context.op;
    if (op.kind == Kind::kSend || context.control_left) return send_control(here, thread, op);
    const bool sends = op.target.place == Place::kFabric;
    if (sends && here.output(op.target.queue).count >= mesh_.out_room[op.target.queue]) return false;
    std::uint32_t heard[3];
    for (unsigned left = op.listens; left != 0; left &= left - 1) {
        const int i = std::countr_zero(left);
        const Input& q = here.input((&op.a)[i].queue);
        if (q.count == 0) return false;
        if (q.ring[q.head].ready > now_) {
            soon(q.ring[q.head].ready);
            return false;
        }
        heard[i] = q.ring[q.head].data;
    }
    for (unsigned left = op.listens; left != 0; left &= left - 1) {
        const int queue = (&op.a)[std::countr_zero(left)].queue;
        Input& q = here.input(queue);
        q.head = q.head + 1U == mesh_.in_room[queue] ? 0 : q.head + 1U;
        if (--q.count == 0) here.core().stalled = 0;
    }
    std::uint8_t* memory = memory_ + static_cast<std::int64_t>(here.at) * memory_bytes_;
    int turned = kExtents - 1;
    const std::uint32_t sent = op.form == (kFlat | kPlain) ? handle_plain(op, memory, heard, context.at, turned)
                                                           : handle(op, memory, heard, context.at, turned);
    if (sends) {
        const bool advances = turned < 0 && op.advance != 0;
        emit(here, op.target.queue, {sent, 0, op.target.color, advances ? kAdvance : std::uint16_t{0}});
    }
    ++here.core().busy;
    soon(now_ + 1);
    if (turned < op.loops || op.per_wavelet > 1) end_beat(here, thread, op, turned);
    return true;
}

}  // namespace undiced::fabric

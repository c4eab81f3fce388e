#include "outcome.h"

#include <algorithm>

namespace undiced::fabric {
namespace {

constexpr std::size_t kTold = 64;  // waiting threads and wavelets that a result names

template <class Function>
void for_each_core(const World& world, Function function) {
    for (std::uint32_t row = 0; row < world.mesh.rows; ++row)
        for (std::uint32_t column = 0; column < world.mesh.columns; ++column) function(world.mesh.here(row, column));
}

std::uint32_t place_in_block(const World& world, const Context& c) {
    return static_cast<std::uint32_t>(world.program.blocks[static_cast<std::size_t>(c.block)].count) - c.left;
}

Wait waiting_thread(const World& world, const Here& here, int thread) {
    const Context& c = here.context(thread);
    Wait w{here.at, thread, c.section, -1, 0, Why::kWorking, -1, -1, -1};
    if (c.left == 0) return w;
    const Op& op = *c.op;
    w.block = c.block;
    w.op = static_cast<std::int32_t>(place_in_block(world, c));
    const auto on = [&](Why why, int queue, int color) {
        w.why = why;
        w.queue = queue;
        w.color = color;
    };
    if (c.phase == Phase::kFetch && (op.kind == Kind::kFork || op.kind == Kind::kWait)) w.why = Why::kThreads;
    if (c.phase == Phase::kFetch && op.kind == Kind::kBind) on(Why::kNotEmpty, op.queue, -1);
    if (c.phase == Phase::kFetch && op.kind == Kind::kVector) {
        w.why = Why::kOtherWavelets;
        for (const Operand* in : {&op.a, &op.b, &op.c})
            if (in->place == Place::kFabric && here.input(in->queue).count > 0) on(w.why, in->queue, in->color);
    }
    if (c.phase != Phase::kStream) return w;
    if (op.kind == Kind::kSend) {
        on(Why::kFullQueue, op.queue, op.color);
        return w;
    }
    on(Why::kFullQueue, op.target.queue, op.target.color);
    if (c.control_left) return w;
    for (const Operand* in : {&op.a, &op.b, &op.c})
        if (in->place == Place::kFabric && here.input(in->queue).count == 0) on(Why::kEmptyQueue, in->queue, in->color);
    return w;
}

void tell(const World& world, const Here& here, std::vector<Wait>& out) {
    const Core& core = here.core();
    if (core.started == 0 && world.mesh.coded(here.at))
        out.push_back({here.at, kMain, -1, -1, -1, Why::kWorking, -1, -1, -1});
    for (int thread = 0; thread < kThreads; ++thread)
        if ((core.threads >> thread & 1) != 0) out.push_back(waiting_thread(world, here, thread));
    for (std::uint32_t slot = 0; slot < here.role->slots; ++slot)
        if ((core.pending >> slot & 1U) != 0)
            out.push_back(
                {here.at, -1, -1, -1, -1, Why::kWavelet, -1, here.role->heads[slot] >> 3, here.role->heads[slot] & 7});
    for (int queue = 0; queue < kQueues; ++queue)
        if ((core.pending >> (kFirstOut + queue) & 1U) != 0) {
            const Output& q = here.output(queue);
            out.push_back({here.at, -1, -1, -1, -1, Why::kUnsent, queue, q.ring[q.head].color, 0});
        }
    for (int color = 0; color < kColors && core.threads == 0; ++color)
        if (const int queue = core.heard_by(color); queue >= 0 && here.input(queue).count > 0)
            out.push_back({here.at, -1, -1, -1, -1, Why::kUnread, queue, color, 0});
}

}  // namespace

std::vector<Wait> waiting(const World& world) {
    std::vector<Wait> out;
    for_each_core(world, [&](const Here& here) {
        if (out.size() < kTold) tell(world, here, out);
    });
    return out;
}

void cut_short(const World& world, std::uint32_t limit, Result& result) {
    for_each_core(world, [&](const Here& here) {
        Core& core = here.core();
        if (core.running == 0) return;
        const std::uint32_t cycles =
            std::min(here.context(static_cast<int>(core.running) - 1).remaining, limit + 1 - core.since);
        core.busy += cycles;
        result.worked += cycles;
    });
}

void count(const World& world, const Counts& counts) {
    for_each_core(world, [&](const Here& here) {
        const Core& core = here.core();
        if (counts.finished != nullptr) counts.finished[here.at] = core.finished;
        if (counts.busy != nullptr) counts.busy[here.at] = core.busy;
        if (counts.loads != nullptr)
            std::copy(std::begin(core.load), std::end(core.load), counts.loads + std::size_t{here.at} * kPorts);
    });
}

}  // namespace undiced::fabric

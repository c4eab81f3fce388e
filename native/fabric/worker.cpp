#include "worker.h"

#include <algorithm>
#include <bit>

#include "datapath.h"
#include "router.h"

namespace undiced::fabric {
namespace {

constexpr std::uint32_t kAhead = 6;  // cores for whose state caches are asked while others are looked at

}  // namespace

Worker::Worker(const World& world, Agenda& agenda, std::uint8_t* memory, const Options& options)
    : section_start(world.program.sections.size(), kNever),
      section_end(world.program.sections.size(), 0),
      mesh_(world.mesh),
      program_(world.program),
      options_(options),
      agenda_(agenda),
      memory_(memory),
      memory_bytes_(world.program.memory_bytes),
      bound_(world.machine.bound),
      list_(world.mesh.columns + 2 * kAhead) {}

void Worker::begin(std::uint32_t row) {
    now_ = 0;
    for (std::uint32_t column = 0; column < mesh_.columns; ++column) {
        const std::uint32_t at = row * mesh_.columns + column;
        if (!mesh_.coded(at)) continue;
        const std::uint32_t start = start_of(at);
        if (start < Agenda::kNear)
            agenda_.near(row, column, start);
        else
            agenda_.far(row, column, start);
    }
}

void Worker::work(std::uint32_t row, std::uint32_t cycle) {
    now_ = cycle;
    const std::uint32_t count = agenda_.take(row, cycle, list_.data());
    const std::uint32_t first = row * mesh_.columns;
    const std::uint32_t above = row == 0 ? 0 : row - 1;
    const std::uint32_t below = std::min(row + 1, mesh_.rows - 1);
    after_[0] = agenda_.open(above, cycle + 1);
    after_[1] = agenda_.open(row, cycle + 1);
    after_[2] = agenda_.open(below, cycle + 1);
    std::fill_n(list_.begin() + count, 2 * kAhead, mesh_.columns - 1);
    for (std::uint32_t i = 0; i < 2 * kAhead; ++i) ask_first(first + list_[i]);
    for (std::uint32_t i = 0; i < count; ++i) {
        ask_first(first + list_[i + 2 * kAhead]);
        ask_then(mesh_.here(row, list_[i + kAhead]));
        look(mesh_.here(row, list_[i]));
    }
    agenda_.close(after_[0], above, cycle + 1);
    agenda_.close(after_[1], row, cycle + 1);
    agenda_.close(after_[2], below, cycle + 1);
}

// Asks for the first lines of a core's record.
[[gnu::always_inline]] inline void Worker::ask_first(std::uint32_t at) const {
    const std::uint8_t* record = mesh_.record(at);
    __builtin_prefetch(record, 1);
    __builtin_prefetch(record + kLine, 1);
}

// Asks for what these lines say that a look will need: the buffer of the first head, the thread that is first.
[[gnu::always_inline]] inline void Worker::ask_then(const Here& here) const {
    const Core& core = here.core();
    const int head = std::countr_zero(core.pending);
    if (head < kFirstOut) __builtin_prefetch(&mesh_.buffer(here.record, head), 1);
    __builtin_prefetch(&here.context(core.streaming != 0 ? std::countr_zero(core.streaming) : kMain), 1);
}

[[gnu::always_inline]] inline void Worker::look(const Here& here) {
    Core& core = here.core();
    if (core.due == now_ + 1) core.due = 0;
    next_ = kNever;
    const bool moved = core.pending != 0 && route(here);
    const bool beaten = execute(here);
    if (moved) last = std::max(last, now_ + 1);
    if (moved || beaten) {
        ++active;
        acted = now_ + 1 > acted ? now_ + 1 : acted;
    }
    if (next_ <= now_ + 1) return after_[1].add(here.column);
    if (next_ != kNever) wake(core, here.row, here.column, next_);
}

void Worker::wake(Core& core, std::uint32_t row, std::uint32_t column, std::uint32_t cycle) {
    if (cycle - now_ < Agenda::kNear) return agenda_.near(row, column, cycle);
    if (core.due != 0 && core.due <= cycle + 1) return;
    core.due = cycle + 1;
    agenda_.far(row, column, cycle);
}

void Worker::fail(const Here& here, int thread, Why why, int queue, int color, int port) {
    if (fault && std::pair(fault_cycle, fault->core) <= std::pair(now_, here.at)) return;
    fault_cycle = now_;
    fault = Wait{here.at, thread, -1, -1, 0, why, queue, color, port};
    if (thread < 0) return;
    const Context& context = here.context(thread);
    fault->section = context.section;
    fault->block = context.block;
    fault->op = static_cast<std::int32_t>(place_in_block(context));
}

}  // namespace undiced::fabric

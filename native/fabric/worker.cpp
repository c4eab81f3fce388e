#include "worker.h"

#include <algorithm>

namespace undiced::fabric {

Worker::Worker(World& world, const Shares& shares, int number, std::uint8_t* memory, const Options& options)
    : section_start(world.program.sections.size(), kNever),
      section_end(world.program.sections.size(), 0),
      world_(world),
      shares_(shares),
      options_(options),
      memory_(memory),
      number_(static_cast<std::uint32_t>(number)),
      outboxes_(static_cast<std::size_t>(options.threads)) {}

void Worker::begin() {
    for (std::uint32_t at = 0; at < world_.cores; ++at)
        if (shares_.owner(at) == number_ && world_.coded(at)) wheel_.add(at, start_of(at), 0);
}

std::uint32_t Worker::next(std::uint32_t after) const { return wheel_.next(after); }

void Worker::wake(std::uint32_t at, std::uint32_t cycle) {
    const std::uint32_t owner = shares_.owner(at);
    if (owner != number_) {
        outboxes_[owner].push_back({at, cycle, kNoSlot});
        mailed = std::min(mailed, cycle);
        return;
    }
    Core& core = world_.core(at);
    if (core.due != 0 && core.due <= cycle + 1) return;
    core.due = cycle + 1;
    wheel_.add(at, cycle, now_);
}

void Worker::receive(const Mail& mail, std::uint32_t now) {
    now_ = now;
    if (mail.slot != kNoSlot) world_.core(mail.core).pending |= std::uint64_t{1} << mail.slot;
    wake(mail.core, mail.cycle);
}

void Worker::work(std::uint32_t cycle) {
    constexpr std::size_t kAhead = 8;
    now_ = cycle;
    list_.clear();
    wheel_.take(cycle, list_);
    for (std::size_t i = 0; i < list_.size(); ++i) {
        if (i + kAhead < list_.size()) world_.prefetch(list_[i + kAhead]);
        look(list_[i], cycle);
    }
}

void Worker::look(std::uint32_t at, std::uint32_t cycle) {
    Core& core = world_.core(at);
    if (core.done == cycle + 1) return;
    core.done = cycle + 1;
    if (core.due == cycle + 1) core.due = 0;
    next_ = kNever;
    const bool moved = route(at, core);
    const bool acted = execute(at, core);
    if (moved || acted) ++active;
    if (next_ != kNever) wake(at, next_);
}

void Worker::fail(std::uint32_t at, int thread, Why why, int queue, int color) {
    if (fault_cycle < now_ || (fault_cycle == now_ && fault && fault->core < at)) return;
    fault_cycle = now_;
    fault = Wait{at, thread, -1, -1, 0, why, queue, color, -1};
    if (thread < 0) return;
    const Context& context = world_.core(at).contexts[thread];
    fault->section = context.section;
    fault->block = context.block;
    fault->op = static_cast<std::int32_t>(place_in_block(context));
}

}  // namespace undiced::fabric

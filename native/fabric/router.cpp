// A router's cycle: which heads of buffers and output queues move, and where to.
#include <atomic>
#include <bit>

#include "worker.h"

namespace undiced::fabric {
namespace {

constexpr std::uint32_t kAdvanceCommand = 1;
constexpr std::uint32_t kResetCommand = 2;

std::uint64_t load_popped(Buffer& b) { return std::atomic_ref(b.popped).load(std::memory_order_acquire); }
std::uint32_t load_tail(Buffer& b) { return std::atomic_ref(b.tail).load(std::memory_order_acquire); }
std::uint32_t taken(std::uint64_t popped) { return static_cast<std::uint32_t>(popped); }

// Four commands of 6 bits: the first is done once, and dropped when all its times are.
std::uint32_t spent(std::uint32_t commands) {
    const std::uint32_t times = commands >> 2 & 15U;
    if (times == 0) return commands;
    return times == 1 ? commands >> 6 : commands - 4;
}

}  // namespace

bool Worker::route(std::uint32_t at, Core& core) {
    if (core.pending == 0 && core.outs == 0) return false;
    const Role& role = world_.role(at);
    const std::uint64_t all = core.pending | static_cast<std::uint64_t>(core.outs) << role.slots;
    const std::uint64_t before = (std::uint64_t{1} << core.turn) - 1;
    bool moved = false;
    contested_ = -1;
    turned_.clear();
    for (std::uint64_t heads : {all & ~before, all & before}) {
        for (; heads != 0; heads &= heads - 1) {
            const int index = std::countr_zero(heads);
            Head head;
            if (!head_of(at, role, index, head)) continue;
            const Switch* s = role.switches[static_cast<std::size_t>(head.color)];
            if (s == nullptr) {
                fail(at, -1, Why::kNoWay, head.queue, head.color);
                return false;
            }
            const Way way = s->ways[core.position[head.color]];
            if ((way.sources >> head.port & 1) == 0) continue;
            const unsigned targets = (head.entry.meta & kControl) != 0 ? way.targets & ~1U : way.targets;
            if (!has_room(at, core, head, targets) || !links_free(core, head, targets)) continue;
            move(at, core, role, index, head, targets);
            moved = true;
        }
    }
    for (const auto& [color, command] : turned_)
        obey(core, *role.switches[static_cast<std::size_t>(color)], color, command);
    if (contested_ >= 0) core.turn = static_cast<std::uint8_t>((contested_ + 1) % (role.slots + kQueues));
    return moved;
}

// The wavelet that is next of a buffer or output queue, if it can move already.
bool Worker::head_of(std::uint32_t at, const Role& role, int index, Head& head) {
    if (index < role.slots) {
        Buffer& b = world_.buffer(at, index);
        const std::uint32_t out = taken(b.popped);
        if (load_tail(b) == out) return false;
        head = {b.entries[out & world_.ring], role.color[static_cast<std::size_t>(index)],
                role.port[static_cast<std::size_t>(index)], -1};
    } else {
        const int queue = index - role.slots;
        const Queue& q = world_.output(at, queue);
        head = {q.entries[q.head], 0, 0, queue};
        head.color = static_cast<int>(head.entry.meta >> kColorShift);
    }
    if (head.entry.ready <= now_) return true;
    soon(head.entry.ready);
    return false;
}

// Whether all targets had room at the cycle's start, whatever other heads have sent there since.
bool Worker::has_room(std::uint32_t at, const Core& core, const Head& head, unsigned targets) {
    const auto sent = [&](int port) { return core.links[port].next == now_ + 1 && sent_[port] == head.color ? 1 : 0; };
    if ((targets & 1U) != 0) {
        const int queue = core.hears[head.color] - 1;
        if (queue < 0 || world_.input(at, queue).count - sent(0) >= world_.room(false, queue)) return false;
    }
    for (unsigned left = targets & ~1U; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        const std::uint32_t next = world_.neighbor(at, port);
        const std::uint8_t slot =
            world_.role(next).slot[static_cast<std::size_t>(head.color * kPorts + kOpposite[port])];
        Buffer& b = world_.buffer(next, slot);
        const std::uint64_t popped = load_popped(b);
        const bool just = static_cast<std::uint32_t>(popped >> 32) == now_ + 1;
        const std::uint32_t held = b.tail - taken(popped) - static_cast<std::uint32_t>(sent(port));
        if (held + (just ? 1 : 0) >= static_cast<std::uint32_t>(world_.machine.router_words)) {
            if (just) soon(now_ + 1);  // the neighbor's wake for the next cycle may have met one for this cycle
            return false;
        }
    }
    return true;
}

// Whether all links stand free; else the first refusal of a cycle remembers who took the link.
bool Worker::links_free(Core& core, const Head& head, unsigned targets) {
    const Machine& m = world_.machine;
    int taker = head.port == 0 && core.into == now_ + 1 ? takers_[kPorts] : -1;
    for (unsigned left = targets; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        const Link& link = core.links[port];
        if (taker < 0 && link.next == now_ + 1) taker = takers_[port];
        if (port == 0 || m.run == 0 || link.next > now_) continue;
        const std::uint32_t idle = now_ - link.next;
        if (link.row == static_cast<std::uint32_t>(m.run) && idle < static_cast<std::uint32_t>(m.pause)) {
            soon(link.next + static_cast<std::uint32_t>(m.pause));
            return false;
        }
    }
    if (taker < 0) return true;
    if (contested_ < 0) contested_ = taker;
    soon(now_ + 1);
    return false;
}

void Worker::pass_link(Core& core, int port) const {
    Link& link = core.links[port];
    if (port != 0 && world_.machine.run != 0) {
        const bool rested = now_ - link.next >= static_cast<std::uint32_t>(world_.machine.pause);
        link.row = rested ? 1 : link.row + 1;
    }
    link.next = now_ + 1;
    ++link.load;
}

void Worker::move(std::uint32_t at, Core& core, const Role& role, int index, const Head& head, unsigned targets) {
    const Machine& m = world_.machine;
    Entry copy{head.entry.data, head.entry.meta & kControl, 0};
    const std::uint32_t command = copy.data & 3U;
    if ((copy.meta & kControl) != 0) copy.data = spent(copy.data);
    pop(at, core, role, index, head);
    for (unsigned left = targets; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        pass_link(core, port);
        takers_[port] = index;
        sent_[port] = head.color;
        if (port == 0) {
            const int queue = core.hears[head.color] - 1;
            Queue& q = world_.input(at, queue);
            const int room = world_.room(false, queue);
            copy.ready = now_ + static_cast<std::uint32_t>(m.ramp);
            int place = q.head + q.count;
            if (place >= room) place -= room;
            q.entries[place] = copy;
            ++q.count;
            soon(copy.ready);
            continue;
        }
        const std::uint32_t next = world_.neighbor(at, port);
        copy.ready = now_ + static_cast<std::uint32_t>(m.hop);
        push(next, world_.role(next).slot[static_cast<std::size_t>(head.color * kPorts + kOpposite[port])], copy);
        ++hops;
    }
    if ((head.entry.meta & kControl) != 0)
        turned_.emplace_back(head.color, command);
    else if ((head.entry.meta & kAdvance) != 0)
        turned_.emplace_back(head.color, kAdvanceCommand);
    soon(now_ + 1);
    if (last < now_ + 1) last = now_ + 1;
}

// A switch moves on when all heads of the cycle have been looked at.
void Worker::obey(Core& core, const Switch& s, int color, std::uint32_t command) {
    std::uint8_t& position = core.position[color];
    if (command == kResetCommand) position = 0;
    if (command != kAdvanceCommand) return;
    if (position + 1 < s.count)
        ++position;
    else if (s.ring != 0)
        position = 0;
}

void Worker::push(std::uint32_t at, int slot, const Entry& entry) {
    Buffer& b = world_.buffer(at, slot);
    const std::uint32_t tail = b.tail;
    b.entries[tail & world_.ring] = entry;
    std::atomic_ref(b.tail).store(tail + 1, std::memory_order_release);
    const std::uint32_t owner = shares_.owner(at);
    if (owner == number_) {
        world_.core(at).pending |= std::uint64_t{1} << slot;
        wake(at, entry.ready);
    } else {
        outboxes_[owner].push_back({at, entry.ready, static_cast<std::uint8_t>(slot)});
        mailed = entry.ready < mailed ? entry.ready : mailed;
    }
}

void Worker::pop(std::uint32_t at, Core& core, const Role& role, int index, const Head& head) {
    if (head.queue >= 0) {
        Queue& q = world_.output(at, head.queue);
        q.head = static_cast<std::uint8_t>(q.head + 1 == world_.room(true, head.queue) ? 0 : q.head + 1);
        if (--q.count == 0) core.outs = static_cast<std::uint8_t>(core.outs & ~(1U << head.queue));
        core.into = now_ + 1;
        takers_[kPorts] = index;
        return;
    }
    Buffer& b = world_.buffer(at, index);
    const std::uint32_t out = taken(b.popped);
    const std::uint32_t held = load_tail(b) - out;
    std::atomic_ref(b.popped).store(static_cast<std::uint64_t>(now_ + 1) << 32 | (out + 1), std::memory_order_release);
    if (held == 1) core.pending &= ~(std::uint64_t{1} << index);
    if (held >= static_cast<std::uint32_t>(world_.machine.router_words))
        wake(world_.neighbor(at, role.port[static_cast<std::size_t>(index)]), now_ + 1);
}

}  // namespace undiced::fabric

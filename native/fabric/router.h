// A router's cycle: which heads of buffers and output queues move, and where to. Inline in Worker::look alone, which
// goes through it for every core and cycle.
#pragma once

#include <bit>
#include <utility>

#include "worker.h"

namespace undiced::fabric {

inline constexpr std::uint32_t kAdvanceCommand = 1;
inline constexpr std::uint32_t kResetCommand = 2;
inline constexpr std::uint32_t kOver[kPorts] = {0, 0, 0, 1, kNever};  // columns and rows that a port leads on
inline constexpr std::uint32_t kDown[kPorts] = {0, kNever, 1, 0, 0};

// Four commands of 6 bits: the first is done once, and dropped when all its times are.
inline std::uint32_t spent(std::uint32_t commands) {
    const std::uint32_t times = commands >> 2 & 15U;
    if (times == 0) return commands;
    return times == 1 ? commands >> 6 : commands - 4;
}

[[gnu::always_inline]] inline bool Worker::route(const Here& here) {
    Core& core = here.core();
    const std::uint64_t all = core.pending;
    if ((all & (all - 1)) == 0) return try_head<true>(here, std::countr_zero(all));
    taken_ = 0;
    contested_ = -1;
    turned_.clear();
    const std::uint64_t before = (std::uint64_t{1} << core.turn) - 1;
    bool moved = false;
    std::uint64_t heads = all & ~before;
    for (std::uint64_t rest = all & before; (heads | rest) != 0; heads &= heads - 1) {
        if (heads == 0) std::swap(heads, rest);
        moved |= try_head<false>(here, std::countr_zero(heads));
    }
    for (const auto& [color, command] : turned_) obey(here, color, command);
    if (contested_ >= 0) core.turn = static_cast<unsigned>(contested_ + 1);
    return moved;
}

template <bool alone>
[[gnu::always_inline]] inline bool Worker::try_head(const Here& here, int index) {
    Core& core = here.core();
    Head head;
    if (!head_of(here, index, head)) return false;
    const Switch& s = mesh_.switch_of(here, head.color);
    const Way way = s.ways[core.position(head.color)];
    if ((way.sources >> head.port & 1U) == 0) {
        if (s.count == 0 && head.port == 0) fail(here, -1, Why::kNoWay, index - kFirstOut, head.color);
        return false;
    }
    const unsigned targets = (head.meta & kControl) != 0 ? way.targets & ~1U : way.targets;
    Next next[kPorts];
    if (!has_room<alone>(here, head, targets, next) || (!alone && !links_free(core, head, targets))) return false;
    move<alone>(here, head, targets, next);
    return true;
}

// The wavelet that is next of a buffer or output queue, if it can move already.
[[gnu::always_inline]] inline bool Worker::head_of(const Here& here, int index, Head& head) {
    head.index = index;
    if (index < kFirstOut) {
        const Buffer& b = mesh_.buffer(here.record, index);
        const unsigned place = b.went & mesh_.ring;
        head.wavelet = b.ring[place];
        head.meta = b.controls >> place & 1U;
        const unsigned key = here.role->heads[static_cast<std::size_t>(index)];
        head.color = static_cast<int>(key >> 3);
        head.port = static_cast<int>(key & 7U);
    } else {
        const Output& q = here.output(index - kFirstOut);
        const Outgoing& first = q.ring[q.head];
        head.wavelet = {first.data, first.ready};
        head.meta = first.meta;
        head.color = first.color;
        head.port = 0;
    }
    if (head.wavelet.ready <= now_) return true;
    soon(head.wavelet.ready);
    return false;
}

// Whether all targets had room at the cycle's start, whatever other heads have sent there since; of a head that is
// alone also whether no link pauses.
template <bool alone>
[[gnu::always_inline]] inline bool Worker::has_room(const Here& here, const Head& head, unsigned targets,
                                                    Next (&next)[kPorts]) {
    const auto sent = [&](int port) {
        return !alone && (taken_ >> port & 1U) != 0 && sent_[port] == head.color ? 1U : 0U;
    };
    if ((targets & 1U) != 0) {
        const int queue = here.core().heard_by(head.color);
        if (queue < 0) return false;
        next[0] = {nullptr, nullptr, &here.input(queue), queue};
        if (next[0].input->count - sent(0) >= mesh_.in_room[queue]) return false;
    }
    for (unsigned left = targets & ~1U; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        const Lot& lot = mesh_.lots[here.at + mesh_.step[port]];
        std::uint8_t* record = mesh_.state + lot.line * kLine;
        const int slot = mesh_.roles[lot.role].slot(head.color, kOpposite[port]);
        Buffer& b = mesh_.buffer(record, slot);
        next[port] = {reinterpret_cast<Core*>(record), &b, nullptr, slot};
        const bool just = b.popped == now_ + 1;
        if (b.held() - sent(port) + (just ? 1U : 0U) >= mesh_.words) {
            if (just) soon(now_ + 1);  // its wake may have come before this look
            return false;
        }
        if (alone && pauses(here.core(), port)) return false;
    }
    return true;
}

// Whether a link stands still; then it is looked at again when it does no more.
[[gnu::always_inline]] inline bool Worker::pauses(const Core& core, int port) {
    if (mesh_.run == 0) return false;
    const std::uint32_t next = core.next[port - 1];
    if (core.row[port - 1] != mesh_.run || now_ - next >= mesh_.pause) return false;
    soon(next + mesh_.pause);
    return true;
}

// Whether all links stand free; else the first refusal of a cycle remembers who took the link.
[[gnu::always_inline]] inline bool Worker::links_free(const Core& core, const Head& head, unsigned targets) {
    for (unsigned left = targets & ~1U & ~taken_; left != 0; left &= left - 1)
        if (pauses(core, std::countr_zero(left))) return false;
    const bool ramp = head.port == 0 && (taken_ >> kPorts & 1U) != 0;
    if (!ramp && (taken_ & targets) == 0) return true;
    if (contested_ < 0) contested_ = takers_[ramp ? kPorts : std::countr_zero(taken_ & targets)];
    soon(now_ + 1);
    return false;
}

template <bool alone>
[[gnu::always_inline]] inline void Worker::move(const Here& here, const Head& head, unsigned targets,
                                                const Next (&next)[kPorts]) {
    const bool control = (head.meta & kControl) != 0;
    const Wavelet copy{control ? spent(head.wavelet.data) : head.wavelet.data, now_ + mesh_.hop};
    pop(here, head);
    if ((targets & 1U) != 0) deliver(here.core(), next[0], copy.data);
    for (unsigned left = targets & ~1U; left != 0; left &= left - 1) {
        const int port = std::countr_zero(left);
        push(here, port, next[port], copy, control);
    }
    if (!alone) {
        for (unsigned left = targets; left != 0; left &= left - 1) {
            takers_[std::countr_zero(left)] = head.index;
            sent_[std::countr_zero(left)] = head.color;
        }
        taken_ |= targets;
    }
    if ((head.meta & (kControl | kAdvance)) != 0) {
        const std::uint32_t command = control ? head.wavelet.data & 3U : kAdvanceCommand;
        if (alone)
            obey(here, head.color, command);
        else
            turned_.emplace_back(head.color, command);
    }
    soon(now_ + 1);
}

[[gnu::always_inline]] inline void Worker::deliver(Core& core, const Next& next, std::uint32_t data) {
    ++core.load[0];
    Input& q = *next.input;
    std::uint32_t place = q.head + q.count;
    if (place >= mesh_.in_room[next.slot]) place -= mesh_.in_room[next.slot];
    q.ring[place] = {data, now_ + mesh_.ramp};
    ++q.count;
}

[[gnu::always_inline]] inline void Worker::push(const Here& here, int port, const Next& next, const Wavelet& wavelet,
                                                bool control) {
    Core& core = here.core();
    ++core.load[port];
    if (mesh_.run != 0) {
        std::uint16_t& row = core.row[port - 1];
        row = static_cast<std::uint16_t>(now_ - core.next[port - 1] >= mesh_.pause ? 1 : row + 1);
        core.next[port - 1] = now_ + 1;
    }
    Buffer& b = *next.buffer;
    const unsigned place = b.came & mesh_.ring;
    b.ring[place] = wavelet;
    if (control || b.controls != 0)
        b.controls = (b.controls & ~(1U << place)) | static_cast<unsigned>(control) << place;
    ++b.came;
    next.core->pending |= std::uint64_t{1} << next.slot;
    ++hops;
    const std::uint32_t column = here.column + kOver[port];
    if (wavelet.ready == now_ + 1) return after_[kDown[port] + 1].add(column);
    wake(*next.core, here.row + kDown[port], column, wavelet.ready);
}

[[gnu::always_inline]] inline void Worker::pop(const Here& here, const Head& head) {
    Core& core = here.core();
    if (head.index >= kFirstOut) {
        const int queue = head.index - kFirstOut;
        Output& q = here.output(queue);
        q.head = q.head + 1U == mesh_.out_room[queue] ? 0 : q.head + 1U;
        taken_ |= 1U << kPorts;
        takers_[kPorts] = head.index;
        if (--q.count != 0) return;
        core.pending &= ~(std::uint64_t{1} << head.index);
        core.stalled = 0;
        return;
    }
    Buffer& b = mesh_.buffer(here.record, head.index);
    const unsigned held = b.held();
    b.popped = now_ + 1;
    ++b.went;
    if (held == 1) core.pending &= ~(std::uint64_t{1} << head.index);
    if (held >= mesh_.words) after_[kDown[head.port] + 1].add(here.column + kOver[head.port]);
}

// A switch moves on when all heads of the cycle have been looked at.
inline void Worker::obey(const Here& here, int color, std::uint32_t command) {
    Core& core = here.core();
    const Switch& s = mesh_.switch_of(here, color);
    const int position = core.position(color);
    if (command == kResetCommand) core.turn_to(color, 0);
    if (command != kAdvanceCommand) return;
    if (position + 1 < s.count)
        core.turn_to(color, position + 1);
    else if (s.ring != 0)
        core.turn_to(color, 0);
}

}  // namespace undiced::fabric

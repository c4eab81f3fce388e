// The state of one core and its router while a program runs. All zero bytes are the state at the start, so that memory
// of cores that nothing reaches is never touched.
#pragma once

#include <cstdint>

#include "program.h"

namespace undiced::fabric {

struct Entry {
    std::uint32_t data;
    std::uint32_t meta;  // kControl, kAdvance; in an output queue the color from bit 8 on
    std::uint32_t ready;
};
inline constexpr std::uint32_t kControl = 1;
inline constexpr std::uint32_t kAdvance = 2;
inline constexpr int kColorShift = 8;

// What a router holds of one color from one neighbor. The neighbor writes `tail` and the entry behind it, the router
// `popped`: how many it took (lower half) and the cycle after the last (upper half), which tell the room at a cycle's
// start whoever looks first.
struct Buffer {
    std::uint64_t popped;
    std::uint32_t tail;
    Entry entries[1];  // Machine::router_words of them
};

struct Queue {
    std::uint8_t head;
    std::uint8_t count;
    std::uint8_t color;  // plus 1; 0: bound to none
    std::uint8_t unused;
    Entry entries[1];  // its depth, and those on the ramp
};

struct Link {
    std::uint32_t next;  // the cycle after the last that passed a wavelet
    std::uint32_t row;   // how many in a row did
    std::uint32_t load;  // how many in all
};

enum class Phase : std::uint8_t { kIdle, kFetch, kSetup, kStream, kWork, kEnded };

struct alignas(64) Context {
    const Op* op;   // the operation that is next or under way
    const Op* end;  // behind the last of its block
    Phase phase;
    std::uint8_t control_left;  // whether the data has gone and a control wavelet is left
    std::int32_t section;
    std::int32_t block;
    std::uint32_t began;
    std::uint32_t remaining;    // cycles of a set-up or of work
    std::int32_t at[kExtents];  // the element that is next
    std::uint32_t ops;          // ended so far
};
static_assert(sizeof(Context) == 64);

struct alignas(64) Core {
    std::uint32_t done;  // the cycle after the last that was looked at
    std::uint32_t due;   // the earliest cycle that is scheduled, plus 1; 0: none
    std::uint64_t pending;
    std::uint8_t outs;     // output queues that hold something
    std::uint8_t running;  // the thread that works, plus 1
    std::uint8_t turn;
    std::uint8_t started;
    std::uint8_t holder;    // the thread whose beat holds the datapath
    std::uint16_t threads;  // that run, the main thread as bit 8
    std::uint32_t since;
    std::uint32_t held;  // until when a beat holds the datapath
    std::uint32_t into;  // the cycle after the last in which the ramp into the router passed a wavelet
    std::uint32_t busy;
    std::uint32_t finished;
    alignas(64) Link links[kPorts];
    alignas(64) std::uint8_t position[kColors];
    std::uint8_t hears[kColors];  // input queue plus 1
    Context contexts[kThreads];
};

}  // namespace undiced::fabric

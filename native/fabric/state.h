// The state of one core and its router while a program runs, as one record: the router, its buffers, then contexts and
// queues of the code, as far as the core has them. All zero bytes are the state at the start, so that records of cores
// that nothing reaches are never touched. What every look at a core needs lies in the first line of a cache.
#pragma once

#include <cstdint>

#include "program.h"

namespace undiced::fabric {

// Counts are bit fields, not bytes: what is written through bytes may be anything to a compiler, and is read again.
struct Wavelet {
    std::uint32_t data;
    std::uint32_t ready;  // the first cycle in which it can go on, or be used
};

// What a router holds of one color from one neighbor. The neighbor adds to `came`, the router to `went`; `popped` is
// the cycle after the last in which one went, which tells the room at a cycle's start whoever of the two looks first.
struct Buffer {
    std::uint32_t popped;
    std::uint32_t went : 8;
    std::uint32_t came : 8;
    std::uint32_t controls : 8;  // which places hold control wavelets
    std::uint32_t unused : 8;
    Wavelet ring[1];  // Machine::router_words of them, rounded up to a power of two

    [[nodiscard]] std::uint32_t held() const { return (came - went) & 255U; }
};

struct Input {
    std::uint32_t head : 8;
    std::uint32_t count : 8;
    std::uint32_t color : 8;  // plus 1; 0: bound to none
    std::uint32_t unused : 8;
    Wavelet ring[1];  // its depth, and those on the ramp
};

inline constexpr std::uint16_t kControl = 1;
inline constexpr std::uint16_t kAdvance = 2;

struct Outgoing {
    std::uint32_t data;
    std::uint32_t ready;
    std::uint16_t color;
    std::uint16_t meta;  // kControl, kAdvance
};

struct Output {
    std::uint32_t head : 8;
    std::uint32_t count : 8;
    std::uint32_t color : 8;  // as of Input
    std::uint32_t unused : 8;
    Outgoing ring[1];
};

enum class Phase : std::uint8_t { kIdle, kFetch, kSetup, kStream, kWork, kEnded };

struct Context {
    const Op* op;               // the operation that is next or under way
    std::uint32_t left;         // operations of its block from that one on
    std::uint32_t began;        // the cycle in which it did
    std::uint32_t remaining;    // cycles of a set-up or of work
    std::int32_t at[kExtents];  // the element that is next
    std::uint32_t ops;          // ended so far
    std::int32_t section;
    std::int32_t block;
    Phase phase;
    bool control_left;  // whether the data has gone and a control wavelet is left
};
static_assert(sizeof(Context) == 56);

inline constexpr int kSlotsMax = 48;         // buffers of a router
inline constexpr int kFirstOut = kSlotsMax;  // `pending` has output queues behind buffers
inline constexpr int kHeads = kSlotsMax + kQueues;
static_assert(kHeads < 64);

struct Core {
    std::uint64_t pending;            // buffers and output queues that hold something
    std::uint64_t positions;          // of switches: two bits a color
    std::uint8_t hears[kColors / 2];  // four bits a color: its input queue plus 1
    std::uint16_t threads;            // that run
    std::uint16_t streaming;          // those in Phase::kStream
    std::uint32_t turn : 8;           // the head that is looked at first
    std::uint32_t running : 8;        // the thread that works, plus 1
    std::uint32_t holder : 8;         // the thread whose beat holds the datapath
    std::uint32_t started : 8;
    std::uint32_t since;  // when the running thread began to
    std::uint32_t held;   // until when a beat holds the datapath
    std::uint32_t due;    // the earliest cycle for which the agenda's heap has it, plus 1; 0: none
    std::uint32_t busy;
    std::uint32_t finished;
    std::uint16_t stalled;  // threads that something else must let go on: another thread, or a queue
    std::uint16_t spare[3];
    // Links, by port:
    std::uint32_t next[kPorts - 1];  // of ports 1 to 4: the cycle after the last that passed a wavelet
    std::uint16_t row[kPorts - 1];   // how many in a row did
    std::uint32_t load[kPorts];      // how many in all
    std::uint32_t unused;

    [[nodiscard]] int position(int color) const { return static_cast<int>(positions >> 2 * color & 3U); }
    void turn_to(int color, int position) {
        positions = (positions & ~(std::uint64_t{3} << 2 * color)) | static_cast<std::uint64_t>(position) << 2 * color;
    }
    // The input queue that hears a color, or -1.
    [[nodiscard]] int heard_by(int color) const { return (hears[color / 2] >> 4 * (color % 2) & 15) - 1; }
    void hear(int color, int queue) {
        const int shift = 4 * (color % 2);
        hears[color / 2] = static_cast<std::uint8_t>((hears[color / 2] & ~(15 << shift)) | (queue + 1) << shift);
    }
};
static_assert(sizeof(Core) == 112);

}  // namespace undiced::fabric

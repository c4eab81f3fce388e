// Runs a program on a mesh, cycle by cycle, on some threads; the result does not depend on how many. Cores and routers
// are looked at in the cycles in which something of theirs can change, and in no others.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "program.h"

namespace undiced::fabric {

inline constexpr std::uint32_t kNever = std::numeric_limits<std::uint32_t>::max();

struct Options {
    int threads = 1;
    std::uint32_t limit = 0;  // cycles
    std::uint32_t skew = 0;
    std::uint32_t jitter = 0;
    std::uint64_t seed = 0;
    std::vector<std::uint32_t> watch;  // cores, ascending
};

enum class Status : std::uint8_t { kFinished, kDeadlock, kLimit, kFault, kStopped };

enum class Why : std::uint8_t {
    kEmptyQueue,     // an input queue has nothing
    kFullQueue,      // an output queue has no room
    kOtherWavelets,  // an input queue holds wavelets of another color
    kThreads,        // microthreads have not ended
    kNotEmpty,       // an output queue that gets another color holds wavelets
    kWorking,        // nothing: it was at work when the limit came
    kWavelet,        // a wavelet in a router: the way does not accept it, or a target has no room
    kUnsent,         // a wavelet in an output queue
    kUnread,         // a wavelet in an input queue
    kBound,          // fault: an output queue serves another color
    kNoWay,          // fault: a router has no switch for the color
    kNoRow,          // fault: a number that says where elements lie names a place beyond the memory
    kUnderway,       // fault: a wavelet is on its way by a route that is written over
};

struct Wait {
    std::uint32_t core;
    std::int32_t thread;  // -1: the router
    std::int32_t section;
    std::int32_t block;
    std::int32_t op;
    Why why;
    std::int32_t queue;
    std::int32_t color;
    std::int32_t port;
};

struct Event {
    std::uint32_t core, thread, section, block, op, start, end;
};

struct Result {
    Status status = Status::kFinished;
    std::uint32_t cycles = 0;
    std::uint64_t hops = 0;
    std::uint64_t active = 0;
    std::uint64_t worked = 0;
    std::vector<Wait> waiting;
    std::vector<Event> events;
    std::vector<std::uint32_t> section_start, section_end;
};

// Arrays that a caller may want filled, row by row of the mesh; loads has five a core.
struct Counts {
    std::uint32_t* finished = nullptr;
    std::uint32_t* loads = nullptr;
    std::uint32_t* busy = nullptr;
};

// `memory` has Program::memory_bytes for each core, row by row. `go_on` is asked now and then, with the cycle.
Result simulate(const Program& program, const Machine& machine, std::uint8_t* memory, const Options& options,
                const Counts& counts, const std::function<bool(std::uint32_t)>& go_on);

}  // namespace undiced::fabric

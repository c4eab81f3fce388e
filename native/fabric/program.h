// A level-2 program as arrays: operations, blocks, sections by classes of places, switches; and a machine's figures.
// Knows no thread and no time. Layouts of Op and Operand are those of sim/fabric/encode.py.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace undiced::fabric {

inline constexpr int kPorts = 5;
inline constexpr int kColors = 24;
inline constexpr int kOpposite[kPorts] = {0, 2, 1, 4, 3};  // core, north, south, east, west
inline constexpr int kQueues = 8;
inline constexpr int kThreads = 9;  // microthreads, and the main thread as the last
inline constexpr int kMain = kThreads - 1;
inline constexpr int kPositions = 4;
inline constexpr int kExtents = 4;
inline constexpr int kRouterWords = 8;  // the most that a router may hold of a color and port
inline constexpr int kQueueWords = 32;  // the most of a queue, what is on its ramp included

enum class Kind : std::uint8_t { kVector, kFork, kWait, kSend, kTurn, kBind, kDelay, kRepaint, kCount };
enum class Place : std::uint8_t { kNone, kMemory, kImmediate, kFabric, kCount };
// Integers lie in memory alone, and are read alone: bytes with a sign, and nibbles 0 to 15, the lower of a byte first.
enum class Type : std::uint8_t { kF32, kF16, kBf16, kI8, kU4, kCount };
enum class Function : std::uint8_t {
    kMove,
    kAdd,
    kSubtract,
    kSubtractFrom,
    kMultiply,
    kMaximum,
    kMinimum,
    kMultiplyAdd,
    kHighSubtractFrom,
    kHighAnd,
    kHighShift,
    kLowToHighShift,
    kHighAdd,
    kExp,
    kReciprocal,
    kInverseRoot,
    kSigmoid,
    kTanh,
    kEqual,
    kAbove,
    kChoose,
    kCount
};
inline constexpr std::uint8_t kNoRounding = 255;

struct Operand {
    Place place;
    Type type;
    std::uint8_t queue;
    std::uint8_t color;
    std::int32_t address;  // bytes
    std::int32_t strides[kExtents];
    float value;
    std::int32_t index;  // byte of a 32-bit number n, or -1: elements lie n * `pitch` bytes further on
    std::int32_t pitch;
};
static_assert(sizeof(Operand) == 36);

struct Op {
    Kind kind;
    Function function;
    std::uint8_t rounded;  // a Type, or kNoRounding
    std::uint8_t loops;
    std::uint8_t advance;
    std::uint8_t controls;  // whether `control` follows the last wavelet
    std::uint8_t queue;
    std::uint8_t color;
    std::int32_t extents[kExtents];
    Operand target, a, b, c;
    float setup;
    float cycles;
    std::int32_t per_wavelet;
    std::int32_t script;    // of kFork: a block
    std::int32_t threads;   // kFork: the microthread; kWait: a mask of them
    std::int32_t position;  // of kRepaint: a switch, -1 for none
    std::uint32_t control;  // four commands of 6 bits, the first lowest: 2 bits what, 4 bits for how many routers
    // Derived by `prepare`:
    std::uint8_t fabric;    // whether an operand is on the fabric
    std::uint8_t listens;   // which sources are, as a mask
    std::uint8_t elements;  // of a wavelet
    std::uint8_t form;      // kFlat, kPlain, kPicks
};
static_assert(sizeof(Op) == 200);

inline constexpr std::uint8_t kFlat = 1;   // the innermost extent is the only one
inline constexpr std::uint8_t kPlain = 2;  // floats of 32 bits alone, which nothing rounds any further
inline constexpr std::uint8_t kPicks = 4;  // a number in memory says where an operand lies

// Fills in what follows from the rest of an operation.
void prepare(Op& op);

struct Way {
    std::uint8_t sources;  // masks of ports
    std::uint8_t targets;
};

struct Switch {
    std::uint8_t count;
    std::uint8_t ring;
    Way ways[kPositions];
};
static_assert(sizeof(Switch) == 10);

struct Block {
    std::int32_t first;
    std::int32_t count;
};

// Which entry of a table the cores have, by the classes of their places along x and y: -1 for none.
struct Chart {
    std::vector<std::uint16_t> x;
    std::vector<std::uint16_t> y;
    std::int32_t columns = 0;  // classes along y
    std::vector<std::int32_t> table;

    [[nodiscard]] std::int32_t at(std::int32_t column, std::int32_t row) const {
        return table[static_cast<std::size_t>(x[static_cast<std::size_t>(column)]) * static_cast<std::size_t>(columns) +
                     y[static_cast<std::size_t>(row)]];
    }
};

struct Machine {
    std::int32_t ramp = 0;
    std::int32_t hop = 0;
    std::int32_t run = 0;
    std::int32_t pause = 0;
    std::int32_t router_words = 0;
    std::array<std::int32_t, kQueues> inputs{};
    std::array<std::int32_t, kQueues> outputs{};
    bool bound = false;
};

struct Program {
    std::int32_t width = 0;
    std::int32_t height = 0;
    std::int64_t memory_bytes = 0;
    std::vector<Op> ops;
    std::vector<Block> blocks;
    std::vector<Chart> sections;        // tables of blocks
    std::array<Chart, kColors> colors;  // tables of switches; an empty table: nobody has the color
    std::vector<Switch> switches;

    [[nodiscard]] std::int64_t cores() const { return static_cast<std::int64_t>(width) * height; }
};

class AllWays;

// What ways its routers have. Throws std::invalid_argument, with coordinates where it has some: indices out of range,
// queues that the machine lacks, memory beyond a core's, ways off the mesh or into a router that never accepts what
// comes, with none of the switches that it is ever given.
AllWays check(const Program& program, const Machine& machine);

}  // namespace undiced::fabric

// A program laid out over a mesh: what each router and each core's code needs, and where each core's record lies.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "program.h"
#include "state.h"
#include "ways.h"
#include "zeroed.h"

namespace undiced::fabric {

// All routers with the same switches: what they do with a color, and the buffers that they need, by color and port.
struct Role {
    std::array<std::uint16_t, kColors> switches;  // Mesh::switches; the last one, which has no position, for none
    std::array<std::uint8_t, kColors> ports;      // those that some position of its switches accepts, as a mask
    std::array<std::uint8_t, kColors> first;      // the first of its buffers
    std::array<std::uint8_t, kSlotsMax> heads;    // color * 8 + port of each buffer
    std::uint32_t slots;
    std::uint32_t repaints;  // where, in a record, it says what its core has written; 0: its core never does
    std::uint32_t bytes;     // of a record's first part

    // The buffer of a color from a port that is not the core's.
    [[nodiscard]] int slot(int color, int port) const {
        const auto at = static_cast<std::size_t>(color);
        return first[at] + kBits[(ports[at] & ((1U << port) - 1U)) >> 1];
    }

  private:
    static constexpr std::uint8_t kBits[8] = {0, 1, 1, 2, 1, 2, 2, 3};
};

// All cores that use the same threads and queues: where these are behind a record's first part.
struct Code {
    std::array<std::uint16_t, kThreads> contexts;
    std::array<std::uint16_t, kQueues> inputs;
    std::array<std::uint16_t, kQueues> outputs;
    std::uint32_t bytes = 0;
};

struct Lot {
    std::uint32_t line;  // of the record
    std::uint32_t role;
    std::uint32_t code;  // 0: none
};

// One core and what belongs to it.
struct Here {
    std::uint32_t at, row, column;
    std::uint8_t* record;
    std::uint8_t* second;  // its second part
    const Role* role;
    const Code* code;

    [[nodiscard]] Core& core() const { return *reinterpret_cast<Core*>(record); }
    [[nodiscard]] Context& context(int thread) const { return *part<Context>(code->contexts, thread); }
    [[nodiscard]] Input& input(int queue) const { return *part<Input>(code->inputs, queue); }
    [[nodiscard]] Output& output(int queue) const { return *part<Output>(code->outputs, queue); }
    // Of a color whose switch the core has written: its number plus 1; else 0.
    [[nodiscard]] std::uint16_t& repainted(int color) const {
        return reinterpret_cast<std::uint16_t*>(record + role->repaints)[color];
    }

  private:
    template <class Part, class Offsets>
    [[nodiscard]] Part* part(const Offsets& offsets, int index) const {
        return reinterpret_cast<Part*>(second + offsets[static_cast<std::size_t>(index)]);
    }
};

// Where everything lies, for those who look at cores: plain figures and pointers into a World.
struct Mesh {
    const Lot* lots;
    const Role* roles;
    const Code* codes;
    const Switch* switches;
    std::uint8_t* state;
    std::uint32_t rows, columns;
    std::uint32_t hop, ramp, run, pause, words;  // of Machine
    std::uint32_t ring;                          // places of a buffer less one: a mask
    std::uint32_t buffer_bytes;
    std::uint32_t step[kPorts];      // from a core to its neighbors
    std::uint32_t in_room[kQueues];  // wavelets that a queue holds at most, those on its ramp included
    std::uint32_t out_room[kQueues];

    [[nodiscard]] std::uint8_t* record(std::uint32_t at) const { return state + lots[at].line * kLine; }
    [[nodiscard]] const Switch& switch_of(const Here& here, int color) const {
        const Role& role = *here.role;
        if (role.repaints != 0)
            if (const std::uint16_t written = here.repainted(color); written != 0) return switches[written - 1];
        return switches[role.switches[static_cast<std::size_t>(color)]];
    }
    [[nodiscard]] bool coded(std::uint32_t at) const { return lots[at].code != 0; }
    [[nodiscard]] Buffer& buffer(std::uint8_t* record, int slot) const {
        return *reinterpret_cast<Buffer*>(record + sizeof(Core) + static_cast<std::uint32_t>(slot) * buffer_bytes);
    }
    [[nodiscard]] Here here(std::uint32_t row, std::uint32_t column) const {
        const std::uint32_t at = row * columns + column;
        const Lot& lot = lots[at];
        const Role& role = roles[lot.role];
        std::uint8_t* first = state + lot.line * kLine;
        return {at, row, column, first, first + role.bytes, &role, &codes[lot.code]};
    }
};

class World {
  public:
    World(const Program& program, const Machine& machine, const AllWays& ways);

    const Program& program;
    const Machine& machine;
    Mesh mesh{};
    std::uint64_t bytes = 0;  // of all records

  private:
    void lay_out(const AllWays& ways);

    std::vector<Role> roles_;
    std::vector<Code> codes_;
    std::vector<Lot> lots_;
    std::vector<Switch> switches_;
    Zeroed state_;
};

}  // namespace undiced::fabric

// A program laid out over a mesh: the role of each router, where each core's state lies, and which cores have code.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "program.h"
#include "state.h"

namespace undiced::fabric {

inline constexpr int kSlotsMax = 56;
inline constexpr std::uint8_t kNoSlot = 255;
inline constexpr std::uint32_t kLine = 64;  // of a cache
inline constexpr std::uint32_t kNever32 = 0xffffffffU;

// All routers with the same switches: the buffers they need, in the order of color and port.
struct Role {
    std::array<std::uint8_t, kColors * kPorts> slot;  // of a color and port
    std::array<std::uint8_t, kSlotsMax> color;
    std::array<std::uint8_t, kSlotsMax> port;
    std::array<const Switch*, kColors> switches;
    int slots = 0;
    std::uint32_t bytes = 0;
};

class World {
  public:
    World(const Program& program, const Machine& machine);

    [[nodiscard]] Core& core(std::uint32_t at) { return *reinterpret_cast<Core*>(state(at)); }
    [[nodiscard]] const Role& role(std::uint32_t at) const { return roles_[role_of_[at]]; }
    [[nodiscard]] Buffer& buffer(std::uint32_t at, int slot) {
        return *reinterpret_cast<Buffer*>(state(at) + first_buffer_ + static_cast<std::size_t>(slot) * buffer_bytes_);
    }
    [[nodiscard]] Queue& input(std::uint32_t at, int queue) {
        return *reinterpret_cast<Queue*>(state(at) + inputs_[static_cast<std::size_t>(queue)]);
    }
    [[nodiscard]] Queue& output(std::uint32_t at, int queue) {
        return *reinterpret_cast<Queue*>(state(at) + outputs_[static_cast<std::size_t>(queue)]);
    }
    // Asks for the lines of a core's state that a look at it reads first.
    void prefetch(std::uint32_t at) const {
        const std::uint8_t* first = state_ + offset_[at];
        for (const std::uint32_t line : lines_) __builtin_prefetch(first + line);
    }
    [[nodiscard]] int room(bool output, int queue) const {
        return (output ? machine.outputs : machine.inputs)[static_cast<std::size_t>(queue)] + machine.ramp;
    }
    [[nodiscard]] bool coded(std::uint32_t at) const { return coded_[at]; }
    [[nodiscard]] std::uint32_t neighbor(std::uint32_t at, int port) const {
        return at + static_cast<std::uint32_t>(step_[static_cast<std::size_t>(port)]);
    }

    const Program& program;
    const Machine& machine;
    std::uint32_t cores = 0;
    std::uint32_t ring = 0;  // entries of a buffer less one: a mask

  private:
    [[nodiscard]] std::uint8_t* state(std::uint32_t at) { return state_ + offset_[at]; }
    void lay_out_queues();
    void lay_out_roles();
    void lay_out_code();
    [[nodiscard]] Role role_at(std::int32_t x, std::int32_t y) const;

    struct Free {
        void operator()(std::uint8_t* at) const;
    };
    std::array<std::int32_t, kPorts> step_{};
    std::array<std::uint32_t, kQueues> inputs_{};
    std::array<std::uint32_t, kQueues> outputs_{};
    std::vector<std::uint32_t> lines_;
    std::uint32_t first_buffer_ = 0;
    std::uint32_t buffer_bytes_ = 0;
    std::vector<Role> roles_;
    std::vector<std::uint32_t> role_of_;
    std::vector<std::uint64_t> offset_;
    std::vector<bool> coded_;
    std::unique_ptr<std::uint8_t, Free> memory_;
    std::uint8_t* state_ = nullptr;
};

}  // namespace undiced::fabric

#include "world.h"

#include <algorithm>
#include <bit>
#include <map>
#include <stdexcept>
#include <string>

#include "kinds.h"

namespace undiced::fabric {
namespace {

constexpr std::size_t kSwitches = 0xfffe;  // ours: different ones

std::uint32_t aligned(std::size_t bytes) { return static_cast<std::uint32_t>((bytes + 7U) & ~std::size_t{7}); }

// Threads and queues that some code uses, as masks.
struct Uses {
    std::uint16_t threads = 0;
    std::uint8_t inputs = 0;
    std::uint8_t outputs = 0;

    auto operator<=>(const Uses&) const = default;
    void add(const Uses& other) {
        threads = static_cast<std::uint16_t>(threads | other.threads);
        inputs = static_cast<std::uint8_t>(inputs | other.inputs);
        outputs = static_cast<std::uint8_t>(outputs | other.outputs);
    }
};

Uses used(const Op& op) {
    Uses u;
    if (op.kind == Kind::kVector) {
        if (op.target.place == Place::kFabric) u.outputs = static_cast<std::uint8_t>(1U << op.target.queue);
        for (const Operand* in : {&op.a, &op.b, &op.c})
            if (in->place == Place::kFabric) u.inputs = static_cast<std::uint8_t>(u.inputs | 1U << in->queue);
    }
    if (op.kind == Kind::kSend || op.kind == Kind::kBind) u.outputs = static_cast<std::uint8_t>(1U << op.queue);
    if (op.kind == Kind::kFork) u.threads = static_cast<std::uint16_t>(1U << op.threads);
    return u;
}

// Of all blocks, scripts that they start included, to any depth.
std::vector<Uses> used(const Program& p) {
    std::vector<Uses> uses(p.blocks.size());
    for (bool again = true; again;) {
        again = false;
        for (std::size_t i = 0; i < uses.size(); ++i) {
            const Uses before = uses[i];
            for (std::int32_t at = 0; at < p.blocks[i].count; ++at) {
                const Op& op = p.ops[static_cast<std::size_t>(p.blocks[i].first + at)];
                uses[i].add(used(op));
                if (op.kind == Kind::kFork) uses[i].add(uses[static_cast<std::size_t>(op.script)]);
            }
            again |= uses[i] != before;
        }
    }
    return uses;
}

Code code_of(const Uses& uses, const Machine& m) {
    Code code;
    code.contexts.fill(0);
    code.inputs.fill(0);
    code.outputs.fill(0);
    std::size_t at = 0;
    const auto lay = [&](std::uint16_t& offset, std::size_t bytes) {
        offset = static_cast<std::uint16_t>(at);
        at += aligned(bytes);
    };
    lay(code.contexts[kMain], sizeof(Context));
    const auto words = [&](const auto& depths, std::size_t queue) {
        return static_cast<std::size_t>(depths[queue] + m.ramp - 1);
    };
    for (std::size_t q = 0; q < kQueues; ++q) {
        if ((uses.inputs >> q & 1U) != 0) lay(code.inputs[q], sizeof(Input) + words(m.inputs, q) * sizeof(Wavelet));
        if ((uses.outputs >> q & 1U) != 0)
            lay(code.outputs[q], sizeof(Output) + words(m.outputs, q) * sizeof(Outgoing));
    }
    for (std::size_t thread = 0; thread < kMain; ++thread)
        if ((uses.threads >> thread & 1U) != 0) lay(code.contexts[thread], sizeof(Context));
    code.bytes = static_cast<std::uint32_t>(at);
    return code;
}

Role role_at(const Program& p, const Ways& ways, std::uint32_t buffer_bytes, std::int32_t x, std::int32_t y) {
    Role role{};
    for (std::size_t color = 0; color < kColors; ++color) {
        const Chart& chart = p.colors[color];
        const std::int32_t number = chart.table.empty() ? -1 : chart.at(x, y);
        role.switches[color] = static_cast<std::uint16_t>(number < 0 ? p.switches.size() : std::size_t(number));
        role.first[color] = static_cast<std::uint8_t>(role.slots);
        role.ports[color] = static_cast<std::uint8_t>(ways.sources[color] & ~1U);
        for (unsigned left = role.ports[color]; left != 0; left &= left - 1) {
            if (role.slots == kSlotsMax)
                throw std::invalid_argument(std::string("a router hears too many colors and ports at x = ")
                                                .append(std::to_string(x))
                                                .append(", y = ")
                                                .append(std::to_string(y)));
            role.heads[role.slots++] =
                static_cast<std::uint8_t>(color * 8 + static_cast<unsigned>(std::countr_zero(left)));
        }
    }
    role.bytes = aligned(sizeof(Core) + std::size_t{role.slots} * buffer_bytes);
    if (ways.repainted) {
        role.repaints = role.bytes;
        role.bytes = aligned(role.bytes + sizeof(std::uint16_t) * kColors);
    }
    return role;
}

}  // namespace

World::World(const Program& p, const Machine& m, const AllWays& ways) : program(p), machine(m) {
    mesh.rows = static_cast<std::uint32_t>(p.height);
    mesh.columns = static_cast<std::uint32_t>(p.width);
    mesh.hop = static_cast<std::uint32_t>(m.hop);
    mesh.ramp = static_cast<std::uint32_t>(m.ramp);
    mesh.run = static_cast<std::uint32_t>(m.run);
    mesh.pause = static_cast<std::uint32_t>(m.pause);
    mesh.words = static_cast<std::uint32_t>(m.router_words);
    mesh.ring = std::bit_ceil(mesh.words) - 1;
    mesh.buffer_bytes = aligned(sizeof(Buffer) + sizeof(Wavelet) * mesh.ring);
    const std::int32_t steps[kPorts] = {0, -p.width, p.width, 1, -1};
    std::copy(std::begin(steps), std::end(steps), mesh.step);
    for (std::size_t queue = 0; queue < kQueues; ++queue) {
        mesh.in_room[queue] = static_cast<std::uint32_t>(m.inputs[queue] + m.ramp);
        mesh.out_room[queue] = static_cast<std::uint32_t>(m.outputs[queue] + m.ramp);
    }
    lay_out(ways);
}

void World::lay_out(const AllWays& ways) {
    if (program.switches.size() > kSwitches) throw std::invalid_argument("there are more than 65,534 switches");
    switches_ = program.switches;
    switches_.push_back(Switch{});
    std::vector<const Chart*> sections;
    for (const Chart& section : program.sections) sections.push_back(&section);
    Kinds of_ways(ways.charts(), program);
    Kinds of_sections(sections, program);
    std::map<std::vector<std::uint16_t>, std::uint32_t> known;
    std::map<Uses, std::uint32_t> numbers;
    const std::vector<Uses> blocks = used(program);
    codes_.push_back(Code{});
    const auto role = [&](std::int32_t x, std::int32_t y) {
        const Role made = role_at(program, ways.at(x, y), mesh.buffer_bytes, x, y);
        std::vector<std::uint16_t> key(made.switches.begin(), made.switches.end());
        key.insert(key.end(), made.ports.begin(), made.ports.end());
        key.push_back(made.repaints != 0);
        const auto [found, fresh] = known.emplace(std::move(key), static_cast<std::uint32_t>(roles_.size()));
        if (fresh) roles_.push_back(made);
        return found->second;
    };
    const auto code = [&](std::int32_t x, std::int32_t y) {
        Uses uses;
        for (const Chart& section : program.sections)
            if (const std::int32_t block = section.at(x, y); block >= 0) {
                uses.add(blocks[static_cast<std::size_t>(block)]);
                uses.add({1U << kMain, 0, 0});
            }
        if (uses.threads == 0) return 0U;
        const auto [found, fresh] = numbers.emplace(uses, static_cast<std::uint32_t>(codes_.size()));
        if (fresh) codes_.push_back(code_of(uses, machine));
        return found->second;
    };
    lots_.resize(static_cast<std::size_t>(program.cores()));
    std::uint64_t lines = 0;
    for (std::int32_t y = 0, i = 0; y < program.height; ++y)
        for (std::int32_t x = 0; x < program.width; ++x, ++i) {
            Lot& lot = lots_[static_cast<std::size_t>(i)];
            lot = {static_cast<std::uint32_t>(lines), of_ways.at(x, y, role), of_sections.at(x, y, code)};
            lines += (roles_[lot.role].bytes + codes_[lot.code].bytes + kLine - 1) / kLine;
        }
    bytes = lines * kLine;
    state_ = Zeroed(bytes);
    mesh.lots = lots_.data();
    mesh.roles = roles_.data();
    mesh.codes = codes_.data();
    mesh.switches = switches_.data();
    mesh.state = state_.data();
}

}  // namespace undiced::fabric

#include "world.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <map>
#include <new>
#include <stdexcept>
#include <string>

namespace undiced::fabric {
namespace {

std::uint32_t aligned(std::uint32_t bytes) { return (bytes + 7U) & ~7U; }

std::uint32_t queue_bytes(std::int32_t words) {
    return aligned(static_cast<std::uint32_t>(sizeof(Queue) + sizeof(Entry) * static_cast<std::size_t>(words - 1)));
}

// A number for each place along an axis: equal where all charts have the same class.
std::vector<std::uint32_t> signatures(const std::vector<const std::vector<std::uint16_t>*>& classes, std::size_t places,
                                      std::uint32_t& count) {
    std::map<std::vector<std::uint16_t>, std::uint32_t> numbers;
    std::vector<std::uint32_t> out(places);
    for (std::size_t at = 0; at < places; ++at) {
        std::vector<std::uint16_t> key;
        key.reserve(classes.size());
        for (const auto* each : classes) key.push_back((*each)[at]);
        out[at] = numbers.emplace(std::move(key), static_cast<std::uint32_t>(numbers.size())).first->second;
    }
    count = static_cast<std::uint32_t>(numbers.size());
    return out;
}

struct Grid {
    std::vector<std::uint32_t> x, y;
    std::uint32_t rows = 0, columns = 0;
};

template <class Charts>
Grid grid(const Charts& charts, const Program& p) {
    std::vector<const std::vector<std::uint16_t>*> along_x;
    std::vector<const std::vector<std::uint16_t>*> along_y;
    for (const Chart& chart : charts)
        if (!chart.table.empty()) {
            along_x.push_back(&chart.x);
            along_y.push_back(&chart.y);
        }
    Grid g;
    g.x = signatures(along_x, static_cast<std::size_t>(p.width), g.rows);
    g.y = signatures(along_y, static_cast<std::size_t>(p.height), g.columns);
    return g;
}

// Queues that some operation names.
void used(const Program& p, bool (&inputs)[kQueues], bool (&outputs)[kQueues]) {
    for (const Op& op : p.ops) {
        if (op.kind == Kind::kVector) {
            if (op.target.place == Place::kFabric) outputs[op.target.queue] = true;
            for (const Operand* in : {&op.a, &op.b, &op.c})
                if (in->place == Place::kFabric) inputs[in->queue] = true;
        }
        if (op.kind == Kind::kSend || op.kind == Kind::kBind) outputs[op.queue] = true;
    }
}

}  // namespace

void World::Free::operator()(std::uint8_t* at) const { std::free(at); }

World::World(const Program& p, const Machine& m)
    : program(p),
      machine(m),
      cores(static_cast<std::uint32_t>(p.cores())),
      ring(std::bit_ceil(static_cast<std::uint32_t>(m.router_words)) - 1),
      step_{0, -p.width, p.width, 1, -1} {
    lay_out_queues();
    lay_out_roles();
    lay_out_code();
}

void World::lay_out_queues() {
    bool in[kQueues] = {};
    bool out[kQueues] = {};
    used(program, in, out);
    std::uint32_t at = aligned(sizeof(Core));
    for (int q = 0; q < kQueues; ++q) {
        const auto i = static_cast<std::size_t>(q);
        inputs_[i] = at;
        if (in[q]) at += queue_bytes(room(false, q));
        outputs_[i] = at;
        if (out[q]) at += queue_bytes(room(true, q));
    }
    first_buffer_ = at;
    lines_ = {0, offsetof(Core, links), offsetof(Core, position),
              static_cast<std::uint32_t>(offsetof(Core, contexts) + kMain * sizeof(Context)), first_buffer_};
    for (std::size_t q = 0; q < kQueues && lines_.size() < 7; ++q)
        if (in[q]) lines_.push_back(inputs_[q]);
    buffer_bytes_ = aligned(static_cast<std::uint32_t>(sizeof(Buffer) + sizeof(Entry) * ring));
}

Role World::role_at(std::int32_t x, std::int32_t y) const {
    Role role;
    role.slot.fill(kNoSlot);
    role.switches.fill(nullptr);
    for (int color = 0; color < kColors; ++color) {
        const Chart& chart = program.colors[static_cast<std::size_t>(color)];
        const std::int32_t found = chart.table.empty() ? -1 : chart.at(x, y);
        if (found < 0) continue;
        const Switch& s = program.switches[static_cast<std::size_t>(found)];
        role.switches[static_cast<std::size_t>(color)] = &s;
        unsigned sources = 0;
        for (int i = 0; i < s.count; ++i) sources |= s.ways[i].sources;
        for (int port = 1; port < kPorts; ++port) {
            if ((sources >> port & 1U) == 0) continue;
            if (role.slots == kSlotsMax - kQueues)
                throw std::invalid_argument(std::string("a router hears too many colors and ports at x = ")
                                                .append(std::to_string(x))
                                                .append(", y = ")
                                                .append(std::to_string(y)));
            role.slot[static_cast<std::size_t>(color * kPorts + port)] = static_cast<std::uint8_t>(role.slots);
            role.color[static_cast<std::size_t>(role.slots)] = static_cast<std::uint8_t>(color);
            role.port[static_cast<std::size_t>(role.slots)] = static_cast<std::uint8_t>(port);
            ++role.slots;
        }
    }
    role.bytes = (first_buffer_ + static_cast<std::uint32_t>(role.slots) * buffer_bytes_ + kLine - 1) / kLine * kLine;
    return role;
}

void World::lay_out_roles() {
    const Grid g = grid(program.colors, program);
    std::vector<std::uint32_t> known(static_cast<std::size_t>(g.rows) * g.columns, kNever32);
    role_of_.resize(cores);
    offset_.resize(cores);
    std::uint64_t at = 0;
    for (std::int32_t y = 0, i = 0; y < program.height; ++y)
        for (std::int32_t x = 0; x < program.width; ++x, ++i) {
            std::uint32_t& number = known[static_cast<std::size_t>(g.x[static_cast<std::size_t>(x)]) * g.columns +
                                          g.y[static_cast<std::size_t>(y)]];
            if (number == kNever32) {
                number = static_cast<std::uint32_t>(roles_.size());
                roles_.push_back(role_at(x, y));
            }
            role_of_[static_cast<std::size_t>(i)] = number;
            offset_[static_cast<std::size_t>(i)] = at;
            at += roles_[number].bytes;
        }
    memory_.reset(static_cast<std::uint8_t*>(std::calloc(at + kLine, 1)));
    if (!memory_) throw std::bad_alloc();
    state_ = memory_.get() + (kLine - reinterpret_cast<std::uintptr_t>(memory_.get()) % kLine) % kLine;
}

void World::lay_out_code() {
    const Grid g = grid(program.sections, program);
    std::vector<std::int8_t> known(static_cast<std::size_t>(g.rows) * g.columns, -1);
    coded_.resize(cores);
    for (std::int32_t y = 0, i = 0; y < program.height; ++y)
        for (std::int32_t x = 0; x < program.width; ++x, ++i) {
            std::int8_t& has = known[static_cast<std::size_t>(g.x[static_cast<std::size_t>(x)]) * g.columns +
                                     g.y[static_cast<std::size_t>(y)]];
            if (has < 0)
                has = static_cast<std::int8_t>(std::any_of(program.sections.begin(), program.sections.end(),
                                                           [&](const Chart& chart) { return chart.at(x, y) >= 0; }));
            coded_[static_cast<std::size_t>(i)] = has > 0;
        }
}

}  // namespace undiced::fabric

// What a program must keep to before it runs: nothing behind this file looks at an index again.
#include <algorithm>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "numbers.h"
#include "program.h"
#include "ways.h"

namespace undiced::fabric {
namespace {

void require(bool holds, const std::string& what) {
    if (!holds) throw std::invalid_argument(what);
}

template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

std::string place(std::int32_t x, std::int32_t y) { return text("(", x, ", ", y, ")"); }

constexpr std::int64_t kElements = 1 << 24;  // ours: of one operation

void check_memory(const Op& op, const Operand& operand, std::int64_t bytes, const std::string& where) {
    const auto [first, last] = reach(op, operand);
    const std::int64_t low = operand.address + bytes_to(first, operand.type);
    const std::int64_t high = operand.address + bytes_to(last, operand.type) + width_of(operand.type);
    if (low < 0 || high > bytes)
        throw std::invalid_argument(
            text(where, ": bytes ", low, " to ", high, " are not within the ", bytes, " of a core"));
    if (operand.index < -1 || (operand.index >= 0 && std::int64_t{operand.index} + 4 > bytes))
        throw std::invalid_argument(text(where, ": byte ", operand.index, " holds no number of a core"));
}

void check_queue(const Operand& operand, bool target, const Machine& m, const std::string& where) {
    const auto& depths = target ? m.outputs : m.inputs;
    const char* kind = target ? "output" : "input";
    require(operand.queue < kQueues && depths[operand.queue] > 0,
            text(where, ": there is no ", kind, " queue ", int{operand.queue}));
    require(operand.color < kColors, text(where, ": there is no color ", int{operand.color}));
}

void check_vector(const Op& op, const Program& p, const Machine& m, const std::string& where) {
    require(op.function < Function::kCount, where + ": unknown function");
    require(op.loops <= kExtents && op.per_wavelet >= 1, where + ": loops or cycles out of range");
    require(op.rounded == kNoRounding || op.rounded <= static_cast<std::uint8_t>(Type::kBf16),
            where + ": unknown type");
    std::int64_t elements = 1;
    for (const std::int32_t extent : op.extents) {
        require(extent >= 1, text(where, ": an extent of ", extent));
        elements *= extent;
        require(elements <= kElements, text(where, ": more than ", kElements, " elements"));
    }
    require(op.target.place == Place::kMemory || op.target.place == Place::kFabric, where + ": has no target");
    require(op.controls == 0 || op.target.place == Place::kFabric, where + ": a control wavelet follows no wavelet");
    require(op.a.place != Place::kNone, where + ": has no first operand");
    require((op.form & kPicks) == 0 || op.fabric == 0, where + ": a number says where elements lie, beside wavelets");
    Type wire = Type::kCount;
    bool target = true;
    for (const Operand* operand : {&op.target, &op.a, &op.b, &op.c}) {
        require(operand->place < Place::kCount && operand->type < Type::kCount, where + ": unknown operand");
        if (operand->place == Place::kMemory) check_memory(op, *operand, p.memory_bytes, where);
        require(!integer(operand->type) || (operand->place == Place::kMemory && !target),
                where + ": integers are read from memory alone");
        if (operand->place == Place::kFabric) {
            check_queue(*operand, target, m, where);
            require(wire == Type::kCount || width_of(wire) == width_of(operand->type),
                    where + ": wavelets of two element sizes");
            wire = operand->type;
        }
        target = false;
    }
    const Operand* in[3] = {&op.a, &op.b, &op.c};
    for (int i = 0; i < 3; ++i)
        for (int j = i + 1; j < 3; ++j)
            require(in[i]->place != Place::kFabric || in[j]->place != Place::kFabric || in[i]->queue != in[j]->queue,
                    where + ": reads one queue twice");
}

void check_op(const Op& op, const Program& p, const Machine& m, const std::string& where) {
    require(op.setup >= 0 && op.setup <= 1e9F && op.cycles >= 0 && op.cycles <= 1e9F, where + ": cycles out of range");
    switch (op.kind) {
        case Kind::kVector:
            return check_vector(op, p, m, where);
        case Kind::kFork:
            require(op.threads >= 0 && op.threads < kMain, where + ": there is no such microthread");
            require(op.script >= 0 && op.script < static_cast<std::int32_t>(p.blocks.size()), where + ": no script");
            return;
        case Kind::kWait:
            return require(op.threads >= 0 && op.threads < 1 << kMain, where + ": no such microthread");
        case Kind::kSend: {
            Operand out{};
            out.queue = op.queue;
            out.color = op.color;
            return check_queue(out, true, m, where);
        }
        case Kind::kTurn:
            require(op.color < kColors && op.position >= 0 && op.position < kPositions, where + ": no such position");
            return;
        case Kind::kBind:
            require(op.queue < kQueues && m.outputs[op.queue] > 0 && op.color < kColors, where + ": no such queue");
            return;
        case Kind::kDelay:
            return;
        case Kind::kRepaint:
            return require(
                op.color < kColors && op.position >= -1 && op.position < static_cast<std::int32_t>(p.switches.size()),
                where + ": no such color or switch");
        default:
            require(false, where + ": unknown operation");
    }
}

// Threads start each other in no time: where a script led to itself, a cycle could have no end.
void check_scripts(const Program& p) {
    std::vector<bool> ends(p.blocks.size());
    const auto leads_on = [&](const Op& op) {
        return op.kind == Kind::kFork && !ends[static_cast<std::size_t>(op.script)];
    };
    for (bool again = true; again;) {
        again = false;
        for (std::size_t i = 0; i < ends.size(); ++i) {
            if (ends[i]) continue;
            const auto first = p.ops.begin() + p.blocks[i].first;
            ends[i] = std::none_of(first, first + p.blocks[i].count, leads_on);
            again |= ends[i];
        }
    }
    const auto open = std::find(ends.begin(), ends.end(), false);
    require(open == ends.end(), text("block ", open - ends.begin(), " starts itself"));
}

void check_chart(const Chart& chart, const Program& p, std::size_t entries) {
    require(chart.x.size() == static_cast<std::size_t>(p.width) && chart.y.size() == static_cast<std::size_t>(p.height),
            "a chart has not one class a place");
    require(chart.columns >= 1 && chart.table.size() % static_cast<std::size_t>(chart.columns) == 0,
            "a chart is no table");
    const std::size_t rows = chart.table.size() / static_cast<std::size_t>(chart.columns);
    for (const std::uint16_t c : chart.x) require(c < rows, "a class along x is out of range");
    for (const std::uint16_t c : chart.y) require(c < chart.columns, "a class along y is out of range");
    for (const std::int32_t entry : chart.table)
        require(entry >= -1 && entry < static_cast<std::int32_t>(entries), "a chart's entry is out of range");
}

constexpr std::int32_t kStepX[kPorts] = {0, 0, 0, 1, -1};
constexpr std::int32_t kStepY[kPorts] = {0, -1, 1, 0, 0};
constexpr const char* kNames[kPorts] = {"core", "north", "south", "east", "west"};

void check_switch(const Switch& s) {
    require(s.count >= 1 && s.count <= kPositions, "a switch has 1 to 4 positions");
    for (int i = 0; i < s.count; ++i) {
        require(s.ways[i].sources < 1 << kPorts && s.ways[i].targets < 1 << kPorts, "a way has a port that is none");
        require(s.ways[i].sources != 0 && s.ways[i].targets != 0, "a way has no source or no target");
    }
}

// Every way out must lead to a router that hears it in some position.
void check_ways(const Program& p, const AllWays& ways, std::size_t color) {
    for (std::int32_t y = 0; y < p.height; ++y)
        for (std::int32_t x = 0; x < p.width; ++x) {
            const unsigned targets = ways.at(x, y).targets[color];
            for (int port = 1; port < kPorts; ++port) {
                if ((targets >> port & 1U) == 0) continue;
                const std::int32_t nx = x + kStepX[port];
                const std::int32_t ny = y + kStepY[port];
                const auto leaves = [&](const std::string& where) {
                    throw std::invalid_argument(
                        text("color ", color, " leaves ", place(x, y), " to the ", kNames[port], ", where ", where));
                };
                if (nx < 0 || nx >= p.width || ny < 0 || ny >= p.height) leaves("the mesh ends");
                if ((ways.at(nx, ny).sources[color] >> kOpposite[port] & 1U) == 0)
                    leaves(text("the router of ", place(nx, ny), " never accepts it"));
            }
        }
}

}  // namespace

void prepare(Op& op) {
    const Operand* operands[] = {&op.target, &op.a, &op.b, &op.c};
    op.listens = 0;
    op.elements = 1;
    op.form = op.extents[0] == 1 && op.extents[1] == 1 && op.extents[2] == 1 ? kFlat : 0;
    bool plain = op.rounded == kNoRounding;
    for (int i = 0; i < 4; ++i) {
        const Operand& operand = *operands[i];
        const bool fabric = operand.place == Place::kFabric;
        const bool memory = operand.place == Place::kMemory;
        plain &= (!fabric && !memory) || operand.type == Type::kF32;
        if (memory && operand.index >= 0) op.form |= kPicks;
        if (fabric && i > 0) op.listens = static_cast<std::uint8_t>(op.listens | 1U << (i - 1));
        if (fabric && op.loops != kExtents) op.elements = static_cast<std::uint8_t>(4 / width_of(operand.type));
    }
    op.fabric = op.listens != 0 || op.target.place == Place::kFabric;
    if (plain) op.form |= kPlain;
}

AllWays check(const Program& p, const Machine& m) {
    require(p.width >= 1 && p.height >= 1 && p.width <= 4096 && p.height <= 4096, "a mesh has 1 to 4096 cores a side");
    require(p.memory_bytes >= 0 && p.memory_bytes <= 1 << 30, "a core has 0 to 2^30 bytes");
    require(m.ramp >= 0 && m.ramp <= 16 && m.hop >= 1 && m.hop <= 64, "a ramp takes 0 to 16 cycles, a hop 1 to 64");
    require(m.run >= 0 && m.run <= 4096 && m.pause >= 0 && m.pause <= 4096, "a link's rate is out of range");
    require(m.router_words >= 1 && m.router_words <= kRouterWords,
            "a router holds 1 to 8 wavelets of a color and port");
    for (const auto* depths : {&m.inputs, &m.outputs})
        for (const std::int32_t depth : *depths)
            require(depth >= 0 && depth <= kQueueWords - m.ramp, "a queue is too deep");
    for (const Block& b : p.blocks)
        require(b.first >= 0 && b.count >= 0 &&
                    static_cast<std::int64_t>(b.first) + b.count <= static_cast<std::int64_t>(p.ops.size()),
                "a block is out of range");
    for (std::size_t i = 0; i < p.ops.size(); ++i) check_op(p.ops[i], p, m, text("operation ", i));
    check_scripts(p);
    for (const Chart& chart : p.sections) check_chart(chart, p, p.blocks.size());
    for (const Switch& s : p.switches) check_switch(s);
    for (const Chart& chart : p.colors)
        if (!chart.table.empty()) check_chart(chart, p, p.switches.size());
    AllWays ways(p);
    for (std::size_t color = 0; color < kColors; ++color)
        if (ways.leaves(color)) check_ways(p, ways, color);
    return ways;
}

}  // namespace undiced::fabric

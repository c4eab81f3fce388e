#include "ways.h"

#include <algorithm>
#include <set>
#include <utility>

#include "kinds.h"

namespace undiced::fabric {
namespace {

using Repaints = std::set<std::pair<std::uint8_t, std::int32_t>>;  // colors, and the switches that they get

// Of all blocks, scripts that they start included, to any depth.
std::vector<Repaints> repaints(const Program& p) {
    std::vector<Repaints> found(p.blocks.size());
    for (bool again = true; again;) {
        again = false;
        for (std::size_t i = 0; i < found.size(); ++i) {
            const std::size_t before = found[i].size();
            for (std::int32_t at = 0; at < p.blocks[i].count; ++at) {
                const Op& op = p.ops[static_cast<std::size_t>(p.blocks[i].first + at)];
                if (op.kind == Kind::kRepaint) found[i].emplace(op.color, op.position);
                if (op.kind == Kind::kFork) {
                    const Repaints& script = found[static_cast<std::size_t>(op.script)];
                    found[i].insert(script.begin(), script.end());
                }
            }
            again |= found[i].size() != before;
        }
    }
    return found;
}

void add(Ways& ways, std::size_t color, const Switch& s) {
    for (std::size_t i = 0; i < s.count; ++i) {
        ways.sources[color] = static_cast<std::uint8_t>(ways.sources[color] | s.ways[i].sources);
        ways.targets[color] = static_cast<std::uint8_t>(ways.targets[color] | s.ways[i].targets);
    }
}

}  // namespace

AllWays::AllWays(const Program& p) : width_(static_cast<std::size_t>(p.width)) {
    for (const Chart& chart : p.colors) charts_.push_back(&chart);
    const std::vector<Repaints> written = repaints(p);
    const bool any = std::any_of(written.begin(), written.end(), [](const Repaints& each) { return !each.empty(); });
    for (const Chart& chart : p.sections)
        if (any) charts_.push_back(&chart);
    Kinds kinds(charts_, p);
    const auto made = [&](std::int32_t x, std::int32_t y) {
        Ways ways;
        for (std::size_t color = 0; color < kColors; ++color) {
            const std::int32_t number = p.colors[color].table.empty() ? -1 : p.colors[color].at(x, y);
            if (number >= 0) add(ways, color, p.switches[static_cast<std::size_t>(number)]);
        }
        for (const Chart& section : p.sections) {
            const std::int32_t block = any ? section.at(x, y) : -1;
            if (block < 0) continue;
            for (const auto& [color, number] : written[static_cast<std::size_t>(block)]) {
                ways.repainted = true;
                if (number >= 0) add(ways, color, p.switches[static_cast<std::size_t>(number)]);
            }
        }
        const auto found = std::find(kinds_.begin(), kinds_.end(), ways);
        if (found != kinds_.end()) return static_cast<std::uint32_t>(found - kinds_.begin());
        kinds_.push_back(ways);
        return static_cast<std::uint32_t>(kinds_.size() - 1);
    };
    numbers_.reserve(static_cast<std::size_t>(p.cores()));
    for (std::int32_t y = 0; y < p.height; ++y)
        for (std::int32_t x = 0; x < p.width; ++x) numbers_.push_back(kinds.at(x, y, made));
}

}  // namespace undiced::fabric

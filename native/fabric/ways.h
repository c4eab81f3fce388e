// What each router of a program may ever have: the switches that it is painted with, and those that its core writes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "program.h"

namespace undiced::fabric {

// Of one router, by color: ports, as masks, that any position of any of its switches has.
struct Ways {
    std::array<std::uint8_t, kColors> sources{};
    std::array<std::uint8_t, kColors> targets{};
    bool repainted = false;  // whether its core ever writes one

    bool operator==(const Ways&) const = default;
};

// The ways of all routers. Indices of the program are within their ranges.
class AllWays {
  public:
    explicit AllWays(const Program& program);

    [[nodiscard]] const Ways& at(std::int32_t x, std::int32_t y) const {
        return kinds_[numbers_[static_cast<std::size_t>(y) * width_ + static_cast<std::size_t>(x)]];
    }
    // Whether any router passes a color on to another.
    [[nodiscard]] bool leaves(std::size_t color) const {
        return std::any_of(kinds_.begin(), kinds_.end(), [&](const Ways& each) { return each.targets[color] > 1; });
    }
    // Charts that tell routers apart.
    [[nodiscard]] const std::vector<const Chart*>& charts() const { return charts_; }

  private:
    std::size_t width_;
    std::vector<const Chart*> charts_;
    std::vector<Ways> kinds_;
    std::vector<std::uint32_t> numbers_;
};

}  // namespace undiced::fabric

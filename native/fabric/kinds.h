// Numbers for the kinds of places of a mesh, told apart by charts alone.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "program.h"

namespace undiced::fabric {

// For each place of a mesh what `made` says of it, asked once where all charts have the same classes.
class Kinds {
  public:
    Kinds(const std::vector<const Chart*>& charts, const Program& p) {
        std::vector<const std::vector<std::uint16_t>*> along_x;
        std::vector<const std::vector<std::uint16_t>*> along_y;
        for (const Chart* chart : charts)
            if (!chart->table.empty()) {
                along_x.push_back(&chart->x);
                along_y.push_back(&chart->y);
            }
        std::uint32_t count = 0;
        x_ = signatures(along_x, static_cast<std::size_t>(p.width), count);
        y_ = signatures(along_y, static_cast<std::size_t>(p.height), columns_);
        known_.assign(std::size_t{count} * columns_, kNone);
    }

    template <class Make>
    std::uint32_t at(std::int32_t x, std::int32_t y, Make made) {
        std::uint32_t& number =
            known_[std::size_t{x_[static_cast<std::size_t>(x)]} * columns_ + y_[static_cast<std::size_t>(y)]];
        if (number == kNone) number = made(x, y);
        return number;
    }

  private:
    static constexpr std::uint32_t kNone = 0xffffffffU;

    // A number for each place along an axis: equal where all charts have the same class.
    static std::vector<std::uint32_t> signatures(const std::vector<const std::vector<std::uint16_t>*>& classes,
                                                 std::size_t places, std::uint32_t& count) {
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

    std::vector<std::uint32_t> x_, y_, known_;
    std::uint32_t columns_ = 0;
};

}  // namespace undiced::fabric

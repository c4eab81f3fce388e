// Converts arguments, checks that sizes agree, shares work out to threads and releases the interpreter's lock.
#include "bind.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "arrays.h"
#include "sums.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::mesh {
namespace {

constexpr double kShareWork = 100000;  // elements that a thread takes at least: starting one costs tens of microseconds

// Shares `items` of `work` elements in all out to at most `threads` threads, this one included.
template <class Function>
void shared(std::int64_t items, double work, int threads, Function function) {
    const std::int64_t most = std::min<std::int64_t>(items, static_cast<std::int64_t>(work / kShareWork) + 1);
    const std::int64_t parts = std::clamp<std::int64_t>(threads, 1, std::max<std::int64_t>(most, 1));
    std::vector<std::jthread> others;
    for (std::int64_t part = 1; part < parts; ++part)
        others.emplace_back([=] { function(items * part / parts, items * (part + 1) / parts); });
    function(0, items / parts);
}

void multiply_add(Array<const float, 3> x, Array<const float, 3> w, Array<float, 3> total, bool half, int threads,
                  const std::string& isa) {
    require(x.shape(0) == w.shape(0) && x.shape(0) == total.shape(0), "numbers of tiles differ");
    require(x.shape(2) == w.shape(1), "x and w differ in their inputs");
    require(total.shape(1) == x.shape(1) && total.shape(2) == w.shape(2),
            "total has not a sum for each row and column");
    const Products p{.x = x.data(),
                     .w = w.data(),
                     .total = total.data(),
                     .tiles = static_cast<std::int64_t>(x.shape(0)),
                     .rows = static_cast<std::int64_t>(x.shape(1)),
                     .inner = static_cast<std::int64_t>(x.shape(2)),
                     .columns = static_cast<std::int64_t>(w.shape(2)),
                     .half = half};
    const Sums& table = sums(parse_isa(isa));
    const nb::gil_scoped_release release;
    shared(p.tiles, static_cast<double>(w.size()) * static_cast<double>(p.rows), threads,
           [&](std::int64_t first, std::int64_t last) { table.multiply_add(p, first, last); });
}

void join(Array<float, 3> held, Array<const std::int32_t, 2> hops, bool largest, bool wire_half, bool kept_half,
          int threads, const std::string& isa) {
    require(hops.shape(1) == 2, "a hop has a sender and a receiver");
    const auto places = static_cast<std::int32_t>(held.shape(1));
    require(std::all_of(hops.data(), hops.data() + hops.size(), [&](auto at) { return at >= 0 && at < places; }),
            "a hop leaves the line");
    const Hops h{.held = held.data(),
                 .lines = static_cast<std::int64_t>(held.shape(0)),
                 .places = places,
                 .length = static_cast<std::int64_t>(held.shape(2)),
                 .hops = hops.data(),
                 .count = static_cast<std::int64_t>(hops.shape(0)),
                 .join = largest ? Join::kMax : Join::kSum,
                 .wire_half = wire_half,
                 .kept_half = kept_half};
    const Sums& table = sums(parse_isa(isa));
    const nb::gil_scoped_release release;
    shared(h.lines, static_cast<double>(held.size()), threads,
           [&](std::int64_t first, std::int64_t last) { table.join(h, first, last); });
}

}  // namespace

void bind(nb::module_& m) {
    m.def("mesh_multiply_add", &multiply_add, "x"_a, "w"_a, "total"_a, "half"_a, "threads"_a = 1, "isa"_a = "",
          "Adds products of tiles to total, input by input.");
    m.def("mesh_join", &join, "held"_a, "hops"_a, "largest"_a = false, "wire_half"_a = false, "kept_half"_a = false,
          "threads"_a = 1, "isa"_a = "", "Joins the terms of lines in place, hop by hop.");
}

}  // namespace undiced::mesh

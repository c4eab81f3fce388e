// Takes a program's arrays as Python made them, and gives back what a simulation found. Releases the interpreter's
// lock.
#include "bind.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "simulator.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::fabric {
namespace {

template <class T, class Bytes>
std::vector<T> records(const Bytes& bytes, const char* what) {
    require(bytes.shape(1) == sizeof(T), what);
    std::vector<T> out(bytes.shape(0));
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), sizeof(T) * out.size());
    return out;
}

Chart chart(nb::handle given) {
    const auto parts = nb::cast<nb::tuple>(given);
    require(parts.size() == 3, "a chart has classes along x, classes along y and a table");
    const auto x = nb::cast<Array<const std::uint16_t, 1>>(parts[0]);
    const auto y = nb::cast<Array<const std::uint16_t, 1>>(parts[1]);
    const auto table = nb::cast<Array<const std::int32_t, 2>>(parts[2]);
    Chart c;
    c.x.assign(x.data(), x.data() + x.size());
    c.y.assign(y.data(), y.data() + y.size());
    c.columns = static_cast<std::int32_t>(table.shape(1));
    c.table.assign(table.data(), table.data() + table.size());
    return c;
}

Machine machine_of(const std::vector<std::int32_t>& figures) {
    require(figures.size() == 6 + 2 * kQueues, "a machine has 22 figures");
    Machine m;
    m.ramp = figures[0];
    m.hop = figures[1];
    m.run = figures[2];
    m.pause = figures[3];
    m.router_words = figures[4];
    m.bound = figures[5] != 0;
    for (std::size_t q = 0; q < kQueues; ++q) {
        m.inputs[q] = figures[6 + q];
        m.outputs[q] = figures[6 + kQueues + q];
    }
    return m;
}

nb::object run(std::int32_t width, std::int32_t height, Array<const std::uint8_t, 2> ops,
               Array<const std::int32_t, 2> blocks, nb::list sections, nb::list colors,
               Array<const std::uint8_t, 2> switches, const std::vector<std::int32_t>& figures,
               Array<std::uint8_t, 2> memory, int threads, std::uint32_t limit, std::uint32_t skew,
               std::uint32_t jitter, std::uint64_t seed, std::vector<std::uint32_t> watch,
               Array<std::uint32_t, 1> finished, Array<std::uint32_t, 2> loads, Array<std::uint32_t, 1> busy,
               nb::callable go_on) {
    Program p;
    p.width = width;
    p.height = height;
    p.memory_bytes = static_cast<std::int64_t>(memory.shape(1));
    p.ops = records<Op>(ops, "operations have another size");
    for (Op& op : p.ops) prepare(op);
    require(blocks.shape(1) == 2, "a block has a first operation and a count");
    for (std::size_t i = 0; i < blocks.shape(0); ++i) p.blocks.push_back({blocks(i, 0), blocks(i, 1)});
    for (const nb::handle each : sections) p.sections.push_back(chart(each));
    require(colors.size() == kColors, "there are 24 colors");
    for (std::size_t i = 0; i < kColors; ++i)
        if (!colors[i].is_none()) p.colors[i] = chart(colors[i]);
    p.switches = records<Switch>(switches, "switches have another size");
    const Machine m = machine_of(figures);
    require(width >= 1 && height >= 1 && width <= 4096 && height <= 4096, "a mesh has 1 to 4096 cores a side");
    const auto cores = static_cast<std::size_t>(p.cores());
    require(memory.shape(0) == cores && finished.size() == cores && busy.size() == cores && loads.shape(0) == cores &&
                loads.shape(1) == kPorts,
            "arrays have not one entry a core");
    require(threads >= 1 && threads <= 256, "a simulation takes 1 to 256 threads");
    require(std::is_sorted(watch.begin(), watch.end()), "watched cores are not in order");
    const Options options{threads, limit, skew, jitter, seed, std::move(watch)};
    const Counts counts{finished.data(), loads.data(), busy.data()};
    Result r;
    {
        const nb::gil_scoped_release release;
        r = simulate(p, m, memory.data(), options, counts, [&](std::uint32_t cycle) {
            const nb::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            return nb::cast<bool>(go_on(cycle));
        });
    }
    nb::list waiting;
    for (const Wait& w : r.waiting)
        waiting.append(nb::make_tuple(w.core, w.thread, w.section, w.block, w.op, static_cast<int>(w.why), w.queue,
                                      w.color, w.port));
    nb::list events;
    for (const Event& e : r.events)
        events.append(nb::make_tuple(e.core, e.thread, e.section, e.block, e.op, e.start, e.end));
    return nb::make_tuple(static_cast<int>(r.status), r.cycles, r.hops, r.active, r.worked, waiting, events,
                          r.section_start, r.section_end);
}

}  // namespace

void bind(nb::module_& m) {
    m.def("fabric_simulate", &run, "width"_a, "height"_a, "ops"_a, "blocks"_a, "sections"_a, "colors"_a, "switches"_a,
          "figures"_a, "memory"_a, "threads"_a, "limit"_a, "skew"_a, "jitter"_a, "seed"_a, "watch"_a, "finished"_a,
          "loads"_a, "busy"_a, "go_on"_a, "Runs a program of routers and cores, cycle by cycle.");
}

}  // namespace undiced::fabric

// The way of tokens to their clients, for Python, which calls all of it from one thread. The thread that reads never
// takes the interpreter's lock.
#include "bind.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "relay.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::wire {
namespace {

using Count = nb::ndarray<std::uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::string_view view(const nb::bytes& data) { return {data.c_str(), data.size()}; }
std::string copy(const nb::bytes& data) { return std::string(view(data)); }
nb::bytes bytes(std::string_view data) { return nb::bytes(data.data(), data.size()); }

std::shared_ptr<Texts> make_texts(nb::callable spell) {
    return std::make_shared<Texts>([spell](std::uint32_t token) -> std::optional<std::string> {
        const nb::object found = spell(token);
        if (found.is_none()) return std::nullopt;
        return copy(nb::cast<nb::bytes>(found));
    });
}

// A lane as Python holds it: every use goes through its relay, which has the lock.
struct Held {
    std::shared_ptr<Relay> relay;
    std::shared_ptr<Lane> lane;
    std::optional<Count> slot;  // of its meter, held while it may be open
};

void bind_lane(nb::module_& m) {
    nb::class_<Texts>(m, "Texts").def(nb::new_(&make_texts), "spell"_a).def("learn", &Texts::learn, "token"_a);
    nb::class_<Held>(m, "Lane")
        .def(
            "open",
            [](Held& held, int socket, const nb::bytes& before, const nb::bytes& after, const nb::bytes& text,
               std::optional<Count> slot, std::uint64_t tokens, std::uint64_t most) {
                const Meter meter{slot && slot->size() > 0 ? slot->data() : nullptr, tokens, most};
                const bool opened = held.relay->open(*held.lane, socket, copy(before), copy(after), view(text), meter);
                if (opened) held.slot = std::move(slot);
                return opened;
            },
            "socket"_a, "before"_a, "after"_a, "text"_a, "slot"_a = nb::none(), "tokens"_a = 0, "most"_a = 0)
        .def("close",
             [](Held& held) {
                 const auto [count, rest] = held.relay->close(*held.lane);
                 held.slot.reset();
                 return nb::make_tuple(count, bytes(rest));
             })
        .def_prop_ro("said_s", [](const Held& held) { return held.relay->said_s(*held.lane); });
}

}  // namespace

void bind(nb::module_& m) {
    bind_lane(m);
    nb::class_<Relay>(m, "Relay")
        .def(nb::new_([] { return std::make_shared<Relay>(); }))
        .def(
            "lane",
            [](std::shared_ptr<Relay> relay, std::string_view name, std::shared_ptr<Texts> texts) {
                return Held{relay, relay->lane(name, std::move(texts)), std::nullopt};
            },
            "request_id"_a, "texts"_a)
        .def("forget", &Relay::forget, "request_id"_a)
        .def("start", &Relay::start, "socket"_a)
        .def("stop", &Relay::stop, nb::call_guard<nb::gil_scoped_release>())
        .def_prop_ro("ended", &Relay::ended)
        .def(
            "feed", [](Relay& relay, const nb::bytes& data) { relay.feed(view(data)); }, "data"_a)
        .def("take", [](Relay& relay) { return bytes(relay.take()); })
        .def("take_figures", [](Relay& relay) { return bytes(relay.take_figures()); });
}

}  // namespace undiced::wire

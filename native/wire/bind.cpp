// The way of tokens to their clients, for Python, which calls all of it from one thread.
#include "bind.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include "relay.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced::wire {
namespace {

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

void bind_lane(nb::module_& m) {
    nb::class_<Texts>(m, "Texts").def(nb::new_(&make_texts), "spell"_a);
    nb::class_<Lane>(m, "Lane")
        .def(
            "open",
            [](Lane& lane, int socket, const nb::bytes& before, const nb::bytes& after, const nb::bytes& text) {
                lane.open(socket, copy(before), copy(after));
                lane.say(0, view(text));
            },
            "socket"_a, "before"_a, "after"_a, "text"_a)
        .def("close",
             [](Lane& lane) {
                 lane.close();
                 return nb::make_tuple(lane.take_count(), bytes(lane.take_rest()));
             })
        .def_prop_ro("said_s", &Lane::said_s);
}

}  // namespace

void bind(nb::module_& m) {
    bind_lane(m);
    nb::class_<Relay>(m, "Relay")
        .def(nb::init<>())
        .def("lane", &Relay::lane, "request_id"_a, "texts"_a)
        .def("forget", &Relay::forget, "request_id"_a)
        .def("reset", &Relay::reset)
        .def("take_figures", [](Relay& relay) { return bytes(relay.take_figures()); })
        .def(
            "feed",
            [](Relay& relay, const nb::bytes& data) -> nb::object {
                std::string left;
                relay.feed(view(data), left);
                if (left.empty()) return nb::none();
                return left == view(data) ? nb::object(data) : nb::object(bytes(left));
            },
            "data"_a);
}

}  // namespace undiced::wire

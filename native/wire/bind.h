// The way of tokens to their clients, for the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace undiced::wire {

void bind(nanobind::module_& m);

}  // namespace undiced::wire

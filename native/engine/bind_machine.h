// What this machine can do, as functions of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace undiced::machine {

void bind(nanobind::module_& m);

}  // namespace undiced::machine

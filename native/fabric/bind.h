// The fabric simulator as a function of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace undiced::fabric {

void bind(nanobind::module_& m);

}  // namespace undiced::fabric

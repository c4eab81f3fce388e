// The mesh executor's sums as functions of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace undiced::mesh {

void bind(nanobind::module_& m);

}  // namespace undiced::mesh

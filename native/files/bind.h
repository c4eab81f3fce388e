// Reading lists of strings out of mapped files, as functions of the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace undiced::files {

void bind(nanobind::module_& m);

}  // namespace undiced::files

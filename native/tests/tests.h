// The test groups; those that take a table run once for every instruction set level.
#pragma once

#include "kernels.h"

namespace undiced::test {

void test_pack();
void test_dispatch();
void test_matmul(const Kernels& kernels);
void test_attend(const Kernels& kernels);
void test_pointwise(const Kernels& kernels);

}  // namespace undiced::test

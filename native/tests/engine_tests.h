// The test groups of the engine.
#pragma once

namespace undiced::test {

void test_team();
void test_engine();
void test_sums();

}  // namespace undiced::test

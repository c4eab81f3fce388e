// The test groups of the engine, and of what goes with it.
#pragma once

namespace undiced::test {

void test_relay();
void test_shared_words();
void test_team();
void test_engine();
void test_memory();
void test_sums();

}  // namespace undiced::test

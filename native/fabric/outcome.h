// What a run left behind, as its caller is told: who waits for what, and counts of every core.
#pragma once

#include <vector>

#include "simulator.h"
#include "world.h"

namespace undiced::fabric {

// Threads that have not ended and wavelets that were never read, of the first cores that have any.
std::vector<Wait> waiting(const World& world);

// Counts the work of operations that the limit cut short.
void cut_short(const World& world, std::uint32_t limit, Result& result);

void count(const World& world, const Counts& counts);

}  // namespace undiced::fabric

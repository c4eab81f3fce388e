// Moving a thread to a core of its own, once. Nothing stays pinned: the system may move it again.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace undiced {

// The core that the calling thread runs on; -1 where the system does not tell.
inline int current_core() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

// Moves the calling thread to the core `places` after `core` among those that it may use.
inline void move_away(int core, int places) {
#if defined(__linux__)
    cpu_set_t allowed, one;
    if (core < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    const int count = CPU_COUNT(&allowed);
    int target = core;
    for (int steps = count > 0 ? places % count : 0; steps > 0; --steps) do
            target = (target + 1) % CPU_SETSIZE;
        while (!CPU_ISSET(target, &allowed));
    if (!CPU_ISSET(target, &allowed)) return;
    CPU_ZERO(&one);
    CPU_SET(target, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) sched_setaffinity(0, sizeof allowed, &allowed);
#else
    (void)core;
    (void)places;
#endif
}

}  // namespace undiced

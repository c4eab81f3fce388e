// Starting, feeding and stopping the team; see team.h.
#include "team.h"

namespace undiced {

Team::Team(int size, SpinTimes spin)
    : size_(size),
      barrier_pauses_(spin.barrier_us * pauses_per_microsecond()),
      idle_pauses_(spin.idle_us * pauses_per_microsecond()) {
    threads_.reserve(static_cast<std::size_t>(size - 1));
    try {
        for (int member = 1; member < size; ++member) threads_.emplace_back([this, member] { member_loop(member); });
    } catch (...) {
        stop_ = true;
        job_.change(job_.load() + 1);
        for (auto& thread : threads_) thread.join();
        throw;
    }
}

Team::~Team() {
    stop_ = true;
    job_.change(job_.load() + 1);
    for (auto& thread : threads_) thread.join();
}

void Team::dispatch() {
    if (size_ > 1) job_.change(job_.load() + 1);
    call_(context_, 0);
    if (size_ > 1) barrier();
}

void Team::member_loop(int member) {
    std::uint32_t seen = 0;
    for (;;) {
        job_.wait_change(seen, idle_pauses_);
        ++seen;
        if (stop_) return;
        call_(context_, member);
        barrier();
    }
}

}  // namespace undiced

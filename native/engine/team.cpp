// Starting, feeding and stopping the team; see team.h.
#include "team.h"

#include <algorithm>
#include <stdexcept>

#include "spread.h"

namespace undiced {

Team::Team(int size, SpinTimes spin)
    : size_(size),
      barrier_pauses_(spin.barrier_us * pauses_per_microsecond()),
      idle_pauses_(spin.idle_us * pauses_per_microsecond()),
      members_(std::make_unique<Member[]>(static_cast<std::size_t>(size))) {
    threads_.reserve(static_cast<std::size_t>(size - 1));
    try {
        for (int thread = 1; thread < size; ++thread) threads_.emplace_back([this, thread] { member_loop(thread); });
    } catch (...) {
        stop();
        throw;
    }
}

Team::~Team() { stop(); }

void Team::stop() {
    stop_ = true;
    for (int thread = 1; thread < size_; ++thread) members_[static_cast<std::size_t>(thread)].start.advance();
    for (auto& thread : threads_) thread.join();
}

void Team::seize() {
    if (running_.test_and_set(std::memory_order_acquire))
        throw std::runtime_error("another engine computes with this team");
}

void Team::dispatch() {
    for (int thread = 0; thread < size_; ++thread)
        members_[static_cast<std::size_t>(thread)].slept_ns.store(0, std::memory_order_relaxed);
    home_core_ = active_ > last_active_ ? current_core() : kStay;
    last_active_ = active_;
    for (int thread = 1; thread < active_; ++thread) members_[static_cast<std::size_t>(thread)].start.advance();
    call_(context_, 0);
    if (active_ > 1) barrier(0);
    running_.clear(std::memory_order_release);
}

void Team::member_loop(int thread) {
    Signal& start = members_[static_cast<std::size_t>(thread)].start;
    for (std::uint32_t seen = 0;; ++seen) {
        if (!start.spin(seen, idle_pauses_)) start.sleep(seen);
        if (stop_) return;
        if (home_core_ != kStay) move_away(home_core_, thread);
        call_(context_, thread);
        barrier(thread);
    }
}

void Team::sleep_at_barrier(int thread, std::uint32_t phase) {
    const auto begin = std::chrono::steady_clock::now();
    phase_.sleep(phase);
    // Behind the barrier, so that it may fall into the next run's count: then that run has lost the time.
    const auto slept = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin);
    members_[static_cast<std::size_t>(thread)].slept_ns.fetch_add(slept.count(), std::memory_order_relaxed);
}

double Team::lost_seconds() const {
    std::int64_t most = 0;
    for (int thread = 0; thread < active_; ++thread)
        most = std::max(most, members_[static_cast<std::size_t>(thread)].slept_ns.load(std::memory_order_relaxed));
    return static_cast<double>(most) * 1e-9;
}

}  // namespace undiced

// A fixed team of threads that run the same function side by side, with barriers between phases.
// The caller of `run` is member 0. Members spin for a bounded time and then sleep, so an idle team costs nothing
// and a team that lost a core to another process gives the others way. Knows nothing of instructions or models.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "park.h"

namespace undiced {

// Spin times: a barrier waits for peers that work on equal shares, so a long wait means that a peer lost its core;
// between steps the caller is busy with the scheduler and the answer for some tens of microseconds.
struct SpinTimes {
    int barrier_us = 30;
    int idle_us = 100;
};

class Team {
  public:
    // Starts `size - 1` threads. Throws std::system_error if the system refuses.
    Team(int size, SpinTimes spin);
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    int size() const { return size_; }

    // Calls work(member) on every member and returns when all have returned. `work` must not throw. One call at a time.
    template <class Work>
    void run(const Work& work) {
        call_ = [](const void* context, int member) { (*static_cast<const Work*>(context))(member); };
        context_ = &work;
        dispatch();
    }

    // Waits until every member has come here. What members wrote before is visible to all after. Only inside `run`.
    void barrier() {
        const std::uint32_t phase = phase_.load();
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
            arrived_.store(0, std::memory_order_relaxed);
            phase_.change(phase + 1);
        } else {
            phase_.wait_change(phase, barrier_pauses_);
        }
    }

  private:
    void dispatch();
    void member_loop(int member);

    const int size_;
    const int barrier_pauses_, idle_pauses_;
    void (*call_)(const void*, int) = nullptr;
    const void* context_ = nullptr;
    bool stop_ = false;
    Signal job_;
    Signal phase_;
    alignas(64) std::atomic<int> arrived_{0};
    std::vector<std::thread> threads_;
};

}  // namespace undiced

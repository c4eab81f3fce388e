// A fixed team of threads that run the same function side by side, with barriers between phases.
// The caller of `run` is thread 0. Threads spin for a bounded time and then sleep, so an idle team costs nothing.
// Knows nothing of instructions or models, and not how work is split.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
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

    // Calls work(thread) on threads 0 to active - 1 and returns when all have returned; the others stay asleep.
    // `work` must not throw. One call at a time: a second one, of another engine, throws std::runtime_error. Threads
    // that slept through the run before start on cores of their own: the system tends to wake them on the caller's.
    template <class Work>
    void run(int active, const Work& work) {
        seize();
        call_ = [](const void* context, int thread) { (*static_cast<const Work*>(context))(thread); };
        context_ = &work;
        active_ = active;
        dispatch();
    }
    template <class Work>
    void run(const Work& work) {
        run(size_, work);
    }

    // How many threads take part in the current run.
    int active() const { return active_; }

    // Waits until every active thread has come here. What they wrote before is visible to all after. Only inside `run`.
    //
    // Why that holds where the processor reorders (Arm): each arrival releases what its thread wrote and acquires what
    // those before it released, because additions to `arrived_` form one chain. So the last to arrive has seen
    // everything, and its change of `phase_` releases that together with the zero in `arrived_`, which is relaxed for
    // that reason. Whoever leaves has read the new phase with acquire. Nobody can read the phase after next, because it
    // needs an arrival of everyone who is still here.
    void barrier(int thread) {
        const int active = active_;  // read before arriving: once all have arrived, the next run may change it
        const std::uint32_t phase = phase_.load();
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == active) {
            arrived_.store(0, std::memory_order_relaxed);
            phase_.change(phase + 1);
        } else if (!phase_.spin(phase, barrier_pauses_)) {
            sleep_at_barrier(thread, phase);
        }
    }

    // The longest time that one thread slept at barriers of the last run: it had nothing to do because another thread
    // was late by more than the spin time.
    double lost_seconds() const;

  private:
    struct Member {
        Signal start;
        std::atomic<std::int64_t> slept_ns{0};
    };

    static constexpr int kStay = -1;

    void seize();
    void dispatch();
    void member_loop(int thread);
    void sleep_at_barrier(int thread, std::uint32_t phase);
    void stop();

    const int size_;
    const int barrier_pauses_, idle_pauses_;
    // These are plain: thread 0 writes them before it advances a member's `start`, which releases them, and a
    // member reads them after it has seen that. It does not read them any more once it has arrived at the barrier at
    // the end of a run (`barrier` takes its copy before), and thread 0 writes again only after all have arrived there.
    // Who is thread 0 may change from run to run, if something orders the runs, as Engine::Busy does.
    void (*call_)(const void*, int) = nullptr;
    const void* context_ = nullptr;
    int active_ = 1, last_active_ = 1;
    int home_core_ = kStay;  // where thread 0 is, if the threads that join it should spread over the other cores
    bool stop_ = false;
    std::atomic_flag running_;
    Signal phase_;
    alignas(64) std::atomic<int> arrived_{0};
    std::unique_ptr<Member[]> members_;
    std::vector<std::thread> threads_;
};

}  // namespace undiced

// Steps that run one after another on a thread of their own, while whoever submitted them does something else.
// Knows nothing of what a step does.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "step.h"

namespace undiced {

class Flights {
  public:
    using Run = std::function<double(const StepInput&, const StepOutput&)>;  // returns seconds
    using Prepare = std::function<bool()>;                                   // whether there is more to prepare

    static constexpr std::uint64_t kMost = 8;    // steps that are kept: seven in flight, and the last one waited for
    static constexpr std::uint64_t kBehind = 2;  // so many are left to the team when who waits is woken

    // `prepare` is called again and again while no step is wanted, as long as it has something to do. A step that comes
    // waits for it to return.
    Flights(Run run, Prepare prepare) : run_(std::move(run)), prepare_(std::move(prepare)) {}
    // Lets the step under way end; those behind it never run.
    ~Flights();
    Flights(const Flights&) = delete;
    Flights& operator=(const Flights&) = delete;

    // Takes in a step, which begins as soon as those before it have ended; its arrays must stay as they are until it
    // was waited for. Returns its ticket, from 0 on. Throws std::runtime_error if there are too many.
    std::uint64_t submit(const StepInput& in, const StepOutput& out);

    // Waits for the oldest step, or again for the one that was waited for last; returns its seconds. Who has to sleep
    // is woken when kBehind steps are left, and finds those before them ended: it takes a core from the team, and
    // caches are cold by then. Throws what the step threw, and std::runtime_error for any other ticket.
    double wait(std::uint64_t ticket);

  private:
    struct Flight {
        StepInput in;
        StepOutput out;
        double seconds = 0.0;
        std::exception_ptr failure;
    };

    void work();
    Flight& flight(std::uint64_t ticket) { return flights_[ticket % kMost]; }

    void prepare(std::unique_lock<std::mutex>& lock);
    bool wanted() const { return stop_ || ended_ < next_; }

    const Run run_;
    const Prepare prepare_;
    std::array<Flight, kMost> flights_;
    std::mutex mutex_;
    std::condition_variable wanted_, done_;
    std::uint64_t waited_ = 0, ended_ = 0, next_ = 0;  // how many were waited for, have ended, were submitted
    std::uint64_t awaited_ = 0;                        // how many must have ended before who sleeps is woken
    bool stop_ = false;
    std::thread thread_;  // started by the first step
};

}  // namespace undiced

// Handing steps from thread to thread; see flights.h.
#include "flights.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

namespace undiced {
namespace {

constexpr std::chrono::milliseconds kIdle{2};  // without a step: between two of one sequence it is less

}  // namespace

Flights::~Flights() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wanted_.notify_all();
    if (thread_.joinable()) thread_.join();
}

std::uint64_t Flights::submit(const StepInput& in, const StepOutput& out) {
    const std::lock_guard lock(mutex_);
    if (next_ - waited_ >= kMost - 1)  // the last one that was waited for is kept
        throw std::runtime_error("too many steps in flight");
    flight(next_) = {in, out, 0.0, nullptr};
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    wanted_.notify_one();
    return next_++;
}

double Flights::wait(std::uint64_t ticket) {
    std::unique_lock lock(mutex_);
    if (ticket >= next_ || (ticket != waited_ && ticket + 1 != waited_))
        throw std::runtime_error("step " + std::to_string(ticket) + " is not the next to be waited for");
    if (ended_ <= ticket) {
        awaited_ = std::max(ticket + 1, next_ - std::min(next_, kBehind));
        done_.wait(lock, [&] { return ended_ >= awaited_; });
    }
    waited_ = std::max(waited_, ticket + 1);
    const Flight& found = flight(ticket);
    if (found.failure) std::rethrow_exception(found.failure);
    return found.seconds;
}

void Flights::prepare(std::unique_lock<std::mutex>& lock) {
    bool more = true;
    while (more && !wanted_.wait_for(lock, kIdle, [&] { return wanted(); })) {
        lock.unlock();
        more = prepare_();
        lock.lock();
    }
}

void Flights::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        prepare(lock);
        wanted_.wait(lock, [&] { return wanted(); });
        if (stop_) return;
        Flight& next = flight(ended_);
        lock.unlock();
        try {
            next.seconds = run_(next.in, next.out);
        } catch (...) {
            next.failure = std::current_exception();
        }
        lock.lock();
        ++ended_;
        if (ended_ >= awaited_) done_.notify_all();
    }
}

}  // namespace undiced

// Waiting for a 32-bit word to change: pause instructions for a bounded time, then sleep in the kernel until woken.
// Knows nothing of threads or teams.
#pragma once

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace undiced {

inline void cpu_pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

// Pause instructions that take about a microsecond here. They cost 10 to 140 cycles, depending on the processor.
inline int pauses_per_microsecond() {
    constexpr int kCount = 2000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCount; ++i) cpu_pause();
    const auto ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count();
    const auto rate = ns > 0 ? kCount * 1000LL / ns : kCount;
    return static_cast<int>(rate < 1 ? 1 : rate > kCount ? kCount : rate);
}

// A word with sleepers. The writer wakes them only when there are any, so a change that nobody sleeps on costs no
// system call. Two orders matter, also where the processor reorders:
// - What a thread wrote before `change` is read by those who have seen the new value: the store releases, loads
// acquire.
// - A sleeper counts itself and then looks at the word; the writer changes the word and then looks for sleepers. Each
//   stores and then loads another place, which acquire and release leave free to pass each other; then both would see
//   the old value and the sleeper slept on. All four are sequentially consistent, so that one of the two sees the
//   other. Should the word change after the sleeper has looked, the kernel (or `wait`) compares once more before it
//   sleeps.
// One thread at a time changes a signal: `advance` reads and writes in two steps.
class Signal {
  public:
    std::uint32_t load() const { return word_.load(std::memory_order_acquire); }

    void change(std::uint32_t value) {
        word_.store(value, std::memory_order_seq_cst);
        if (sleepers_.load(std::memory_order_seq_cst) != 0) wake();
    }

    void advance() { change(load() + 1); }

    // Waits for a word other than `old` for at most `pauses` pauses; tells whether it came.
    bool spin(std::uint32_t old, int pauses) const {
        for (int i = 0; i < pauses; ++i) {
            if (load() != old) return true;
            cpu_pause();
        }
        return false;
    }

    // Sleeps until the word differs from `old`.
    void sleep(std::uint32_t old) {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        while (word_.load(std::memory_order_seq_cst) == old) park(old);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    }

  private:
#if defined(__linux__)
    static_assert(sizeof(std::atomic<std::uint32_t>) == 4);
    void park(std::uint32_t old) {
        syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word_), FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
    }
    void wake() {
        syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word_), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
    }
#else
    void park(std::uint32_t old) { word_.wait(old, std::memory_order_seq_cst); }
    void wake() { word_.notify_all(); }
#endif

    alignas(64) std::atomic<std::uint32_t> word_{0};
    alignas(64) std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace undiced

// Memory for weights, how fast this machine streams it, and how much arithmetic it does. Knows no kernel.
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "levels.h"

namespace undiced {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t bytes) { return (bytes + kHugePage - 1) / kHugePage * kHugePage; }

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Reads whole cache lines with 16-byte vectors, as many streams side by side as get most of the memory. No software
// prefetch: on Zen 3 it takes a fifth from bare reads (docs/LOG.md).
std::uint64_t read_streams(const std::uint8_t* data, std::size_t bytes) {
    using Vector = std::uint64_t __attribute__((vector_size(16)));
    constexpr std::size_t kStreams = 8, kLine = 64 / sizeof(Vector);
    Vector sums[kStreams] = {};
    const std::size_t part = bytes / kStreams / 64 * kLine;
    const Vector* at = reinterpret_cast<const Vector*>(data);
    for (std::size_t i = 0; i < part; i += kLine, at += kLine)
#pragma GCC unroll 8
        for (std::size_t s = 0; s < kStreams; ++s) {
            const Vector* line = at + s * part;
            sums[s] += (line[0] + line[1]) + (line[2] + line[3]);
        }
    Vector total = {};
    for (const Vector& sum : sums) total += sum;
    return total[0] + total[1];
}

// Whether any memory of this process lies in huge pages; false where the kernel does not tell. Read by C's functions:
// C++ streams crash on some systems in a module that holds a C++ library of its own.
bool uses_huge_pages() {
    std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
    if (file == nullptr) return false;
    std::size_t kib = 0;
    char line[512];
    while (kib == 0 && std::fgets(line, sizeof line, file) != nullptr) std::sscanf(line, "AnonHugePages: %zu kB", &kib);
    std::fclose(file);
    return kib > 0;
}

// Spins a number of times, so that all threads start a step together, then lets others run.
void await(const std::atomic<int>& arrived, int wanted, int spins) {
    while (arrived.load(std::memory_order_acquire) < wanted)
        if (spins > 0)
            --spins;
        else
            std::this_thread::yield();
}

int usable_processors() {
#if defined(__linux__)
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return std::max(CPU_COUNT(&allowed), 1);
#endif
    return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

// Seconds of the fastest step, from the first thread's start to the last one's end: each step begins on all threads
// together, since two of them may share a core's units. make(thread) returns a thread's work(step). With a thread for
// every processor each has its own; fewer go where the system sends them, as an engine's do.
template <class Make>
double best_step(int threads, int steps, const Make& make) {
    const int processors = usable_processors();
    std::atomic<int> arrived{0};
    std::vector<double> begin(static_cast<std::size_t>(threads * steps)), end(begin.size());
    const auto run = [&](int thread) {
        if (threads >= processors) pin_thread(thread);
        const auto work = make(thread);
        for (int step = 0; step < steps; ++step) {
            arrived.fetch_add(1);
            await(arrived, threads * (step + 1), threads > processors ? 0 : 100000);
            const auto slot = static_cast<std::size_t>(step * threads + thread);
            begin[slot] = now_s();
            work(step);
            end[slot] = now_s();
        }
    };
    std::vector<std::thread> team;
    for (int thread = 0; thread < threads; ++thread) team.emplace_back(run, thread);
    for (std::thread& thread : team) thread.join();
    double best = std::numeric_limits<double>::infinity();
    for (int step = 0; step < steps; ++step) {
        const auto from = begin.begin() + step * threads, to = end.begin() + step * threads;
        best = std::min(best, *std::max_element(to, to + threads) - *std::min_element(from, from + threads));
    }
    return best;
}

struct Buffer {
    std::uint8_t* data;
    std::size_t bytes;

    explicit Buffer(std::size_t size) : data(allocate_resident(size)), bytes(size) {
        for (std::size_t i = 0; i < bytes; i += 64) data[i] = static_cast<std::uint8_t>(i);
    }
    ~Buffer() { free_resident(data, bytes); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
};

}  // namespace

void pin_thread(int index) {
#if defined(__linux__)
    cpu_set_t allowed, chosen;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    int left = index % std::max(CPU_COUNT(&allowed), 1);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
        CPU_ZERO(&chosen);
        CPU_SET(cpu, &chosen);
        sched_setaffinity(0, sizeof chosen, &chosen);
        return;
    }
#else
    static_cast<void>(index);
#endif
}

std::uint8_t* allocate_resident(std::size_t bytes) {
    const std::size_t size = round_up(std::max<std::size_t>(bytes, 1));
    void* data = std::aligned_alloc(kHugePage, size);
    if (data == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(data, size, MADV_HUGEPAGE);  // advice: refused on systems without huge pages
#endif
    std::fill_n(static_cast<std::uint8_t*>(data), size, std::uint8_t{0});
    return static_cast<std::uint8_t*>(data);
}

void free_resident(std::uint8_t* data, std::size_t) { std::free(data); }

Bandwidth probe_bandwidth(int threads, std::size_t bytes, int rounds) {
    if (threads < 1 || rounds < 1 || bytes < 512) throw std::invalid_argument("a bandwidth probe needs work to do");
    constexpr int kPieces = 8;  // timed one by one, shorter than a time slice; the buffer as a whole exceeds the caches
    const std::size_t piece =
        std::max<std::size_t>(bytes / static_cast<std::size_t>(threads * kPieces) / 512 * 512, 512);
    std::atomic<std::uint64_t> sink{0};
    Bandwidth best;
    const double seconds = best_step(threads, rounds * kPieces, [&](int thread) {
        auto buffer = std::make_unique<Buffer>(piece * kPieces);
        if (thread == 0) best.huge_pages = uses_huge_pages();
        return [&, buffer = std::move(buffer)](int step) {
            sink.fetch_add(read_streams(buffer->data + static_cast<std::size_t>(step % kPieces) * piece, piece));
        };
    });
    best.bytes_per_s = static_cast<double>(piece) * threads / seconds;
    return best;
}

double probe_peak(Isa isa, Arithmetic kind, int threads) {
    if (threads < 1) throw std::invalid_argument("a probe needs a thread");
    const Peaks& peaks = peaks_of(isa);
    const Peak& peak = kind == Arithmetic::kInt8 ? peaks.int8 : peaks.floats;
    const double seconds = best_step(threads, 60, [&](int) { return [&](int) { peak.run(peak.calls); }; });
    return peak.operations * peak.calls * threads / seconds;
}

}  // namespace undiced

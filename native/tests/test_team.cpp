// The thread team and its signals: what one thread wrote before a barrier or a signal, the others read after it. Plain
// values are passed, so that the thread sanitizer sees an order that is missing even where the processor keeps it.
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "check.h"
#include "engine_tests.h"
#include "team.h"

namespace undiced::test {
namespace {

// Two threads hand a value to and fro. With few pauses nearly every turn sleeps: a wake-up that is lost hangs here.
void test_signal(int pauses, std::uint32_t turns) {
    Signal there, back;
    std::uint64_t value = 0;
    bool in_order = true;
    const auto await = [pauses](Signal& signal, std::uint32_t old) {
        if (!signal.spin(old, pauses)) signal.sleep(old);
    };
    std::thread other([&] {
        for (std::uint32_t turn = 0; turn < turns; ++turn) {
            await(there, turn);
            value = 3 * value + 1;
            back.advance();
        }
    });
    std::uint64_t want = 0;
    for (std::uint32_t turn = 0; turn < turns; ++turn) {
        value += turn;
        there.advance();
        await(back, turn);
        want = 3 * (want + turn) + 1;
        in_order = in_order && value == want;
    }
    other.join();
    check(in_order && value == want, "a value goes to and fro, pauses " + std::to_string(pauses));
}

// Each member writes a cell of its own, and after a barrier reads its neighbors'; runs of all lengths follow each
// other.
void test_barriers(int size, SpinTimes spin, int runs) {
    Team team(size, spin);
    struct alignas(64) Cell {
        std::int64_t value = 0, wrong = 0;
    };
    std::vector<Cell> cells(static_cast<std::size_t>(size));
    constexpr int kPhases = 6;
    std::int64_t wrong = 0;
    for (int run = 0; run < runs; ++run) {
        const int active = 1 + (run * 7) % size;
        team.run(active, [&](int thread) {
            Cell& mine = cells[static_cast<std::size_t>(thread)];
            for (int phase = 0; phase < kPhases; ++phase) {
                mine.value = std::int64_t{run} * kPhases + phase;
                team.barrier(thread);
                for (int other = 0; other < team.active(); ++other)
                    mine.wrong += cells[static_cast<std::size_t>(other)].value != std::int64_t{run} * kPhases + phase;
                team.barrier(thread);
            }
        });
        for (int thread = 0; thread < active; ++thread) {
            Cell& cell = cells[static_cast<std::size_t>(thread)];
            wrong += cell.wrong + (cell.value != std::int64_t{run} * kPhases + kPhases - 1);
            cell.wrong = 0;
        }
    }
    check(wrong == 0, "what was written before a barrier is read after it, " + std::to_string(size) + " members");
    check(team.lost_seconds() >= 0.0, "lost time");
}

// Items taken from one counter are taken once each, and the team is stopped at once.
void test_taken(int size, SpinTimes spin) {
    Team team(size, spin);
    std::atomic<int> next{0};
    std::vector<int> taken(5000, 0);
    team.run([&](int) {
        for (int item = next.fetch_add(1, std::memory_order_relaxed); item < static_cast<int>(taken.size());
             item = next.fetch_add(1, std::memory_order_relaxed))
            ++taken[static_cast<std::size_t>(item)];
    });
    bool once = true;
    for (const int count : taken) once = once && count == 1;
    check(once, "every item is taken once");
}

}  // namespace

void test_team() {
    for (const int pauses : {0, 3, 100000}) test_signal(pauses, pauses == 0 ? 3000 : 6000);
    for (const int size : {1, 2, 3, 5})
        for (const SpinTimes spin : {SpinTimes{0, 0}, SpinTimes{}}) {
            test_barriers(size, spin, 400);
            test_taken(size, spin);
        }
    for (int i = 0; i < 50; ++i) Team(3, {i % 2 * 30, i % 3 * 50});  // ends before it ran
    check(true, "teams end before they ran");
}

}  // namespace undiced::test

// Memory that is a view of a file and moves out of it while it is read, and memory that is asked for before a prompt
// needs it: how much, that contents stay, and that steps go first.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "engine_tests.h"
#include "flights.h"
#include "kv.h"
#include "memory.h"

namespace undiced::test {
namespace {

using namespace std::chrono_literals;

// Bytes of the region that the system has provided.
std::size_t resident(const Region& region) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> found(region.bytes() / page);
    if (mincore(region.data(), region.bytes(), found.data()) != 0) return 0;
    std::size_t total = 0;
    for (const unsigned char one : found) total += (one & 1U) != 0 ? page : 0;
    return total;
}

bool system_provides() {
    const Region region(4 * kHugePage, "a test");
    return region.populate(0, kHugePage) && resident(region) >= kHugePage;
}

void test_region() {
    const Region region(4 * kHugePage, "a test");
    check(!region.populate(kHugePage, kHugePage), "nothing is asked for");
    check(!region.populate(0, region.bytes() + 1), "more than there is");
    std::memset(region.data(), 7, 100);
    region.populate(0, 2 * kHugePage);
    check(region.data()[99] == std::byte{7} && region.data()[100] == std::byte{0}, "contents stay");
}

// A file without a name that holds so many bytes: position by position a hash of it.
class File {
  public:
    explicit File(std::size_t bytes) : file_(std::tmpfile()) {
        if (file_ == nullptr) return;
        std::vector<unsigned char> content(bytes);
        for (std::size_t i = 0; i < bytes; ++i) content[i] = static_cast<unsigned char>(at(i));
        std::fwrite(content.data(), 1, bytes, file_);
        std::fflush(file_);
    }
    ~File() { std::fclose(file_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    int number() const { return fileno(file_); }
    static std::byte at(std::size_t i) { return static_cast<std::byte>((i * 2654435761U) >> 13); }

  private:
    std::FILE* file_;
};

// How many of the first `bytes` are not the file's from `offset` on.
std::size_t wrong(const Region& region, std::size_t bytes, std::size_t offset) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < bytes; ++i) found += region.data()[i] != File::at(i + offset) ? 1 : 0;
    return found;
}

void test_view() {
    constexpr std::size_t kHead = std::size_t{64} << 10, kBytes = 3 * kHugePage - 1000;
    const File file(kHead + kBytes);
    const Region region(kBytes, "a test");
    check(!region.view(-1, 0, kBytes), "no file");
    check(!region.view(file.number(), 1, kBytes), "no page begins there");
    check(!region.view(file.number(), kHead, region.bytes() + 1), "more than there is room for");
    check(region.view(file.number(), kHead, kBytes), "a view");
    check(region.map(0, kHugePage) && region.map(2 * kHugePage, kBytes), "it can be read");
    check(wrong(region, kBytes, kHead) == 0, "it shows the file");

    std::atomic<bool> stop{false};
    std::atomic<std::size_t> differ{0}, turns{0};
    std::thread reader([&] {
        while (!stop) {
            differ += wrong(region, kBytes, kHead);
            ++turns;
        }
    });
    while (turns == 0) std::this_thread::sleep_for(1ms);
#if defined(__linux__)
    for (int again = 0; again < 3; ++again)
        for (std::size_t begin = 0; begin < kBytes; begin += kHugePage)
            check(region.settle(begin), "memory of its own");
    check(!region.settle(1) && !region.settle(region.bytes()), "no huge page begins there");
    const std::size_t settled = turns;
    while (turns < settled + 2) std::this_thread::sleep_for(1ms);
#endif
    stop = true;
    reader.join();
    check(differ == 0, "whoever reads meanwhile finds the same bytes");
#if defined(__linux__)
    check(ftruncate(file.number(), 0) == 0 && wrong(region, kBytes, kHead) == 0, "the file is not needed any more");
#endif
    region.clear();
    std::size_t left = 0;
    for (std::size_t i = 0; i < region.bytes(); ++i) left += region.data()[i] != std::byte{0} ? 1 : 0;
    check(left == 0, "nothing is left of it");
}

void test_pool() {
    constexpr int kPages = 64;  // of 512 KiB: 32 MiB
    KvCache cache({{32, 128, 0, false}}, kPages);
    const std::size_t page = cache.memory().bytes() / kPages;
    check(page == std::size_t{32} * 128 * 2 * 2 * kPageTokens, "a page takes " + std::to_string(page) + " bytes");
    check(!cache.prepare(), "nothing is written, nothing is prepared");
    const auto write = [&](int pages) {
        std::memset(cache.memory().data(), 1, static_cast<std::size_t>(pages) * page);
        cache.written(pages);
    };
    const auto prepared = [&] {
        int times = 0;
        while (times < 100 && cache.prepare()) ++times;
        return times;
    };
    if (!system_provides()) {
        write(kPages / 2);
        check(prepared() <= 2 && resident(cache.memory()) <= cache.memory().bytes() / 8 * 5, "nothing more is taken");
        return;
    }
    constexpr std::size_t kMib = std::size_t{1} << 20;
    write(static_cast<int>(16 * kMib / page));
    check(prepared() == 2, "a quarter of 16 MiB is two huge pages");
    check(resident(cache.memory()) == 20 * kMib, std::to_string(resident(cache.memory())) + " bytes are there");
    check(prepared() == 0, "once is enough");
    std::memset(cache.memory().data() + 16 * kMib, 2, kMib);
    write(static_cast<int>(18 * kMib / page));
    check(prepared() == 1, "22 MiB of at most 22.5");
    write(static_cast<int>(31 * kMib / page));
    check(prepared() == 0 && resident(cache.memory()) <= cache.memory().bytes(), "not beyond the pool's end");
}

void test_flights() {
    std::atomic<int> prepared{0}, stepped{0}, left{3};
    const auto prepare = [&] {
        ++prepared;
        return --left > 0;
    };
    Flights flights(
        [&](const StepInput&, const StepOutput&) {
            ++stepped;
            return 0.0;
        },
        prepare);
    const auto settled = [&](int count) {
        for (int i = 0; i < 2000 && prepared < count; ++i) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(20ms);
        return prepared == count;
    };
    std::this_thread::sleep_for(10ms);
    check(prepared == 0, "nothing happens before the first step");
    flights.wait(flights.submit({}, {}));
    check(settled(3), "prepared " + std::to_string(prepared) + " times, until there was nothing more");
    left = 2;
    flights.wait(flights.submit({}, {}));
    check(settled(5), "prepared " + std::to_string(prepared) + " times: the next step gave it more to do");
    left = 1 << 30;  // endless: steps come through, and so does the end
    for (int i = 0; i < 20; ++i) {
        flights.wait(flights.submit({}, {}));
        std::this_thread::sleep_for(3ms);
    }
    check(stepped == 22, std::to_string(stepped) + " steps");
}

}  // namespace

void test_memory() {
    test_region();
    test_view();
    test_pool();
    test_flights();
}

}  // namespace undiced::test

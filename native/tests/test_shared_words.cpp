// Words that units share: made once a call, by whoever comes first, and never waited for.
#include <atomic>
#include <cstdint>
#include <set>

#include "check.h"
#include "engine_tests.h"
#include "shared_words.h"
#include "team.h"

namespace undiced::test {
namespace {

using Found = SharedWords::Found;

// Entries don't overlap, nor do the parts of one.
void test_places() {
    SharedWords words;
    words.prepare(3, 64);
    std::set<std::uintptr_t> bytes;
    std::size_t count = 0;
    const auto add = [&](const void* begin, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) bytes.insert(reinterpret_cast<std::uintptr_t>(begin) + i);
        count += size;
    };
    for (std::size_t entry = 0; entry < 3; ++entry) {
        const PageWords at = words.at(entry, 64, 40);
        check(at.pages == kBlockPages, "a block of pages");
        check(at.v == at.k + kBlockPages * kPageTokens * 64, "values lie behind keys");
        check(reinterpret_cast<std::uintptr_t>(at.k) % 64 == 0 && reinterpret_cast<std::uintptr_t>(at.v) % 64 == 0,
              "aligned");
        add(at.k, kBlockPages * kPageTokens * 64 * 2);
        add(at.v, kBlockPages * kPageTokens * 40 * 2);
        add(at.k_scale, kBlockPages * kPageTokens * 4);
        add(at.v_scale, 40 * 4);
    }
    check(bytes.size() == count, "no parts overlap");
}

void test_once() {
    SharedWords words;
    words.prepare(2, 8);
    check(words.entries() == 2 && !words.made(0, 1), "nothing is made yet");
    int calls = 0;
    const auto make = [&](bool finite) {
        return [&calls, finite] {
            ++calls;
            return finite;
        };
    };
    check(words.get(0, 1, make(true)) == Found::kWords && calls == 1 && words.made(0, 1), "the first makes them");
    check(words.get(0, 1, make(false)) == Found::kWords && calls == 1, "the second finds them");
    check(!words.made(1, 1) && !words.made(0, 2), "of another entry or call nothing is there");
    check(words.get(0, 2, make(false)) == Found::kNotFinite && calls == 2 && !words.made(0, 2),
          "numbers that are not finite");
    check(words.get(0, 2, make(true)) == Found::kNotFinite && calls == 2, "that is remembered");
    // Who comes while they are made does not wait.
    const auto again = [&] {
        check(words.get(1, 3, make(true)) == Found::kNothing && !words.made(1, 3), "nobody waits");
        return true;
    };
    check(words.get(1, 3, again) == Found::kWords && calls == 2 && words.made(1, 3), "then they are there");
}

// Two members in a hurry: what one of them made the other sees whole.
void test_members() {
    constexpr int kCalls = 2000, kWords = static_cast<int>(kBlockPages * kPageTokens) * 8;
    SharedWords words;
    words.prepare(1, 8);
    Team team(2, SpinTimes{});
    std::atomic<int> made{0}, wrong{0};
    team.run([&](int thread) {
        for (int call = 1; call <= kCalls; ++call) {
            std::int16_t* k = words.at(0, 8, 8).k;
            const auto value = static_cast<std::int16_t>(call);
            const Found found = words.get(0, static_cast<std::uint64_t>(call), [&] {
                for (int i = 0; i < kWords; ++i) k[i] = value;
                made.fetch_add(1);
                return true;
            });
            for (int i = 0; found == Found::kWords && i < kWords; ++i)
                if (k[i] != value) wrong.fetch_add(1);
            team.barrier(thread);
        }
    });
    check(made.load() == kCalls && wrong.load() == 0, "made once a call and seen whole");
}

}  // namespace

void test_shared_words() {
    test_places();
    test_once();
    test_members();
}

}  // namespace undiced::test

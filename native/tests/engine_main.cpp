// Runs the groups of tests that need the team, the engine, the relay or the wafer executor's sums, without Python.
#include <cstdio>
#include <exception>

#include "check.h"
#include "engine_tests.h"

int main() {
    using namespace undiced::test;
    struct Group {
        const char* name;
        void (*run)();
    };
    try {
        for (const Group& group : {Group{"team", test_team},
                                   {"words", test_shared_words},
                                   {"relay", test_relay},
                                   {"engine", test_engine},
                                   {"memory", test_memory},
                                   {"sums", test_sums}}) {
            const long failed = counts.failed;
            group.run();
            std::printf("%-8s %s\n", group.name, counts.failed == failed ? "ok" : "FAILED");
        }
    } catch (const std::exception& error) {
        std::printf("FAILED: %s\n", error.what());
        return 1;
    }
    std::printf("%ld checks passed, %ld failed\n", counts.passed, counts.failed);
    return counts.failed == 0 ? 0 : 1;
}

// A minimal test harness: named checks, counted, with a message on failure. Tests register themselves by name.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

namespace undiced::test {

struct Counts {
    long passed = 0;
    long failed = 0;
};
inline Counts counts;

inline void check(bool condition, const std::string& what) {
    if (condition) {
        ++counts.passed;
        return;
    }
    if (++counts.failed <= 30) std::printf("FAILED: %s\n", what.c_str());
}

// |got - want| <= tolerance, and neither is NaN.
inline void check_near(double got, double want, double tolerance, const std::string& what) {
    if (std::fabs(got - want) <= tolerance) {
        ++counts.passed;
        return;
    }
    check(false, what + ": got " + std::to_string(got) + ", want " + std::to_string(want) + " +- " +
                     std::to_string(tolerance));
}

// Runs `body` and checks that it throws E.
template <typename E, typename Body>
void check_throws(Body body, const std::string& what) {
    bool thrown = false;
    try {
        body();
    } catch (const E&) {
        thrown = true;
    }
    check(thrown, what + " throws");
}

}  // namespace undiced::test

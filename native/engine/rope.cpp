// Filling rotary tables; see rope.h.
#include "rope.h"

#include <cmath>

namespace undiced {

int RopeTables::add(std::span<const float> inverse_frequencies, const float* divisors, float magnitude) {
    for (std::size_t i = 0; i < tables_.size(); ++i) {
        const Table& t = tables_[i];
        if (t.frequencies.data() == inverse_frequencies.data() && t.frequencies.size() == inverse_frequencies.size() &&
            t.divisors == divisors && t.magnitude == magnitude)
            return static_cast<int>(i);
    }
    const std::size_t values =
        checked_product(static_cast<std::size_t>(max_tokens_), checked_product(2, inverse_frequencies.size()));
    tables_.push_back({inverse_frequencies, divisors, magnitude,
                       Region(checked_product(values, sizeof(float)), "a table of rotations")});
    return static_cast<int>(tables_.size()) - 1;
}

void RopeTables::fill(std::span<const std::int32_t> positions, int begin, int end) {
    for (Table& t : tables_) {
        const std::size_t count = t.frequencies.size();
        for (int row = begin; row < end; ++row) {
            float* cosines = t.row(row);
            const double position = positions[static_cast<std::size_t>(row)];
            for (std::size_t i = 0; i < count; ++i) {
                const double divisor = t.divisors != nullptr ? t.divisors[i] : 1.0;
                const double angle = position * static_cast<double>(t.frequencies[i]) / divisor;
                cosines[i] = static_cast<float>(std::cos(angle)) * t.magnitude;
                cosines[count + i] = static_cast<float>(std::sin(angle)) * t.magnitude;
            }
        }
    }
}

}  // namespace undiced

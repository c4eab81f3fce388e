// Random checkpoint tensors and what they mean in double precision, value by value, straight from the format's
// definition.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "packed.h"

namespace undiced::test {

using Random = std::mt19937_64;

std::vector<float> random_floats(Random& random, std::size_t count, float spread);

// `rows` rows of `cols` random values as they are stored in a file: codes cover their whole range.
std::vector<std::uint8_t> random_tensor(Random& random, const Format& format, std::int64_t rows, std::int64_t cols);

// The value at one column of a stored row.
double reference_value(const Format& format, const std::uint8_t* row, std::int64_t col);

// Whether a byte of a stored block belongs to its own scale or minimum; factors of those count as codes.
bool is_scale(const Format& format, std::int64_t byte);

double reference_half(std::uint16_t bits);

// A packed matrix that owns its 64-byte aligned memory.
class OwnedMatrix {
  public:
    OwnedMatrix(const Format& format, std::span<const PackSource> sources, std::span<const std::int64_t> row_map);

    PackedMatrix view;

  private:
    std::vector<std::uint8_t> memory_;
};

OwnedMatrix pack_whole(const Format& format, const std::vector<std::uint8_t>& raw, std::int64_t rows,
                       std::int64_t cols);

}  // namespace undiced::test

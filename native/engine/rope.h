// Cosine and sine tables of a step's positions, made once per step and shared by all layers.
// Angles are products in double precision, so they stay accurate at any position that an int32 holds.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "memory.h"

namespace undiced {

class RopeTables {
  public:
    explicit RopeTables(int max_tokens) : max_tokens_(max_tokens) {}

    // The table for these inverse frequencies (one a pair of dimensions), divided by `divisors` where given, with
    // cosine and sine times `magnitude`. Equal requests share a table. Both arrays must outlive this object.
    int add(std::span<const float> inverse_frequencies, const float* divisors, float magnitude);

    // Computes rows [begin, end) of every table.
    void fill(std::span<const std::int32_t> positions, int begin, int end);

    const float* cosine(int table, int row) const { return tables_[static_cast<std::size_t>(table)].row(row); }
    const float* sine(int table, int row) const {
        const Table& t = tables_[static_cast<std::size_t>(table)];
        return t.row(row) + t.frequencies.size();
    }

  private:
    struct Table {
        std::span<const float> frequencies;
        const float* divisors;
        float magnitude;
        Region values;  // a row: cosines, then sines

        float* row(int index) const {
            return reinterpret_cast<float*>(values.data()) + static_cast<std::size_t>(index) * 2 * frequencies.size();
        }
    };

    int max_tokens_;
    std::vector<Table> tables_;
};

}  // namespace undiced

// The portable level: the obvious twin of the others.
#include "kernels/half.h"
#include "sums.h"

namespace undiced::mesh {
namespace {

float as_half(float value) { return f16_to_float(float_to_f16(value)); }

void multiply_add(const Products& p, std::int64_t first_tile, std::int64_t last_tile) {
    for (std::int64_t tile = first_tile; tile < last_tile; ++tile) {
        const float* w = p.w + tile * p.inner * p.columns;
        for (std::int64_t row = 0; row < p.rows; ++row) {
            const float* x = p.x + (tile * p.rows + row) * p.inner;
            float* total = p.total + (tile * p.rows + row) * p.columns;
            for (std::int64_t k = 0; k < p.inner; ++k)
                for (std::int64_t column = 0; column < p.columns; ++column) {
                    const float sum = total[column] + x[k] * w[k * p.columns + column];
                    total[column] = p.half ? as_half(sum) : sum;
                }
        }
    }
}

// As numpy's maximum: what is no number wins.
float larger(float a, float b) { return a > b || a != a ? a : b; }

void join(const Hops& h, std::int64_t first_line, std::int64_t last_line) {
    for (std::int64_t line = first_line; line < last_line; ++line) {
        float* held = h.held + line * h.places * h.length;
        for (std::int64_t hop = 0; hop < h.count; ++hop) {
            const float* from = held + h.hops[2 * hop] * h.length;
            float* to = held + h.hops[2 * hop + 1] * h.length;
            for (std::int64_t i = 0; i < h.length; ++i) {
                const float sent = h.wire_half ? as_half(from[i]) : from[i];
                const float made = h.join == Join::kSum ? to[i] + sent : larger(to[i], sent);
                to[i] = h.kept_half ? as_half(made) : made;
            }
        }
    }
}

}  // namespace

const Sums kPortableSums = {.multiply_add = multiply_add, .join = join};

}  // namespace undiced::mesh

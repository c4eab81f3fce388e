// From packed tiles one row back to floats.
#include <stdexcept>

#include "../packed.h"
#include "half.h"

namespace undiced {
namespace {

using Bytes = const std::uint8_t*;

float scale_at(const Format& format, Bytes scales, std::int64_t index) {
    return format.scale_bytes == 2 ? f16_to_float(load_as<std::uint16_t>(scales + 2 * index))
                                   : load_as<float>(scales + 4 * index);
}

// 32 columns of a row: part `part` of the blocks that share scales.
void unpack_quantized(const Format& format, Bytes block, std::int64_t part, std::int64_t row, float* out) {
    const bool nibbles = format.layout == Layout::kNibbles;
    const std::int64_t code_bytes = nibbles ? 256 : 512, groups = format.groups();
    const Bytes codes = block + part * code_bytes, scales = block + format.span() * code_bytes;
    for (std::int64_t k = 0; k < kBlockCols; ++k) {
        const std::int64_t stored = nibbles ? k % 16 : k;
        int code = codes[stored / 4 * 64 + row * 4 + stored % 4];
        if (nibbles) code = k < 16 ? code & 15 : code >> 4;
        if (format.lookup != nullptr) code = format.lookup[code];
        const std::int64_t group = (groups == 1 ? 0 : k / format.group) * kTileRows;
        const float scale = scale_at(format, scales, group + row);
        const float second =
            format.factors() > groups ? scale_at(format, scales, groups * kTileRows + group + row) : 0.0f;
        const float number = static_cast<float>(code - format.zero);
        out[k] = format.has_zero ? scale * (number + second) : scale * number + second;
    }
}

void unpack_fp8(const Format& format, Bytes block, std::int64_t part, std::int64_t row, float* out) {
    const float scale = scale_at(format, block + format.span() * 512, row);
    for (std::int64_t k = 0; k < kBlockCols; ++k)
        out[k] = scale * fp8_to_float(block[part * 512 + k / 2 * 32 + row * 2 + k % 2]);
}

float dense_at(Layout layout, Bytes tile, std::int64_t row, std::int64_t col) {
    const std::int64_t index = col * kTileRows + row;
    if (layout == Layout::kF32) return load_as<float>(tile + 4 * index);
    if (layout == Layout::kF16) return f16_to_float(load_as<std::uint16_t>(tile + 2 * index));
    return bf16_to_float(load_as<std::uint16_t>(tile + (col / 2 * kTileRows + row) * 4 + col % 2 * 2));
}

}  // namespace

void unpack_row(const PackedMatrix& matrix, std::int64_t row, float* out) {
    if (row < 0 || row >= matrix.rows) throw std::out_of_range("row outside the packed matrix");
    const Bytes tile = matrix.tile(row / kTileRows);
    const std::int64_t lane = row % kTileRows;
    if (matrix.format->group == 0) {
        for (std::int64_t col = 0; col < matrix.cols; ++col)
            out[col] = dense_at(matrix.format->layout, tile, lane, col);
        return;
    }
    const auto unpack = matrix.format->integer() ? unpack_quantized : unpack_fp8;
    const std::int64_t span = matrix.format->span();
    for (std::int64_t b = 0; b < matrix.cols / kBlockCols; ++b)
        unpack(*matrix.format, tile + b / span * matrix.block_bytes, b % span, lane, out + b * kBlockCols);
}

}  // namespace undiced

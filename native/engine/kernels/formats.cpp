// The format table and the sizes that follow from it. Twin of undiced.core.formats; a Python test compares the two.
#include <array>
#include <stdexcept>
#include <string>

#include "../packed.h"

namespace undiced {
namespace {

constexpr std::array<Format, 23> kFormats = {{
    {"F32", 0, 1, 4, Layout::kF32, 0, 0, 0, false, 0},
    {"F16", 1, 1, 2, Layout::kF16, 0, 0, 0, false, 0},
    {"BF16", 30, 1, 2, Layout::kBf16, 0, 0, 0, false, 0},
    {"Q4_0", 2, 32, 18, Layout::kNibbles, 32, 8, 15, false, 2},
    {"Q4_1", 3, 32, 20, Layout::kNibbles, 32, 0, 15, true, 2},
    {"Q5_0", 6, 32, 22, Layout::kBytes, 32, 16, 31, false, 2},
    {"Q5_1", 7, 32, 24, Layout::kBytes, 32, 0, 31, true, 2},
    {"Q8_0", 8, 32, 34, Layout::kBytes, 32, 128, 255, false, 2},
    {"Q2_K", 10, 256, 84, Layout::kNibbles, 16, 0, 3, true, 4},
    {"Q3_K", 11, 256, 110, Layout::kNibbles, 16, 4, 7, false, 4},
    {"Q4_K", 12, 256, 144, Layout::kNibbles, 32, 0, 15, true, 4},
    {"Q5_K", 13, 256, 176, Layout::kBytes, 32, 0, 31, true, 4},
    {"Q6_K", 14, 256, 210, Layout::kBytes, 16, 32, 63, false, 4},
    {"Q8_K", 15, 256, 292, Layout::kBytes, 32, 128, 255, false, 4},
    {"IQ4_NL", 20, 32, 18, Layout::kNibbles, 32, 128, 241, false, 2, kIq4Codes},
    {"IQ4_XS", 23, 256, 136, Layout::kNibbles, 32, 128, 241, false, 4, kIq4Codes},
    {"MXFP4", 39, 32, 17, Layout::kNibbles, 32, 12, 24, false, 4, kE2m1Codes},
    {"INT4_32", 1000, 32, 24, Layout::kNibbles, 32, 0, 15, false, 4, nullptr, true},
    {"INT4_128", 1001, 128, 72, Layout::kNibbles, 128, 0, 15, false, 4, nullptr, true},
    {"INT8_32", 1002, 32, 40, Layout::kBytes, 32, 0, 255, false, 4, nullptr, true},
    {"INT8_128", 1003, 128, 136, Layout::kBytes, 128, 0, 255, false, 4, nullptr, true},
    {"FP8_32", 1004, 32, 36, Layout::kFp8, 32, 0, 0, false, 4},
    {"FP8_128", 1005, 128, 132, Layout::kFp8, 128, 0, 0, false, 4},
}};

std::int64_t code_bytes(Layout layout) {
    switch (layout) {
        case Layout::kNibbles:
            return kTileRows * kBlockCols / 2;
        case Layout::kBytes:
        case Layout::kFp8:
            return kTileRows * kBlockCols;
        case Layout::kBf16:
        case Layout::kF16:
            return kTileRows * kBlockCols * 2;
        case Layout::kF32:
            return kTileRows * kBlockCols * 4;
    }
    throw std::invalid_argument("unknown resident layout");
}

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format& format_of(std::int32_t ggml_type) {
    for (const Format& format : kFormats)
        if (format.ggml_type == ggml_type) return format;
    throw std::invalid_argument("no number format has GGUF type " + std::to_string(ggml_type));
}

const Format& format_named(const char* name) {
    for (const Format& format : kFormats)
        if (std::string(format.name) == name) return format;
    throw std::invalid_argument("no number format is called " + std::string(name));
}

std::int64_t packed_block_bytes(const Format& format) {
    return format.span() * code_bytes(format.layout) + format.factors() * kTileRows * format.scale_bytes;
}

std::int64_t packed_tile_bytes(const Format& format, std::int64_t cols) {
    return (blocks_of(cols) / format.span() * packed_block_bytes(format) + 63) / 64 * 64;
}

std::int64_t packed_bytes(const Format& format, std::int64_t rows, std::int64_t cols) {
    return tiles_of(rows) * packed_tile_bytes(format, cols);
}

PackedMatrix view_packed(const Format& format, std::int64_t rows, std::int64_t cols, const std::uint8_t* data) {
    return {&format, rows, cols, packed_block_bytes(format), packed_tile_bytes(format, cols), data};
}

}  // namespace undiced

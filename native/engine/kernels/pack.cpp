// From checkpoint blocks to packed tiles, exactly. What is in a block, blocks.h knows.
#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "../packed.h"
#include "blocks.h"
#include "half.h"

namespace undiced {
namespace {

template <typename T>
void put(std::uint8_t* out, std::int64_t index, T value) {
    std::memcpy(out + index * static_cast<std::int64_t>(sizeof(T)), &value, sizeof(T));
}

// Scales of all groups, then minimums, each for 16 rows.
void put_scales(const Format& format, const Piece& piece, std::int64_t row, std::uint8_t* out) {
    if (format.scale_bytes == 2) {
        put(out, row, piece.scale16);
        if (format.has_min) put(out, kTileRows + row, piece.min16);
        return;
    }
    const std::int64_t groups = format.groups();
    for (std::int64_t group = 0; group < groups; ++group) put(out, group * kTileRows + row, piece.scale32[group]);
    if (format.factors() == groups) return;
    for (std::int64_t group = 0; group < groups; ++group)
        put(out, (groups + group) * kTileRows + row, piece.min32[group]);
}

using RowPointers = Bytes[kTileRows];  // nullptr for rows of padding

template <void (*Decode)(Bytes, int, Piece&)>
void pack_quantized(const Format& format, const RowPointers& rows, std::int64_t cols, std::uint8_t* out) {
    const bool nibbles = format.layout == Layout::kNibbles;
    const std::int64_t code_bytes = nibbles ? 256 : 512, span = format.span();
    const int parts = format.block / static_cast<int>(kBlockCols);
    Piece piece{};
    for (std::int64_t b = 0; b < blocks_of(cols); ++b) {
        std::uint8_t* block = out + b / span * packed_block_bytes(format);
        std::uint8_t* placed = block + b % span * code_bytes;
        for (std::int64_t row = 0; row < kTileRows; ++row) {
            if (rows[row] == nullptr) continue;
            Decode(rows[row] + b / parts * format.block_bytes, static_cast<int>(b % parts), piece);
            const Bytes codes = nibbles ? piece.nibbles : piece.codes;
            for (std::int64_t g = 0; g < code_bytes / 64; ++g) std::memcpy(placed + g * 64 + row * 4, codes + g * 4, 4);
            put_scales(format, piece, row, block + span * code_bytes);
        }
    }
}

// Blocks of one 16-bit scale, a minimum with some, and codes that stay as they are but for their top bit, all 16 rows
// being there: nearly all of the files that people have, and several times as fast as piece by piece.
template <int Codes, bool HasMin, std::uint32_t Flip>
void pack_whole(const RowPointers& rows, std::int64_t cols, std::int64_t stride, std::uint8_t* out) {
    constexpr std::int64_t kHead = HasMin ? 4 : 2, kWords = Codes / 4;
    for (std::int64_t b = 0; b < blocks_of(cols); ++b, out += stride) {
        std::uint8_t* scales = out + kWords * 64;
        for (std::int64_t row = 0; row < kTileRows; ++row) {
            const Bytes source = rows[row] + b * (kHead + Codes);
            put(scales, row, load_as<std::uint16_t>(source));
            if constexpr (HasMin) put(scales, kTileRows + row, load_as<std::uint16_t>(source + 2));
            for (std::int64_t word = 0; word < kWords; ++word)
                put(out, word * kTileRows + row, load_as<std::uint32_t>(source + kHead + word * 4) ^ Flip);
        }
    }
}

// Whether the tile was packed as a whole one.
bool pack_whole_tile(const Format& format, const RowPointers& rows, std::int64_t cols, std::uint8_t* out) {
    if (std::find(std::begin(rows), std::end(rows), nullptr) != std::end(rows)) return false;
    const std::int64_t stride = packed_block_bytes(format);
    switch (format.ggml_type) {
        case 2:
        case 20:
            pack_whole<16, false, 0>(rows, cols, stride, out);
            return true;
        case 3:
            pack_whole<16, true, 0>(rows, cols, stride, out);
            return true;
        case 8:
            pack_whole<32, false, 0x80808080u>(rows, cols, stride, out);
            return true;
        default:
            return false;
    }
}

// A scale, then a byte for each column of its group.
void pack_fp8(const Format& format, const RowPointers& rows, std::int64_t cols, std::uint8_t* out) {
    const std::int64_t stride = packed_block_bytes(format);
    for (std::int64_t row = 0; row < kTileRows; ++row) {
        Bytes source = rows[row];
        if (source == nullptr) continue;
        std::uint8_t* block = out;
        for (std::int64_t first = 0; first < cols; first += format.group, block += stride) {
            put(block + format.span() * 512, row, load_as<float>(source));
            source += 4;
            for (std::int64_t col = 0; col < format.group; ++col, ++source) {
                if ((*source & 0x7fu) == 0x7fu) throw std::invalid_argument("a weight of 8 bits is no number");
                block[col / 2 * 32 + row * 2 + col % 2] = *source;
            }
        }
    }
}

// Values of T with a distance of `step` bytes between columns.
template <typename T>
void pack_dense(Layout layout, const RowPointers& rows, std::int64_t cols, std::int64_t step, std::uint8_t* out) {
    for (std::int64_t row = 0; row < kTileRows; ++row) {
        Bytes source = rows[row];
        if (source == nullptr) continue;
        for (std::int64_t col = 0; col < cols; ++col, source += step) {
            const bool pairs = layout == Layout::kBf16;
            put(out, pairs ? (col / 2 * kTileRows + row) * 2 + col % 2 : col * kTileRows + row, load_as<T>(source));
        }
    }
}

void pack_tile(const Format& format, const RowPointers& rows, std::int64_t cols, std::int64_t step, std::uint8_t* out) {
    switch (format.ggml_type) {
        case 0:
            return pack_dense<std::uint32_t>(format.layout, rows, cols, step, out);
        case 1:
        case 30:
            return pack_dense<std::uint16_t>(format.layout, rows, cols, step, out);
        case 2:
            return pack_quantized<decode_q4_0>(format, rows, cols, out);
        case 3:
            return pack_quantized<decode_q4_1>(format, rows, cols, out);
        case 6:
            return pack_quantized<decode_q5_0>(format, rows, cols, out);
        case 7:
            return pack_quantized<decode_q5_1>(format, rows, cols, out);
        case 8:
            return pack_quantized<decode_q8_0>(format, rows, cols, out);
        case 10:
            return pack_quantized<decode_q2_k>(format, rows, cols, out);
        case 11:
            return pack_quantized<decode_q3_k>(format, rows, cols, out);
        case 12:
            return pack_quantized<decode_q4_k>(format, rows, cols, out);
        case 13:
            return pack_quantized<decode_q5_k>(format, rows, cols, out);
        case 14:
            return pack_quantized<decode_q6_k>(format, rows, cols, out);
        case 15:
            return pack_quantized<decode_q8_k>(format, rows, cols, out);
        case 20:  // as Q4_0, but for what a nibble means
            return pack_quantized<decode_q4_0>(format, rows, cols, out);
        case 23:
            return pack_quantized<decode_iq4_xs>(format, rows, cols, out);
        case 39:
            return pack_quantized<decode_mxfp4>(format, rows, cols, out);
        case 1000:
        case 1001:
            return pack_quantized<decode_int4>(format, rows, cols, out);
        case 1002:
        case 1003:
            return pack_quantized<decode_int8>(format, rows, cols, out);
        case 1004:
        case 1005:
            return pack_fp8(format, rows, cols, out);
        default:
            throw std::invalid_argument(std::string("cannot pack format ") + format.name);
    }
}

// Checks one source and returns its rows.
std::int64_t check_source(const Format& format, const PackSource& source, std::int64_t cols) {
    if (source.rows <= 0 || source.cols <= 0) throw std::invalid_argument("a weight source has no rows or columns");
    if (source.cols != cols) throw std::invalid_argument("weight sources of one matrix differ in columns");
    if (source.transposed && format.group > 0)
        throw std::invalid_argument(std::string("a tensor in format ") + format.name + " cannot be transposed");
    if (cols % format.block != 0)
        throw std::invalid_argument(std::string("columns are not a multiple of the block of ") + format.name);
    const std::int64_t row_bytes = cols / format.block * format.block_bytes;
    if (cols > std::numeric_limits<std::int64_t>::max() / 64 ||
        source.rows > std::numeric_limits<std::int64_t>::max() / row_bytes || source.data == nullptr ||
        source.bytes < static_cast<std::size_t>(source.rows * row_bytes))
        throw std::invalid_argument("a weight source is smaller than its shape");
    return source.rows;
}

// The first element of a row of the stacked sources.
Bytes locate(const Format& format, std::span<const PackSource> sources, std::int64_t row) {
    for (const PackSource& source : sources) {
        if (row < source.rows)
            return source.data + (source.transposed ? row * format.block_bytes
                                                    : row * (source.cols / format.block * format.block_bytes));
        row -= source.rows;
    }
    return nullptr;
}

}  // namespace

void pack(const Format& format, std::span<const PackSource> sources, std::span<const std::int64_t> row_map,
          std::int64_t tile_begin, std::int64_t tile_end, std::uint8_t* out) {
    if (sources.empty()) throw std::invalid_argument("a weight has no sources");
    const std::int64_t cols = sources[0].cols;
    std::int64_t stacked = 0;
    for (const PackSource& source : sources) {
        if (source.transposed != sources[0].transposed)
            throw std::invalid_argument("weight sources of one matrix differ in orientation");
        if (source.transposed && source.rows != sources[0].rows)
            throw std::invalid_argument("transposed weight sources of one matrix differ in rows");
        if (__builtin_add_overflow(stacked, check_source(format, source, cols), &stacked))
            throw std::invalid_argument("weight sources have too many rows");
    }
    const std::int64_t rows = row_map.empty() ? stacked : static_cast<std::int64_t>(row_map.size());
    if (tile_begin < 0 || tile_begin > tile_end || tile_end > tiles_of(rows))
        throw std::invalid_argument("tiles to pack lie outside the matrix");
    for (std::int64_t r = tile_begin * kTileRows; !row_map.empty() && r < std::min(rows, tile_end * kTileRows); ++r) {
        if (row_map[static_cast<std::size_t>(r)] < 0 || row_map[static_cast<std::size_t>(r)] >= stacked)
            throw std::invalid_argument("a row map points outside the weight sources");
    }
    const std::int64_t tile_bytes = packed_tile_bytes(format, cols);
    for (std::int64_t tile = tile_begin; tile < tile_end; ++tile, out += tile_bytes) {
        RowPointers pointers{};
        std::int64_t step = format.block_bytes;
        for (std::int64_t i = 0; i < kTileRows; ++i) {
            const std::int64_t row = tile * kTileRows + i;
            if (row < rows)
                pointers[i] = locate(format, sources, row_map.empty() ? row : row_map[static_cast<std::size_t>(row)]);
        }
        if (pack_whole_tile(format, pointers, cols, out)) continue;
        if (sources[0].transposed) step *= sources[0].rows;
        std::memset(out, 0, static_cast<std::size_t>(tile_bytes));
        pack_tile(format, pointers, cols, step, out);
    }
}

}  // namespace undiced

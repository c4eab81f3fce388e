// From checkpoint blocks to packed tiles, exactly, and one row back to floats.
// Bit layouts: the GGUF specification; each decoder yields the codes, scales and minimums of 32 columns of one row.
#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "../packed.h"
#include "half.h"

namespace undiced {
namespace {

using Bytes = const std::uint8_t*;

// 32 columns of one row, decoded. `min32` is a minimum, or a zero point negated. Nibble formats fill `nibbles` (low:
// column j, high: column 16 + j), others `codes`.
struct Piece {
    alignas(32) std::uint8_t nibbles[16];
    alignas(32) std::uint8_t codes[32];
    std::uint16_t scale16, min16;
    float scale32[2], min32[2];
};

void decode_q4_0(Bytes block, int, Piece& piece) {
    piece.scale16 = load_as<std::uint16_t>(block);
    std::memcpy(piece.nibbles, block + 2, 16);
}

void decode_q4_1(Bytes block, int, Piece& piece) {
    piece.scale16 = load_as<std::uint16_t>(block);
    piece.min16 = load_as<std::uint16_t>(block + 2);
    std::memcpy(piece.nibbles, block + 4, 16);
}

// Eight bits to eight bytes of 0 or 16: bit j meets byte j, then every byte that is not zero carries into its top bit.
std::uint64_t spread_fifth_bits(std::uint64_t bits) {
    const std::uint64_t chosen = (bits * 0x0101010101010101u) & 0x8040201008040201u;
    return ((chosen + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
}

// Fifth bits are a 32-bit mask, bit j for column j. Eight columns at a time, little endian.
void join_fifth_bits(std::uint32_t high, Bytes nibbles, std::uint8_t* codes) {
    for (int part = 0; part < 4; ++part) {
        const std::uint64_t pairs = load_as<std::uint64_t>(nibbles + part % 2 * 8);
        const std::uint64_t low = (part < 2 ? pairs : pairs >> 4) & 0x0f0f0f0f0f0f0f0fu;
        const std::uint64_t joined = low | spread_fifth_bits(high >> (8 * part) & 255u);
        std::memcpy(codes + 8 * part, &joined, 8);
    }
}

void decode_q5_0(Bytes block, int, Piece& piece) {
    piece.scale16 = load_as<std::uint16_t>(block);
    join_fifth_bits(load_as<std::uint32_t>(block + 2), block + 6, piece.codes);
}

void decode_q5_1(Bytes block, int, Piece& piece) {
    piece.scale16 = load_as<std::uint16_t>(block);
    piece.min16 = load_as<std::uint16_t>(block + 2);
    join_fifth_bits(load_as<std::uint32_t>(block + 4), block + 8, piece.codes);
}

void decode_q8_0(Bytes block, int, Piece& piece) {
    piece.scale16 = load_as<std::uint16_t>(block);
    for (int j = 0; j < 32; ++j) piece.codes[j] = static_cast<std::uint8_t>(block[2 + j] ^ 0x80u);
}

// 8 pairs of 6-bit (scale, minimum) factors in 12 bytes: the first four plainly, the others' high bits above those.
void decode_k_scales(Bytes block, int part, Piece& piece) {
    const Bytes packed = block + 4;
    unsigned scale, minimum;
    if (part < 4) {
        scale = packed[part] & 63u;
        minimum = packed[part + 4] & 63u;
    } else {
        scale = (packed[part + 4] & 15u) | static_cast<unsigned>(packed[part - 4] >> 6) << 4;
        minimum = static_cast<unsigned>(packed[part + 4] >> 4) | static_cast<unsigned>(packed[part] >> 6) << 4;
    }
    piece.scale32[0] = f16_to_float(load_as<std::uint16_t>(block)) * static_cast<float>(scale);
    piece.min32[0] = -(f16_to_float(load_as<std::uint16_t>(block + 2)) * static_cast<float>(minimum));
}

// Columns 32 `part` to 32 `part` + 31 of two bits each, four of them a byte in strips of 32 bytes: byte j of the piece.
std::uint8_t two_bits(Bytes packed, int part, int j) { return packed[part / 4 * 32 + j] >> (part % 4 * 2) & 3; }

template <class Code>
void join_nibbles(Piece& piece, Code&& code) {
    for (int j = 0; j < 16; ++j) piece.nibbles[j] = static_cast<std::uint8_t>(code(j) | code(16 + j) << 4);
}

void decode_q2_k(Bytes block, int part, Piece& piece) {
    const float scale = f16_to_float(load_as<std::uint16_t>(block + 80));
    const float minimum = f16_to_float(load_as<std::uint16_t>(block + 82));
    for (int group = 0; group < 2; ++group) {
        const unsigned factors = block[2 * part + group];
        piece.scale32[group] = scale * static_cast<float>(factors & 15u);
        piece.min32[group] = -(minimum * static_cast<float>(factors >> 4));
    }
    join_nibbles(piece, [&](int j) { return two_bits(block + 16, part, j); });
}

// 16 factors of 6 bits in 12 bytes: four low bits in nibbles of the first eight bytes, two high ones in the others.
void decode_q3_k(Bytes block, int part, Piece& piece) {
    const Bytes packed = block + 96;
    const float scale = f16_to_float(load_as<std::uint16_t>(block + 108));
    for (int group = 0; group < 2; ++group) {
        const int index = 2 * part + group;
        const int low = packed[index % 8] >> (index / 8 * 4) & 15, high = packed[8 + index % 4] >> (index / 4 * 2) & 3;
        piece.scale32[group] = scale * static_cast<float>((low | high << 4) - 32);
    }
    join_nibbles(piece, [&](int j) { return two_bits(block + 32, part, j) | (block[j] >> part & 1) << 2; });
}

void decode_q8_k(Bytes block, int part, Piece& piece) {
    piece.scale32[0] = load_as<float>(block);
    for (int j = 0; j < 32; ++j) piece.codes[j] = static_cast<std::uint8_t>(block[4 + 32 * part + j] ^ 0x80u);
}

void decode_iq4_xs(Bytes block, int part, Piece& piece) {
    const int low = block[4 + part / 2] >> (part % 2 * 4) & 15,
              high = load_as<std::uint16_t>(block + 2) >> 2 * part & 3;
    piece.scale32[0] = f16_to_float(load_as<std::uint16_t>(block)) * static_cast<float>((low | high << 4) - 32);
    std::memcpy(piece.nibbles, block + 8 + 16 * part, 16);
}

// The scale is 2^(byte - 128): half of what the byte means, as codes are twice the values.
void decode_mxfp4(Bytes block, int, Piece& piece) {
    const std::uint32_t exponent = block[0];
    const std::uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (exponent - 1) << 23;
    std::memcpy(&piece.scale32[0], &bits, 4);
    std::memcpy(piece.nibbles, block + 1, 16);
}

// Scale and zero point of a group, then its codes, two a byte: column 2 i in the low nibble of byte i.
void decode_int4(Bytes block, int part, Piece& piece) {
    piece.scale32[0] = load_as<float>(block);
    piece.min32[0] = -load_as<float>(block + 4);
    const Bytes codes = block + 8 + 16 * part;
    for (int i = 0; i < 8; ++i) {
        piece.nibbles[2 * i] = static_cast<std::uint8_t>((codes[i] & 15u) | static_cast<unsigned>(codes[8 + i]) << 4);
        piece.nibbles[2 * i + 1] = static_cast<std::uint8_t>(codes[i] >> 4 | (codes[8 + i] & 0xf0u));
    }
}

void decode_int8(Bytes block, int part, Piece& piece) {
    piece.scale32[0] = load_as<float>(block);
    piece.min32[0] = -load_as<float>(block + 4);
    std::memcpy(piece.codes, block + 8 + 32 * part, 32);
}

void decode_q4_k(Bytes block, int part, Piece& piece) {
    decode_k_scales(block, part, piece);
    const Bytes codes = block + 16 + part / 2 * 32;
    if (part % 2 == 0) {
        for (int j = 0; j < 16; ++j)
            piece.nibbles[j] = static_cast<std::uint8_t>((codes[j] & 15u) | static_cast<unsigned>(codes[16 + j]) << 4);
    } else {
        for (int j = 0; j < 16; ++j)
            piece.nibbles[j] = static_cast<std::uint8_t>(codes[j] >> 4 | (codes[16 + j] & 0xf0u));
    }
}

void decode_q5_k(Bytes block, int part, Piece& piece) {
    decode_k_scales(block, part, piece);
    const Bytes high = block + 16, codes = block + 48 + part / 2 * 32;
    const int shift = part % 2 * 4;
    for (int j = 0; j < 32; ++j)
        piece.codes[j] = static_cast<std::uint8_t>((codes[j] >> shift & 15) | (high[j] >> part & 1) << 4);
}

void decode_q6_k(Bytes block, int part, Piece& piece) {
    const int half = part / 4, quarter = part % 4;  // 128 columns; 32 columns in them
    const Bytes low = block + half * 64 + quarter % 2 * 32, high = block + 128 + half * 32;
    const int low_shift = quarter / 2 * 4, high_shift = quarter * 2;
    for (int j = 0; j < 32; ++j)
        piece.codes[j] = static_cast<std::uint8_t>((low[j] >> low_shift & 15) | (high[j] >> high_shift & 3) << 4);
    const float scale = f16_to_float(load_as<std::uint16_t>(block + 208));
    for (int group = 0; group < 2; ++group)
        piece.scale32[group] = scale * static_cast<float>(static_cast<std::int8_t>(block[192 + part * 2 + group]));
}

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

namespace {

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

// Resident weights: how a packed matrix lies in memory, and how it is made from the bytes of a checkpoint.
// Knows formats and layouts; knows no tensor name, no thread and no kernel.
//
// A matrix of `rows` outputs and `cols` inputs is cut into tiles of 16 rows. A tile holds its k blocks of 32 columns
// one after the other, so a thread that owns a run of tiles reads one stream. One block of a tile:
//
//   NIBBLES  256 bytes of codes: 4 groups of 64 bytes; byte (4 * row + i) of group g holds column 4g + i in its low
//            nibble and column 16 + 4g + i in its high nibble: 4 consecutive columns per row, which is what 4-way int8
//            dot products want, and two of them from one load by one mask and one shift. A nibble is a code, or the
//            place of one in the format's lookup.
//   BYTES    512 bytes of codes: 8 groups of 64 bytes; byte (4 * row + i) of group g holds column 4g + i.
//            Both are followed by the scales of the block (16 rows of one group of 32 columns, or twice 16 rows for
//            groups of 16 columns), then by the minimums in the same order; f16, or f32 for formats whose scale is a
//            product.
//            Where 128 columns share their scale, four blocks of codes lie behind each other before the scales; a zero
//            point of each group, where a format has one, lies where minimums do, negated.
//   FP8      512 bytes of codes: 16 groups of 32 bytes; 16-bit lane `row` of group g holds columns 2g (low byte) and
//            2g + 1 (high byte). Scales follow as above.
//   BF16     16 groups of 64 bytes; 32-bit lane `row` of group g holds columns 2g (low half) and 2g + 1 (high half).
//   F16, F32 32 groups of 16 values; value `row` of group g is column g.
//
// Rows are padded to 16 and columns to 32, with zeros (scale and minimum included), so kernels need no tail handling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace undiced {

// Values are shared with undiced.core.formats.Layout.
enum class Layout : std::int32_t { kNibbles = 0, kBytes = 1, kBf16 = 2, kF16 = 3, kF32 = 4, kFp8 = 5 };

inline constexpr std::int64_t kTileRows = 16;
inline constexpr std::int64_t kBlockCols = 32;

// One number format of a checkpoint: the twin of undiced.core.formats.Format, in the same order of fields.
struct Format {
    const char* name;
    std::int32_t ggml_type;  // GGUF's number; from 1000 on ours, of formats that other files are arranged to
    std::int32_t block;
    std::int32_t block_bytes;
    Layout layout;
    std::int32_t group;     // columns that share a scale, 0 if dense
    std::int32_t zero;      // the code that means zero before the minimum is added
    std::int32_t code_max;  // largest code, 0 if dense
    bool has_min;
    std::int32_t scale_bytes;              // 2 (f16) or 4 (f32) a scale or minimum, 0 if dense
    const std::uint8_t* lookup = nullptr;  // the 16 codes that nibbles stand for, where they are not codes themselves
    bool has_zero = false;                 // each group has a code of its own that means zero, next to its scale

    // Whether products are made of integers, of codes and activations; otherwise of floats.
    bool integer() const { return layout == Layout::kNibbles || layout == Layout::kBytes; }
    // Blocks of 32 columns that share their scales.
    std::int64_t span() const { return group > kBlockCols ? group / kBlockCols : 1; }
    // Numbers of 16 rows that follow the codes of so many blocks.
    std::int64_t groups() const { return group == 0 ? 0 : group > kBlockCols ? 1 : kBlockCols / group; }
    std::int64_t factors() const { return groups() * (has_min || has_zero ? 2 : 1); }
};

// Codes of looked-up nibbles: twice the numbers of E2M1, plus 12, and ggml's uneven 4-bit numbers, plus 128.
alignas(16) inline constexpr std::uint8_t kE2m1Codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
alignas(16) inline constexpr std::uint8_t kIq4Codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                           129, 141, 153, 166, 181, 197, 217, 241};

// All formats, and the one with a GGUF type number or name; throws std::invalid_argument for an unknown one.
std::span<const Format> formats();
const Format& format_of(std::int32_t ggml_type);
const Format& format_named(const char* name);

// Sizes in bytes: one block of a tile, or as many as share scales; one tile (a multiple of 64); a whole matrix.
std::int64_t packed_block_bytes(const Format& format);
std::int64_t packed_tile_bytes(const Format& format, std::int64_t cols);
std::int64_t packed_bytes(const Format& format, std::int64_t rows, std::int64_t cols);

inline std::int64_t tiles_of(std::int64_t rows) { return (rows + kTileRows - 1) / kTileRows; }
inline std::int64_t blocks_of(std::int64_t cols) { return (cols + kBlockCols - 1) / kBlockCols; }

// A view of a packed matrix (or of a shard: any run of tiles of one is a matrix). `data` is 64-byte aligned.
struct PackedMatrix {
    const Format* format = nullptr;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    std::int64_t block_bytes = 0;
    std::int64_t tile_bytes = 0;
    const std::uint8_t* data = nullptr;

    const std::uint8_t* tile(std::int64_t index) const { return data + index * tile_bytes; }
};

PackedMatrix view_packed(const Format& format, std::int64_t rows, std::int64_t cols, const std::uint8_t* data);

// One tensor of a checkpoint as it is stored, row by row. `transposed` (dense formats only): the tensor is stored as
// (cols, rows), as some checkpoints store linear layers, and rows and cols here count after the transposition.
struct PackSource {
    const std::uint8_t* data = nullptr;
    std::size_t bytes = 0;
    std::int64_t rows = 0;
    std::int64_t cols = 0;
    bool transposed = false;
};

// Packs tiles [tile_begin, tile_end) of a matrix to `out` (tile_bytes each, the first at out).
// Row r of the matrix is row `row_map[r]` of the sources stacked on each other; an empty map means as they are.
// Exact: every code, scale and minimum keeps its value (K-quant scales are products, computed in f32).
// Throws std::invalid_argument if a source is too small for its shape, shapes disagree, or the map leaves the sources.
void pack(const Format& format, std::span<const PackSource> sources, std::span<const std::int64_t> row_map,
          std::int64_t tile_begin, std::int64_t tile_end, std::uint8_t* out);

// Dequantizes row `row` to out[0..cols): embedding lookup from the matrix that the output layer multiplies with.
// Throws std::out_of_range.
void unpack_row(const PackedMatrix& matrix, std::int64_t row, float* out);

}  // namespace undiced

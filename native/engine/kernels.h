// The inner loops of the host engine: one table of functions an ISA level, all with the same meaning.
// Knows packed matrices, KV pages and rows of floats; knows no thread, no graph and no model.
//
// Every function works on the calling thread, allocates nothing and may be called by many threads at once. Results of
// two levels agree up to the order of float summation. Pointers need no alignment beyond their type, except packed data
// (64).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "packed.h"

namespace undiced {

// Begins to load a line into the second-level cache. A core has fewer places for lines on their way to the first one
// than memory needs to be busy (Zen 4: half of what it gives), and asking to write what is only read costs more still.
inline void prefetch_line(const void* at) { __builtin_prefetch(at, 0, 2); }

enum class Isa : std::int32_t { kPortable = 0, kAvx2 = 1, kAvx512 = 2, kNeon = 3 };

// 32 activations: value = scale * code, scale = max|x| / most, code in [-most, most], rounded to nearest even; most is
// 127 for 8 bits and 32767 for 16.
// A block that holds infinity or NaN gets a scale that is not finite, so that its products are not.
// The sums (of the values, f32) carry zero points and minimums: whole block, columns 0..15, columns 16..31.
template <class Code>
struct Block {
    Code code[kBlockCols];
    float scale;
    float sum;
    float half_sum[2];
};
using QuantBlock = Block<std::int8_t>;
// Of each four columns the second and the third change places: `place_of` says where a column's code lies. So the even
// and the odd bytes of four weights meet pairs of codes that lie side by side.
using WideBlock = Block<std::int16_t>;
constexpr int place_of(int column) { return column % 4 == 1 ? column + 1 : column % 4 == 2 ? column - 1 : column; }
static_assert(sizeof(QuantBlock) == 48 && sizeof(WideBlock) == 80);

// With one token a run of tiles is read as so many streams side by side, which gets more of the memory than one does
// (docs/LOG.md). They differ by one tile at most, the first ones being longer; this is where stream number `stream`
// begins.
inline constexpr int kWeightStreams = 4;
constexpr std::int64_t stream_tile(std::int64_t begin, std::int64_t end, std::int64_t stream) {
    const std::int64_t tiles = end - begin, extra = tiles % kWeightStreams;
    return begin + stream * (tiles / kWeightStreams) + (stream < extra ? stream : extra);
}

// out[t * ldo + r] (+)= sum over k of W[r][k] * x[t][k] (+ bias[r]), for the rows r of tiles [tile_begin, tile_end).
// Quantized layouts read wx, or qx if that is nullptr (tokens x blocks_of(cols), dense); dense layouts read x (row t at
// x + t * ldx). Rows beyond w->rows are not written. `next`: what this thread streams afterwards, stream by stream
// (nullptr if that follows the last tile directly): first KiBs that are prefetched while the last tiles are multiplied.
struct MatmulArgs {
    const PackedMatrix* w = nullptr;
    std::int64_t tile_begin = 0;
    std::int64_t tile_end = 0;
    const QuantBlock* qx = nullptr;
    const WideBlock* wx = nullptr;
    const float* x = nullptr;
    std::int64_t ldx = 0;
    std::int64_t tokens = 0;
    float* out = nullptr;
    std::int64_t ldo = 0;
    bool accumulate = false;
    const float* bias = nullptr;
    const std::uint8_t* next[kWeightStreams] = {};
};

// KV pages. A page holds 32 tokens of one layer; a kv head owns two blocks of it, both f16:
//   K  [key_dim][32]    transposed, so that a page of scores is a broadcast-and-multiply without horizontal sums
//   V  [32][value_dim]
// f16 keeps 11 bits of every key and value (bf16 8) and converts in one instruction. Values beyond +-65504 saturate;
// infinity and NaN are stored as NaN. A page of latents has one block alone, [32][key_dim]: a token's row is its key,
// and the first value_dim columns of it are its value.
//
// int8: codes in [-127, 127], with an f16 scale for 32 columns of a token's key (as Q8_0 has it) and for all of its
// value, which needs no more. Codes lie in pairs, which one instruction multiplies and adds; scales lie behind them:
//   K  [key_dim / 2][32][2], then [groups][32]; a group's columns in the places of a WideBlock's (place_of)
//   V  [16][value_dim][2], pairs of tokens, then [32]
// Scales are rounded up, so that no code is cut off; beyond +-127 * 65504 values saturate. What has infinity or NaN
// gets a scale of NaN.
inline constexpr std::int64_t kPageTokens = 32;
enum class KvType : std::int32_t { kF16 = 0, kInt8 = 1 };
// 16-bit words of a head's block of keys and of values with so many columns.
constexpr std::int64_t key_words(KvType type, std::int64_t columns) {
    return kPageTokens * (type == KvType::kF16 ? columns : columns / 2 + (columns + kBlockCols - 1) / kBlockCols);
}
constexpr std::int64_t value_words(KvType type, std::int64_t columns) {
    return kPageTokens * (type == KvType::kF16 ? columns : columns / 2 + 1);
}

// One page for the query rows that share its kv head (all heads of the group, of one or many tokens). `q` is scaled by
// `scale` inside; scores are softcap * tanh(s / softcap) if softcap > 0. Row i sees slots [begin[i], end[i]) of the
// page, 0 <= begin <= end <= 32; a row with begin == end is left as it is. Running state of the online softmax, a row:
// max[i] (start at -infinity), sum[i] (start at 0), out[i * ldo .. + value_dim) unnormalized (start at 0). `next`: the
// keys of the block that this thread reads afterwards, or nullptr; the values lie behind them as here.
struct AttendArgs {
    const float* q = nullptr;  // rows x key_dim, row i at q + i * ldq
    std::int64_t ldq = 0;
    const WideBlock* qx = nullptr;  // the same rows for int8 keys, quantized: rows x blocks_of(key_dim), dense
    std::int64_t rows = 0;
    std::int64_t key_dim = 0;    // any; of latents and int8 a multiple of 8
    std::int64_t value_dim = 0;  // a multiple of 8
    const std::uint16_t* k = nullptr;
    const std::uint16_t* v = nullptr;  // nullptr: k is a block of latents
    const std::uint16_t* next = nullptr;
    const std::int32_t* begin = nullptr;
    const std::int32_t* end = nullptr;
    float scale = 1.0f;
    float softcap = 0.0f;
    float* max = nullptr;
    float* sum = nullptr;
    float* out = nullptr;
    std::int64_t ldo = 0;
};

// Many rows over a page that all of them see whole, in 16-bit integers ("words"): value = scale * word. The words of a
// query and of a key have a length (the root of the sum of their squares) of 32767, so that no sum of products exceeds
// 2^30 (Cauchy and Schwarz); those of a column of values, of one page or a block of pages, have 16383. A weight's word
// is next to its row's largest there, 23000 for a page and 11500 for a block: 32 and 128 of them have a length of 2^17
// at most. That is about what f16 keeps.
inline constexpr float kWordLength = 32767.0f;
inline constexpr std::int64_t kWordRows = 8;    // rows are padded to a multiple of it
inline constexpr std::int64_t kBlockPages = 4;  // neighboring pages that a row may see as one

// One page of one head, or the pages of a block. Memory is 64-byte aligned; how words lie in it is the level's affair.
struct PageWords {
    std::int16_t* k = nullptr;  // pages * key_dim * 32
    std::int16_t* v = nullptr;  // pages * 32 * value_dim
    float* k_scale = nullptr;   // pages * 32
    float* v_scale = nullptr;   // value_dim
    std::int64_t pages = 1;     // or kBlockPages
};

// Rows [first, end) see the page or block, with the state of AttendArgs; memory of q, q_scale and the state is there
// for whole groups of kWordRows rows, and other rows keep their state. q and q_scale are what `queries` wrote.
struct WordArgs {
    const std::int16_t* q = nullptr;
    const float* q_scale = nullptr;
    std::int64_t first = 0;
    std::int64_t end = 0;
    std::int64_t key_dim = 0;  // a multiple of the level's `columns`, like value_dim
    std::int64_t value_dim = 0;
    PageWords page;
    float softcap = 0.0f;
    float* max = nullptr;
    float* sum = nullptr;
    float* out = nullptr;
    std::int64_t ldo = 0;
    const std::uint16_t* const* next = nullptr;  // f16 keys, values behind them, of the block that follows
};

struct WordKernels {
    std::int64_t columns;  // key_dim and value_dim must be multiples of it; others are multiplied as floats
    // The words of a page; returns whether all its numbers are finite. Of those that are not, words say nothing.
    bool (*page)(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                 const PageWords& out);
    // The same for the pages of a block: out.pages keys and values.
    bool (*block)(const std::uint16_t* const* k, const std::uint16_t* const* v, std::int64_t key_dim,
                  std::int64_t value_dim, const PageWords& out);
    // The words of `rows` dense rows, and their scales times `factor`.
    void (*queries)(const float* q, std::int64_t rows, std::int64_t key_dim, float factor, std::int16_t* out,
                    float* scales);
    void (*attend)(const WordArgs& args);
};

enum class Activation : std::int32_t { kSilu = 0, kGelu = 1, kGeluTanh = 2, kRelu = 3, kTanh = 4, kSigmoid = 5 };

// half: pairs (i, i + dims / 2); interleaved: pairs (2i, 2i + 1). Dimensions beyond `dims` of a head stay as they are.
enum class RopeStyle : std::int32_t { kHalf = 0, kInterleaved = 1 };

struct Kernels {
    Isa isa;
    const char* name;

    void (*matmul)(const MatmulArgs& args);
    // x[0..cols) to blocks_of(cols) blocks; the tail of the last one is zero.
    void (*quantize)(const float* x, std::int64_t cols, QuantBlock* out);
    void (*quantize_wide)(const float* x, std::int64_t cols, WideBlock* out);

    // Writes one token's key and value of one kv head to a slot of a page.
    void (*kv_write)(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim,
                     std::uint16_t* k, std::uint16_t* v, std::int64_t slot);
    void (*attend)(const AttendArgs& args);
    // The same for int8 pages. What is attended is exact but for codes of queries and of weights, which have 16 bits.
    void (*kv_write_int8)(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim,
                          std::uint16_t* k, std::uint16_t* v, std::int64_t slot);
    void (*attend_int8)(const AttendArgs& args);
    // An int8 page as an f16 page, rounded to nearest even; what f16 does not hold becomes infinite.
    void (*widen_int8)(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                       std::uint16_t* wide_k, std::uint16_t* wide_v);
    const WordKernels* words;  // nullptr where floats are as fast
    // out[i] /= sum for each row (rows that saw nothing become 0).
    void (*attend_finish)(float* out, std::int64_t ldo, std::int64_t rows, std::int64_t value_dim, const float* sum);

    // Normalizations of one group of n values; out may be x; weight (and bias) may be nullptr.
    void (*rmsnorm)(const float* x, const float* weight, float* out, std::int64_t n, float eps);
    void (*layernorm)(const float* x, const float* weight, const float* bias, float* out, std::int64_t n, float eps);
    // out = act(gate) * up and out = act(x); in place allowed.
    void (*glu)(Activation kind, const float* gate, const float* up, float* out, std::int64_t n);
    void (*act)(Activation kind, const float* x, float* out, std::int64_t n);
    // Rotates `heads` heads of one token in place; cosine and sine hold dims / 2 values of its position.
    void (*rope)(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, const float* cosine,
                 const float* sine, RopeStyle style);
    // y += a * x;  out = a + b;  x *= a;  x = cap * tanh(x / cap)
    void (*axpy)(float a, const float* x, float* y, std::int64_t n);
    void (*add)(const float* a, const float* b, float* out, std::int64_t n);
    void (*scale)(float a, float* x, std::int64_t n);
    void (*softcap)(float cap, float* x, std::int64_t n);
    // First index of the largest value (NaNs are never chosen unless all are; n > 0).
    std::int64_t (*argmax)(const float* x, std::int64_t n);
    // out[b] = the largest of x[32 b .. 32 b + 32), NaNs apart, for n values; returns whether all of them are finite.
    bool (*block_max)(const float* x, std::int64_t n, float* out);
    // out[i] = exp(x[i] - shift) (out may be x, or nullptr for the sum alone); returns the sum, added in double.
    double (*exp_sum)(const float* x, float shift, float* out, std::int64_t n);

    // Conversions, to nearest even.
    void (*f32_to_f16)(const float* x, std::uint16_t* out, std::int64_t n);
    void (*f16_to_f32)(const std::uint16_t* x, float* out, std::int64_t n);
    void (*f32_to_bf16)(const float* x, std::uint16_t* out, std::int64_t n);
    void (*bf16_to_f32)(const std::uint16_t* x, float* out, std::int64_t n);
};

// All levels; the best one that this processor (and its operating system) can run; whether it can run one.
std::span<const Isa> levels();
Isa detect();
bool supported(Isa isa);
const char* isa_name(Isa isa);
// "portable", "avx2", "avx512", "neon"; an empty name means detect(). Throws std::runtime_error for an unknown name,
// and for a level that was not built or that this processor cannot run; the message lists those that it can.
Isa parse_isa(std::string_view name);
// The table of a level; throws std::runtime_error as parse_isa does.
const Kernels& kernels(Isa isa);

// Probes, for `undiced doctor` and the share of the limit in every benchmark.
struct Bandwidth {
    double bytes_per_s = 0;
    bool huge_pages = false;
};
// Reads `bytes` (split over `threads` threads with their own huge-page buffers) `rounds` times, in eight pieces that
// are timed one by one; the best piece counts, so that other work on the machine disturbs little.
Bandwidth probe_bandwidth(int threads, std::size_t bytes, int rounds);
enum class Arithmetic { kInt8, kFloat };
// Operations a second (2 a multiply-add) of `threads` threads at once in registers, with the level's best instruction.
// All do as many, so that of cores that differ the slowest one counts.
double probe_peak(Isa isa, Arithmetic kind, int threads);

// Gives the calling thread the index-th (modulo their number) processor that it may use; does nothing where it cannot.
void pin_thread(int index);

// Memory for weights: `bytes` rounded up to whole huge pages, zeroed, advised to be huge. Throws std::bad_alloc.
std::uint8_t* allocate_resident(std::size_t bytes);
void free_resident(std::uint8_t* data, std::size_t bytes);

}  // namespace undiced

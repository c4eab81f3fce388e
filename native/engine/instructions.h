// The instruction table: records of 64 bytes, and what each of their fields is called.
// Printed by `python -m undiced.program.host.mirror` from instruction.py beside it; a test holds the two equal.
// clang-format off
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace undiced {

inline constexpr int kNone = -1;
inline constexpr int kInstrBytes = 64;
inline constexpr int kShardGranule = 32;
inline constexpr int kSmallStepTokens = 2;

enum class Op : std::uint16_t {
    BARRIER = 0,
    EMBED = 1,
    RMSNORM = 2,
    LAYERNORM = 3,
    QUANTIZE = 4,
    MATMUL = 5,
    ROPE = 6,
    KV_STORE = 7,
    ATTENTION = 8,
    GLU = 9,
    ACTIVATE = 10,
    ADD = 11,
    SCALE = 12,
    SOFTCAP = 13,
    GATHER = 14,
    SAMPLE = 15,
    ROUTE = 16,
    EXPERT_GLU = 17,
    EXPERT_SUM = 18,
    HEAD_MATMUL = 19,
    LATENT_STORE = 20,
    LATENT_ATTENTION = 21,
    POSITION_SCALE = 22,
};

inline constexpr std::array<std::pair<std::string_view, Op>, 23> kOpNames = {{
    {"BARRIER", Op::BARRIER},
    {"EMBED", Op::EMBED},
    {"RMSNORM", Op::RMSNORM},
    {"LAYERNORM", Op::LAYERNORM},
    {"QUANTIZE", Op::QUANTIZE},
    {"MATMUL", Op::MATMUL},
    {"ROPE", Op::ROPE},
    {"KV_STORE", Op::KV_STORE},
    {"ATTENTION", Op::ATTENTION},
    {"GLU", Op::GLU},
    {"ACTIVATE", Op::ACTIVATE},
    {"ADD", Op::ADD},
    {"SCALE", Op::SCALE},
    {"SOFTCAP", Op::SOFTCAP},
    {"GATHER", Op::GATHER},
    {"SAMPLE", Op::SAMPLE},
    {"ROUTE", Op::ROUTE},
    {"EXPERT_GLU", Op::EXPERT_GLU},
    {"EXPERT_SUM", Op::EXPERT_SUM},
    {"HEAD_MATMUL", Op::HEAD_MATMUL},
    {"LATENT_STORE", Op::LATENT_STORE},
    {"LATENT_ATTENTION", Op::LATENT_ATTENTION},
    {"POSITION_SCALE", Op::POSITION_SCALE},
}};

// The name of an operation code, or an empty view for a code that the host does not know.
constexpr std::string_view op_name(std::uint16_t code) {
    for (const auto& [name, op] : kOpNames)
        if (static_cast<std::uint16_t>(op) == code) return name;
    return {};
}

// A record as it comes. `as` reads it by the names of its operation, which is the caller's word.
struct Instr {
    std::uint16_t op, flags;
    std::int32_t words[(kInstrBytes - 4) / 4];

    template <class T>
    T as() const {
        static_assert(sizeof(T) <= sizeof(Instr));
        T out;
        std::memcpy(&out, this, sizeof out);
        return out;
    }
};
static_assert(sizeof(Instr) == kInstrBytes);

namespace instr {

enum class Partition : std::int32_t {
    ALL = 0,
    TOKENS = 1,
    COLUMNS = 2,
    HEADS = 3,
    SAMPLES = 4,
};
constexpr bool known(Partition value) { return value == Partition::ALL || value == Partition::TOKENS || value == Partition::COLUMNS || value == Partition::HEADS || value == Partition::SAMPLES; }

enum class Activation : std::int32_t {
    SILU = 0,
    GELU = 1,
    GELU_TANH = 2,
    RELU = 3,
    SWIGLU_OSS = 4,
};
constexpr bool known(Activation value) { return value == Activation::SILU || value == Activation::GELU || value == Activation::GELU_TANH || value == Activation::RELU || value == Activation::SWIGLU_OSS; }

enum class RopeStyle : std::int32_t {
    HALF = 0,
    INTERLEAVED = 1,
};
constexpr bool known(RopeStyle value) { return value == RopeStyle::HALF || value == RopeStyle::INTERLEAVED; }

enum class Scoring : std::int32_t {
    SOFTMAX = 0,
    SIGMOID = 1,
};
constexpr bool known(Scoring value) { return value == Scoring::SOFTMAX || value == Scoring::SIGMOID; }

// wait for every core of the team; `large`: a small step passes it
struct Barrier {
    static constexpr Op kOp = Op::BARRIER;
    static constexpr std::uint16_t kFlags = 1;  // that it takes
    std::uint16_t op, flags;
    bool large() const { return (flags & 1) != 0; }
};
static_assert(sizeof(Barrier) == 4);

// dst[t, :columns] (+)= table[tokens[t], or positions[t]] * scale
struct Embed {
    static constexpr Op kOp = Op::EMBED;
    static constexpr std::uint16_t kFlags = 3;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t table;
    std::int32_t columns;
    float scale;
    bool accumulate() const { return (flags & 1) != 0; }
    bool positions() const { return (flags & 2) != 0; }
};
static_assert(sizeof(Embed) == 20);

// dst[:, start:start+columns] = each group of `width` columns of a, over its root mean square, times weight
struct Rmsnorm {
    static constexpr Op kOp = Op::RMSNORM;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t weight;
    std::int32_t start;
    std::int32_t columns;
    std::int32_t width;
    float eps;
};
static_assert(sizeof(Rmsnorm) == 32);

// dst = (a - mean) / sqrt(variance + eps) * weight + bias
struct Layernorm {
    static constexpr Op kOp = Op::LAYERNORM;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t weight;
    std::int32_t bias;
    std::int32_t columns;
    float eps;
};
static_assert(sizeof(Layernorm) == 28);

// dst = blocks of 32 columns of a, int8 or int16, each with scale max|a|/127 or max|a|/32767
struct Quantize {
    static constexpr Op kOp = Op::QUANTIZE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
    Partition by;
};
static_assert(sizeof(Quantize) == 20);

// dst[:, start:start+rows] (+)= a[:, :columns] @ weight.T (+ bias)
struct Matmul {
    static constexpr Op kOp = Op::MATMUL;
    static constexpr std::uint16_t kFlags = 1;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t weight;
    std::int32_t bias;
    std::int32_t start;
    std::int32_t rows;
    std::int32_t columns;
    bool accumulate() const { return (flags & 1) != 0; }
};
static_assert(sizeof(Matmul) == 32);

// dst = a[:, start:start+heads*head_dim] with `dims` columns of each head, from `offset` on, rotated by position;
// constant: inverse frequencies, divided by `factors`; cosine and sine times magnitude
struct Rope {
    static constexpr Op kOp = Op::ROPE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t factors;
    std::int32_t start;
    std::int32_t heads;
    std::int32_t head_dim;
    std::int32_t offset;
    std::int32_t dims;
    RopeStyle style;
    std::int32_t constant;
    float magnitude;
};
static_assert(sizeof(Rope) == 48);

// append k[:, k_start:] and v[:, v_start:] to the layer's KV cache
struct KvStore {
    static constexpr Op kOp = Op::KV_STORE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t k;
    std::int32_t v;
    std::int32_t kv_layer;
    std::int32_t k_start;
    std::int32_t v_start;
    std::int32_t kv_heads;
    std::int32_t head_dim;
};
static_assert(sizeof(KvStore) == 32);

// dst = causal attention of q[:, start:] over the layer's KV cache within `window` (0: all), or within the aligned
// `chunk` of positions that the query's lies in (0: none); softcap 0: none; sinks: one logit a head
struct Attention {
    static constexpr Op kOp = Op::ATTENTION;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t q;
    std::int32_t sinks;
    std::int32_t kv_layer;
    std::int32_t start;
    std::int32_t heads;
    std::int32_t kv_heads;
    std::int32_t head_dim;
    std::int32_t window;
    std::int32_t chunk;
    float scale;
    float softcap;
};
static_assert(sizeof(Attention) == 52);

// dst[:, :columns] = activation(a[:, gate:gate+columns]) * a[:, up:up+columns]
struct Glu {
    static constexpr Op kOp = Op::GLU;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t gate;
    std::int32_t up;
    std::int32_t columns;
    Activation activation;
};
static_assert(sizeof(Glu) == 28);

// dst = activation(a)
struct Activate {
    static constexpr Op kOp = Op::ACTIVATE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
    Activation activation;
};
static_assert(sizeof(Activate) == 20);

// dst = a + b
struct Add {
    static constexpr Op kOp = Op::ADD;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
    std::int32_t b;
};
static_assert(sizeof(Add) == 20);

// dst = a * factor
struct Scale {
    static constexpr Op kOp = Op::SCALE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
    float factor;
};
static_assert(sizeof(Scale) == 20);

// dst = cap * tanh(a / cap)
struct Softcap {
    static constexpr Op kOp = Op::SOFTCAP;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
    float cap;
};
static_assert(sizeof(Softcap) == 20);

// dst[r] = a[sample_rows[r]]
struct Gather {
    static constexpr Op kOp = Op::GATHER;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t columns;
};
static_assert(sizeof(Gather) == 16);

// tokens[r] ~ distribution of a[r, :vocab] under the row's sampling parameters
struct Sample {
    static constexpr Op kOp = Op::SAMPLE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t a;
    std::int32_t vocab;
};
static_assert(sizeof(Sample) == 12);

// dst[t] = the weights of the `top_k` chosen experts of a[t, :experts], largest choice first, then their numbers;
// chosen by score plus bias among the `top_groups` best of `groups`, each as good as its `group_best` best experts
// together; weights are scores, divided by their sum if
// `normalize`, times scaling
struct Route {
    static constexpr Op kOp = Op::ROUTE;
    static constexpr std::uint16_t kFlags = 1;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t bias;
    std::int32_t experts;
    std::int32_t top_k;
    std::int32_t groups;
    std::int32_t top_groups;
    std::int32_t group_best;
    Scoring scoring;
    float scaling;
    bool normalize() const { return (flags & 1) != 0; }
};
static_assert(sizeof(Route) == 44);

// dst[:, k*rows:(k+1)*rows] = activation(a @ gate[e].T (+ bias)) * (a @ up[e].T (+ bias)), e the token's k-th
// expert; `weigh`: a times its weight; a dst of int8 blocks is quantized; limit clamps SWIGLU_OSS, 0: none
struct ExpertGlu {
    static constexpr Op kOp = Op::EXPERT_GLU;
    static constexpr std::uint16_t kFlags = 1;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t routes;
    std::int32_t rows;
    std::int32_t columns;
    std::int32_t experts;
    std::int32_t top_k;
    std::int32_t gate;
    std::int32_t up;
    std::int32_t gate_bias;
    std::int32_t up_bias;
    Activation activation;
    float limit;
    bool weigh() const { return (flags & 1) != 0; }
};
static_assert(sizeof(ExpertGlu) == 56);

// dst[:, :rows] (+)= the sum over the token's experts e, number k, of a[:, k*columns:(k+1)*columns] @ down[e].T
// (+ bias); `weigh`: each times its weight
struct ExpertSum {
    static constexpr Op kOp = Op::EXPERT_SUM;
    static constexpr std::uint16_t kFlags = 3;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t routes;
    std::int32_t rows;
    std::int32_t columns;
    std::int32_t experts;
    std::int32_t top_k;
    std::int32_t down;
    std::int32_t bias;
    bool weigh() const { return (flags & 1) != 0; }
    bool accumulate() const { return (flags & 2) != 0; }
};
static_assert(sizeof(ExpertSum) == 40);

// dst[:, h*rows:(h+1)*rows] = a[:, h*stride:h*stride+columns] @ weight[h*rows:(h+1)*rows].T, h each of `heads`
struct HeadMatmul {
    static constexpr Op kOp = Op::HEAD_MATMUL;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t weight;
    std::int32_t heads;
    std::int32_t rows;
    std::int32_t columns;
    std::int32_t stride;
};
static_assert(sizeof(HeadMatmul) == 32);

// append a[:, :columns] to the layer's cache of latents
struct LatentStore {
    static constexpr Op kOp = Op::LATENT_STORE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t a;
    std::int32_t kv_layer;
    std::int32_t columns;
};
static_assert(sizeof(LatentStore) == 16);

// dst = causal attention over the layer's cache of latents, whose first `rank` columns are the values; head h's
// query is q[:, h*rank:(h+1)*rank], and behind it the last `rope` columns of turned[:, h*(nope+rope):][:nope+rope]
struct LatentAttention {
    static constexpr Op kOp = Op::LATENT_ATTENTION;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t q;
    std::int32_t turned;
    std::int32_t kv_layer;
    std::int32_t heads;
    std::int32_t rank;
    std::int32_t nope;
    std::int32_t rope;
    float scale;
};
static_assert(sizeof(LatentAttention) == 40);

// dst[t, start:start+columns] = a * (1 + scale * log(1 + floor((position of t + 1) / floor)))
struct PositionScale {
    static constexpr Op kOp = Op::POSITION_SCALE;
    static constexpr std::uint16_t kFlags = 0;  // that it takes
    std::uint16_t op, flags;
    std::int32_t dst;
    std::int32_t a;
    std::int32_t start;
    std::int32_t columns;
    std::int32_t floor;
    float scale;
};
static_assert(sizeof(PositionScale) == 28);

}  // namespace instr

// Where a field lies in its record. kind: 'i' or 'f', four bytes from `place` on; 'b', bit `place` of the flags.
struct Field {
    Op op;
    std::string_view name;
    char kind;
    std::size_t place;
};

inline constexpr Field kFields[] = {
    {Op::BARRIER, "large", 'b', 0},
    {Op::EMBED, "dst", 'i', offsetof(instr::Embed, dst)},
    {Op::EMBED, "table", 'i', offsetof(instr::Embed, table)},
    {Op::EMBED, "columns", 'i', offsetof(instr::Embed, columns)},
    {Op::EMBED, "scale", 'f', offsetof(instr::Embed, scale)},
    {Op::EMBED, "accumulate", 'b', 0},
    {Op::EMBED, "positions", 'b', 1},
    {Op::RMSNORM, "dst", 'i', offsetof(instr::Rmsnorm, dst)},
    {Op::RMSNORM, "a", 'i', offsetof(instr::Rmsnorm, a)},
    {Op::RMSNORM, "weight", 'i', offsetof(instr::Rmsnorm, weight)},
    {Op::RMSNORM, "start", 'i', offsetof(instr::Rmsnorm, start)},
    {Op::RMSNORM, "columns", 'i', offsetof(instr::Rmsnorm, columns)},
    {Op::RMSNORM, "width", 'i', offsetof(instr::Rmsnorm, width)},
    {Op::RMSNORM, "eps", 'f', offsetof(instr::Rmsnorm, eps)},
    {Op::LAYERNORM, "dst", 'i', offsetof(instr::Layernorm, dst)},
    {Op::LAYERNORM, "a", 'i', offsetof(instr::Layernorm, a)},
    {Op::LAYERNORM, "weight", 'i', offsetof(instr::Layernorm, weight)},
    {Op::LAYERNORM, "bias", 'i', offsetof(instr::Layernorm, bias)},
    {Op::LAYERNORM, "columns", 'i', offsetof(instr::Layernorm, columns)},
    {Op::LAYERNORM, "eps", 'f', offsetof(instr::Layernorm, eps)},
    {Op::QUANTIZE, "dst", 'i', offsetof(instr::Quantize, dst)},
    {Op::QUANTIZE, "a", 'i', offsetof(instr::Quantize, a)},
    {Op::QUANTIZE, "columns", 'i', offsetof(instr::Quantize, columns)},
    {Op::QUANTIZE, "by", 'i', offsetof(instr::Quantize, by)},
    {Op::MATMUL, "dst", 'i', offsetof(instr::Matmul, dst)},
    {Op::MATMUL, "a", 'i', offsetof(instr::Matmul, a)},
    {Op::MATMUL, "weight", 'i', offsetof(instr::Matmul, weight)},
    {Op::MATMUL, "bias", 'i', offsetof(instr::Matmul, bias)},
    {Op::MATMUL, "start", 'i', offsetof(instr::Matmul, start)},
    {Op::MATMUL, "rows", 'i', offsetof(instr::Matmul, rows)},
    {Op::MATMUL, "columns", 'i', offsetof(instr::Matmul, columns)},
    {Op::MATMUL, "accumulate", 'b', 0},
    {Op::ROPE, "dst", 'i', offsetof(instr::Rope, dst)},
    {Op::ROPE, "a", 'i', offsetof(instr::Rope, a)},
    {Op::ROPE, "factors", 'i', offsetof(instr::Rope, factors)},
    {Op::ROPE, "start", 'i', offsetof(instr::Rope, start)},
    {Op::ROPE, "heads", 'i', offsetof(instr::Rope, heads)},
    {Op::ROPE, "head_dim", 'i', offsetof(instr::Rope, head_dim)},
    {Op::ROPE, "offset", 'i', offsetof(instr::Rope, offset)},
    {Op::ROPE, "dims", 'i', offsetof(instr::Rope, dims)},
    {Op::ROPE, "style", 'i', offsetof(instr::Rope, style)},
    {Op::ROPE, "constant", 'i', offsetof(instr::Rope, constant)},
    {Op::ROPE, "magnitude", 'f', offsetof(instr::Rope, magnitude)},
    {Op::KV_STORE, "k", 'i', offsetof(instr::KvStore, k)},
    {Op::KV_STORE, "v", 'i', offsetof(instr::KvStore, v)},
    {Op::KV_STORE, "kv_layer", 'i', offsetof(instr::KvStore, kv_layer)},
    {Op::KV_STORE, "k_start", 'i', offsetof(instr::KvStore, k_start)},
    {Op::KV_STORE, "v_start", 'i', offsetof(instr::KvStore, v_start)},
    {Op::KV_STORE, "kv_heads", 'i', offsetof(instr::KvStore, kv_heads)},
    {Op::KV_STORE, "head_dim", 'i', offsetof(instr::KvStore, head_dim)},
    {Op::ATTENTION, "dst", 'i', offsetof(instr::Attention, dst)},
    {Op::ATTENTION, "q", 'i', offsetof(instr::Attention, q)},
    {Op::ATTENTION, "sinks", 'i', offsetof(instr::Attention, sinks)},
    {Op::ATTENTION, "kv_layer", 'i', offsetof(instr::Attention, kv_layer)},
    {Op::ATTENTION, "start", 'i', offsetof(instr::Attention, start)},
    {Op::ATTENTION, "heads", 'i', offsetof(instr::Attention, heads)},
    {Op::ATTENTION, "kv_heads", 'i', offsetof(instr::Attention, kv_heads)},
    {Op::ATTENTION, "head_dim", 'i', offsetof(instr::Attention, head_dim)},
    {Op::ATTENTION, "window", 'i', offsetof(instr::Attention, window)},
    {Op::ATTENTION, "chunk", 'i', offsetof(instr::Attention, chunk)},
    {Op::ATTENTION, "scale", 'f', offsetof(instr::Attention, scale)},
    {Op::ATTENTION, "softcap", 'f', offsetof(instr::Attention, softcap)},
    {Op::GLU, "dst", 'i', offsetof(instr::Glu, dst)},
    {Op::GLU, "a", 'i', offsetof(instr::Glu, a)},
    {Op::GLU, "gate", 'i', offsetof(instr::Glu, gate)},
    {Op::GLU, "up", 'i', offsetof(instr::Glu, up)},
    {Op::GLU, "columns", 'i', offsetof(instr::Glu, columns)},
    {Op::GLU, "activation", 'i', offsetof(instr::Glu, activation)},
    {Op::ACTIVATE, "dst", 'i', offsetof(instr::Activate, dst)},
    {Op::ACTIVATE, "a", 'i', offsetof(instr::Activate, a)},
    {Op::ACTIVATE, "columns", 'i', offsetof(instr::Activate, columns)},
    {Op::ACTIVATE, "activation", 'i', offsetof(instr::Activate, activation)},
    {Op::ADD, "dst", 'i', offsetof(instr::Add, dst)},
    {Op::ADD, "a", 'i', offsetof(instr::Add, a)},
    {Op::ADD, "columns", 'i', offsetof(instr::Add, columns)},
    {Op::ADD, "b", 'i', offsetof(instr::Add, b)},
    {Op::SCALE, "dst", 'i', offsetof(instr::Scale, dst)},
    {Op::SCALE, "a", 'i', offsetof(instr::Scale, a)},
    {Op::SCALE, "columns", 'i', offsetof(instr::Scale, columns)},
    {Op::SCALE, "factor", 'f', offsetof(instr::Scale, factor)},
    {Op::SOFTCAP, "dst", 'i', offsetof(instr::Softcap, dst)},
    {Op::SOFTCAP, "a", 'i', offsetof(instr::Softcap, a)},
    {Op::SOFTCAP, "columns", 'i', offsetof(instr::Softcap, columns)},
    {Op::SOFTCAP, "cap", 'f', offsetof(instr::Softcap, cap)},
    {Op::GATHER, "dst", 'i', offsetof(instr::Gather, dst)},
    {Op::GATHER, "a", 'i', offsetof(instr::Gather, a)},
    {Op::GATHER, "columns", 'i', offsetof(instr::Gather, columns)},
    {Op::SAMPLE, "a", 'i', offsetof(instr::Sample, a)},
    {Op::SAMPLE, "vocab", 'i', offsetof(instr::Sample, vocab)},
    {Op::ROUTE, "dst", 'i', offsetof(instr::Route, dst)},
    {Op::ROUTE, "a", 'i', offsetof(instr::Route, a)},
    {Op::ROUTE, "bias", 'i', offsetof(instr::Route, bias)},
    {Op::ROUTE, "experts", 'i', offsetof(instr::Route, experts)},
    {Op::ROUTE, "top_k", 'i', offsetof(instr::Route, top_k)},
    {Op::ROUTE, "groups", 'i', offsetof(instr::Route, groups)},
    {Op::ROUTE, "top_groups", 'i', offsetof(instr::Route, top_groups)},
    {Op::ROUTE, "group_best", 'i', offsetof(instr::Route, group_best)},
    {Op::ROUTE, "scoring", 'i', offsetof(instr::Route, scoring)},
    {Op::ROUTE, "scaling", 'f', offsetof(instr::Route, scaling)},
    {Op::ROUTE, "normalize", 'b', 0},
    {Op::EXPERT_GLU, "dst", 'i', offsetof(instr::ExpertGlu, dst)},
    {Op::EXPERT_GLU, "a", 'i', offsetof(instr::ExpertGlu, a)},
    {Op::EXPERT_GLU, "routes", 'i', offsetof(instr::ExpertGlu, routes)},
    {Op::EXPERT_GLU, "rows", 'i', offsetof(instr::ExpertGlu, rows)},
    {Op::EXPERT_GLU, "columns", 'i', offsetof(instr::ExpertGlu, columns)},
    {Op::EXPERT_GLU, "experts", 'i', offsetof(instr::ExpertGlu, experts)},
    {Op::EXPERT_GLU, "top_k", 'i', offsetof(instr::ExpertGlu, top_k)},
    {Op::EXPERT_GLU, "weigh", 'b', 0},
    {Op::EXPERT_GLU, "gate", 'i', offsetof(instr::ExpertGlu, gate)},
    {Op::EXPERT_GLU, "up", 'i', offsetof(instr::ExpertGlu, up)},
    {Op::EXPERT_GLU, "gate_bias", 'i', offsetof(instr::ExpertGlu, gate_bias)},
    {Op::EXPERT_GLU, "up_bias", 'i', offsetof(instr::ExpertGlu, up_bias)},
    {Op::EXPERT_GLU, "activation", 'i', offsetof(instr::ExpertGlu, activation)},
    {Op::EXPERT_GLU, "limit", 'f', offsetof(instr::ExpertGlu, limit)},
    {Op::EXPERT_SUM, "dst", 'i', offsetof(instr::ExpertSum, dst)},
    {Op::EXPERT_SUM, "a", 'i', offsetof(instr::ExpertSum, a)},
    {Op::EXPERT_SUM, "routes", 'i', offsetof(instr::ExpertSum, routes)},
    {Op::EXPERT_SUM, "rows", 'i', offsetof(instr::ExpertSum, rows)},
    {Op::EXPERT_SUM, "columns", 'i', offsetof(instr::ExpertSum, columns)},
    {Op::EXPERT_SUM, "experts", 'i', offsetof(instr::ExpertSum, experts)},
    {Op::EXPERT_SUM, "top_k", 'i', offsetof(instr::ExpertSum, top_k)},
    {Op::EXPERT_SUM, "weigh", 'b', 0},
    {Op::EXPERT_SUM, "down", 'i', offsetof(instr::ExpertSum, down)},
    {Op::EXPERT_SUM, "bias", 'i', offsetof(instr::ExpertSum, bias)},
    {Op::EXPERT_SUM, "accumulate", 'b', 1},
    {Op::HEAD_MATMUL, "dst", 'i', offsetof(instr::HeadMatmul, dst)},
    {Op::HEAD_MATMUL, "a", 'i', offsetof(instr::HeadMatmul, a)},
    {Op::HEAD_MATMUL, "weight", 'i', offsetof(instr::HeadMatmul, weight)},
    {Op::HEAD_MATMUL, "heads", 'i', offsetof(instr::HeadMatmul, heads)},
    {Op::HEAD_MATMUL, "rows", 'i', offsetof(instr::HeadMatmul, rows)},
    {Op::HEAD_MATMUL, "columns", 'i', offsetof(instr::HeadMatmul, columns)},
    {Op::HEAD_MATMUL, "stride", 'i', offsetof(instr::HeadMatmul, stride)},
    {Op::LATENT_STORE, "a", 'i', offsetof(instr::LatentStore, a)},
    {Op::LATENT_STORE, "kv_layer", 'i', offsetof(instr::LatentStore, kv_layer)},
    {Op::LATENT_STORE, "columns", 'i', offsetof(instr::LatentStore, columns)},
    {Op::LATENT_ATTENTION, "dst", 'i', offsetof(instr::LatentAttention, dst)},
    {Op::LATENT_ATTENTION, "q", 'i', offsetof(instr::LatentAttention, q)},
    {Op::LATENT_ATTENTION, "turned", 'i', offsetof(instr::LatentAttention, turned)},
    {Op::LATENT_ATTENTION, "kv_layer", 'i', offsetof(instr::LatentAttention, kv_layer)},
    {Op::LATENT_ATTENTION, "heads", 'i', offsetof(instr::LatentAttention, heads)},
    {Op::LATENT_ATTENTION, "rank", 'i', offsetof(instr::LatentAttention, rank)},
    {Op::LATENT_ATTENTION, "nope", 'i', offsetof(instr::LatentAttention, nope)},
    {Op::LATENT_ATTENTION, "rope", 'i', offsetof(instr::LatentAttention, rope)},
    {Op::LATENT_ATTENTION, "scale", 'f', offsetof(instr::LatentAttention, scale)},
    {Op::POSITION_SCALE, "dst", 'i', offsetof(instr::PositionScale, dst)},
    {Op::POSITION_SCALE, "a", 'i', offsetof(instr::PositionScale, a)},
    {Op::POSITION_SCALE, "start", 'i', offsetof(instr::PositionScale, start)},
    {Op::POSITION_SCALE, "columns", 'i', offsetof(instr::PositionScale, columns)},
    {Op::POSITION_SCALE, "floor", 'i', offsetof(instr::PositionScale, floor)},
    {Op::POSITION_SCALE, "scale", 'f', offsetof(instr::PositionScale, scale)},
};

}  // namespace undiced

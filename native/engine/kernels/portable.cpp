// The obvious twin of every kernel: plain loops, standard functions, any processor. It defines what the fast ones mean.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "half.h"
#include "levels.h"

namespace undiced {
namespace {

struct Accumulate {
    const MatmulArgs& args;

    void operator()(std::int64_t token, std::int64_t row, float value) const {
        if (row >= args.w->rows) return;
        float& out = args.out[token * args.ldo + row];
        if (args.bias != nullptr) value += args.bias[row];
        out = args.accumulate ? out + value : value;
    }
};

float scale_at(const Format& format, const std::uint8_t* scales, std::int64_t index) {
    return format.scale_bytes == 2 ? f16_to_float(load_as<std::uint16_t>(scales + 2 * index))
                                   : load_as<float>(scales + 4 * index);
}

// The product of 32 columns of one row, part `part` of the blocks that share scales: integer sums a group, scales in
// f32.
template <class Code>
float dot_block(const Format& format, const std::uint8_t* block, std::int64_t part, std::int64_t row,
                const Block<Code>& x) {
    const bool nibbles = format.layout == Layout::kNibbles;
    const std::int64_t code_bytes = nibbles ? 256 : 512, groups = format.groups(), columns = kBlockCols / groups;
    const std::uint8_t *codes = block + part * code_bytes, *scales = block + format.span() * code_bytes;
    float total = 0.0f;
    for (std::int64_t group = 0; group < groups; ++group) {
        std::int32_t sum = 0;
        for (std::int64_t k = group * columns; k < (group + 1) * columns; ++k) {
            const std::int64_t stored = nibbles ? k % 16 : k;
            int code = codes[stored / 4 * 64 + row * 4 + stored % 4];
            if (nibbles) code = k < 16 ? code & 15 : code >> 4;
            if (format.lookup != nullptr) code = format.lookup[code];
            sum += code * x.code[sizeof(Code) == 1 ? k : place_of(static_cast<int>(k))];
        }
        const float x_sum = groups == 1 ? x.sum : x.half_sum[group];
        const float scale = scale_at(format, scales, group * kTileRows + row);
        total += scale * (x.scale * static_cast<float>(sum) - static_cast<float>(format.zero) * x_sum);
        if (format.factors() == groups) continue;
        const float second = scale_at(format, scales, (groups + group) * kTileRows + row);
        total += (format.has_zero ? scale * second : second) * x_sum;
    }
    return total;
}

// The scale and the code are multiplied first: what a product of floats is made of.
float fp8_at(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t row, std::int64_t col) {
    const std::int64_t in_group = col % w.format->group;
    const std::uint8_t* block = tile + col / w.format->group * w.block_bytes;
    return scale_at(*w.format, block + w.format->span() * 512, row) *
           fp8_to_float(block[in_group / 2 * 32 + row * 2 + in_group % 2]);
}

float dense_at(const PackedMatrix& w, const std::uint8_t* tile, std::int64_t row, std::int64_t col) {
    const Layout layout = w.format->layout;
    if (layout == Layout::kFp8) return fp8_at(w, tile, row, col);
    const std::int64_t index = col * kTileRows + row;
    if (layout == Layout::kF32) return load_as<float>(tile + 4 * index);
    if (layout == Layout::kF16) return f16_to_float(load_as<std::uint16_t>(tile + 2 * index));
    return bf16_to_float(load_as<std::uint16_t>(tile + (col / 2 * kTileRows + row) * 4 + col % 2 * 2));
}

void matmul(const MatmulArgs& args) {
    const PackedMatrix& w = *args.w;
    const std::int64_t blocks = blocks_of(w.cols);
    const Accumulate store{args};
    for (std::int64_t tile = args.tile_begin; tile < args.tile_end; ++tile) {
        for (std::int64_t token = 0; token < args.tokens; ++token) {
            for (std::int64_t row = 0; row < kTileRows; ++row) {
                float sum = 0.0f;
                if (w.format->integer()) {
                    for (std::int64_t b = 0; b < blocks; ++b) {
                        const std::int64_t span = w.format->span();
                        const std::uint8_t* block = w.tile(tile) + b / span * w.block_bytes;
                        sum += args.wx != nullptr
                                   ? dot_block(*w.format, block, b % span, row, args.wx[token * blocks + b])
                                   : dot_block(*w.format, block, b % span, row, args.qx[token * blocks + b]);
                    }
                } else {
                    for (std::int64_t col = 0; col < w.cols; ++col)
                        sum += dense_at(w, w.tile(tile), row, col) * args.x[token * args.ldx + col];
                }
                store(token, tile * kTileRows + row, sum);
            }
        }
    }
}

template <class Code>
void quantize(const float* x, std::int64_t cols, Block<Code>* out) {
    constexpr float kMost = std::numeric_limits<Code>::max();
    for (std::int64_t begin = 0; begin < cols; begin += kBlockCols, ++out) {
        const std::int64_t count = std::min(kBlockCols, cols - begin);
        float largest = 0.0f;
        bool finite = true;
        for (std::int64_t k = 0; k < count; ++k) {
            largest = std::max(largest, std::fabs(x[begin + k]));
            finite = finite && std::isfinite(x[begin + k]);
        }
        const float inverse = finite && largest > kSmallestActivation ? kMost / largest : 0.0f;
        out->scale = largest > kSmallestActivation ? largest / kMost : 0.0f;
        if (!finite) out->scale = std::numeric_limits<float>::quiet_NaN();
        std::int32_t sums[2] = {0, 0};
        for (std::int64_t k = 0; k < kBlockCols; ++k) {
            const float scaled = k < count && finite ? x[begin + k] * inverse : 0.0f;
            const auto code = static_cast<Code>(std::nearbyint(std::clamp(scaled, -kMost, kMost)));
            out->code[sizeof(Code) == 1 ? k : place_of(static_cast<int>(k))] = code;
            sums[k / 16] += code;
        }
        for (int half = 0; half < 2; ++half) out->half_sum[half] = out->scale * static_cast<float>(sums[half]);
        out->sum = out->scale * static_cast<float>(sums[0] + sums[1]);
    }
}

// Infinity becomes NaN: it must not look like a large number.
float saturated(float x) { return std::clamp(x, -65504.0f, 65504.0f) + (x - x); }

void kv_write(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim, std::uint16_t* k,
              std::uint16_t* v, std::int64_t slot) {
    for (std::int64_t d = 0; d < key_dim; ++d) k[d * kPageTokens + slot] = float_to_f16(saturated(key[d]));
    for (std::int64_t d = 0; d < value_dim; ++d) v[slot * value_dim + d] = float_to_f16(saturated(value[d]));
}

// Where the codes of columns and tokens of an int8 page lie, in bytes.
std::int64_t key_code(std::int64_t d, std::int64_t slot) {
    const std::int64_t place = d / kBlockCols * kBlockCols + place_of(static_cast<int>(d % kBlockCols));
    return (place / 2 * kPageTokens + slot) * 2 + place % 2;
}
std::int64_t value_code(std::int64_t d, std::int64_t slot, std::int64_t value_dim) {
    return (slot / 2 * value_dim + d) * 2 + slot % 2;
}

// Writes the codes of columns [begin, end) to where `at` says, and returns their scale.
template <class At>
std::uint16_t write_codes(const float* x, std::int64_t begin, std::int64_t end, std::uint16_t* block, const At& at) {
    float largest = 0.0f;
    for (std::int64_t d = begin; d < end; ++d)
        largest = std::isfinite(x[d]) ? std::max(largest, std::fabs(x[d])) : INFINITY;
    const std::uint16_t scale = code_scale(largest);
    const bool none = scale == 0 || scale == kNotFinite;
    const float inverse = none ? 0.0f : 1.0f / f16_to_float(scale);
    for (std::int64_t d = begin; d < end; ++d) {
        const float code = none ? 0.0f : std::clamp(x[d] * inverse, -127.0f, 127.0f);
        reinterpret_cast<std::int8_t*>(block)[at(d)] = static_cast<std::int8_t>(std::nearbyint(code));
    }
    return scale;
}

void kv_write_int8(const float* key, const float* value, std::int64_t key_dim, std::int64_t value_dim, std::uint16_t* k,
                   std::uint16_t* v, std::int64_t slot) {
    for (std::int64_t group = 0; group < blocks_of(key_dim); ++group) {
        const std::int64_t begin = group * kBlockCols, end = std::min(key_dim, begin + kBlockCols);
        k[(key_dim / 2 + group) * kPageTokens + slot] =
            write_codes(key, begin, end, k, [&](std::int64_t d) { return key_code(d, slot); });
    }
    v[value_dim / 2 * kPageTokens + slot] =
        write_codes(value, 0, value_dim, v, [&](std::int64_t d) { return value_code(d, slot, value_dim); });
}

// Number d of a token's value, and of the key that row `row` meets, times the query's.
struct F16Pages {
    const AttendArgs& args;

    float value(std::int64_t slot, std::int64_t d) const {
        const bool latent = args.v == nullptr;
        return f16_to_float(latent ? args.k[slot * args.key_dim + d] : args.v[slot * args.value_dim + d]);
    }
    float product(std::int64_t row, std::int64_t slot, std::int64_t d) const {
        const bool latent = args.v == nullptr;
        return args.q[row * args.ldq + d] *
               f16_to_float(args.k[latent ? slot * args.key_dim + d : d * kPageTokens + slot]);
    }
};
struct Int8Pages {
    const AttendArgs& args;

    float value(std::int64_t slot, std::int64_t d) const {
        const auto* codes = reinterpret_cast<const std::int8_t*>(args.v);
        return f16_to_float(args.v[args.value_dim / 2 * kPageTokens + slot]) *
               static_cast<float>(codes[value_code(d, slot, args.value_dim)]);
    }
    float product(std::int64_t row, std::int64_t slot, std::int64_t d) const {
        const WideBlock& q = args.qx[row * blocks_of(args.key_dim) + d / kBlockCols];
        const auto* codes = reinterpret_cast<const std::int8_t*>(args.k);
        const int code = q.code[place_of(static_cast<int>(d % kBlockCols))] * codes[key_code(d, slot)];
        const float scale = f16_to_float(args.k[(args.key_dim / 2 + d / kBlockCols) * kPageTokens + slot]);
        return q.scale * scale * static_cast<float>(code);
    }
};

void widen_int8(const std::uint16_t* k, const std::uint16_t* v, std::int64_t key_dim, std::int64_t value_dim,
                std::uint16_t* wide_k, std::uint16_t* wide_v) {
    const auto *keys = reinterpret_cast<const std::int8_t*>(k), *values = reinterpret_cast<const std::int8_t*>(v);
    for (std::int64_t slot = 0; slot < kPageTokens; ++slot) {
        for (std::int64_t d = 0; d < key_dim; ++d) {
            const float scale = f16_to_float(k[(key_dim / 2 + d / kBlockCols) * kPageTokens + slot]);
            wide_k[d * kPageTokens + slot] = float_to_f16(scale * static_cast<float>(keys[key_code(d, slot)]));
        }
        const float scale = f16_to_float(v[value_dim / 2 * kPageTokens + slot]);
        for (std::int64_t d = 0; d < value_dim; ++d)
            wide_v[slot * value_dim + d] =
                float_to_f16(scale * static_cast<float>(values[value_code(d, slot, value_dim)]));
    }
}

template <class Pages>
float score(const Pages& pages, std::int64_t row, std::int64_t slot) {
    const AttendArgs& args = pages.args;
    float sum = 0.0f;
    for (std::int64_t d = 0; d < args.key_dim; ++d) sum += pages.product(row, slot, d);
    sum *= args.scale;
    return args.softcap > 0.0f ? args.softcap * std::tanh(sum / args.softcap) : sum;
}

template <class Pages>
void attend_pages(const Pages& pages) {
    const AttendArgs& args = pages.args;
    for (std::int64_t row = 0; row < args.rows; ++row) {
        const std::int64_t begin = args.begin[row], end = args.end[row];
        if (begin >= end) continue;
        float scores[kPageTokens];
        float largest = args.max[row];
        for (std::int64_t slot = begin; slot < end; ++slot)
            largest = std::max(largest, scores[slot] = score(pages, row, slot));
        float* out = args.out + row * args.ldo;
        const float keep = std::exp(args.max[row] - largest);  // 0 the first time
        for (std::int64_t d = 0; d < args.value_dim; ++d) out[d] *= keep;
        float total = args.sum[row] * keep;
        for (std::int64_t slot = begin; slot < end; ++slot) {
            const float weight = std::exp(scores[slot] - largest);
            total += weight;
            for (std::int64_t d = 0; d < args.value_dim; ++d) out[d] += weight * pages.value(slot, d);
        }
        args.sum[row] = total;
        args.max[row] = largest;
    }
}

void attend(const AttendArgs& args) { attend_pages(F16Pages{args}); }
void attend_int8(const AttendArgs& args) { attend_pages(Int8Pages{args}); }

void attend_finish(float* out, std::int64_t ldo, std::int64_t rows, std::int64_t value_dim, const float* sum) {
    for (std::int64_t row = 0; row < rows; ++row) {
        const float inverse = sum[row] > 0.0f ? 1.0f / sum[row] : 0.0f;
        for (std::int64_t d = 0; d < value_dim; ++d) out[row * ldo + d] *= inverse;
    }
}

void rmsnorm(const float* x, const float* weight, float* out, std::int64_t n, float eps) {
    double squares = 0.0;
    for (std::int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
    const float inverse = 1.0f / std::sqrt(static_cast<float>(squares / static_cast<double>(n)) + eps);
    for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] * inverse * (weight != nullptr ? weight[i] : 1.0f);
}

void layernorm(const float* x, const float* weight, const float* bias, float* out, std::int64_t n, float eps) {
    double sum = 0.0, squares = 0.0;
    for (std::int64_t i = 0; i < n; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const float inverse = 1.0f / std::sqrt(static_cast<float>(squares / static_cast<double>(n)) + eps);
    for (std::int64_t i = 0; i < n; ++i) {
        const float normal = (x[i] - static_cast<float>(mean)) * inverse;
        out[i] = normal * (weight != nullptr ? weight[i] : 1.0f) + (bias != nullptr ? bias[i] : 0.0f);
    }
}

float activate(Activation kind, float x) {
    switch (kind) {
        case Activation::kSilu:
            return x / (1.0f + std::exp(-x));
        case Activation::kGelu:
            return 0.5f * x * (1.0f + std::erf(x * 0.70710678118654752f));
        case Activation::kGeluTanh:
            return 0.5f * x * (1.0f + std::tanh(0.79788456080286536f * x * (1.0f + 0.044715f * x * x)));
        case Activation::kRelu:
            return std::max(x, 0.0f);
        case Activation::kTanh:
            return std::tanh(x);
        case Activation::kSigmoid:
            return 1.0f / (1.0f + std::exp(-x));
    }
    return std::numeric_limits<float>::quiet_NaN();
}

void glu(Activation kind, const float* gate, const float* up, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = activate(kind, gate[i]) * up[i];
}

void act(Activation kind, const float* x, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = activate(kind, x[i]);
}

void rope(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t dims, const float* cosine,
          const float* sine, RopeStyle style) {
    const bool half = style == RopeStyle::kHalf;
    for (std::int64_t head = 0; head < heads; ++head, x += head_dim) {
        for (std::int64_t i = 0; i < dims / 2; ++i) {
            float& first = x[half ? i : 2 * i];
            float& second = x[half ? i + dims / 2 : 2 * i + 1];
            const float a = first, b = second;
            first = a * cosine[i] - b * sine[i];
            second = a * sine[i] + b * cosine[i];
        }
    }
}

void axpy(float a, const float* x, float* y, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}

void add(const float* a, const float* b, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void scale(float a, float* x, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) x[i] *= a;
}

void softcap(float cap, float* x, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

std::int64_t argmax(const float* x, std::int64_t n) {
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < n; ++i)
        if (x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i]))) best = i;
    return best;
}

bool block_max(const float* x, std::int64_t n, float* out) {
    bool finite = true;
    for (std::int64_t begin = 0; begin < n; begin += 32) {
        float most = -INFINITY;
        for (std::int64_t i = begin; i < std::min<std::int64_t>(n, begin + 32); ++i) {
            finite = finite && std::isfinite(x[i]);
            most = x[i] > most ? x[i] : most;
        }
        *out++ = most;
    }
    return finite;
}

double exp_sum(const float* x, float shift, float* out, std::int64_t n) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < n; ++i) {
        const float value = std::exp(x[i] - shift);
        if (out != nullptr) out[i] = value;
        sum += value;
    }
    return sum;
}

void f32_to_f16(const float* x, std::uint16_t* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = float_to_f16(x[i]);
}

void f16_to_f32(const std::uint16_t* x, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = f16_to_float(x[i]);
}

void f32_to_bf16(const float* x, std::uint16_t* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
}

void bf16_to_f32(const std::uint16_t* x, float* out, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = bf16_to_float(x[i]);
}

constexpr const WordKernels* words = nullptr;

}  // namespace
}  // namespace undiced

#include "table.h"

namespace undiced {

constinit const Kernels kPortableKernels = table_of(Isa::kPortable, "portable");

}  // namespace undiced

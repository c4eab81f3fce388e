// Products of every format and many shapes against double precision on the same codes, scales and activations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include "check.h"
#include "reference.h"
#include "tests.h"

namespace undiced::test {
namespace {

struct Case {
    const Format* format;
    std::int64_t rows, cols, tokens;
    bool accumulate, bias;
    bool wide = false;  // activations of 16 bits
};

std::string describe(const Kernels& kernels, const Case& c) {
    return std::string(kernels.name) + " " + c.format->name + " " + std::to_string(c.rows) + "x" +
           std::to_string(c.cols) + " T=" + std::to_string(c.tokens) + (c.wide ? " wide" : "") +
           (c.accumulate ? " accumulate" : "");
}

template <class Code>
double value_of(const Block<Code>& block, int column) {
    return static_cast<double>(block.scale) * block.code[sizeof(Code) == 1 ? column : place_of(column)];
}

void quantize(const Kernels& kernels, const float* x, std::int64_t cols, QuantBlock* out) {
    kernels.quantize(x, cols, out);
}
void quantize(const Kernels& kernels, const float* x, std::int64_t cols, WideBlock* out) {
    kernels.quantize_wide(x, cols, out);
}

void give(MatmulArgs& args, const QuantBlock* x) { args.qx = x; }
void give(MatmulArgs& args, const WideBlock* x) { args.wx = x; }

// Activations as the product sees them: dequantized codes, or the floats themselves.
template <class Code>
std::vector<double> seen(const std::vector<Block<Code>>& blocks, const std::vector<float>& x, const Case& c) {
    std::vector<double> values(x.begin(), x.end());
    if (!c.format->integer()) return values;
    for (std::int64_t token = 0; token < c.tokens; ++token)
        for (std::int64_t col = 0; col < c.cols; ++col) {
            const Block<Code>& block = blocks[static_cast<std::size_t>(token * blocks_of(c.cols) + col / kBlockCols)];
            values[static_cast<std::size_t>(token * c.cols + col)] =
                value_of(block, static_cast<int>(col % kBlockCols));
        }
    return values;
}

// An error of f32 summation is proportional to the sum of magnitudes, times a few roundings a block.
double tolerance(double magnitudes) { return 4e-6 * magnitudes + 1e-6; }

template <class Code>
void run_case_of(const Kernels& kernels, Random& random, const Case& c) {
    const std::vector<std::uint8_t> raw = random_tensor(random, *c.format, c.rows, c.cols);
    const std::int64_t row_bytes = c.cols / c.format->block * c.format->block_bytes;
    const OwnedMatrix matrix = pack_whole(*c.format, raw, c.rows, c.cols);
    const std::vector<float> x = random_floats(random, static_cast<std::size_t>(c.tokens * c.cols), 1.0f);
    std::vector<Block<Code>> blocks(static_cast<std::size_t>(c.tokens * blocks_of(c.cols)));
    for (std::int64_t token = 0; token < c.tokens; ++token)
        quantize(kernels, x.data() + token * c.cols, c.cols, blocks.data() + token * blocks_of(c.cols));
    const std::vector<float> bias = random_floats(random, static_cast<std::size_t>(c.rows), 1.0f);
    const std::int64_t ldo = c.rows + 5;
    std::vector<float> out = random_floats(random, static_cast<std::size_t>(c.tokens * ldo), 1.0f);
    const std::vector<float> before = out;

    MatmulArgs args{.w = &matrix.view,
                    .tile_begin = 0,
                    .tile_end = 0,
                    .x = x.data(),
                    .ldx = c.cols,
                    .tokens = c.tokens,
                    .out = out.data(),
                    .ldo = ldo,
                    .accumulate = c.accumulate,
                    .bias = c.bias ? bias.data() : nullptr,
                    .next = {raw.data(), raw.data(), raw.data(), raw.data()}};
    give(args, blocks.data());
    const std::int64_t tiles = tiles_of(c.rows);  // two calls, as two threads would make
    args.tile_end = (tiles + 1) / 2;
    kernels.matmul(args);
    args.tile_begin = args.tile_end;
    args.tile_end = tiles;
    std::fill_n(args.next, kWeightStreams, nullptr);
    kernels.matmul(args);

    const std::vector<double> values = seen(blocks, x, c);
    for (std::int64_t row = 0; row < c.rows; ++row) {
        std::vector<double> weights(static_cast<std::size_t>(c.cols));
        for (std::int64_t col = 0; col < c.cols; ++col)
            weights[static_cast<std::size_t>(col)] = reference_value(*c.format, raw.data() + row * row_bytes, col);
        for (std::int64_t token = 0; token < c.tokens; ++token) {
            const std::size_t at = static_cast<std::size_t>(token * ldo + row);
            double want = (c.accumulate ? before[at] : 0.0) + (c.bias ? bias[static_cast<std::size_t>(row)] : 0.0);
            double magnitudes = std::fabs(want);
            for (std::int64_t col = 0; col < c.cols; ++col) {
                const double product =
                    weights[static_cast<std::size_t>(col)] * values[static_cast<std::size_t>(token * c.cols + col)];
                want += product;
                magnitudes += std::fabs(product);
            }
            check_near(out[at], want, tolerance(magnitudes), describe(kernels, c));
        }
    }
    for (std::int64_t token = 0; token < c.tokens; ++token)
        for (std::int64_t pad = c.rows; pad < ldo; ++pad)
            check(
                out[static_cast<std::size_t>(token * ldo + pad)] == before[static_cast<std::size_t>(token * ldo + pad)],
                describe(kernels, c) + " leaves other memory alone");
}

void run_case(const Kernels& kernels, Random& random, const Case& c) {
    c.wide ? run_case_of<std::int16_t>(kernels, random, c) : run_case_of<std::int8_t>(kernels, random, c);
}

// The largest codes everywhere: nothing may saturate.
template <class Code>
void run_extremes(const Kernels& kernels, Random& random) {
    for (const Format& format : formats()) {
        if (!format.integer()) continue;
        const std::int64_t rows = 16, cols = 256, tokens = 9;
        std::vector<std::uint8_t> raw = random_tensor(random, format, rows, cols);
        for (const int fill : {0xff, 0x80, 0x77, 0x00}) {
            for (std::size_t i = 0; i < raw.size(); ++i) {
                const std::int64_t in_block = static_cast<std::int64_t>(i) % format.block_bytes;
                if (!is_scale(format, in_block)) raw[i] = static_cast<std::uint8_t>(fill);
            }
            const OwnedMatrix matrix = pack_whole(format, raw, rows, cols);
            for (const float sign : {1.0f, -1.0f}) {
                std::vector<float> x(static_cast<std::size_t>(cols * tokens), sign * 3.0f);
                std::vector<Block<Code>> blocks(static_cast<std::size_t>(tokens * blocks_of(cols)));
                quantize(kernels, x.data(), cols * tokens, blocks.data());
                std::vector<float> out(static_cast<std::size_t>(rows * tokens));
                MatmulArgs args{.w = &matrix.view,
                                .tile_begin = 0,
                                .tile_end = 1,
                                .tokens = tokens,
                                .out = out.data(),
                                .ldo = rows};
                give(args, blocks.data());
                kernels.matmul(args);
                for (std::int64_t row = 0; row < rows; ++row) {
                    double want = 0.0, magnitudes = 0.0;
                    for (std::int64_t col = 0; col < cols; ++col) {
                        const std::int64_t row_bytes = cols / format.block * format.block_bytes;
                        const double value = reference_value(format, raw.data() + row * row_bytes, col);
                        want += value * sign * 3.0;
                        magnitudes += std::fabs(value) * 3.0 + 0.5;
                    }
                    for (std::int64_t token = 0; token < tokens; ++token)
                        check_near(out[static_cast<std::size_t>(token * rows + row)], want, tolerance(magnitudes),
                                   std::string(kernels.name) + " extremes of " + format.name);
                }
            }
        }
    }
}

template <class Code>
void run_quantize(const Kernels& kernels, Random& random) {
    for (const std::int64_t cols : {1, 31, 32, 33, 100, 576}) {
        std::vector<float> x = random_floats(random, static_cast<std::size_t>(cols), 2.0f);
        if (cols == 100) std::fill(x.begin(), x.begin() + 32, 0.0f);
        std::vector<Block<Code>> blocks(static_cast<std::size_t>(blocks_of(cols)));
        quantize(kernels, x.data(), cols, blocks.data());
        for (std::int64_t col = 0; col < blocks_of(cols) * kBlockCols; ++col) {
            const Block<Code>& block = blocks[static_cast<std::size_t>(col / kBlockCols)];
            const double got = value_of(block, static_cast<int>(col % kBlockCols));
            const double want = col < cols ? x[static_cast<std::size_t>(col)] : 0.0;
            check_near(got, want, block.scale * 0.50001, "quantized value");
        }
        for (const Block<Code>& block : blocks) {
            int low = 0, high = 0;
            for (int k = 0; k < 16; ++k) low += block.code[k], high += block.code[16 + k];
            check_near(block.half_sum[0], static_cast<double>(block.scale) * low, 1e-4, "first half's sum");
            check_near(block.half_sum[1], static_cast<double>(block.scale) * high, 1e-4, "second half's sum");
            check_near(block.sum, static_cast<double>(block.scale) * (low + high), 1e-4, "block's sum");
        }
    }
    // Every level must give the same codes, down to ties and the smallest magnitudes.
    std::vector<float> x = random_floats(random, 4096, 1.0f);
    for (std::size_t i = 0; i < 32; ++i) x[i] = static_cast<float>(i) * 0.5f - 8.0f, x[32 + i] = 1e-38f * x[i];
    x[31] = std::numeric_limits<Code>::max();
    std::vector<Block<Code>> got(128), want(128);
    quantize(kernels, x.data(), 4096, got.data());
    quantize(undiced::kernels(Isa::kPortable), x.data(), 4096, want.data());
    for (std::size_t b = 0; b < want.size(); ++b) {
        check(std::equal(got[b].code, got[b].code + 32, want[b].code), "codes equal the portable level's");
        check(got[b].scale == want[b].scale, "scales equal the portable level's");
    }
}

// Infinity or NaN anywhere in a block spoils its scale and all of its sums, and no other block.
template <class Code>
void run_not_finite(const Kernels& kernels, Random& random) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> healthy = random_floats(random, 90, 2.0f);
    std::vector<Block<Code>> want(3), got(3);
    quantize(kernels, healthy.data(), 90, want.data());
    for (const float bad : {infinity, -infinity, nan, -nan})
        for (std::size_t at = 0; at < healthy.size(); ++at) {
            std::vector<float> x = healthy;
            x[at] = bad;
            quantize(kernels, x.data(), 90, got.data());
            for (std::size_t b = 0; b < got.size(); ++b) {
                const Block<Code>& block = got[b];
                if (b != at / 32) {
                    check(std::memcmp(&block, &want[b], sizeof block) == 0, "other blocks are what they were");
                    continue;
                }
                check(!std::isfinite(block.scale) && !std::isfinite(block.sum), "a spoiled block's scale and sum");
                check(!std::isfinite(block.half_sum[0]) && !std::isfinite(block.half_sum[1]), "its sums of halves");
                check(*std::min_element(block.code, block.code + 32) >= -std::numeric_limits<Code>::max(),
                      "codes stay in range");
            }
        }
}

// A token's products have the same bits alone and in any company.
template <class Code>
void run_company(const Kernels& kernels, Random& random) {
    const std::int64_t rows = 48, cols = 1280, blocks = blocks_of(cols), most = 67;
    for (const Format& format : formats()) {
        if (!format.integer()) continue;
        const OwnedMatrix matrix = pack_whole(format, random_tensor(random, format, rows, cols), rows, cols);
        const std::vector<float> x = random_floats(random, static_cast<std::size_t>(cols * most), 1.0f);
        std::vector<Block<Code>> codes(static_cast<std::size_t>(most * blocks));
        quantize(kernels, x.data(), cols * most, codes.data());
        const auto multiply = [&](std::int64_t first, std::int64_t tokens) {
            std::vector<float> out(static_cast<std::size_t>(rows * tokens));
            MatmulArgs args{.w = &matrix.view,
                            .tile_begin = 0,
                            .tile_end = rows / kTileRows,
                            .tokens = tokens,
                            .out = out.data(),
                            .ldo = rows};
            give(args, codes.data() + first * blocks);
            kernels.matmul(args);
            return out;
        };
        for (const std::int64_t tokens : {std::int64_t{2}, std::int64_t{3}, std::int64_t{5}, std::int64_t{47}, most}) {
            const std::vector<float> together = multiply(0, tokens);
            for (std::int64_t token = 0; token < tokens; ++token) {
                const std::vector<float> alone = multiply(token, 1);
                check(std::equal(alone.begin(), alone.end(), together.begin() + token * rows),
                      std::string(kernels.name) + " bits in company of " + format.name);
            }
        }
    }
}

}  // namespace

void test_matmul(const Kernels& kernels) {
    Random random(2);
    run_quantize<std::int8_t>(kernels, random);
    run_quantize<std::int16_t>(kernels, random);
    run_not_finite<std::int8_t>(kernels, random);
    run_not_finite<std::int16_t>(kernels, random);
    run_extremes<std::int8_t>(kernels, random);
    run_extremes<std::int16_t>(kernels, random);
    run_company<std::int8_t>(kernels, random);
    run_company<std::int16_t>(kernels, random);
    for (const Format& format : formats()) {
        const std::int64_t cols = format.block == 256 ? 512 : format.block == 128 ? 640 : 576;
        for (const std::int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 31, 70})
            run_case(kernels, random, {&format, 50, cols, tokens, tokens % 2 == 0, tokens % 3 == 0});
        for (const std::int64_t rows : {16, 48, 80, 96, 112, 128, 250})  // every length of the streams of one token
            for (const bool wide : {false, true}) run_case(kernels, random, {&format, rows, cols, 1, wide, wide, wide});
        for (const std::int64_t tokens : {1, 2, 3, 4, 5, 7, 8, 9, 19, 70})
            run_case(kernels, random, {&format, 50, cols, tokens, tokens % 2 == 0, tokens % 3 == 0, true});
        run_case(kernels, random, {&format, 16, format.block >= 32 ? format.block : 32, 1, false, false});
        run_case(kernels, random, {&format, 5, 1536, 3, true, true});
        run_case(kernels, random, {&format, 33, 1536, 20, true, true});
        run_case(kernels, random, {&format, 20, 2304, 140, false, false});
        if (format.group == 0)
            for (const std::int64_t odd : {1, 2, 7, 45})
                for (const std::int64_t tokens : {1, 3, 11})
                    run_case(kernels, random, {&format, 18, odd, tokens, false, true});
    }
}

}  // namespace undiced::test

// Element-wise decoders, written from the format definitions and independent of the packer.
#include "reference.h"

#include <cmath>
#include <cstring>

namespace undiced::test {
namespace {

std::uint16_t half_at(const std::uint8_t* bytes) { return static_cast<std::uint16_t>(bytes[0] | bytes[1] << 8); }

// f16 bits of about `value`; magnitudes below the smallest normal become 0.
std::uint16_t to_half(float value) {
    if (std::fabs(value) < 0x1p-14f) return 0;
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | ((bits & 0x7fffffffu) - (112u << 23)) >> 13);
}

void put_half(std::uint8_t* out, float value) {
    const std::uint16_t bits = to_half(value);
    std::memcpy(out, &bits, 2);
}

// Scale and minimum of 32 columns of a K format, as (sc, m).
void k_factors(const std::uint8_t* packed, int part, int& scale, int& minimum) {
    if (part < 4) {
        scale = packed[part] % 64;
        minimum = packed[part + 4] % 64;
    } else {
        scale = packed[part + 4] % 16 + packed[part - 4] / 64 * 16;
        minimum = packed[part + 4] / 16 + packed[part] / 64 * 16;
    }
}

double q5_code(const std::uint8_t* high, const std::uint8_t* low, int k) {
    const int fifth = high[k / 8] >> (k % 8) & 1;
    return (k < 16 ? low[k] % 16 : low[k - 16] / 16) + 16 * fifth;
}

double k_value(const std::uint8_t* block, int k, bool five_bits) {
    int scale, minimum;
    k_factors(block + 4, k / 32, scale, minimum);
    const std::uint8_t* low = block + (five_bits ? 48 : 16);
    const int byte = low[k / 64 * 32 + k % 32];
    int code = k / 32 % 2 == 0 ? byte % 16 : byte / 16;
    if (five_bits) code += (block[16 + k % 32] >> (k / 32) & 1) * 16;
    return reference_half(half_at(block)) * scale * code - reference_half(half_at(block + 2)) * minimum;
}

double q6_k_value(const std::uint8_t* block, int k) {
    const int half = k / 128, quarter = k % 128 / 32, j = k % 32;
    const int low = block[half * 64 + quarter % 2 * 32 + j] >> (quarter / 2 * 4) & 15;
    const int high = block[128 + half * 32 + j] >> (quarter * 2) & 3;
    const int scale = static_cast<std::int8_t>(block[192 + k / 16]);
    return reference_half(half_at(block + 208)) * scale * (low + high * 16 - 32);
}

double two_bit_code(const std::uint8_t* packed, int k) {
    return packed[k / 128 * 32 + k % 32] / (1 << k % 128 / 32 * 2) % 4;
}

double q2_k_value(const std::uint8_t* block, int k) {
    const int factors = block[k / 16];
    return reference_half(half_at(block + 80)) * (factors % 16) * two_bit_code(block + 16, k) -
           reference_half(half_at(block + 82)) * (factors / 16);
}

double q3_k_value(const std::uint8_t* block, int k) {
    const int group = k / 16, high = block[104 + group % 4] >> (group / 4 * 2) & 3;
    const int low = group < 8 ? block[96 + group] % 16 : block[96 + group - 8] / 16;
    const int missing = (block[k % 32] >> k / 32 & 1) != 0 ? 0 : 4;  // a set bit takes nothing off
    return reference_half(half_at(block + 108)) * (low + 16 * high - 32) * (two_bit_code(block + 32, k) - missing);
}

// ggml's uneven numbers, and those of four bits of the microscaling formats.
double iq4_number(int nibble) {
    static constexpr double kNumbers[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return kNumbers[nibble];
}
double e2m1_number(int nibble) {
    static constexpr double kNumbers[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    return nibble < 8 ? kNumbers[nibble] : -kNumbers[nibble - 8];
}

double e4m3_number(int code) {
    const int exponent = code / 8 % 16, mantissa = code % 8;
    const double size = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
    return code < 128 ? size : -size;
}

double whole_at(const std::uint8_t* at) {
    float whole;
    std::memcpy(&whole, at, 4);
    return whole;
}

int nibble_of(const std::uint8_t* packed, int k) { return k < 16 ? packed[k] % 16 : packed[k - 16] / 16; }

double iq4_xs_value(const std::uint8_t* block, int k) {
    const int part = k / 32, high = (block[2 + part / 4] >> part % 4 * 2) % 4;
    const int low = part % 2 == 0 ? block[4 + part / 2] % 16 : block[4 + part / 2] / 16;
    return reference_half(half_at(block)) * (low + 16 * high - 32) *
           iq4_number(nibble_of(block + 8 + 16 * part, k % 32));
}

// Where the f16 scale of a block stands; where the minimum's stands behind it, too.
int scale_at(const Format& format) {
    switch (format.ggml_type) {
        case 10:
            return 80;
        case 11:
            return 108;
        case 14:
            return 208;
        default:
            return 0;
    }
}

}  // namespace

bool is_scale(const Format& format, std::int64_t byte) {
    const bool whole = format.ggml_type == 15 || format.ggml_type >= 1000;  // f32
    const std::int64_t from = scale_at(format), bytes = whole ? 4 : format.ggml_type == 39 ? 1 : 2;
    return byte >= from && byte < from + bytes * (format.has_min || format.has_zero ? 2 : 1);
}

double reference_half(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    const double sign = bits >> 15 != 0 ? -1.0 : 1.0;
    if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * INFINITY;
    return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(mantissa + 1024, exponent - 25));
}

std::vector<float> random_floats(Random& random, std::size_t count, float spread) {
    std::normal_distribution<float> normal(0.0f, spread);
    std::vector<float> values(count);
    for (float& value : values) value = normal(random);
    return values;
}

std::vector<std::uint8_t> random_tensor(Random& random, const Format& format, std::int64_t rows, std::int64_t cols) {
    std::vector<std::uint8_t> raw(static_cast<std::size_t>(rows * cols / format.block * format.block_bytes));
    for (std::uint8_t& byte : raw) byte = static_cast<std::uint8_t>(random());
    std::uniform_real_distribution<float> size(0.004f, 0.02f);
    std::normal_distribution<float> normal(0.0f, 1.0f);
    for (std::size_t at = 0; at < raw.size(); at += static_cast<std::size_t>(format.block_bytes)) {
        std::uint8_t* block = raw.data() + at;
        if (format.layout == Layout::kF16) put_half(block, normal(random));
        if (format.layout == Layout::kBf16 || format.layout == Layout::kF32) {
            const float value = normal(random);
            if (format.layout == Layout::kF32)
                std::memcpy(block, &value, 4);
            else
                std::memcpy(block, reinterpret_cast<const std::uint8_t*>(&value) + 2, 2);
        }
        if (format.group == 0) continue;
        const float scale = size(random) * (random() % 2 == 0 ? 1.0f : -1.0f);
        if (format.ggml_type == 15 || format.ggml_type >= 1000) {
            std::memcpy(block, &scale, 4);
            const float zero = static_cast<float>(random() % static_cast<unsigned>(format.code_max + 2));
            if (format.has_zero) std::memcpy(block + 4, &zero, 4);
            for (int i = 0; format.layout == Layout::kFp8 && i < format.group; ++i)
                if (block[4 + i] % 128 == 127) block[4 + i] -= 1;  // NaN is no weight
        } else if (format.ggml_type == 39) {
            block[0] = static_cast<std::uint8_t>(118 + random() % 4);
        } else {
            put_half(block + scale_at(format), scale);
            if (format.has_min) put_half(block + scale_at(format) + 2, size(random));
        }
    }
    return raw;
}

double reference_value(const Format& format, const std::uint8_t* row, std::int64_t col) {
    const std::uint8_t* block = row + col / format.block * format.block_bytes;
    const int k = static_cast<int>(col % format.block);
    const double scale = format.block_bytes >= 2 ? reference_half(half_at(block)) : 0.0;
    switch (format.ggml_type) {
        case 0: {
            float value;
            std::memcpy(&value, block, 4);
            return value;
        }
        case 1:
            return scale;
        case 30: {
            float value = 0.0f;
            std::memcpy(reinterpret_cast<std::uint8_t*>(&value) + 2, block, 2);
            return value;
        }
        case 2:
            return scale * ((k < 16 ? block[2 + k] % 16 : block[2 + k - 16] / 16) - 8);
        case 3:
            return scale * (k < 16 ? block[4 + k] % 16 : block[4 + k - 16] / 16) + reference_half(half_at(block + 2));
        case 6:
            return scale * (q5_code(block + 2, block + 6, k) - 16);
        case 7:
            return scale * q5_code(block + 4, block + 8, k) + reference_half(half_at(block + 2));
        case 8:
            return scale * static_cast<std::int8_t>(block[2 + k]);
        case 10:
            return q2_k_value(block, k);
        case 11:
            return q3_k_value(block, k);
        case 12:
            return k_value(block, k, false);
        case 13:
            return k_value(block, k, true);
        case 14:
            return q6_k_value(block, k);
        case 15:
            return whole_at(block) * static_cast<std::int8_t>(block[4 + k]);
        case 20:
            return scale * iq4_number(nibble_of(block + 2, k));
        case 23:
            return iq4_xs_value(block, k);
        case 39:
            return std::ldexp(e2m1_number(nibble_of(block + 1, k)), block[0] - 127);
        case 1000:
        case 1001:
            return whole_at(block) *
                   ((k % 2 == 0 ? block[8 + k / 2] % 16 : block[8 + k / 2] / 16) - whole_at(block + 4));
        case 1002:
        case 1003:
            return whole_at(block) * (block[8 + k] - whole_at(block + 4));
        case 1004:
        case 1005:
            return whole_at(block) * e4m3_number(block[4 + k]);
        default:
            return std::nan("");
    }
}

OwnedMatrix::OwnedMatrix(const Format& format, std::span<const PackSource> sources,
                         std::span<const std::int64_t> row_map) {
    std::int64_t rows = static_cast<std::int64_t>(row_map.size());
    if (rows == 0)
        for (const PackSource& source : sources) rows += source.rows;
    const std::int64_t cols = sources[0].cols;
    memory_.resize(static_cast<std::size_t>(packed_bytes(format, rows, cols)) + 64);
    std::uint8_t* data = memory_.data() + (64 - reinterpret_cast<std::uintptr_t>(memory_.data()) % 64);
    pack(format, sources, row_map, 0, tiles_of(rows), data);
    view = view_packed(format, rows, cols, data);
}

OwnedMatrix pack_whole(const Format& format, const std::vector<std::uint8_t>& raw, std::int64_t rows,
                       std::int64_t cols) {
    const PackSource source{raw.data(), raw.size(), rows, cols, false};
    return OwnedMatrix(format, {&source, 1}, {});
}

}  // namespace undiced::test

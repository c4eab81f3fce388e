// Scalar conversions between f32, f16 and bf16, to nearest even, and from fp8. Everything is in an unnamed namespace on
// purpose: these functions are compiled once an ISA level and must never be shared between levels by the linker.
#pragma once

#include <cstdint>
#include <cstring>

namespace undiced {
namespace {

[[maybe_unused]] inline float bits_to_float(std::uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

[[maybe_unused]] inline std::uint32_t float_to_bits(float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    return bits;
}

[[maybe_unused]] inline float f16_to_float(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const std::uint32_t rest = half & 0x7fffu;
    if (rest >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
    if (rest >= 0x400u) return bits_to_float(sign | ((rest << 13) + (112u << 23)));
    const float magnitude = static_cast<float>(rest) * 0x1p-24f;  // zero and subnormals
    return sign != 0 ? -magnitude : magnitude;
}

[[maybe_unused]] inline std::uint16_t float_to_f16(float value) {
    const std::uint32_t bits = float_to_bits(value);
    const std::uint32_t sign = bits >> 16 & 0x8000u;
    const std::uint32_t rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to 65536 or more
    if (rest < 0x38800000u) {  // subnormal or zero: the addition rounds to multiples of 2^-24
        const float shifted = bits_to_float(rest) + 0.5f;
        return static_cast<std::uint16_t>(sign | (float_to_bits(shifted) - 0x3f000000u));
    }
    const std::uint32_t rounded = rest + 0xfffu + (rest >> 13 & 1u);
    return static_cast<std::uint16_t>(sign | (rounded - (112u << 23)) >> 13);
}

[[maybe_unused]] inline float bf16_to_float(std::uint16_t value) {
    return bits_to_float(static_cast<std::uint32_t>(value) << 16);
}

[[maybe_unused]] inline std::uint16_t float_to_bf16(float value) {
    const std::uint32_t bits = float_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

// E4M3 without infinities: 4 bits of exponent (bias 7), 3 of mantissa; NaN where all seven are set.
[[maybe_unused]] inline float fp8_to_float(std::uint8_t value) {
    const std::uint32_t sign = static_cast<std::uint32_t>(value & 0x80u) << 24, rest = value & 0x7fu;
    if (rest == 0x7fu) return bits_to_float(sign | 0x7fc00000u);
    if (rest >= 8u) return bits_to_float(sign | ((rest << 20) + (120u << 23)));
    const float magnitude = static_cast<float>(rest) * 0x1p-9f;
    return sign != 0 ? -magnitude : magnitude;
}

// The scale of int8 codes: the least f16 that is not below largest / 127. What is not finite gives NaN.
inline constexpr std::uint16_t kNotFinite = 0x7e00;
[[maybe_unused]] inline std::uint16_t code_scale(float largest) {
    const float scale = largest / 127.0f;
    if (!(scale <= 65504.0f)) return largest - largest == 0.0f ? 0x7bff : kNotFinite;
    const std::uint16_t half = float_to_f16(scale);
    return f16_to_float(half) < scale ? static_cast<std::uint16_t>(half + 1) : half;
}

template <typename T>
[[maybe_unused]] inline T load_as(const void* address) {
    T value;
    std::memcpy(&value, address, sizeof(T));
    return value;
}

}  // namespace
}  // namespace undiced

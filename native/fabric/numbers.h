// Element types, functions and cycles of cores' datapaths: every result is rounded once, in 32 bits, and again where it
// is kept in 16. Compiled without contraction, so that a product is rounded before it is added.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/half.h"
#include "program.h"

namespace undiced::fabric {

inline std::uint32_t whole_cycles(double exact) { return static_cast<std::uint32_t>(std::min(std::ceil(exact), 4e9)); }

inline std::uint16_t float_to_bf16_even(float value) {
    const std::uint32_t bits = float_to_bits(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>(bits >> 16 | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline bool integer(Type type) { return type == Type::kI8 || type == Type::kU4; }

// Bytes that an element takes, or shares.
inline std::int64_t width_of(Type type) { return type == Type::kF32 ? 4 : integer(type) ? 1 : 2; }

// Bytes from an address to an element so many behind it.
inline std::int64_t bytes_to(std::int64_t element, Type type) {
    if (type == Type::kU4) return element >> 1;
    return element * width_of(type);
}

// The first and the last element of an operand, counted from its address.
inline std::pair<std::int64_t, std::int64_t> reach(const Op& op, const Operand& operand) {
    std::pair<std::int64_t, std::int64_t> found{0, 0};
    for (int i = 0; i < kExtents; ++i) {
        const std::int64_t by = static_cast<std::int64_t>(op.extents[i] - 1) * operand.strides[i];
        (by < 0 ? found.first : found.second) += by;
    }
    return found;
}

inline float load(const std::uint8_t* at, Type type) {
    if (type == Type::kF32) {
        float value;
        std::memcpy(&value, at, 4);
        return value;
    }
    if (type == Type::kI8) return static_cast<float>(static_cast<std::int8_t>(*at));
    std::uint16_t half;
    std::memcpy(&half, at, 2);
    return type == Type::kF16 ? f16_to_float(half) : bits_to_float(static_cast<std::uint32_t>(half) << 16);
}

inline std::uint16_t narrow(float value, Type type) {
    return type == Type::kF16 ? float_to_f16(value) : float_to_bf16_even(value);
}

inline void store(std::uint8_t* at, Type type, float value) {
    if (type == Type::kF32) {
        std::memcpy(at, &value, 4);
        return;
    }
    const std::uint16_t half = narrow(value, type);
    std::memcpy(at, &half, 2);
}

inline float rounded(float value, std::uint8_t type) {
    if (type == kNoRounding || type == static_cast<std::uint8_t>(Type::kF32)) return value;
    if (type == static_cast<std::uint8_t>(Type::kF16)) return f16_to_float(float_to_f16(value));
    return bits_to_float(static_cast<std::uint32_t>(float_to_bf16_even(value)) << 16);
}

inline std::uint16_t high(float value) { return static_cast<std::uint16_t>(float_to_bits(value) >> 16); }
inline std::uint16_t low(float value) { return static_cast<std::uint16_t>(float_to_bits(value)); }
inline float as_high(std::uint16_t half) { return bits_to_float(static_cast<std::uint32_t>(half) << 16); }
inline std::uint16_t integer(float value) { return static_cast<std::uint16_t>(static_cast<std::int32_t>(value)); }

inline float compute(Function function, float a, float b, float c) {
    switch (function) {
        case Function::kMove:
            return a;
        case Function::kAdd:
            return a + b;
        case Function::kSubtract:
            return a - b;
        case Function::kSubtractFrom:
            return b - a;
        case Function::kMultiply:
            return a * b;
        case Function::kMaximum:
            return std::isnan(a) || a > b ? a : b;
        case Function::kMinimum:
            return std::isnan(a) || a < b ? a : b;
        case Function::kMultiplyAdd: {
            const float product = a * b;
            return c + product;
        }
        case Function::kHighSubtractFrom:
            return as_high(static_cast<std::uint16_t>(integer(b) - high(a)));
        case Function::kHighAnd:
            return as_high(static_cast<std::uint16_t>(high(a) & integer(b)));
        case Function::kHighShift:
            return as_high(static_cast<std::uint16_t>(static_cast<std::int16_t>(high(a)) >> (integer(b) & 15)));
        case Function::kLowToHighShift:
            return as_high(static_cast<std::uint16_t>(low(a) << (integer(b) & 15)));
        case Function::kHighAdd:
            return bits_to_float(float_to_bits(a) + (static_cast<std::uint32_t>(high(b)) << 16));
        case Function::kExp:
            return static_cast<float>(std::exp(static_cast<double>(a)));
        case Function::kReciprocal:
            return 1.0F / a;
        case Function::kInverseRoot:
            return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a)));
        case Function::kSigmoid:
            return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(a))));
        case Function::kTanh:
            return static_cast<float>(std::tanh(static_cast<double>(a)));
        case Function::kEqual:
            return a == b ? 1.0F : 0.0F;
        case Function::kAbove:
            return a > b ? 1.0F : 0.0F;
        case Function::kChoose:
            return c != 0 ? a : b;
        default:
            return a;
    }
}

}  // namespace undiced::fabric

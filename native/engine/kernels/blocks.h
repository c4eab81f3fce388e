// What the blocks of a checkpoint's quantized formats hold: each decoder yields the codes, scales and minimums of 32
// columns of one row. Bit layouts: the GGUF specification. Included by the file that packs.
#pragma once

#include <cstdint>
#include <cstring>

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

}  // namespace
}  // namespace undiced

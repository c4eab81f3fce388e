// A tile's block for AVX2: its codes by quad (4 columns) and half tile (8 rows), and its factors, as it is packed or as
// it was unpacked for many tokens.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "quant_matmul.h"

#define UNDICED_INLINE inline __attribute__((always_inline))

namespace undiced {
namespace {

UNDICED_INLINE __m256i load_codes(const std::uint8_t* at) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
}

UNDICED_INLINE __m256i low_nibbles(__m256i bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi8(15)); }
UNDICED_INLINE __m256i high_nibbles(__m256i bytes) { return low_nibbles(_mm256_srli_epi16(bytes, 4)); }

// Sources yield the 32 codes of (quad, half tile): from nibbles, from bytes, or one nibble plane of bytes.
struct Bytes {
    const std::uint8_t* at;
    static constexpr std::int64_t place(int quad, int half) { return quad * 64 + half * 32; }
    UNDICED_INLINE __m256i operator()(int quad, int half) const { return load_codes(at + place(quad, half)); }
};
struct Nibbles {
    const std::uint8_t* at;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        const __m256i bytes = load_codes(at + quad % 4 * 64 + half * 32);
        return quad < 4 ? low_nibbles(bytes) : high_nibbles(bytes);
    }
};
template <bool High>
struct Plane {
    const std::uint8_t* at;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        const __m256i bytes = load_codes(at + quad * 64 + half * 32);
        return High ? high_nibbles(bytes) : low_nibbles(bytes);
    }
};

// The codes, or a plane of 4 bits of them, that nibbles are places of.
struct Seen {
    Nibbles places;
    __m256i codes;
    UNDICED_INLINE __m256i operator()(int quad, int half) const {
        return _mm256_shuffle_epi8(codes, places(quad, half));
    }
};
UNDICED_INLINE __m256i load_lookup(const std::uint8_t* codes) {
    return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(codes)));
}

// The even or the odd bytes of (quad, half tile) as words: made from bytes, or as they lie.
template <class Source>
struct Widened {
    Source bytes;
    UNDICED_INLINE __m256i operator()(int quad, int half, bool odd) const {
        const __m256i both = bytes(quad, half);
        return odd ? _mm256_srli_epi16(both, 8) : _mm256_and_si256(both, _mm256_set1_epi16(255));
    }
};
struct Words {
    const std::uint8_t* at;
    static constexpr std::int64_t place(int quad, int half, bool odd) { return quad * 128 + odd * 64 + half * 32; }
    UNDICED_INLINE __m256i operator()(int quad, int half, bool odd) const {
        return load_codes(at + place(quad, half, odd));
    }
};

// Scales and biases of one half tile; bias is what multiplies the sum of the activations: minimum - zero * scale.
struct Factors {
    __m256 scale, bias;
};

// Whether codes have more than 6 bits: they are multiplied as two planes of 4.
template <Codes C>
inline constexpr bool kInPlanes = C == Codes::kSeenEight || C >= Codes::kEight;

// A block as it is packed.
template <Codes C, bool Wide, bool Min>
struct PackedBlock {
    const std::uint8_t *codes, *scales;
    __m256 minus_zero;

    // All bits of the codes, or the low (0) or high (1) four of codes in planes.
    template <int Of>
    UNDICED_INLINE auto plane() const {
        if constexpr (C == Codes::kSeenEight) {
            const __m256i all = load_lookup(kLookup<C>);
            return Seen{{codes}, Of == 0 ? low_nibbles(all) : high_nibbles(all)};
        } else if constexpr (kInPlanes<C>) {
            return Plane<Of == 1>{codes};
        } else {
            return bytes();
        }
    }
    UNDICED_INLINE auto bytes() const {
        if constexpr (kSeen<C>)
            return Seen{{codes}, load_lookup(kLookup<C>)};
        else if constexpr (kInNibbles<C>)
            return Nibbles{codes};
        else
            return Bytes{codes};
    }
    UNDICED_INLINE auto words() const { return Widened{bytes()}; }

    UNDICED_INLINE __m256 load_scales(int index, int half) const {
        if constexpr (Wide) return _mm256_load_ps(reinterpret_cast<const float*>(scales + 64 * index + 32 * half));
        return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(scales + 32 * index + 16 * half)));
    }
    template <int Group>
    UNDICED_INLINE Factors factors(int half) const {
        const __m256 scale = load_scales(Group, half);
        if constexpr (Min) return {scale, load_scales(kGroups<C> + Group, half)};
        if constexpr (kHasZero<C>) return {scale, _mm256_mul_ps(scale, load_scales(kGroups<C> + Group, half))};
        return {scale, _mm256_mul_ps(scale, minus_zero)};
    }
};

// A block that was unpacked for many tokens: its planes or its words, and 16 scales and 16 biases for each group.
template <Codes C, class X>
struct OpenBlock {
    static constexpr bool kWords = sizeof(X) == sizeof(WideBlock);
    static constexpr std::int64_t kCodeBytes = kWords || kInPlanes<C> ? 1024 : 512;
    static constexpr std::int64_t kBytes = kCodeBytes + 128 * kGroups<C>;
    const std::uint8_t* at;

    template <int Of>
    UNDICED_INLINE Bytes plane() const {
        return {at + 512 * Of};
    }
    UNDICED_INLINE Words words() const { return {at}; }
    template <int Group>
    UNDICED_INLINE Factors factors(int half) const {
        const float* from = reinterpret_cast<const float*>(at + kCodeBytes + 128 * Group + 32 * half);
        return {_mm256_load_ps(from), _mm256_load_ps(from + 16)};
    }
};

}  // namespace
}  // namespace undiced

// The AVX2 level (with F16C): a block of a tile's sums stays in registers over all of its inputs.
#include <immintrin.h>

#include "sums.h"

namespace undiced::mesh {
namespace {

constexpr std::int64_t kLanes = 8;

inline __m256 as_half(__m256 value) { return _mm256_cvtph_ps(_mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT)); }

// The first `count` lanes.
inline __m256i mask_of(std::int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// The product is rounded before it is added, as on every level.
template <bool half>
inline __m256 multiply_add(__m256 x, __m256 w, __m256 sum) {
    const __m256 made = _mm256_add_ps(sum, _mm256_mul_ps(x, w));
    return half ? as_half(made) : made;
}

template <bool half, int rows, int vectors>
void block(const Products& p, const float* x, const float* w, float* total) {
    __m256 sum[rows][vectors];
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) sum[r][v] = _mm256_loadu_ps(total + r * p.columns + v * kLanes);
    for (std::int64_t k = 0; k < p.inner; ++k, w += p.columns)
        for (int v = 0; v < vectors; ++v) {
            const __m256 weight = _mm256_loadu_ps(w + v * kLanes);
            for (int r = 0; r < rows; ++r)
                sum[r][v] = multiply_add<half>(_mm256_broadcast_ss(x + r * p.inner + k), weight, sum[r][v]);
        }
    for (int r = 0; r < rows; ++r)
        for (int v = 0; v < vectors; ++v) _mm256_storeu_ps(total + r * p.columns + v * kLanes, sum[r][v]);
}

// The last columns, fewer than a vector.
template <bool half, int rows>
void edge(const Products& p, const float* x, const float* w, float* total, std::int64_t count) {
    const __m256i mask = mask_of(count);
    __m256 sum[rows];
    for (int r = 0; r < rows; ++r) sum[r] = _mm256_maskload_ps(total + r * p.columns, mask);
    for (std::int64_t k = 0; k < p.inner; ++k, w += p.columns) {
        const __m256 weight = _mm256_maskload_ps(w, mask);
        for (int r = 0; r < rows; ++r)
            sum[r] = multiply_add<half>(_mm256_broadcast_ss(x + r * p.inner + k), weight, sum[r]);
    }
    for (int r = 0; r < rows; ++r) _mm256_maskstore_ps(total + r * p.columns, mask, sum[r]);
}

// Some rows of a tile, over all columns. Few rows take more vectors at once, so that additions do not wait.
template <bool half, int rows, int vectors>
void strip(const Products& p, const float* x, const float* w, float* total) {
    std::int64_t column = 0;
    for (; column + vectors * kLanes <= p.columns; column += vectors * kLanes)
        block<half, rows, vectors>(p, x, w + column, total + column);
    for (; column + kLanes <= p.columns; column += kLanes) block<half, rows, 1>(p, x, w + column, total + column);
    if (column < p.columns) edge<half, rows>(p, x, w + column, total + column, p.columns - column);
}

template <bool half>
void tile(const Products& p, const float* x, const float* w, float* total) {
    std::int64_t row = 0;
    for (; row + 4 <= p.rows; row += 4) strip<half, 4, 2>(p, x + row * p.inner, w, total + row * p.columns);
    for (; row < p.rows; ++row) strip<half, 1, 8>(p, x + row * p.inner, w, total + row * p.columns);
}

void multiply_add_tiles(const Products& p, std::int64_t first_tile, std::int64_t last_tile) {
    for (std::int64_t t = first_tile; t < last_tile; ++t) {
        const float* x = p.x + t * p.rows * p.inner;
        const float* w = p.w + t * p.inner * p.columns;
        float* total = p.total + t * p.rows * p.columns;
        p.half ? tile<true>(p, x, w, total) : tile<false>(p, x, w, total);
    }
}

// As numpy's maximum: what is no number wins.
inline __m256 larger(__m256 a, __m256 b) {
    return _mm256_blendv_ps(_mm256_max_ps(a, b), _mm256_add_ps(a, b), _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
}

template <Join how, bool wire, bool kept>
inline __m256 joined(__m256 to, __m256 from) {
    const __m256 sent = wire ? as_half(from) : from;
    const __m256 made = how == Join::kSum ? _mm256_add_ps(to, sent) : larger(to, sent);
    return kept ? as_half(made) : made;
}

template <Join how, bool wire, bool kept>
void hops(const Hops& h, std::int64_t first_line, std::int64_t last_line) {
    const __m256i mask = mask_of(h.length % kLanes);
    for (std::int64_t line = first_line; line < last_line; ++line) {
        float* held = h.held + line * h.places * h.length;
        for (std::int64_t hop = 0; hop < h.count; ++hop) {
            const float* from = held + h.hops[2 * hop] * h.length;
            float* to = held + h.hops[2 * hop + 1] * h.length;
            std::int64_t i = 0;
            for (; i + kLanes <= h.length; i += kLanes)
                _mm256_storeu_ps(to + i, joined<how, wire, kept>(_mm256_loadu_ps(to + i), _mm256_loadu_ps(from + i)));
            if (i < h.length) {
                const __m256 last = _mm256_maskload_ps(from + i, mask);
                _mm256_maskstore_ps(to + i, mask, joined<how, wire, kept>(_mm256_maskload_ps(to + i, mask), last));
            }
        }
    }
}

template <Join how>
void join_as(const Hops& h, std::int64_t first_line, std::int64_t last_line) {
    if (h.wire_half && h.kept_half) hops<how, true, true>(h, first_line, last_line);
    if (h.wire_half && !h.kept_half) hops<how, true, false>(h, first_line, last_line);
    if (!h.wire_half && h.kept_half) hops<how, false, true>(h, first_line, last_line);
    if (!h.wire_half && !h.kept_half) hops<how, false, false>(h, first_line, last_line);
}

void join(const Hops& h, std::int64_t first_line, std::int64_t last_line) {
    h.join == Join::kSum ? join_as<Join::kSum>(h, first_line, last_line)
                         : join_as<Join::kMax>(h, first_line, last_line);
}

}  // namespace

const Sums kAvx2Sums = {.multiply_add = multiply_add_tiles, .join = join};

}  // namespace undiced::mesh

// Attention over pages against a softmax in double precision, for decode and prefill shapes, windows, soft caps and
// latents, whose rows are keys and values.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "check.h"
#include "reference.h"
#include "tests.h"

namespace undiced::test {
namespace {

struct Case {
    std::int64_t rows, context, key_dim, value_dim, window;
    float softcap;
    bool latent = false;
    KvType type = KvType::kF16;
};

// Keys and values of a context as a level stores them, and what is stored, read back as kernels.h has it. What was
// never written is all ones, NaN as an f16: nothing may read it into a result.
class Pages {
  public:
    Pages(const Kernels& kernels, const Case& c, const std::vector<float>& keys, const std::vector<float>& values)
        : c_(c),
          key_words_(key_words(c.type, c.key_dim)),
          value_words_(value_words(c.type, c.value_dim)),
          keys_(static_cast<std::size_t>(count() * key_words_), 0xffff),
          values_(static_cast<std::size_t>(count() * value_words_), 0xffff) {
        for (std::int64_t t = 0; t < c.context; ++t) {
            const float *key = keys.data() + t * c.key_dim, *value = values.data() + t * c.value_dim;
            const std::int64_t slot = t % kPageTokens;
            std::uint16_t *k = keys_.data() + t / kPageTokens * key_words_,
                          *v = values_.data() + t / kPageTokens * value_words_;
            if (c.latent)
                kernels.kv_write(nullptr, key, 0, c.key_dim, nullptr, k, slot);
            else
                (c.type == KvType::kF16 ? kernels.kv_write : kernels.kv_write_int8)(key, value, c.key_dim, c.value_dim,
                                                                                    k, v, slot);
        }
    }

    std::int64_t count() const { return (c_.context + kPageTokens - 1) / kPageTokens; }
    const std::uint16_t* keys(std::int64_t page) const {
        return page < count() ? keys_.data() + page * key_words_ : nullptr;
    }
    const std::uint16_t* values(std::int64_t page) const {
        return c_.latent ? nullptr : values_.data() + page * value_words_;
    }

    // The stored number of token t's key or value.
    double key(std::int64_t t, std::int64_t d) const {
        const std::int64_t slot = t % kPageTokens;
        const std::uint16_t* block = keys(t / kPageTokens);
        if (c_.latent) return reference_half(block[slot * c_.key_dim + d]);
        if (c_.type == KvType::kF16) return reference_half(block[d * kPageTokens + slot]);
        // Of four columns the first and the third are a pair, and the second and the fourth.
        return code(block, (d / 4 * 2 + d % 2) * 64 + slot * 2 + d % 4 / 2) *
               reference_half(block[c_.key_dim * 16 + d / 32 * 32 + slot]);
    }
    double value(std::int64_t t, std::int64_t d) const {
        if (c_.latent) return key(t, d);
        const std::int64_t slot = t % kPageTokens;
        const std::uint16_t* block = values(t / kPageTokens);
        if (c_.type == KvType::kF16) return reference_half(block[slot * c_.value_dim + d]);
        return code(block, (slot / 2 * c_.value_dim + d) * 2 + slot % 2) *
               reference_half(block[c_.value_dim * 16 + slot]);
    }

  private:
    static double code(const std::uint16_t* block, std::int64_t byte) {
        return static_cast<std::int8_t>(block[byte / 2] >> (8 * (byte % 2)) & 255);
    }
    const Case c_;
    const std::int64_t key_words_, value_words_;
    std::vector<std::uint16_t> keys_, values_;
};

// What is stored of a number, of several that share a scale: within a rounding of f16, or half a step of int8.
void check_stored(const Case& c, double found, const float* group, std::int64_t count, float wanted,
                  const std::string& what) {
    float largest = 0.0f;
    for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(group[i]));
    const double error = c.type == KvType::kF16 ? 5e-4 * std::fabs(wanted) : 0.5005 * largest / 127.0;
    check_near(found, wanted, error + 1e-7, what);
}

void run_case(const Kernels& kernels, Random& random, const Case& c) {
    const std::string what = std::string(kernels.name) + (c.type == KvType::kF16 ? "" : " int8") +
                             " attend rows=" + std::to_string(c.rows) + " context=" + std::to_string(c.context) +
                             " dims=" + std::to_string(c.key_dim);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.key_dim));
    const std::vector<float> q = random_floats(random, static_cast<std::size_t>(c.rows * c.key_dim), 2.0f);
    const std::vector<float> keys = random_floats(random, static_cast<std::size_t>(c.context * c.key_dim), 1.0f);
    const std::vector<float> values = random_floats(random, static_cast<std::size_t>(c.context * c.value_dim), 1.0f);
    const std::int64_t blocks = blocks_of(c.key_dim);
    std::vector<WideBlock> qx(static_cast<std::size_t>(c.rows * blocks));
    for (std::int64_t row = 0; row < c.rows; ++row)
        kernels.quantize_wide(q.data() + row * c.key_dim, c.key_dim, qx.data() + row * blocks);
    const Pages stored(kernels, c, keys, values);

    const std::int64_t ldo = c.value_dim + 3;
    std::vector<float> out(static_cast<std::size_t>(c.rows * ldo)), sum(static_cast<std::size_t>(c.rows));
    std::vector<float> largest(static_cast<std::size_t>(c.rows), -std::numeric_limits<float>::infinity());
    std::vector<std::int32_t> begin(static_cast<std::size_t>(c.rows)), end(begin.size());
    // Row i is the query at position context - rows + i (a single decode group: all see everything if window is 0).
    const auto last = [&](std::int64_t row) { return c.rows <= 8 ? c.context : c.context - c.rows + row + 1; };
    const auto first = [&](std::int64_t row) {
        return c.window > 0 ? std::max<std::int64_t>(0, last(row) - c.window) : 0;
    };
    for (std::int64_t page = 0; page < stored.count(); ++page) {
        for (std::int64_t row = 0; row < c.rows; ++row) {
            const std::int64_t from = std::clamp<std::int64_t>(first(row) - page * kPageTokens, 0, kPageTokens);
            const std::int64_t to = std::clamp<std::int64_t>(last(row) - page * kPageTokens, 0, kPageTokens);
            begin[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(std::min(from, to));
            end[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(to);
        }
        (c.type == KvType::kF16 ? kernels.attend : kernels.attend_int8)({.q = q.data(),
                                                                         .ldq = c.key_dim,
                                                                         .qx = qx.data(),
                                                                         .rows = c.rows,
                                                                         .key_dim = c.key_dim,
                                                                         .value_dim = c.value_dim,
                                                                         .k = stored.keys(page),
                                                                         .v = stored.values(page),
                                                                         .next = stored.keys(page + 1),
                                                                         .begin = begin.data(),
                                                                         .end = end.data(),
                                                                         .scale = scale,
                                                                         .softcap = c.softcap,
                                                                         .max = largest.data(),
                                                                         .sum = sum.data(),
                                                                         .out = out.data(),
                                                                         .ldo = ldo});
    }
    kernels.attend_finish(out.data(), ldo, c.rows, c.value_dim, sum.data());

    // Codes of queries and weights have 16 bits, so that int8 pages cost some more of the last digits.
    const double exact = c.type == KvType::kF16 ? 2e-5 : 4e-4;
    for (std::int64_t row = 0; row < c.rows; ++row) {
        std::vector<double> weights;
        double top = -INFINITY, total = 0.0;
        for (std::int64_t t = first(row); t < last(row); ++t) {
            double s = 0.0;
            for (std::int64_t d = 0; d < c.key_dim; ++d)
                s += static_cast<double>(q[static_cast<std::size_t>(row * c.key_dim + d)]) * stored.key(t, d);
            s *= scale;
            if (c.softcap > 0.0f) s = c.softcap * std::tanh(s / c.softcap);
            weights.push_back(s);
            top = std::max(top, s);
        }
        for (double& weight : weights) total += weight = std::exp(weight - top);
        for (std::int64_t d = 0; d < c.value_dim; ++d) {
            double want = 0.0;
            for (std::int64_t t = first(row); t < last(row); ++t)
                want += weights[static_cast<std::size_t>(t - first(row))] / total * stored.value(t, d);
            check_near(out[static_cast<std::size_t>(row * ldo + d)], want, exact, what);
        }
    }
    const auto check_all = [&](const std::vector<float>& given, std::int64_t dim, std::int64_t group,
                               const auto& read) {
        for (std::int64_t i = 0; i < c.context * dim; ++i) {
            const std::int64_t d = i % dim, first = d / group * group;
            check_stored(c, read(i / dim, d), given.data() + i - d + first, std::min(group, dim - first),
                         given[static_cast<std::size_t>(i)], what + " stores");
        }
    };
    check_all(keys, c.key_dim, 32, [&](std::int64_t t, std::int64_t d) { return stored.key(t, d); });
    if (!c.latent)
        check_all(values, c.value_dim, c.value_dim, [&](std::int64_t t, std::int64_t d) { return stored.value(t, d); });
}

// Infinity and NaN are stored as NaN, wherever they stand; all else is stored as if they were not there.
void run_not_finite(const Kernels& kernels) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    const auto is_nan = [](std::uint16_t half) { return (half & 0x7fff) > 0x7c00; };
    for (const std::int64_t dims : {8, 16, 40})
        for (const float bad : {infinity, -infinity, nan, -nan})
            for (std::int64_t at = 0; at < dims; ++at) {
                std::vector<std::uint16_t> k(static_cast<std::size_t>(32 * dims), 0), v = k;
                std::vector<float> x(static_cast<std::size_t>(dims), -1e6f);
                x[static_cast<std::size_t>(at)] = bad;
                kernels.kv_write(x.data(), x.data(), dims, dims, k.data(), v.data(), 3);
                for (std::int64_t d = 0; d < dims; ++d) {
                    const std::uint16_t key = k[static_cast<std::size_t>(d * 32 + 3)];
                    const std::uint16_t value = v[static_cast<std::size_t>(3 * dims + d)];
                    check(d == at ? is_nan(key) : key == 0xfbff, "what is not finite is a key of NaN");
                    check(d == at ? is_nan(value) : value == 0xfbff, "what is not finite is a value of NaN");
                }
            }
}

// A level's words: rows [first, end) of whole pages against a softmax in double precision of what the pages hold.
// Other rows keep their state, and a row has the bits that it has beside other rows.
struct WordState {
    std::vector<float> out, max, sum;
};

class WordPages {
  public:
    WordPages(const Kernels& kernels, Random& random, std::int64_t pages, std::int64_t dims, std::int64_t rows)
        : kernels_(kernels), pages_(pages), dims_(dims), rows_((rows + kWordRows - 1) / kWordRows * kWordRows) {
        const std::vector<float> kv = random_floats(random, static_cast<std::size_t>(2 * pages * 32 * dims), 1.0f);
        f16.resize(kv.size());
        kernels.f32_to_f16(kv.data(), f16.data(), static_cast<std::int64_t>(kv.size()));
        for (std::int64_t d = 0; d < dims; ++d) f16[static_cast<std::size_t>(d * 32 + 5)] = 0;  // a key of zeros
        q = random_floats(random, static_cast<std::size_t>(rows_ * dims), 2.0f);
        lines_.resize(static_cast<std::size_t>(kBlockPages * (2 * dims + 2) + dims + rows_ * dims / 32));
    }

    const std::uint16_t* k(std::int64_t page) const { return f16.data() + page * 64 * dims_; }
    const std::uint16_t* v(std::int64_t page) const { return k(page) + 32 * dims_; }
    PageWords words() {
        const auto at = [&](std::int64_t line) { return lines_[static_cast<std::size_t>(line)].bytes; };
        return {reinterpret_cast<std::int16_t*>(at(0)), reinterpret_cast<std::int16_t*>(at(kBlockPages * dims_)),
                reinterpret_cast<float*>(at(2 * kBlockPages * dims_)),
                reinterpret_cast<float*>(at(kBlockPages * (2 * dims_ + 2)))};
    }

    // Makes words of the block that begins at page `page`; whether it is finite.
    bool make_block(std::int64_t page, PageWords& out) {
        const std::uint16_t *keys[kBlockPages], *values[kBlockPages];
        for (std::int64_t i = 0; i < kBlockPages; ++i) keys[i] = k(page + i), values[i] = v(page + i);
        out = words();
        out.pages = kBlockPages;
        return kernels_.words->block(keys, values, dims_, dims_, out);
    }

    // Blocks: neighboring pages as one as far as there are enough, the rest one by one.
    WordState attend(std::int64_t first, std::int64_t end, float scale, float softcap, bool blocks = false) {
        const auto count = static_cast<std::size_t>(rows_);
        WordState s{std::vector<float>(count * static_cast<std::size_t>(dims_), 0.0f),
                    std::vector<float>(count, -std::numeric_limits<float>::infinity()),
                    std::vector<float>(count, 0.0f)};
        std::vector<float> scales(count);
        auto* words_of_q = reinterpret_cast<std::int16_t*>(
            lines_[static_cast<std::size_t>(kBlockPages * (2 * dims_ + 2) + dims_)].bytes);
        kernels_.words->queries(q.data(), rows_, dims_, scale, words_of_q, scales.data());
        for (std::int64_t page = 0, count = 1; page < pages_; page += count) {
            count = blocks && page + kBlockPages <= pages_ ? kBlockPages : 1;
            PageWords made = words();
            const bool finite =
                count == 1 ? kernels_.words->page(k(page), v(page), dims_, dims_, made) : make_block(page, made);
            check(finite, "finite pages say that they are");
            const std::uint16_t* next[kBlockPages];
            const bool ahead = count > 1 && page + 2 * count <= pages_;
            for (std::int64_t i = 0; ahead && i < count; ++i) next[i] = k(page + count + i);
            kernels_.words->attend({.q = words_of_q,
                                    .q_scale = scales.data(),
                                    .first = first,
                                    .end = end,
                                    .key_dim = dims_,
                                    .value_dim = dims_,
                                    .page = made,
                                    .softcap = softcap,
                                    .max = s.max.data(),
                                    .sum = s.sum.data(),
                                    .out = s.out.data(),
                                    .ldo = dims_,
                                    .next = ahead ? next : nullptr});
        }
        return s;
    }

    // Row `row` of the result, in double precision.
    std::vector<double> expected(std::int64_t row, float scale, float softcap) const {
        std::vector<double> out(static_cast<std::size_t>(dims_)), scores;
        for (std::int64_t t = 0; t < 32 * pages_; ++t) {
            double score = 0.0;
            for (std::int64_t d = 0; d < dims_; ++d)
                score += static_cast<double>(q[static_cast<std::size_t>(row * dims_ + d)]) *
                         reference_half(k(t / 32)[d * 32 + t % 32]);
            score *= scale;
            scores.push_back(softcap > 0.0f ? softcap * std::tanh(score / softcap) : score);
        }
        const double most = *std::max_element(scores.begin(), scores.end());
        double total = 0.0;
        for (double& score : scores) total += score = std::exp(score - most);
        for (std::int64_t t = 0; t < 32 * pages_; ++t)
            for (std::int64_t d = 0; d < dims_; ++d)
                out[static_cast<std::size_t>(d)] +=
                    scores[static_cast<std::size_t>(t)] / total * reference_half(v(t / 32)[t % 32 * dims_ + d]);
        return out;
    }

    std::vector<std::uint16_t> f16;
    std::vector<float> q;

  private:
    struct alignas(64) Line {
        std::byte bytes[64];
    };
    const Kernels& kernels_;
    const std::int64_t pages_, dims_, rows_;
    std::vector<Line> lines_;
};

void run_words(const Kernels& kernels, Random& random, std::int64_t dims, float softcap, std::int64_t count = 3) {
    const bool blocks = count >= kBlockPages;
    const std::string what =
        std::string(kernels.name) + (blocks ? " blocks of" : "") + " words dims=" + std::to_string(dims);
    const float scale = 1.0f / std::sqrt(static_cast<float>(dims));
    WordPages pages(kernels, random, count, dims, 27);
    const WordState all = pages.attend(0, 27, scale, softcap, blocks);
    for (std::int64_t row = 0; row < 27; ++row) {
        const std::vector<double> want = pages.expected(row, scale, softcap);
        for (std::int64_t d = 0; d < dims; ++d)
            check_near(all.out[static_cast<std::size_t>(row * dims + d)] / all.sum[static_cast<std::size_t>(row)],
                       want[static_cast<std::size_t>(d)], 1e-3, what);
    }
    const WordState some = pages.attend(5, 18, scale, softcap, blocks);
    for (std::int64_t row = 0; row < 27; ++row) {
        const auto r = static_cast<std::size_t>(row);
        const bool counts = row >= 5 && row < 18;
        check(some.sum[r] == (counts ? all.sum[r] : 0.0f), what + ": rows that do not count keep their sums");
        for (std::int64_t d = 0; d < dims; ++d) {
            const auto at = static_cast<std::size_t>(row * dims + d);
            check(some.out[at] == (counts ? all.out[at] : 0.0f),
                  what + ": a row's bits do not depend on its neighbors");
        }
    }
    for (const std::size_t at : {std::size_t{7}, static_cast<std::size_t>(33 * dims)}) {  // of a key, of a value
        const std::uint16_t before = pages.f16[at];
        pages.f16[at] = 0x7e00;
        PageWords made;
        check(!(blocks ? pages.make_block(0, made)
                       : kernels.words->page(pages.k(0), pages.v(0), dims, dims, pages.words())),
              what + ": NaN is noticed");
        pages.f16[at] = before;
    }
    pages.q[2] = std::numeric_limits<float>::quiet_NaN();
    const WordState bad = pages.attend(0, 27, scale, softcap, blocks);
    check(std::isnan(bad.out[0]) && std::isnan(bad.sum[0]), what + ": a query of NaN has no number as its result");
    check(bad.out[static_cast<std::size_t>(dims)] == all.out[static_cast<std::size_t>(dims)],
          what + ": its neighbor has its own");
}

// Words at their bounds: numbers of one size and sign make the largest sums that there can be.
void run_largest_words(const Kernels& kernels, Random& random) {
    const auto run = [&](std::int64_t dims, std::int64_t count) {
        WordPages pages(kernels, random, count, dims, 8);
        std::fill(pages.f16.begin(), pages.f16.end(), 0x7bff);  // 65504
        std::fill(pages.q.begin(), pages.q.end(), -3.0f);
        const WordState s = pages.attend(0, 8, 1e-6f, 0.0f, count >= kBlockPages);
        for (std::size_t row = 0; row < 8; ++row) {
            check_near(s.max[row], -3e-6 * 65504.0 * static_cast<double>(dims), 1e-2, "the largest score");
            check_near(s.out[row * static_cast<std::size_t>(dims)] / s.sum[row], 65504.0, 8.0, "the largest value");
        }
    };
    for (const std::int64_t dims : {8, 16, 64, 256})
        for (const std::int64_t count : {std::int64_t{1}, kBlockPages})
            if (dims % kernels.words->columns == 0) run(dims, count);
}

// Scores far apart: a weight is nothing next to one that 32 bits of its distance would not hold.
void run_distant_words(const Kernels& kernels, Random& random) {
    for (const std::int64_t count : {std::int64_t{1}, kBlockPages})
        for (const float scale : {1.0f, 1e3f, 1e6f, 1e9f, 1e12f, 1e30f}) {
            WordPages pages(kernels, random, count, 16, 8);
            std::fill(pages.q.begin(), pages.q.end(), 1.0f);
            std::fill(pages.f16.begin(), pages.f16.end(), 0x3c00);  // ones
            for (std::int64_t d = 0; d < 16; ++d) {
                for (std::int64_t slot = 0; slot < 32; ++slot)
                    if (slot != 9) pages.f16[static_cast<std::size_t>(d * 32 + slot)] = 0xbc00;  // minus one
                pages.f16[static_cast<std::size_t>(32 * 16 + 9 * 16 + d)] = 0x4500;              // 5
                for (std::int64_t page = 1; page < count; ++page)
                    for (std::int64_t slot = 0; slot < 32; ++slot)
                        pages.f16[static_cast<std::size_t>(page * 64 * 16 + d * 32 + slot)] = 0xbc00;
            }
            const WordState s = pages.attend(0, 8, scale, 0.0f, count >= kBlockPages);
            check_near(s.out[3] / s.sum[0], 5.0, 2e-3, "the value of the only key that counts");
        }
}

// A row whose range is empty on a page keeps its state; huge values saturate instead of becoming infinite.
void run_edges(const Kernels& kernels) {
    const std::int64_t dims = 16;
    std::vector<std::uint16_t> k(32 * dims, 0), v(32 * dims, 0);
    const std::vector<float> huge(dims, 1e6f), q(dims, 1.0f);
    kernels.kv_write(huge.data(), huge.data(), dims, dims, k.data(), v.data(), 0);
    check(k[0] == 0x7bff && v[0] == 0x7bff, "keys and values saturate");
    std::vector<float> out(dims, 5.0f);
    float largest = 1.5f, sum = 2.0f;
    const std::int32_t begin = 7, end = 7;
    kernels.attend({.q = q.data(),
                    .ldq = dims,
                    .rows = 1,
                    .key_dim = dims,
                    .value_dim = dims,
                    .k = k.data(),
                    .v = v.data(),
                    .begin = &begin,
                    .end = &end,
                    .max = &largest,
                    .sum = &sum,
                    .out = out.data(),
                    .ldo = dims});
    check(largest == 1.5f && sum == 2.0f && out[3] == 5.0f, "an empty range leaves the state");
    sum = 0.0f;
    kernels.attend_finish(out.data(), dims, 1, dims, &sum);
    check(out[3] == 0.0f, "a row that saw nothing is zero");
}

void run_whole(const Kernels& kernels, Random& random, KvType type) {
    const auto run = [&](Case c) {
        c.type = type;
        run_case(kernels, random, c);
    };
    for (const std::int64_t dims : {8, 16, 40, 64, 80, 128, 256})
        for (const std::int64_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 12, 40}) run({rows, 70, dims, dims, 0, 0.0f});
    run({3, 1, 64, 64, 0, 0.0f});
    run({9, 96, 64, 64, 20, 0.0f});
    run({70, 300, 64, 64, 33, 0.0f});
    run({3, 200, 64, 64, 50, 30.0f});
    run({16, 64, 192, 128, 0, 50.0f});
    run({16, 64, 576, 512, 0, 0.0f});
}

void run_latents(const Kernels& kernels, Random& random) {
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 8, 12, 40})
        run_case(kernels, random, {rows, 70, 40, 32, 0, 0.0f, true});
    run_case(kernels, random, {16, 100, 576, 512, 0, 0.0f, true});
    run_case(kernels, random, {9, 96, 24, 8, 20, 0.0f, true});
    if (kernels.words == nullptr) return;
    const auto fits = [&](std::int64_t dims) { return dims % kernels.words->columns == 0; };
    for (const std::int64_t dims : {8, 16, 40, 64, 80, 128, 256})
        if (fits(dims)) run_words(kernels, random, dims, 0.0f);
    run_words(kernels, random, 64, 5.0f);
    for (const std::int64_t dims : {8, 16, 40, 64, 128})
        if (fits(dims)) run_words(kernels, random, dims, 0.0f, 9);
    run_words(kernels, random, 64, 5.0f, 9);
    run_largest_words(kernels, random);
    run_distant_words(kernels, random);
}

// One page of int8 keys and values, and rows that attend to it.
struct Int8Page {
    std::int64_t dims;
    std::vector<std::uint16_t> k = std::vector<std::uint16_t>(static_cast<std::size_t>(key_words(KvType::kInt8, dims)));
    std::vector<std::uint16_t> v =
        std::vector<std::uint16_t>(static_cast<std::size_t>(value_words(KvType::kInt8, dims)));

    void write(const Kernels& kernels, const float* x, std::int64_t slot) {
        kernels.kv_write_int8(x, x, dims, dims, k.data(), v.data(), slot);
    }
    // The f16 page that it makes, keys and values.
    std::vector<std::uint16_t> widened(const Kernels& kernels) const {
        const auto half = static_cast<std::size_t>(key_words(KvType::kF16, dims));
        std::vector<std::uint16_t> out(2 * half);
        kernels.widen_int8(k.data(), v.data(), dims, dims, out.data(), out.data() + half);
        return out;
    }
    // Row i sees slots [0, end[i]); a row of `dims` results each.
    std::vector<float> attend(const Kernels& kernels, const std::vector<float>& q,
                              const std::vector<std::int32_t>& end) const {
        const auto rows = static_cast<std::int64_t>(end.size()), blocks = blocks_of(dims);
        std::vector<WideBlock> qx(static_cast<std::size_t>(rows * blocks));
        for (std::int64_t row = 0; row < rows; ++row)
            kernels.quantize_wide(q.data() + row * dims, dims, qx.data() + row * blocks);
        std::vector<float> out(q.size()), sum(end.size()), most(end.size(), -INFINITY);
        const std::vector<std::int32_t> begin(end.size());
        kernels.attend_int8({.qx = qx.data(),
                             .rows = rows,
                             .key_dim = dims,
                             .value_dim = dims,
                             .k = k.data(),
                             .v = v.data(),
                             .begin = begin.data(),
                             .end = end.data(),
                             .max = most.data(),
                             .sum = sum.data(),
                             .out = out.data(),
                             .ldo = dims});
        kernels.attend_finish(out.data(), dims, rows, dims, sum.data());
        return out;
    }
};

// What is not finite makes results NaN of those who see it, and of nobody else; sizes saturate, and small ones keep
// their digits; a token that is written again leaves its neighbors alone.
void run_int8_edges(const Kernels& kernels) {
    const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::int64_t dims : {8, 40, 64}) {
        const std::string what = std::string(kernels.name) + " int8 dims=" + std::to_string(dims);
        const auto columns = static_cast<std::size_t>(dims);
        const std::vector<float> plain(columns, 1.0f);
        for (const float bad : {infinity, -infinity, nan, -nan}) {
            Int8Page page{dims};
            for (std::int64_t slot = 0; slot < 3; ++slot) page.write(kernels, plain.data(), slot);
            std::vector<float> x = plain;
            x[columns - 1] = bad;
            page.write(kernels, x.data(), 3);
            const std::vector<float> out = page.attend(kernels, std::vector<float>(2 * columns, 0.1f), {3, 4});
            check_near(out[columns - 1], 1.0, 1e-3, what + " does not see what is not finite");
            check(std::isnan(out[2 * columns - 1]), what + " sees what is not finite");
        }
        for (const float size : {1e38f, 1e6f, 1.0f, 1e-3f, 1e-6f, 0.0f}) {
            Int8Page page{dims};
            page.write(kernels, std::vector<float>(columns, -size).data(), 0);
            const double most = 127.0 * 65504.0, want = -std::min<double>(size, most);
            const float got = page.attend(kernels, std::vector<float>(columns, 0.0f), {1})[columns - 1];
            check_near(got, want, std::max(4e-3 * std::fabs(want), 3e-8), what + " keeps " + std::to_string(size));
        }
        Int8Page page{dims};
        for (std::int64_t slot = 0; slot < kPageTokens; ++slot) page.write(kernels, plain.data(), slot);
        for (const std::uint16_t half : page.widened(kernels))
            check_near(reference_half(half), 1.0, 4e-3, what + " is widened");
        const Int8Page before = page;
        page.write(kernels, std::vector<float>(columns, -3.0f).data(), 7);
        check(page.k != before.k && page.v != before.v, what + " writes again");
        page.write(kernels, plain.data(), 7);
        check(page.k == before.k && page.v == before.v, what + " leaves neighbors alone");
    }
}

// All levels store the same bits; a row has the same bits alone and in any company.
void run_int8_bits(const Kernels& kernels, Random& random) {
    const Kernels& portable = undiced::kernels(Isa::kPortable);
    for (const std::int64_t dims : {8, 40, 64, 128}) {
        const std::string what = std::string(kernels.name) + " int8 dims=" + std::to_string(dims);
        Int8Page page{dims}, twin{dims};
        for (std::int64_t slot = 0; slot < kPageTokens; ++slot) {
            const std::vector<float> x = random_floats(random, static_cast<std::size_t>(dims), 1.0f);
            page.write(kernels, x.data(), slot);
            twin.write(portable, x.data(), slot);
        }
        check(page.k == twin.k && page.v == twin.v, what + " stores the same bits as the portable level");
        check(page.widened(kernels) == page.widened(portable), what + " is the same f16 page");
        for (const std::size_t rows : {2, 3, 4, 5, 6, 7, 8, 11, 20}) {
            const std::vector<float> q = random_floats(random, rows * static_cast<std::size_t>(dims), 2.0f);
            std::vector<std::int32_t> end;
            for (std::size_t row = 0; row < rows; ++row) end.push_back(static_cast<std::int32_t>(random() % 32 + 1));
            const std::vector<float> together = page.attend(kernels, q, end);
            for (std::size_t row = 0; row < rows; ++row) {
                const auto at = static_cast<std::ptrdiff_t>(row) * dims;
                const std::vector<float> own(q.begin() + at, q.begin() + at + dims);
                const std::vector<float> alone = page.attend(kernels, own, {end[row]});
                check(std::equal(alone.begin(), alone.end(), together.begin() + at), what + " rows keep their bits");
            }
        }
    }
}

}  // namespace

void test_attend(const Kernels& kernels) {
    Random random(3);
    run_edges(kernels);
    run_not_finite(kernels);
    for (const KvType type : {KvType::kF16, KvType::kInt8}) run_whole(kernels, random, type);
    run_int8_edges(kernels);
    run_int8_bits(kernels, random);
    run_latents(kernels, random);
}

}  // namespace undiced::test

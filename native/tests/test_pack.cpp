// Packing keeps every value of every format, through row maps, stacking and transposition, and refuses bad input.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "check.h"
#include "reference.h"
#include "tests.h"

namespace undiced::test {
namespace {

// The packer's own arithmetic is f32, so a value may differ from the double reference by its rounding.
void check_row(const PackedMatrix& matrix, std::int64_t row, const std::vector<double>& want, const std::string& what) {
    std::vector<float> got(want.size());
    unpack_row(matrix, row, got.data());
    for (std::size_t col = 0; col < want.size(); ++col)
        check_near(got[col], want[col], 2e-7 * (1.0 + std::fabs(want[col])), what);
}

std::vector<double> reference_row(const Format& format, const std::uint8_t* row, std::int64_t cols) {
    std::vector<double> values(static_cast<std::size_t>(cols));
    for (std::int64_t col = 0; col < cols; ++col)
        values[static_cast<std::size_t>(col)] = reference_value(format, row, col);
    return values;
}

void test_row_maps(Random& random) {
    for (const Format& format : formats()) {
        const std::int64_t cols = format.group > 0 ? 512 : 77;
        const std::size_t row_bytes = static_cast<std::size_t>(cols / format.block * format.block_bytes);
        const std::vector<std::uint8_t> first = random_tensor(random, format, 21, cols);
        const std::vector<std::uint8_t> second = random_tensor(random, format, 16, cols);
        const PackSource sources[2] = {{first.data(), first.size(), 21, cols, false},
                                       {second.data(), second.size(), 16, cols, false}};
        std::vector<std::int64_t> map(37);
        std::iota(map.begin(), map.end(), 0);
        std::shuffle(map.begin(), map.end(), random);
        map.resize(35);
        const OwnedMatrix matrix(format, sources, map);
        for (std::size_t row = 0; row < map.size(); ++row) {
            const std::size_t from = static_cast<std::size_t>(map[row]);
            const std::uint8_t* source =
                from < 21 ? first.data() + from * row_bytes : second.data() + (from - 21) * row_bytes;
            check_row(matrix.view, static_cast<std::int64_t>(row), reference_row(format, source, cols), format.name);
        }
    }
}

void test_transposed(Random& random) {
    for (const Format& format : formats()) {
        if (format.group > 0) continue;
        const std::int64_t rows = 19, cols = 45;
        const std::vector<std::uint8_t> raw[2] = {random_tensor(random, format, cols, rows),  // stored as (cols, rows)
                                                  random_tensor(random, format, cols, rows)};
        const PackSource sources[2] = {{raw[0].data(), raw[0].size(), rows, cols, true},
                                       {raw[1].data(), raw[1].size(), rows, cols, true}};
        const OwnedMatrix matrix(format, sources, {});
        for (std::int64_t row = 0; row < 2 * rows; ++row) {
            const std::uint8_t* stored = raw[row / rows].data();
            std::vector<double> want(static_cast<std::size_t>(cols));
            for (std::int64_t col = 0; col < cols; ++col)
                want[static_cast<std::size_t>(col)] =
                    reference_value(format, stored + col * rows * format.block_bytes, row % rows);
            check_row(matrix.view, row, want, std::string("transposed ") + format.name);
        }
    }
}

// A shard packed alone has the same bytes as the same tiles of the whole.
void test_shards(Random& random) {
    const Format& format = format_named("Q4_K");
    const std::vector<std::uint8_t> raw = random_tensor(random, format, 70, 256);
    const PackSource source{raw.data(), raw.size(), 70, 256, false};
    const OwnedMatrix whole(format, {&source, 1}, {});
    std::vector<std::uint8_t> shard(static_cast<std::size_t>(2 * whole.view.tile_bytes));
    pack(format, {&source, 1}, {}, 3, 5, shard.data());
    check(std::equal(shard.begin(), shard.end(), whole.view.tile(3)), "a shard equals its tiles of the whole");
}

void test_refusals() {
    const Format& format = format_named("Q4_0");
    std::vector<std::uint8_t> raw(18 * 32);
    std::vector<std::uint8_t> out(4096);
    const auto attempt = [&](PackSource source, std::vector<std::int64_t> map, std::int64_t end) {
        return [=, &format, &out] { pack(format, {&source, 1}, map, 0, end, out.data()); };
    };
    using Bad = std::invalid_argument;
    const PackSource good{raw.data(), raw.size(), 32, 32, false};
    attempt(good, {}, 2)();
    PackSource bad = good;
    bad.bytes -= 1;
    check_throws<Bad>(attempt(bad, {}, 2), "a truncated source");
    bad = good;
    bad.cols = 33;
    check_throws<Bad>(attempt(bad, {}, 2), "a row that is not whole blocks");
    bad = good;
    bad.rows = std::int64_t{1} << 62;
    check_throws<Bad>(attempt(bad, {}, 2), "a shape that overflows");
    bad = good;
    bad.transposed = true;
    check_throws<Bad>(attempt(bad, {}, 2), "a transposed quantized source");
    check_throws<Bad>(attempt(good, {}, 3), "a tile outside the matrix");
    check_throws<Bad>(attempt(good, {0, 32}, 1), "a row map beyond the source");
    check_throws<Bad>(attempt(good, {0, -1}, 1), "a negative row map");
    check_throws<Bad>([] { format_of(999); }, "an unknown type number");
    std::vector<std::uint8_t> eight(36, 0);
    eight[20] = 0xff;
    const PackSource nan{eight.data(), eight.size(), 1, 32, false};
    check_throws<Bad>([&] { pack(format_named("FP8_32"), {&nan, 1}, {}, 0, 1, out.data()); }, "a weight that is NaN");
    const PackedMatrix matrix = view_packed(format, 32, 32, out.data());
    float row[32];
    check_throws<std::out_of_range>([&] { unpack_row(matrix, 32, row); }, "a row outside the matrix");
}

}  // namespace

void test_pack() {
    Random random(1);
    test_row_maps(random);
    test_transposed(random);
    test_shards(random);
    test_refusals();
}

}  // namespace undiced::test

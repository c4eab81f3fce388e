// The wafer executor's sums: every level has the portable one's bits.
#include <cstring>
#include <string>
#include <vector>

#include "../mesh/sums.h"
#include "check.h"
#include "engine_tests.h"
#include "kernels/half.h"
#include "reference.h"

namespace undiced::test {
namespace {

using mesh::Hops;
using mesh::Join;
using mesh::Products;

std::vector<float> halves(Random& random, std::size_t count) {
    std::vector<float> values = random_floats(random, count, 1.0f);
    for (float& value : values) value = f16_to_float(float_to_f16(value));
    return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void test_products(const mesh::Sums& sums, const std::string& name, Random& random) {
    for (const bool half : {false, true})
        for (const std::int64_t rows : {1, 4, 6})
            for (const std::int64_t columns : {1, 3, 4, 8, 17, 40, 70}) {
                const std::int64_t tiles = 3, inner = 9;
                const auto size = [](std::int64_t a, std::int64_t b, std::int64_t c) {
                    return static_cast<std::size_t>(a * b * c);
                };
                const std::vector<float> x = halves(random, size(tiles, rows, inner)),
                                         w = halves(random, size(tiles, inner, columns));
                std::vector<float> want = halves(random, size(tiles, rows, columns)), got = want;
                sums.multiply_add({x.data(), w.data(), got.data(), tiles, rows, inner, columns, half}, 0, tiles);
                mesh::kPortableSums.multiply_add({x.data(), w.data(), want.data(), tiles, rows, inner, columns, half},
                                                 0, tiles);
                check(same_bits(got, want), name + " products, " + std::to_string(columns) + " columns");
            }
}

void test_joins(const mesh::Sums& sums, const std::string& name, Random& random) {
    const std::int32_t hops[] = {4, 3, 3, 2, 0, 1, 1, 2};
    for (const Join how : {Join::kSum, Join::kMax})
        for (const bool wire : {false, true})
            for (const bool kept : {false, true})
                for (const std::int64_t length : {1, 4, 7, 8, 21}) {
                    std::vector<float> want = random_floats(random, static_cast<std::size_t>(6 * 5 * length), 30.0f);
                    want[0] = std::nanf("");
                    std::vector<float> got = want;
                    sums.join({got.data(), 6, 5, length, hops, 4, how, wire, kept}, 0, 6);
                    mesh::kPortableSums.join({want.data(), 6, 5, length, hops, 4, how, wire, kept}, 0, 6);
                    bool equal = true;
                    for (std::size_t i = 0; i < want.size(); ++i)
                        equal = equal && (std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i]);
                    check(equal, name + " hops of " + std::to_string(length));
                }
}

}  // namespace

void test_sums() {
    for (const Isa isa : levels()) {
        if (!supported(isa)) continue;
        Random random(9);
        test_products(mesh::sums(isa), isa_name(isa), random);
        test_joins(mesh::sums(isa), isa_name(isa), random);
    }
}

}  // namespace undiced::test

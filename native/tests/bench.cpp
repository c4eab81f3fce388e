// How close the kernels come to the machine: the matrix products of SmolLM2-135M (Q4_1 layers, Q8_0 output layer) for
// batches of tokens, each format alone, and attention. Every figure comes with its share of a limit probed in the same
// run.
//   kernel_bench [--isa LEVEL] [--threads N] [--rounds N] [--cpu-time] [--brief | --attention]      the last line is
//   JSON
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <limits>
#include <memory>
#include <string>
#include <thread>

#include "kernels.h"
#include "reference.h"

namespace undiced::test {
namespace {

double clock_s(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Options {
    Isa isa = detect();
    int threads = 1;
    int rounds = 15;
    bool cpu_time = false;  // count the processor time of each thread: for machines that are busy with other work
};

struct Limits {
    double bytes_per_s, int8_per_s, float_per_s;
};

// Runs body(thread) on every thread at once, `rounds` times. The best round's seconds: from the first start to the last
// end, or the processor time of its slowest thread.
template <class Body>
double timed(const Options& options, const Body& body) {
    const clockid_t clock = options.cpu_time ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    std::vector<double> begin(static_cast<std::size_t>(options.threads * options.rounds)), end(begin.size());
    std::atomic<int> arrived{0};
    const auto work = [&](int thread) {
        if (options.threads > 1) pin_thread(thread);
        for (int round = 0; round < options.rounds; ++round) {
            arrived.fetch_add(1);
            for (int spins = 0; arrived.load() < options.threads * (round + 1); ++spins)
                if (spins > 100000) std::this_thread::yield();
            const std::size_t slot = static_cast<std::size_t>(round * options.threads + thread);
            begin[slot] = clock_s(clock);
            body(thread);
            end[slot] = clock_s(clock);
        }
    };
    std::vector<std::thread> team;
    for (int thread = 0; thread < options.threads; ++thread) team.emplace_back(work, thread);
    for (std::thread& thread : team) thread.join();
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < begin.size(); i += static_cast<std::size_t>(options.threads)) {
        double first = begin[i], last = end[i], most = 0.0;
        for (std::size_t j = i; j < i + static_cast<std::size_t>(options.threads); ++j) {
            first = std::min(first, begin[j]);
            last = std::max(last, end[j]);
            most = std::max(most, end[j] - begin[j]);
        }
        best = std::min(best, options.cpu_time ? most : last - first);
    }
    return best;
}

struct Shape {
    const char* format;
    std::int64_t rows, cols;
};

// One thread's tiles of every matrix, one after the other in one huge-page buffer, as the engine keeps them.
class Shard {
  public:
    Shard(const std::vector<Shape>& shapes, int thread, int threads) {
        std::vector<std::int64_t> sizes;
        for (const Shape& shape : shapes) {
            const Format& format = format_named(shape.format);
            const std::int64_t tiles = tiles_of(shape.rows);
            const std::int64_t own = tiles * (thread + 1) / threads - tiles * thread / threads;
            views.push_back(view_packed(format, own * kTileRows, shape.cols, nullptr));
            sizes.push_back(own * packed_tile_bytes(format, shape.cols));
            bytes += sizes.back();
        }
        memory_ = allocate_resident(static_cast<std::size_t>(bytes));
        Random random(static_cast<std::uint64_t>(thread));
        std::vector<std::uint8_t> raw;
        std::uint8_t* at = memory_;
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            const Format& format = *views[i].format;
            const std::int64_t rows = views[i].rows, cols = shapes[i].cols;
            const std::size_t need = static_cast<std::size_t>(rows * cols / format.block * format.block_bytes);
            if (i == 0 || views[i].format != views[i - 1].format || raw.size() != need)
                raw = random_tensor(random, format, rows, cols);
            const PackSource source{raw.data(), raw.size(), rows, cols, false};
            pack(format, {&source, 1}, {}, 0, tiles_of(rows), at);
            views[i].data = at;
            at += sizes[i];
        }
    }
    ~Shard() { free_resident(memory_, static_cast<std::size_t>(bytes)); }
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;

    std::vector<PackedMatrix> views;
    std::int64_t bytes = 0;

  private:
    std::uint8_t* memory_ = nullptr;
};

// Multiplies all matrices with T tokens and prints the rates; returns seconds. The last matrix sees `head_tokens`.
double run_products(const Options& options, const Limits& limits, const std::vector<Shape>& shapes, std::int64_t tokens,
                    std::int64_t head_tokens, const char* name) {
    const Kernels& table = kernels(options.isa);
    std::vector<std::unique_ptr<Shard>> shards;
    for (int thread = 0; thread < options.threads; ++thread)
        shards.push_back(std::make_unique<Shard>(shapes, thread, options.threads));
    std::int64_t most_rows = 0, most_cols = 0, bytes = 0;
    double operations = 0.0;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        most_rows = std::max(most_rows, shapes[i].rows + kTileRows);
        most_cols = std::max(most_cols, shapes[i].cols);
        const bool head = i + 1 == shapes.size();
        operations += 2.0 * static_cast<double>(shapes[i].rows * shapes[i].cols * (head ? head_tokens : tokens));
    }
    for (const auto& shard : shards) bytes += shard->bytes;
    Random random(7);
    const std::vector<float> x = random_floats(random, static_cast<std::size_t>(tokens * most_cols), 1.0f);
    std::vector<QuantBlock> qx(static_cast<std::size_t>(tokens * blocks_of(most_cols)));
    table.quantize(x.data(), tokens * most_cols, qx.data());
    std::vector<std::vector<float>> out(static_cast<std::size_t>(options.threads));
    for (auto& buffer : out)
        buffer.resize(static_cast<std::size_t>(most_rows * std::max(head_tokens, std::int64_t{1}) + tokens * 3200));
    const double seconds = timed(options, [&](int thread) {
        const Shard& shard = *shards[static_cast<std::size_t>(thread)];
        for (std::size_t i = 0; i < shard.views.size(); ++i) {
            const PackedMatrix& w = shard.views[i];
            table.matmul({.w = &w,
                          .tile_begin = 0,
                          .tile_end = tiles_of(w.rows),
                          .qx = qx.data(),
                          .x = x.data(),
                          .ldx = w.cols,
                          .tokens = i + 1 == shard.views.size() ? head_tokens : tokens,
                          .out = out[static_cast<std::size_t>(thread)].data(),
                          .ldo = w.rows});
        }
    });
    const bool integer = format_named(shapes[0].format).integer();
    const double rate = operations / seconds,
                 peak = (integer ? limits.int8_per_s : limits.float_per_s) * options.threads;
    const double stream = static_cast<double>(bytes) / seconds;
    std::printf("%-14s T=%-4ld %9.3f ms %9.1f tok/s %7.2f GB/s (%3.0f %%) %8.1f GOP/s (%3.0f %%)\n", name,
                static_cast<long>(tokens), seconds * 1e3, static_cast<double>(tokens) / seconds, stream / 1e9,
                100.0 * stream / limits.bytes_per_s, rate / 1e9, 100.0 * rate / peak);
    return seconds;
}

std::vector<Shape> smollm2() {
    std::vector<Shape> shapes;
    for (int layer = 0; layer < 30; ++layer)
        for (const Shape& shape :
             {Shape{"Q4_1", 576, 576}, Shape{"Q4_1", 192, 576}, Shape{"Q4_1", 192, 576}, Shape{"Q4_1", 576, 576},
              Shape{"Q4_1", 1536, 576}, Shape{"Q4_1", 1536, 576}, Shape{"Q4_1", 576, 1536}})
            shapes.push_back(shape);
    shapes.push_back({"Q8_0", 49152, 576});
    return shapes;
}

// One layer's attention for `queries` tokens of 9 heads (3 kv heads of 64) over a context; every thread does all of it.
void run_attention(const Options& options, const Limits& limits, KvType type, std::int64_t queries,
                   std::int64_t context) {
    const Kernels& table = kernels(options.isa);
    const std::int64_t dims = 64, group = 3, kv_heads = 3, rows = queries * group;
    const std::int64_t pages = (context + kPageTokens - 1) / kPageTokens, keys = key_words(type, dims),
                       words = keys + value_words(type, dims);
    Random random(9);
    const std::vector<float> q = random_floats(random, static_cast<std::size_t>(rows * dims), 1.0f);
    std::vector<std::uint16_t> kv(static_cast<std::size_t>(kv_heads * pages * words));
    const auto write = type == KvType::kF16 ? table.kv_write : table.kv_write_int8;
    for (std::int64_t page = 0; page < kv_heads * pages; ++page)
        for (std::int64_t slot = 0; slot < kPageTokens; ++slot) {
            std::uint16_t* at = &kv[static_cast<std::size_t>(page * words)];
            const std::vector<float> x = random_floats(random, static_cast<std::size_t>(dims), 1.0f);
            write(x.data(), x.data(), dims, dims, at, at + keys, slot);
        }
    const std::int64_t blocks = blocks_of(dims);
    std::vector<WideBlock> qx(static_cast<std::size_t>(rows * blocks));
    for (std::int64_t row = 0; row < rows; ++row)
        table.quantize_wide(&q[static_cast<std::size_t>(row * dims)], dims,
                            &qx[static_cast<std::size_t>(row * blocks)]);
    const auto attend = type == KvType::kF16 ? table.attend : table.attend_int8;
    double seen = 0.0;
    for (std::int64_t i = 0; i < queries; ++i) seen += static_cast<double>(context - queries + i + 1);
    const double seconds = timed(options, [&](int) {
        std::vector<float> out(static_cast<std::size_t>(rows * dims)), sum(static_cast<std::size_t>(rows)),
            most(sum.size());
        std::vector<std::int32_t> begin(sum.size()), end(sum.size());
        for (std::int64_t head = 0; head < kv_heads; ++head) {
            std::fill(out.begin(), out.end(), 0.0f);
            std::fill(sum.begin(), sum.end(), 0.0f);
            std::fill(most.begin(), most.end(), -std::numeric_limits<float>::infinity());
            constexpr std::int64_t kRun = 48;  // rows that stay in the first-level cache
            for (std::int64_t row = 0; row < rows; row += kRun)
                for (std::int64_t page = 0; page < pages; ++page) {
                    const std::int64_t count = std::min(kRun, rows - row);
                    for (std::int64_t r = row; r < row + count; ++r)
                        end[static_cast<std::size_t>(r)] = static_cast<std::int32_t>(std::clamp<std::int64_t>(
                            context - queries + r / group + 1 - page * kPageTokens, 0, kPageTokens));
                    const std::size_t at = static_cast<std::size_t>((head * pages + page) * words),
                                      r = static_cast<std::size_t>(row);
                    attend({.q = &q[r * 64],
                            .ldq = dims,
                            .qx = &qx[r * 2],
                            .rows = count,
                            .key_dim = dims,
                            .value_dim = dims,
                            .k = &kv[at],
                            .v = &kv[at + static_cast<std::size_t>(keys)],
                            .next = page + 1 < pages ? &kv[at + static_cast<std::size_t>(words)] : nullptr,
                            .begin = &begin[r],
                            .end = &end[r],
                            .scale = 0.125f,
                            .max = &most[r],
                            .sum = &sum[r],
                            .out = &out[r * 64],
                            .ldo = dims});
                }
        }
    });
    const double rate = 2.0 * 2.0 * seen * 9.0 * 64.0 / seconds;
    std::printf(
        "attention %-4s T=%-4ld context %-5ld %9.1f us per layer %8.1f GFLOP/s (%3.0f %% of FMA peak) %7.2f GB/s of "
        "KV\n",
        type == KvType::kF16 ? "f16" : "int8", static_cast<long>(queries), static_cast<long>(context), seconds * 1e6,
        rate / 1e9, 100.0 * rate / limits.float_per_s,
        static_cast<double>(pages * kv_heads * words * 2) / seconds / 1e9);
}

void run_rows(const Options& options) {
    const Kernels& table = kernels(options.isa);
    Random random(5);
    std::vector<float> x = random_floats(random, 49152, 2.0f), y = x, z(x.size());
    std::vector<QuantBlock> qx(2048);
    const auto report = [&](const char* name, std::int64_t n, const auto& body) {
        Options one = options;
        one.threads = 1;
        const double seconds = timed(one,
                                     [&](int) {
                                         for (int i = 0; i < 200; ++i) body(n);
                                     }) /
                               200;
        std::printf("%-14s n=%-6ld %8.3f us %6.2f ns a value\n", name, static_cast<long>(n), seconds * 1e6,
                    seconds * 1e9 / static_cast<double>(n));
    };
    report("quantize", 576, [&](std::int64_t n) { table.quantize(x.data(), n, qx.data()); });
    report("quantize", 1536, [&](std::int64_t n) { table.quantize(x.data(), n, qx.data()); });
    report("rmsnorm", 576, [&](std::int64_t n) { table.rmsnorm(x.data(), y.data(), z.data(), n, 1e-5f); });
    report("silu glu", 1536, [&](std::int64_t n) { table.glu(Activation::kSilu, x.data(), y.data(), z.data(), n); });
    report("rope", 576, [&](std::int64_t) { table.rope(z.data(), 9, 64, 64, x.data(), y.data(), RopeStyle::kHalf); });
    report("rope pairs", 576,
           [&](std::int64_t) { table.rope(z.data(), 9, 64, 64, x.data(), y.data(), RopeStyle::kInterleaved); });
    std::fill(z.begin(), z.end(), 0.0f);
    report("argmax", 49152, [&](std::int64_t n) { z[0] += static_cast<float>(table.argmax(x.data(), n)); });
    report("exp_sum", 49152,
           [&](std::int64_t n) { z[0] += static_cast<float>(table.exp_sum(x.data(), 9.0f, nullptr, n)); });
}

enum class What { kAll, kBrief, kAttention };

void run(const Options& options, What what) {
    const Bandwidth bandwidth = probe_bandwidth(options.threads, std::size_t{192} << 20, 7);
    const auto a_thread = [&](Arithmetic kind) {
        return probe_peak(options.isa, kind, options.threads) / options.threads;
    };
    const Limits limits{bandwidth.bytes_per_s, a_thread(Arithmetic::kInt8), a_thread(Arithmetic::kFloat)};
    std::printf("%s, %d thread(s): %.2f GB/s (huge pages: %s), int8 %.1f GOP/s and f32 %.1f GFLOP/s a thread\n",
                isa_name(options.isa), options.threads, limits.bytes_per_s / 1e9, bandwidth.huge_pages ? "yes" : "no",
                limits.int8_per_s / 1e9, limits.float_per_s / 1e9);
    const std::vector<Shape> model = smollm2();
    double decode = 0.0, prefill = 0.0;
    if (what != What::kBrief) {
        for (const auto& [queries, context] :
             {std::pair{1, 64}, {1, 512}, {1, 1024}, {1, 4096}, {16, 512}, {512, 512}, {512, 4096}})
            for (const KvType type : {KvType::kF16, KvType::kInt8})
                run_attention(options, limits, type, queries, context);
        if (what == What::kAttention) return;
    }
    for (const std::int64_t tokens : {1, 2, 4, 8, 16, 32}) {
        const double seconds = run_products(options, limits, model, tokens, tokens, "smollm2 decode");
        if (tokens == 1) decode = 1.0 / seconds;
    }
    for (const std::int64_t tokens : {64, 128, 512}) {
        const double seconds = run_products(options, limits, model, tokens, 1, "smollm2 chunk");
        if (tokens == 512) prefill = 512.0 / seconds;
    }
    if (what == What::kAll) {
        for (const Format& format : formats())
            for (const std::int64_t tokens : {1, 4, 16, 128})
                run_products(options, limits, std::vector<Shape>(8, Shape{format.name, 3072, 1024}), tokens, tokens,
                             format.name);
        run_rows(options);
    }
    std::printf(
        "{\"bench\": \"kernels\", \"isa\": \"%s\", \"threads\": %d, \"bandwidth_gb_s\": %.2f, \"int8_gop_s_thread\": "
        "%.1f, "
        "\"decode_tok_s\": %.1f, \"prefill_512_tok_s\": %.1f}\n",
        isa_name(options.isa), options.threads, limits.bytes_per_s / 1e9, limits.int8_per_s / 1e9, decode, prefill);
}

}  // namespace
}  // namespace undiced::test

int main(int argc, char** argv) {
    undiced::test::Options options;
    auto what = undiced::test::What::kAll;
    try {
        for (int i = 1; i < argc; ++i) {
            const std::string flag = argv[i];
            if (flag == "--brief")
                what = undiced::test::What::kBrief;
            else if (flag == "--attention")
                what = undiced::test::What::kAttention;
            else if (flag == "--isa" && i + 1 < argc)
                options.isa = undiced::parse_isa(argv[++i]);
            else if (flag == "--threads" && i + 1 < argc)
                options.threads = std::max(1, std::stoi(argv[++i]));
            else if (flag == "--rounds" && i + 1 < argc)
                options.rounds = std::max(1, std::stoi(argv[++i]));
            else if (flag == "--cpu-time")
                options.cpu_time = true;
            else
                throw std::runtime_error(
                    "usage: kernel_bench [--isa LEVEL] [--threads N] [--rounds N] [--cpu-time] [--brief | "
                    "--attention]");
        }
        undiced::test::run(options, what);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
}

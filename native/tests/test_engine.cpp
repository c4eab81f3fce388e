// A small transformer run step by step through the engine: every level against the portable one, and any number of
// threads with the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "engine.h"
#include "engine_tests.h"
#include "reference.h"

namespace undiced::test {
namespace {

constexpr int kWidth = 128, kHeads = 4, kKvHeads = 2, kHeadDim = 32, kInner = 192, kVocab = 320, kLayers = 2;
constexpr int kMostTokens = 64, kPagesEach = 4, kSequences = 3, kPool = kPagesEach * kSequences;
constexpr int kQueries = kHeads * kHeadDim, kKeys = kKvHeads * kHeadDim;

// Buffers, by number.
enum : int {
    kHidden,
    kNormed,
    kCodes,
    kQkv,
    kAttended,
    kAttendedCodes,
    kGateUp,
    kGated,
    kGatedCodes,
    kLast,
    kLastCodes,
    kLogits
};

// What a layer's weights are, from its first slot on.
enum : int { kNorm, kQ, kK, kV, kO, kSecondNorm, kGate, kUp, kDown, kPerLayer };
constexpr int kTable = 0, kFinalNorm = 1, kHead = 2, kFirstLayer = 3;

template <class T>
void emit(std::vector<Instr>& stream, T fields) {
    fields.op = static_cast<std::uint16_t>(T::kOp);
    Instr out{};
    std::memcpy(&out, &fields, sizeof fields);
    stream.push_back(out);
    Instr barrier{};
    barrier.op = static_cast<std::uint16_t>(Op::BARRIER);
    stream.push_back(barrier);
}

void emit_matmul(std::vector<Instr>& stream, int dst, int a, int weight, int start, int rows, int columns,
                 bool add = false) {
    emit(stream,
         instr::Matmul{0, static_cast<std::uint16_t>(add ? 1 : 0), dst, a, weight, kNone, start, rows, columns});
}

void emit_layer(std::vector<Instr>& stream, int layer) {
    using instr::Partition;
    const int slot = kFirstLayer + layer * kPerLayer;
    emit(stream, instr::Rmsnorm{0, 0, kNormed, kHidden, slot + kNorm, 0, kWidth, kWidth, 1e-5f});
    emit(stream, instr::Quantize{0, 0, kCodes, kNormed, kWidth, Partition::TOKENS});
    emit_matmul(stream, kQkv, kCodes, slot + kQ, 0, kQueries, kWidth);
    emit_matmul(stream, kQkv, kCodes, slot + kK, kQueries, kKeys, kWidth);
    emit_matmul(stream, kQkv, kCodes, slot + kV, kQueries + kKeys, kKeys, kWidth);
    for (const auto& [start, heads] : {std::pair{0, kHeads}, std::pair{kQueries, kKvHeads}})
        emit(stream, instr::Rope{.op = 0,
                                 .flags = 0,
                                 .dst = kQkv,
                                 .a = kQkv,
                                 .factors = kNone,
                                 .start = start,
                                 .heads = heads,
                                 .head_dim = kHeadDim,
                                 .offset = 0,
                                 .dims = kHeadDim,
                                 .style = instr::RopeStyle::HALF,
                                 .constant = 0,
                                 .magnitude = 1.0f});
    emit(stream, instr::KvStore{0, 0, kQkv, kQkv, layer, kQueries, kQueries + kKeys, kKvHeads, kHeadDim});
    emit(stream, instr::Attention{.op = 0,
                                  .flags = 0,
                                  .dst = kAttended,
                                  .q = kQkv,
                                  .sinks = kNone,
                                  .kv_layer = layer,
                                  .start = 0,
                                  .heads = kHeads,
                                  .kv_heads = kKvHeads,
                                  .head_dim = kHeadDim,
                                  .window = 0,
                                  .chunk = 0,
                                  .scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim)),
                                  .softcap = 0.0f});
    emit(stream, instr::Quantize{0, 0, kAttendedCodes, kAttended, kQueries, Partition::TOKENS});
    emit_matmul(stream, kHidden, kAttendedCodes, slot + kO, 0, kWidth, kQueries, true);
    emit(stream, instr::Rmsnorm{0, 0, kNormed, kHidden, slot + kSecondNorm, 0, kWidth, kWidth, 1e-5f});
    emit(stream, instr::Quantize{0, 0, kCodes, kNormed, kWidth, Partition::TOKENS});
    emit_matmul(stream, kGateUp, kCodes, slot + kGate, 0, kInner, kWidth);
    emit_matmul(stream, kGateUp, kCodes, slot + kUp, kInner, kInner, kWidth);
    emit(stream, instr::Glu{0, 0, kGated, kGateUp, 0, kInner, kInner, instr::Activation::SILU});
    emit(stream, instr::Quantize{0, 0, kGatedCodes, kGated, kInner, Partition::TOKENS});
    emit_matmul(stream, kHidden, kGatedCodes, slot + kDown, 0, kWidth, kInner, true);
}

EngineSpec make_spec(int threads, SpinTimes spin, KvType type) {
    EngineSpec spec{};
    emit(spec.stream, instr::Embed{0, 0, kHidden, kTable, kWidth, 1.0f});
    for (int layer = 0; layer < kLayers; ++layer) emit_layer(spec.stream, layer);
    emit(spec.stream, instr::Gather{0, 0, kLast, kHidden, kWidth});
    emit(spec.stream, instr::Rmsnorm{0, 0, kLast, kLast, kFinalNorm, 0, kWidth, kWidth, 1e-5f});
    emit(spec.stream, instr::Quantize{0, 0, kLastCodes, kLast, kWidth, instr::Partition::TOKENS});
    emit_matmul(spec.stream, kLogits, kLastCodes, kHead, 0, kVocab, kWidth);
    emit(spec.stream, instr::Sample{0, 0, kLogits, kVocab});
    spec.buffers = {{kWidth, false, 0, false},     {kWidth, false, 0, false},
                    {kWidth, false, 1, false},     {kQueries + 2 * kKeys, false, 0, false},
                    {kQueries, false, 0, false},   {kQueries, false, 1, false},
                    {2 * kInner, false, 0, false}, {kInner, false, 0, false},
                    {kInner, false, 1, false},     {kWidth, true, 0, false},
                    {kWidth, true, 2, false},      {kVocab, true, 0, false}};
    spec.slots = {{kVocab, kWidth, "F16", 1}, {1, kWidth, "F32", 1}, {kVocab, kWidth, "Q8_0", 1}};
    for (int layer = 0; layer < kLayers; ++layer) {
        const std::string format = layer == 0 ? "Q4_1" : "Q5_0";
        for (const SlotSpec& slot :
             {SlotSpec{1, kWidth, "F32", 1}, SlotSpec{kQueries, kWidth, format, 1}, SlotSpec{kKeys, kWidth, "Q8_0", 1},
              SlotSpec{kKeys, kWidth, "IQ4_NL", 1}, SlotSpec{kWidth, kQueries, "Q4_0", 1},
              SlotSpec{1, kWidth, "F32", 1}, SlotSpec{kInner, kWidth, format, 1}, SlotSpec{kInner, kWidth, "MXFP4", 1},
              SlotSpec{kWidth, kInner, format, 1}})
            spec.slots.push_back(slot);
    }
    spec.kv.assign(kLayers, {kKvHeads, kHeadDim, 0, false, type});
    spec.constants.emplace_back();
    for (int i = 0; i < kHeadDim / 2; ++i)
        spec.constants[0].push_back(std::pow(10000.0f, -2.0f * static_cast<float>(i) / kHeadDim));
    spec.limits = {kSequences, kSequences, kMostTokens, kPagesEach * 32, kPool, kVocab};
    spec.threads = threads;
    spec.spin = spin;
    return spec;
}

// The same random weights for every engine.
void load(Engine& engine, const EngineSpec& spec) {
    Random random(11);
    for (std::size_t index = 0; index < spec.slots.size(); ++index) {
        const SlotSpec& slot = spec.slots[index];
        if (slot.rows == 1) {
            engine.load_vector(static_cast<int>(index),
                               random_floats(random, static_cast<std::size_t>(slot.columns), 1.0f));
            continue;
        }
        const std::vector<std::uint8_t> raw =
            random_tensor(random, format_named(slot.format.c_str()), slot.rows, slot.columns);
        std::vector<std::int32_t> rows(static_cast<std::size_t>(slot.rows));
        for (std::size_t row = 0; row < rows.size(); ++row) rows[row] = static_cast<std::int32_t>(row);
        const LoadPart part{raw, slot.format, slot.rows, slot.columns, rows, false};
        engine.load(static_cast<int>(index), {&part, 1});
    }
}

// Steps of several sequences: prompts of different lengths together, then a token each, then one sequence alone.
std::vector<float> logits_of(const std::string& isa, int threads, SpinTimes spin, Folding folding,
                             KvType type = KvType::kF16) {
    const EngineSpec spec = make_spec(threads, spin, type);
    Engine engine(spec, isa);
    engine.set_folding(folding);
    load(engine, spec);
    Random random(5);
    std::vector<int> length(kSequences, 0);
    std::vector<float> all;
    const auto step = [&](const std::vector<int>& sequences, const std::vector<int>& counts) {
        std::vector<std::int32_t> tokens, positions, start{0}, slots, pages, rows;
        std::vector<SamplingRow> sampling;
        for (std::size_t i = 0; i < sequences.size(); ++i) {
            const auto sequence = static_cast<std::size_t>(sequences[i]);
            for (int t = 0; t < counts[i]; ++t) {
                tokens.push_back(static_cast<std::int32_t>(random() % kVocab));
                positions.push_back(length[sequence]++);
            }
            start.push_back(static_cast<std::int32_t>(tokens.size()));
            rows.push_back(start.back() - 1);
            slots.push_back(sequences[i]);
            for (int page = 0; page < kPagesEach; ++page) pages.push_back(sequences[i] * kPagesEach + page);
            SamplingRow row{};
            row.slot = sequences[i];
            row.target = row.top_logprobs = row.mask = row.top_k = -1;
            row.top_p = row.repetition_penalty = 1.0f;
            sampling.push_back(row);
        }
        const std::size_t count = rows.size();
        std::vector<std::int32_t> drawn(count, -9), top_ids(count * kTopLogprobsMax);
        std::vector<float> logprobs(count), top(count * kTopLogprobsMax), values;
        engine.step({tokens, positions, start, slots, pages, kPagesEach, rows, sampling, {}, 0},
                    {drawn, logprobs, top_ids, top});
        engine.read_buffer(kLogits, values);
        for (std::size_t row = 0; row < count; ++row) {
            const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row) * kVocab;
            check(drawn[row] == std::max_element(begin, begin + kVocab) - begin, isa + " draws the likeliest token");
        }
        all.insert(all.end(), values.begin(), values.end());
    };
    for (int sequence = 0; sequence < kSequences; ++sequence) engine.open_slot(sequence, {}, {}, {}, {}, {});
    step({0, 1, 2}, {37, 5, 20});
    for (int i = 0; i < 12; ++i) step({0, 1, 2}, {1, 1, 1});
    for (int i = 0; i < 12; ++i) step({0}, {1});
    for (int i = 0; i < 6; ++i) step({2, 0}, {1, 1});
    step({1}, {33});
    return all;
}

}  // namespace

namespace {

double farthest(const std::vector<float>& a, const std::vector<float>& b) {
    double error = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) error = std::max(error, static_cast<double>(std::fabs(a[i] - b[i])));
    return error;
}

// The median of all distances. Weights are so wild here that attention sees one position or another, and a code of int8
// that is rounded the other way may change which; such rows say nothing.
double typical(const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<double> errors;
    for (std::size_t i = 0; i < a.size(); ++i) errors.push_back(std::fabs(a[i] - b[i]));
    std::nth_element(errors.begin(), errors.begin() + errors.size() / 2, errors.end());
    return errors[errors.size() / 2];
}

void test_type(KvType type, const std::vector<float>& f16, double most) {
    const std::vector<float> portable = logits_of("portable", 1, {0, 0}, Folding::kNever, type);
    const std::string kv = type == KvType::kInt8 ? " int8 KV" : "";
    if (type == KvType::kInt8) {
        const double error = typical(portable, f16);
        check(error > 0.0 && error <= 0.03 * most,
              "int8 KV gives about the f16 logits, off by " + std::to_string(error));
    }
    for (const Isa isa : levels()) {
        if (!supported(isa)) continue;
        const std::string name = isa_name(isa) + kv;
        const std::vector<float> one = logits_of(isa_name(isa), 1, {0, 0}, Folding::kNever, type);
        const double error = (type == KvType::kF16 ? farthest : typical)(one, portable);
        check(error <= 0.02 * most, name + " gives the portable logits, off by " + std::to_string(error));
        for (const int threads : {2, 3, 5})
            for (const SpinTimes spin : {SpinTimes{0, 0}, SpinTimes{}})
                for (const Folding folding : {Folding::kNever, Folding::kAlways})
                    check(logits_of(isa_name(isa), threads, spin, folding, type) == one,
                          name + " has the same bits with " + std::to_string(threads) + " threads");
    }
}

}  // namespace

void test_engine() {
    const std::vector<float> portable = logits_of("portable", 1, {0, 0}, Folding::kNever);
    float most = 0.0f;
    for (const float value : portable) most = std::max(most, std::fabs(value));
    check(std::isfinite(most) && most > 0.1f, "logits are numbers");
    for (const KvType type : {KvType::kF16, KvType::kInt8}) test_type(type, portable, most);
}

}  // namespace undiced::test

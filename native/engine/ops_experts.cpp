// Mixtures of experts: choosing experts, and products with the matrices of those that tokens chose.
// Tokens are gathered by expert, so each matrix is read once a step; a member does its own rows of every matrix.
// A token's experts are added in the order of their numbers: its sum does not depend on who else is in the step.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace undiced {
namespace {

constexpr float kOssSlope = 1.702f;  // of SWIGLU_OSS's sigmoid
constexpr float kLeastSum = 1e-20f;  // keeps weights finite where all scores vanish

// What a token's experts are: their weights, then their numbers. What is no number of an expert counts as the first.
struct Chosen {
    const float* row;
    int top_k, experts;

    float weight(int k) const { return row[k]; }
    int expert(int k) const {
        const float number = row[top_k + k];
        return number >= 0.0f && number < static_cast<float>(experts) ? static_cast<int>(number) : 0;
    }
};

// One expert's matrix of a stack.
PackedMatrix matrix_of(const Slot& stack, int expert, int rows) {
    PackedMatrix one = stack.matrix;
    one.rows = rows;
    one.data = stack.matrix.tile(std::int64_t{expert} * rows / kTileRows);
    return one;
}

// Calls body(expert, entries) for every expert that was chosen, in order; an entry is token * top_k + k.
template <class Body>
void for_experts(ExpertScratch& scratch, const Buffer& routes, int tokens, int experts, int top_k, Body&& body) {
    std::fill_n(scratch.starts.begin(), experts + 1, 0);
    for (int t = 0; t < tokens; ++t)
        for (int k = 0; k < top_k; ++k)
            ++scratch.starts[static_cast<std::size_t>(Chosen{routes.row(t), top_k, experts}.expert(k)) + 1];
    for (int e = 0; e < experts; ++e)
        scratch.starts[static_cast<std::size_t>(e) + 1] += scratch.starts[static_cast<std::size_t>(e)];
    for (int t = 0; t < tokens; ++t)
        for (int k = 0; k < top_k; ++k) {
            const auto e = static_cast<std::size_t>(Chosen{routes.row(t), top_k, experts}.expert(k));
            scratch.entries[static_cast<std::size_t>(scratch.starts[e]++)] = t * top_k + k;
        }
    for (int e = 0, begin = 0; e < experts; ++e) {  // starts[e] is now where e ends
        const int end = scratch.starts[static_cast<std::size_t>(e)];
        for (int from = begin; from < end; from += kGatheredTokens)
            body(e, std::span<const int>(scratch.entries.data() + from,
                                         static_cast<std::size_t>(std::min(kGatheredTokens, end - from))));
        begin = end;
    }
}

// The inputs of some entries, one after the other.
struct Inputs {
    const QuantBlock* codes = nullptr;
    const float* values = nullptr;
    std::ptrdiff_t stride = 0;
};

// Those of an entry are part number `part` of `parts` of a row, both as `place` tells. One alone stays where it is.
template <class Place>
Inputs gather(ExpertScratch& scratch, const Buffer& a, int columns, std::span<const int> entries, int parts,
              Place&& place) {
    const std::int64_t blocks = blocks_of(columns);
    const auto codes = [&](int entry) {
        const auto [row, part] = place(entry);
        return a.blocks + (std::int64_t{row} * parts + part) * blocks;
    };
    const auto values = [&](int entry) {
        const auto [row, part] = place(entry);
        return a.row(row) + std::int64_t{part} * columns;
    };
    const bool quantized = a.spec.code_bytes > 0;
    if (entries.size() == 1)
        return quantized ? Inputs{codes(entries[0]), nullptr, 0} : Inputs{nullptr, values(entries[0]), columns};
    for (std::size_t i = 0; i < entries.size(); ++i) {
        if (quantized)
            std::copy_n(codes(entries[i]), blocks, scratch.codes.data() + static_cast<std::int64_t>(i) * blocks);
        else
            std::copy_n(values(entries[i]), columns, scratch.values.data() + static_cast<std::int64_t>(i) * columns);
    }
    return quantized ? Inputs{scratch.codes.data(), nullptr, 0} : Inputs{nullptr, scratch.values.data(), columns};
}

// out (entries x width of `mine`) = inputs times the expert's rows of `mine` (+ bias).
void multiply(const State& state, const Slot& stack, int expert, int rows, Share mine, const Inputs& inputs,
              std::size_t entries, int bias, float* out) {
    const PackedMatrix one = matrix_of(stack, expert, rows);
    const int width = mine.end - mine.begin;
    MatmulArgs args;
    args.w = &one;
    args.tile_begin = mine.begin / kTileRows;
    args.tile_end = tiles_of(mine.end);
    args.qx = inputs.codes;
    args.x = inputs.values;
    args.ldx = inputs.stride;
    args.tokens = static_cast<std::int64_t>(entries);
    args.out = out - mine.begin;
    args.ldo = width;
    args.bias = bias == kNone ? nullptr : state.weights.slot(bias).floats() + std::int64_t{expert} * rows;
    state.kernels.matmul(args);
}

// gate = glu(gate, up) as SWIGLU_OSS means it.
void glu_oss(const Kernels& kernels, float* gate, float* up, float* line, int n, float limit) {
    if (limit > 0.0f)
        for (int i = 0; i < n; ++i) {
            gate[i] = std::min(gate[i], limit);
            up[i] = std::clamp(up[i], -limit, limit);
        }
    for (int i = 0; i < n; ++i) line[i] = kOssSlope * gate[i];
    kernels.act(Activation::kSigmoid, line, line, n);
    for (int i = 0; i < n; ++i) gate[i] *= line[i] * (up[i] + 1.0f);
}

// What both products have in common: operands, stacks, and room to gather in.
template <class T>
void check_product(const Checker& c, const T& i, const Buffer& a, int a_columns, std::initializer_list<int> stacks) {
    c.require(i.rows > 0 && i.columns > 0 && i.top_k > 0 && i.experts >= i.top_k, "experts without rows or columns");
    c.require(i.rows % kShardGranule == 0 && i.columns % kShardGranule == 0,
              "rows and columns must be multiples of the shard granule");
    const Buffer& routes = c.columns(i.routes, "routes", 0, 2 * std::int64_t{i.top_k});
    c.require(!routes.spec.samples && !a.spec.samples, "a and routes must hold token rows");
    c.require(a.spec.code_bytes < 2 && a.spec.width >= a_columns, "a is narrower than columns");
    for (const int stack : stacks) {
        const Slot& w = c.matrix(stack);
        c.require(w.experts == i.experts && w.rows() == std::int64_t{i.experts} * i.rows && w.columns() == i.columns,
                  "rows or columns differ from the weight's");
        c.require((w.matrix.format->group > 0) == (a.spec.code_bytes > 0), "a does not suit the weight's format");
    }
    c.state.make_room_for_experts(i.experts, i.top_k, i.columns, i.rows);
}

std::int64_t product_columns(int parts, int columns) { return std::int64_t{parts} * columns; }

}  // namespace

int check_route(const Checker& c) {
    const auto i = c.as<instr::Route>();
    const Buffer& a = c.columns(i.a, "a", 0, i.experts);
    c.same_rows(c.columns(i.dst, "dst", 0, 2 * std::int64_t{i.top_k}), a);
    c.require(!a.spec.samples, "a must hold token rows");
    c.require(i.experts <= kMostExperts, "too many experts");
    c.require(known(i.scoring), "scoring must be softmax or sigmoid");
    c.require(i.groups > 0 && i.experts % i.groups == 0 && i.top_groups > 0 && i.top_groups <= i.groups,
              "experts do not fall into such groups");
    c.require(i.top_k > 0 && i.top_k <= i.experts / i.groups * i.top_groups, "not so many experts can be chosen");
    c.require(std::isfinite(i.scaling), "scaling must be finite");
    c.vector(i.bias, i.experts, true);
    return kNone;
}

namespace {

// Forbids the experts of all groups but the best; a group is as good as its two best experts together.
void keep_best_groups(float* wanted, const instr::Route& i) {
    const int size = i.experts / i.groups;
    float score[kMostExperts];
    for (int g = 0; g < i.groups; ++g) {
        float first = -INFINITY, second = -INFINITY;
        for (int e = g * size; e < (g + 1) * size; ++e) {
            second = std::max(second, std::min(first, wanted[e]));
            first = std::max(first, wanted[e]);
        }
        score[g] = size > 1 ? first + second : first;
    }
    bool kept[kMostExperts] = {};
    for (int n = 0; n < i.top_groups; ++n) {
        int best = -1;
        for (int g = 0; g < i.groups; ++g)
            if (!kept[g] && (best < 0 || score[g] > score[best])) best = g;
        kept[best] = true;
    }
    for (int g = 0; g < i.groups; ++g)
        if (!kept[g]) std::fill_n(wanted + g * size, size, -INFINITY);
}

// Writes weights and numbers of the chosen experts of one token. Logits that are no numbers choose the first ones.
void choose(const State& state, const instr::Route& i, const float* logits, const float* bias, float* out) {
    float scores[kMostExperts], wanted[kMostExperts];
    if (i.scoring == instr::Scoring::SOFTMAX) {
        const float largest = *std::max_element(logits, logits + i.experts);
        const auto total = static_cast<float>(state.kernels.exp_sum(logits, largest, scores, i.experts));
        for (int e = 0; e < i.experts; ++e) scores[e] /= total;
    } else {
        std::copy_n(logits, i.experts, scores);
        state.kernels.act(Activation::kSigmoid, scores, scores, i.experts);
    }
    for (int e = 0; e < i.experts; ++e) wanted[e] = scores[e] + (bias != nullptr ? bias[e] : 0.0f);
    if (i.groups > 1) keep_best_groups(wanted, i);
    float total = kLeastSum;
    bool taken[kMostExperts] = {};
    for (int k = 0; k < i.top_k; ++k) {
        int best = -1;
        for (int e = 0; e < i.experts; ++e)
            if (!taken[e] && (best < 0 || wanted[e] > wanted[best])) best = e;
        taken[best] = true;
        out[k] = scores[best];
        out[i.top_k + k] = static_cast<float>(best);
        total += scores[best];
    }
    const float factor = i.scaling / (i.normalize() ? total : 1.0f);
    for (int k = 0; k < i.top_k; ++k) out[k] *= factor;
}

}  // namespace

void run_route(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::Route>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member);
    const float* bias = i.bias == kNone ? nullptr : state.weights.slot(i.bias).floats();
    const Share rows = state.row_share(dst, member);
    for (int t = rows.begin; t < rows.end; ++t) choose(state, i, a.row(t), bias, dst.row(t));
}

int check_expert_glu(const Checker& c) {
    const auto i = c.as<instr::ExpertGlu>();
    const Buffer& a = c.any(i.a, "a");
    check_product(c, i, a, i.columns, {i.gate, i.up});
    const Buffer& dst = c.any(i.dst, "dst");
    c.require(!dst.spec.samples && dst.spec.code_bytes < 2 && dst.spec.width >= product_columns(i.top_k, i.rows) &&
                  i.dst != i.a,
              "dst must hold rows of all chosen experts, and not be a");
    c.require(known(i.activation), "no such activation");
    c.require(i.limit >= 0.0f, "limit must not be negative");
    c.vector(i.gate_bias, std::int64_t{i.experts} * i.rows, true);
    c.vector(i.up_bias, std::int64_t{i.experts} * i.rows, true);
    return kNone;
}

void run_expert_glu(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::ExpertGlu>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member),
                 routes = state.buffer(i.routes, member);
    const Share mine = column_share(i.rows, state.members(), member);
    const int width = mine.end - mine.begin;
    if (width == 0) return;
    ExpertScratch& scratch = state.experts[static_cast<std::size_t>(member)];
    const auto shared = [&](int entry) { return std::pair{entry / i.top_k, 0}; };
    for_experts(scratch, routes, state.rows(dst), i.experts, i.top_k, [&](int e, std::span<const int> entries) {
        const Inputs inputs = gather(scratch, a, i.columns, entries, 1, shared);
        float *gates = scratch.gates.data(), *ups = scratch.ups.data();
        const bool plain = !i.weigh();  // else biases come after the weights
        multiply(state, state.weights.slot(i.gate), e, i.rows, mine, inputs, entries.size(),
                 plain ? i.gate_bias : kNone, gates);
        multiply(state, state.weights.slot(i.up), e, i.rows, mine, inputs, entries.size(), plain ? i.up_bias : kNone,
                 ups);
        for (const int entry : entries) {
            const int t = entry / i.top_k, k = entry % i.top_k;
            if (!plain) {
                const float weight = Chosen{routes.row(t), i.top_k, i.experts}.weight(k);
                for (const auto& [values, slot] : {std::pair{gates, i.gate_bias}, std::pair{ups, i.up_bias}}) {
                    state.kernels.scale(weight, values, width);
                    if (slot == kNone) continue;
                    const float* bias = state.weights.slot(slot).floats() + std::int64_t{e} * i.rows + mine.begin;
                    state.kernels.add(values, bias, values, width);
                }
            }
            if (i.activation == instr::Activation::SWIGLU_OSS)
                glu_oss(state.kernels, gates, ups, scratch.line.data(), width, i.limit);
            else
                state.kernels.glu(static_cast<Activation>(i.activation), gates, ups, gates, width);
            const std::int64_t column = product_columns(k, i.rows) + mine.begin;
            if (dst.spec.code_bytes > 0)
                state.kernels.quantize(gates, width,
                                       dst.blocks + (t * product_columns(i.top_k, i.rows) + column) / kBlockCols);
            else
                std::copy_n(gates, width, dst.row(t) + column);
            gates += width;
            ups += width;
        }
    });
}

int check_expert_sum(const Checker& c) {
    const auto i = c.as<instr::ExpertSum>();
    const Buffer& a = c.any(i.a, "a");
    check_product(c, i, a, i.top_k * i.columns, {i.down});
    c.same_rows(c.columns(i.dst, "dst", 0, i.rows), a);
    c.require(i.dst != i.a, "dst must not be a");
    c.vector(i.bias, std::int64_t{i.experts} * i.rows, true);
    return kNone;
}

void run_expert_sum(State& state, const Bound& b, int member) {
    const auto i = b.i.as<instr::ExpertSum>();
    const Buffer dst = state.buffer(i.dst, member), a = state.buffer(i.a, member),
                 routes = state.buffer(i.routes, member);
    const Share mine = column_share(i.rows, state.members(), member);
    const int width = mine.end - mine.begin, tokens = state.rows(dst);
    if (width == 0) return;
    if (!i.accumulate())
        for (int t = 0; t < tokens; ++t) std::fill_n(dst.row(t) + mine.begin, width, 0.0f);
    ExpertScratch& scratch = state.experts[static_cast<std::size_t>(member)];
    const auto own = [&](int entry) { return std::pair{entry / i.top_k, entry % i.top_k}; };
    for_experts(scratch, routes, tokens, i.experts, i.top_k, [&](int e, std::span<const int> entries) {
        const Inputs inputs = gather(scratch, a, i.columns, entries, i.top_k, own);
        const float* values = scratch.gates.data();
        multiply(state, state.weights.slot(i.down), e, i.rows, mine, inputs, entries.size(), i.bias,
                 scratch.gates.data());
        for (const int entry : entries) {
            const int t = entry / i.top_k, k = entry % i.top_k;
            const float weight = i.weigh() ? Chosen{routes.row(t), i.top_k, i.experts}.weight(k) : 1.0f;
            state.kernels.axpy(weight, values, dst.row(t) + mine.begin, width);
            values += width;
        }
    });
}

}  // namespace undiced

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

// A member's part of a product with experts: operands as it sees them, and its rows of every matrix.
template <class T>
struct Part {
    Part(State& state, const Bound& b, int member)
        : i(b.i.as<T>()),
          state(state),
          dst(state.buffer(i.dst, member)),
          a(state.buffer(i.a, member)),
          routes(state.buffer(i.routes, member)),
          mine(column_share(i.rows, state.members(), member)),
          width(mine.end - mine.begin),
          tokens(state.rows(dst)),
          scratch(state.experts[static_cast<std::size_t>(member)]) {}

    Chosen chosen(int token) const { return {routes.row(token), i.top_k, i.experts}; }

    const T i;
    const State& state;
    const Buffer dst, a, routes;
    const Share mine;
    const int width, tokens;
    ExpertScratch& scratch;
};

// One expert's matrix of a stack.
PackedMatrix matrix_of(const Slot& stack, int expert, int rows) {
    PackedMatrix one = stack.matrix;
    one.rows = rows;
    one.data = stack.matrix.tile(std::int64_t{expert} * rows / kTileRows);
    return one;
}

// Calls body(expert, entries) for every expert that was chosen, in order; an entry is token * top_k + k.
template <class T, class Body>
void for_experts(const Part<T>& part, Body&& body) {
    const int experts = part.i.experts, top_k = part.i.top_k;
    ExpertScratch& scratch = part.scratch;
    std::fill_n(scratch.starts.begin(), experts + 1, 0);
    for (int t = 0; t < part.tokens; ++t)
        for (int k = 0; k < top_k; ++k) ++scratch.starts[static_cast<std::size_t>(part.chosen(t).expert(k)) + 1];
    for (int e = 0; e < experts; ++e)
        scratch.starts[static_cast<std::size_t>(e) + 1] += scratch.starts[static_cast<std::size_t>(e)];
    for (int t = 0; t < part.tokens; ++t)
        for (int k = 0; k < top_k; ++k) {
            const auto e = static_cast<std::size_t>(part.chosen(t).expert(k));
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

// An entry's input is its token's row, or, where each expert has `own` ones, part number k of it. One alone stays where
// it is.
template <class T>
Inputs gather(const Part<T>& part, std::span<const int> entries, bool own) {
    const int columns = part.i.columns, top_k = part.i.top_k;
    const std::int64_t blocks = blocks_of(columns);
    ExpertScratch& scratch = part.scratch;
    const auto codes = [&](int entry) { return part.a.blocks + (own ? entry : entry / top_k) * blocks; };
    const auto values = [&](int entry) {
        return part.a.row(entry / top_k) + (own ? std::int64_t{entry % top_k} * columns : 0);
    };
    const bool quantized = part.a.spec.code_bytes > 0;
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

// The values of an expert in a vector of all experts' biases; nullptr where there is none.
template <class T>
const float* bias_of(const Part<T>& part, int slot, int expert) {
    return slot == kNone ? nullptr : part.state.weights.slot(slot).floats() + std::int64_t{expert} * part.i.rows;
}

// out (entries x width) = inputs times the member's rows of an expert's matrix (+ bias).
template <class T>
void multiply(const Part<T>& part, int stack, int expert, const Inputs& inputs, std::size_t entries, const float* bias,
              float* out) {
    const PackedMatrix one = matrix_of(part.state.weights.slot(stack), expert, part.i.rows);
    MatmulArgs args;
    args.w = &one;
    args.tile_begin = part.mine.begin / kTileRows;
    args.tile_end = tiles_of(part.mine.end);
    args.qx = inputs.codes;
    args.x = inputs.values;
    args.ldx = inputs.stride;
    args.tokens = static_cast<std::int64_t>(entries);
    args.out = out - part.mine.begin;
    args.ldo = part.width;
    args.bias = bias;
    part.state.kernels.matmul(args);
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

std::int64_t product_columns(int parts, int columns) { return std::int64_t{parts} * columns; }

// What both products have in common: operands, stacks, and room to gather in.
template <class T>
void check_product(const Checker& c, const T& i, const Buffer& a, std::int64_t a_columns,
                   std::initializer_list<int> stacks) {
    c.require(i.rows > 0 && i.columns > 0 && i.top_k > 0 && i.experts >= i.top_k, "experts without rows or columns");
    c.require(i.rows % kShardGranule == 0 && i.columns % kShardGranule == 0,
              "rows and columns must be multiples of the shard granule");
    c.same_rows(c.columns(i.routes, "routes", 0, 2 * std::int64_t{i.top_k}), a);
    c.require(a.spec.code_bytes < 2 && a.spec.width >= a_columns, "a is narrower than columns");
    for (const int stack : stacks) {
        const Slot& w = c.matrix(stack);
        c.require(w.experts == i.experts && w.rows() == std::int64_t{i.experts} * i.rows && w.columns() == i.columns,
                  "rows or columns differ from the weight's");
        c.require(w.matrix.format->integer() == (a.spec.code_bytes > 0), "a does not suit the weight's format");
    }
    c.state.make_room_for_experts(i.experts, i.top_k, i.columns, i.rows);
}

}  // namespace

int check_route(const Checker& c) {
    const auto i = c.as<instr::Route>();
    const Buffer& a = c.columns(i.a, "a", 0, i.experts);
    c.same_rows(c.columns(i.dst, "dst", 0, 2 * std::int64_t{i.top_k}), a);
    c.require(i.experts <= kMostExperts, "too many experts");
    c.require(known(i.scoring), "scoring must be softmax or sigmoid");
    c.require(i.groups > 0 && i.experts % i.groups == 0 && i.top_groups > 0 && i.top_groups <= i.groups,
              "experts do not fall into such groups");
    c.require(i.top_k > 0 && i.top_k <= i.experts / i.groups * i.top_groups, "not so many experts can be chosen");
    c.require(i.group_best == 1 || i.group_best == 2, "a group is judged by one or two experts");
    c.require(std::isfinite(i.scaling), "scaling must be finite");
    c.vector(i.bias, i.experts, true);
    return kNone;
}

namespace {

// Forbids the experts of all groups but the best; a group is as good as its one or two best experts together.
void keep_best_groups(float* wanted, const instr::Route& i) {
    const int size = i.experts / i.groups;
    float score[kMostExperts];
    for (int g = 0; g < i.groups; ++g) {
        float first = -INFINITY, second = -INFINITY;
        for (int e = g * size; e < (g + 1) * size; ++e) {
            second = std::max(second, std::min(first, wanted[e]));
            first = std::max(first, wanted[e]);
        }
        score[g] = size > 1 && i.group_best > 1 ? first + second : first;
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
    c.same_rows(dst, a);
    c.require(dst.spec.code_bytes < 2 && dst.spec.width >= product_columns(i.top_k, i.rows) && i.dst != i.a,
              "dst must hold rows of all chosen experts, and not be a");
    c.require(known(i.activation), "no such activation");
    c.require(i.limit >= 0.0f, "limit must not be negative");
    c.vector(i.gate_bias, std::int64_t{i.experts} * i.rows, true);
    c.vector(i.up_bias, std::int64_t{i.experts} * i.rows, true);
    return kNone;
}

void run_expert_glu(State& state, const Bound& b, int member) {
    const Part<instr::ExpertGlu> part(state, b, member);
    const auto& i = part.i;
    const int width = part.width;
    if (width == 0) return;
    ExpertScratch& scratch = part.scratch;
    const std::int64_t columns = product_columns(i.top_k, i.rows);
    for_experts(part, [&](int e, std::span<const int> entries) {
        const Inputs inputs = gather(part, entries, false);
        const float *gate_bias = bias_of(part, i.gate_bias, e), *up_bias = bias_of(part, i.up_bias, e);
        float *gates = scratch.gates.data(), *ups = scratch.ups.data();
        const bool plain = !i.weigh();  // else biases come after the weights
        multiply(part, i.gate, e, inputs, entries.size(), plain ? gate_bias : nullptr, gates);
        multiply(part, i.up, e, inputs, entries.size(), plain ? up_bias : nullptr, ups);
        for (const int entry : entries) {
            const int t = entry / i.top_k, k = entry % i.top_k;
            if (!plain)
                for (const auto& [values, bias] : {std::pair{gates, gate_bias}, std::pair{ups, up_bias}}) {
                    state.kernels.scale(part.chosen(t).weight(k), values, width);
                    if (bias != nullptr) state.kernels.add(values, bias + part.mine.begin, values, width);
                }
            if (i.activation == instr::Activation::SWIGLU_OSS)
                glu_oss(state.kernels, gates, ups, scratch.line.data(), width, i.limit);
            else
                state.kernels.glu(static_cast<Activation>(i.activation), gates, ups, gates, width);
            const std::int64_t column = product_columns(k, i.rows) + part.mine.begin;
            if (part.dst.spec.code_bytes > 0)
                state.kernels.quantize(gates, width, part.dst.blocks + (t * columns + column) / kBlockCols);
            else
                std::copy_n(gates, width, part.dst.row(t) + column);
            gates += width;
            ups += width;
        }
    });
}

int check_expert_sum(const Checker& c) {
    const auto i = c.as<instr::ExpertSum>();
    const Buffer& a = c.any(i.a, "a");
    check_product(c, i, a, product_columns(i.top_k, i.columns), {i.down});
    c.same_rows(c.columns(i.dst, "dst", 0, i.rows), a);
    c.require(i.dst != i.a, "dst must not be a");
    c.vector(i.bias, std::int64_t{i.experts} * i.rows, true);
    return kNone;
}

void run_expert_sum(State& state, const Bound& b, int member) {
    const Part<instr::ExpertSum> part(state, b, member);
    const auto& i = part.i;
    const int width = part.width;
    if (width == 0) return;
    const auto out = [&](int token) { return part.dst.row(token) + part.mine.begin; };
    if (!i.accumulate())
        for (int t = 0; t < part.tokens; ++t) std::fill_n(out(t), width, 0.0f);
    for_experts(part, [&](int e, std::span<const int> entries) {
        float* values = part.scratch.gates.data();
        multiply(part, i.down, e, gather(part, entries, true), entries.size(), bias_of(part, i.bias, e), values);
        for (const int entry : entries) {
            const int t = entry / i.top_k;
            const float weight = i.weigh() ? part.chosen(t).weight(entry % i.top_k) : 1.0f;
            state.kernels.axpy(weight, values, out(t), width);
            values += width;
        }
    });
}

}  // namespace undiced

// Allocating what a program needs; see state.h.
#include "state.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace undiced {
namespace {

constexpr int kMostThreads = 1024;
constexpr int kMostRows = 1 << 20;
constexpr std::size_t kCopyBytes = 960;  // cache lines and blocks: copies share no line and cut no block
static_assert(kCopyBytes % 64 == 0 && kCopyBytes % sizeof(QuantBlock) == 0 && kCopyBytes % sizeof(WideBlock) == 0);

std::size_t block_bytes(const BufferSpec& buffer) {
    return buffer.code_bytes == 1 ? sizeof(QuantBlock) : sizeof(WideBlock);
}

// A row's bytes in an odd number of cache lines: were rows whole pages apart, a tile's few columns of all rows would
// share one set of the first-level cache.
constexpr std::size_t odd_lines(std::size_t bytes) { return align64(bytes) | 64; }

void check_limit(const char* name, int value, int most) {
    if (value < 1 || value > most)
        throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + ", outside [1, " +
                                    std::to_string(most) + "]");
}

Limits checked(const EngineSpec& spec) {
    check_limit("threads", spec.threads, kMostThreads);
    check_limit("max_batch", spec.limits.max_batch, kMostRows);
    check_limit("max_samples", spec.limits.max_samples, kMostRows);
    check_limit("max_tokens", spec.limits.max_tokens, kMostRows);
    check_limit("context", spec.limits.context, 1 << 30);
    check_limit("pages", spec.limits.pages, 1 << 30);
    check_limit("vocab", spec.limits.vocab, 1 << 24);
    for (const BufferSpec& buffer : spec.buffers) {
        check_limit("a buffer's width", buffer.width, 1 << 26);
        if (buffer.code_bytes < 0 || buffer.code_bytes > 2)
            throw std::invalid_argument("a buffer has floats, or codes of 1 or 2 bytes");
    }
    return spec.limits;
}

}  // namespace

State::State(const EngineSpec& spec, const Kernels& table)
    : kernels(table),
      limits(checked(spec)),
      constants(spec.constants),
      weights(spec.slots),
      kv(spec.kv, limits.pages),
      rope(limits.max_tokens),
      attention(kernels, kv, limits, spec.threads),
      sampler(kernels, limits, spec.threads),
      counters(std::make_unique<Counter[]>(spec.stream.size())),
      shared_team(spec.team != nullptr ? spec.team : std::make_shared<Team>(spec.threads, spec.spin)),
      team(*shared_team) {
    allocate_buffers(spec);
}

Buffer State::buffer(int index, int member) const {
    Buffer seen = buffer(index);
    const std::size_t offset = small && seen.spec.own ? static_cast<std::size_t>(member) * seen.copy_bytes : 0;
    if (seen.spec.code_bytes == 0)
        seen.values += offset / sizeof(float);
    else if (seen.spec.code_bytes == 1)
        seen.blocks += offset / sizeof(QuantBlock);
    else
        seen.wide += offset / sizeof(WideBlock);
    return seen;
}

void State::make_room_for_experts(int count, int top_k, int columns, int rows) {
    const auto tokens = static_cast<std::size_t>(limits.max_tokens), gathered = std::size_t{kGatheredTokens};
    const auto wide = static_cast<std::size_t>(columns),
               own = static_cast<std::size_t>(column_share(rows, members(), 0).end);
    if (count > kMostExperts) throw std::invalid_argument("a layer of more than 1024 experts");
    check_fits(checked_product(checked_product(tokens, static_cast<std::size_t>(top_k)), sizeof(int)),
               "chosen experts");
    check_fits(checked_product(checked_product(gathered, std::max(wide, own)), 4 * sizeof(float)),
               "tokens of an expert");
    const auto grow = [](auto& values, std::size_t size) {
        if (values.size() < size) values.resize(size);
    };
    experts.resize(static_cast<std::size_t>(members()));
    for (ExpertScratch& scratch : experts) {
        grow(scratch.starts, static_cast<std::size_t>(count) + 1);
        grow(scratch.entries, tokens * static_cast<std::size_t>(top_k));
        grow(scratch.codes, gathered * static_cast<std::size_t>(blocks_of(columns)));
        grow(scratch.values, gathered * wide);
        grow(scratch.gates, gathered * own);
        grow(scratch.ups, gathered * own);
        grow(scratch.line, own);
    }
}

void State::make_room_for_heads(int columns) {
    head_codes.resize(static_cast<std::size_t>(members()));
    const auto blocks = static_cast<std::size_t>(blocks_of(columns)) * kGatheredTokens;
    for (std::vector<QuantBlock>& codes : head_codes)
        if (codes.size() < blocks) codes.resize(blocks);
}

void State::allocate_buffers(const EngineSpec& spec) {
    std::vector<std::size_t> offsets;
    std::size_t total = 0;
    int widest = 1;
    for (const BufferSpec& b : spec.buffers) {
        Buffer buffer{b};
        const auto rows = static_cast<std::size_t>(b.samples ? limits.max_samples : limits.max_tokens);
        std::size_t row = static_cast<std::size_t>(blocks_of(b.width)) * block_bytes(b);
        if (b.code_bytes == 0) {
            row = odd_lines(static_cast<std::size_t>(b.width) * sizeof(float));
            buffer.stride = static_cast<std::ptrdiff_t>(row / sizeof(float));
        }
        if (b.own) buffer.copy_bytes = (kSmallStepTokens * row + kCopyBytes - 1) / kCopyBytes * kCopyBytes;
        offsets.push_back(total);
        const std::size_t copies = checked_product(static_cast<std::size_t>(team.size()), buffer.copy_bytes);
        total = checked_sum(total, align64(std::max(checked_product(row, rows), copies)));
        widest = std::max(widest, b.width);
        buffers.push_back(buffer);
    }
    buffer_memory = Region(total, "the activation buffers");
    for (std::size_t i = 0; i < buffers.size(); ++i) {
        std::byte* at = buffer_memory.data() + offsets[i];
        if (buffers[i].spec.samples) {  // only who scores a prompt has more sampled rows than sequences
            const std::size_t end = i + 1 < buffers.size() ? offsets[i + 1] : total;
            const std::size_t row = (end - offsets[i]) / static_cast<std::size_t>(limits.max_samples);
            buffer_memory.mostly_unused(offsets[i] + row * static_cast<std::size_t>(limits.max_batch), end);
        }
        if (buffers[i].spec.code_bytes == 0)
            buffers[i].values = reinterpret_cast<float*>(at);
        else if (buffers[i].spec.code_bytes == 1)
            buffers[i].blocks = reinterpret_cast<QuantBlock*>(at);
        else
            buffers[i].wide = reinterpret_cast<WideBlock*>(at);
    }
    check_fits(checked_product(static_cast<std::size_t>(team.size()), static_cast<std::size_t>(widest) * sizeof(float)),
               "rows in the making");
    for (int i = 0; i < team.size(); ++i)
        lines.push_back(std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(widest)));
}

}  // namespace undiced

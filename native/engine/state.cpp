// Allocating what a program needs; see state.h.
#include "state.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace undiced {
namespace {

constexpr int kMostThreads = 1024;
constexpr int kMostRows = 1 << 20;

void check_limit(const char* name, int value, int most) {
    if (value < 1 || value > most)
        throw std::invalid_argument(std::string(name) + " is " + std::to_string(value) + ", outside [1, " +
                                    std::to_string(most) + "]");
}

Limits checked(const EngineSpec& spec) {
    check_limit("threads", spec.threads, kMostThreads);
    check_limit("max_batch", spec.limits.max_batch, kMostRows);
    check_limit("max_tokens", spec.limits.max_tokens, kMostRows);
    check_limit("context", spec.limits.context, 1 << 30);
    check_limit("pages", spec.limits.pages, 1 << 30);
    check_limit("vocab", spec.limits.vocab, 1 << 24);
    for (const BufferSpec& buffer : spec.buffers) {
        check_limit("a buffer's width", buffer.width, 1 << 26);
        if (buffer.planes < 0 || buffer.planes > 2) throw std::invalid_argument("a buffer has 0, 1 or 2 int8 planes");
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
      team(spec.threads, spec.spin) {
    allocate_buffers(spec);
    const bool planes = std::any_of(buffers.begin(), buffers.end(), [](const Buffer& b) { return b.spec.planes == 2; });
    for (int member = 0; planes && member < team.size(); ++member)
        sums.push_back(std::make_unique<float[]>(2 * kPlaneTokens * kPlaneTiles * kTileRows));
}

Buffer State::buffer(int index, int member) const {
    Buffer seen = buffer(index);
    if (small && seen.spec.own) {
        if (seen.spec.planes > 0) seen.blocks += member * seen.copy;
        if (seen.spec.planes == 0) seen.values += member * seen.copy;
    }
    return seen;
}

void State::allocate_buffers(const EngineSpec& spec) {
    std::vector<std::size_t> offsets;
    std::size_t total = 0;
    int widest = 1;
    for (const BufferSpec& b : spec.buffers) {
        const auto width = static_cast<std::size_t>(b.width);
        const auto rows = static_cast<std::size_t>(b.samples ? limits.max_batch : limits.max_tokens);
        const std::size_t row = b.planes > 0
                                    ? static_cast<std::size_t>(b.planes * blocks_of(b.width)) * sizeof(QuantBlock)
                                    : align64(width * sizeof(float));
        offsets.push_back(total);
        // Copies begin on cache lines of their own: three lines hold four blocks.
        const std::size_t copies = b.own ? static_cast<std::size_t>(team.size()) * (kSmallStepTokens * row + 192) : 0;
        total = checked_product(total + align64(std::max(checked_product(row, rows), copies)), 1);
        widest = std::max(widest, b.width);
    }
    buffer_memory = Region(total, "the activation buffers");
    for (std::size_t i = 0; i < spec.buffers.size(); ++i) {
        const BufferSpec& b = spec.buffers[i];
        std::byte* at = buffer_memory.data() + offsets[i];
        Buffer buffer{b};
        if (b.planes > 0) {
            buffer.blocks = reinterpret_cast<QuantBlock*>(at);
            buffer.copy = (kSmallStepTokens * b.planes * blocks_of(b.width) + 3) / 4 * 4;
        } else {
            buffer.values = reinterpret_cast<float*>(at);
            buffer.stride =
                static_cast<std::ptrdiff_t>(align64(static_cast<std::size_t>(b.width) * sizeof(float)) / sizeof(float));
            buffer.copy = kSmallStepTokens * buffer.stride;
        }
        buffers.push_back(buffer);
    }
    for (int i = 0; i < team.size(); ++i) lines.push_back(std::make_unique<float[]>(static_cast<std::size_t>(widest)));
}

}  // namespace undiced

// The KV cache: a pool of pages that all layers share by number, so one page table a sequence serves every layer.
// Knows sizes and addresses; knows neither who owns a page nor what attention does with it.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace undiced {

struct KvSpec {
    int kv_heads, head_dim, window;  // window 0: the whole context
};

class KvCache {
  public:
    // Throws std::invalid_argument for shapes that the kernels can't hold, or that exceed the machine's memory.
    KvCache(const std::vector<KvSpec>& specs, int pages);

    int layers() const { return static_cast<int>(specs_.size()); }
    const KvSpec& spec(int layer) const { return specs_[static_cast<std::size_t>(layer)]; }
    const Region& memory() const { return memory_; }

    // The key block of one page of one head; its value block follows directly.
    std::uint16_t* keys(int layer, int page, int head) const {
        const KvSpec& s = spec(layer);
        const auto block =
            static_cast<std::size_t>(page) * static_cast<std::size_t>(s.kv_heads) + static_cast<std::size_t>(head);
        return bases_[static_cast<std::size_t>(layer)] + block * block_values(s);
    }
    std::uint16_t* values(int layer, int page, int head) const {
        return keys(layer, page, head) + static_cast<std::size_t>(spec(layer).head_dim) * kPageTokens;
    }

  private:
    static std::size_t block_values(const KvSpec& s) { return 2 * static_cast<std::size_t>(s.head_dim) * kPageTokens; }

    std::vector<KvSpec> specs_;
    Region memory_;
    std::vector<std::uint16_t*> bases_;
};

}  // namespace undiced

// The KV cache: a pool of pages that all layers share by number, so one page table a sequence serves every layer.
// All layers of a page lie together, so memory is touched page by page as it is used.
// Knows sizes and addresses; knows neither who owns a page nor what attention does with it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels.h"
#include "memory.h"

namespace undiced {

struct KvSpec {
    int kv_heads, head_dim, window;  // window 0: the whole context
    bool latent;                     // one row a token serves as key and value (kernels.h); a single head, of f16
    KvType type = KvType::kF16;
};

// "f16", "int8"; throws std::invalid_argument for another name.
KvType parse_kv_type(std::string_view name);

class KvCache {
  public:
    // Throws std::invalid_argument for shapes that the kernels can't hold, or that exceed the machine's memory.
    KvCache(const std::vector<KvSpec>& specs, int pages);

    int layers() const { return static_cast<int>(specs_.size()); }
    const KvSpec& spec(int layer) const { return specs_[static_cast<std::size_t>(layer)]; }
    const Region& memory() const { return memory_; }

    // Steps write pages below this number.
    void written(int pages) {
        written_.store(static_cast<std::size_t>(pages) * page_words_ * sizeof(std::uint16_t),
                       std::memory_order_relaxed);
    }
    // Of the pages that come next, the system shall provide another 2 MiB now, so that no prompt waits for them: it may
    // take more than a millisecond. Never more ahead than a quarter of what is written. False: there is nothing to do.
    // One thread at a time; steps may run meanwhile.
    bool prepare();

    std::size_t block_bytes(int layer) const {
        return places_[static_cast<std::size_t>(layer)].block * sizeof(std::uint16_t);
    }

    // The key block of one page of one head; its value block follows directly, and the next head's after that. Of
    // latents it is all that there is.
    std::uint16_t* keys(int layer, int page, int head) const {
        const Place& place = places_[static_cast<std::size_t>(layer)];
        return reinterpret_cast<std::uint16_t*>(memory_.data()) + static_cast<std::size_t>(page) * page_words_ +
               place.offset + static_cast<std::size_t>(head) * place.block;
    }
    std::uint16_t* values(int layer, int page, int head) const {
        return keys(layer, page, head) + key_words(spec(layer).type, spec(layer).head_dim);
    }

  private:
    // Where a layer lies in a page, and the size of a head's keys and values; both in words of 16 bits.
    struct Place {
        std::size_t offset, block;
    };

    std::vector<KvSpec> specs_;
    std::vector<Place> places_;
    std::size_t page_words_ = 0;
    std::atomic<std::size_t> written_{0};  // bytes from the beginning on; relaxed: advice to `prepare`, nothing more
    std::size_t prepared_ = 0;
    Region memory_;
};

}  // namespace undiced

// Sizing of the KV pool; see kv.h.
#include "kv.h"

#include <stdexcept>
#include <string>

namespace undiced {

KvCache::KvCache(const std::vector<KvSpec>& specs, int pages) : specs_(specs) {
    std::vector<std::size_t> offsets;
    std::size_t total = 0;
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        const KvSpec& s = specs_[i];
        if (s.kv_heads < 1 || s.kv_heads > 4096 || s.head_dim < 8 || s.head_dim > 4096 || s.head_dim % 8 != 0 ||
            s.window < 0)
            throw std::invalid_argument("KV layer " + std::to_string(i) +
                                        ": heads must be at least 1, head_dim a multiple of 8, window not negative");
        offsets.push_back(total);
        const std::size_t page = static_cast<std::size_t>(s.kv_heads) * block_values(s) * sizeof(std::uint16_t);
        total = checked_sum(total, align64(checked_product(page, static_cast<std::size_t>(pages))));
    }
    memory_ = Region(total, "the KV cache");
    for (const std::size_t offset : offsets)
        bases_.push_back(reinterpret_cast<std::uint16_t*>(memory_.data() + offset));
}

}  // namespace undiced

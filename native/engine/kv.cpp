// Sizing of the KV pool; see kv.h.
#include "kv.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace undiced {
namespace {

constexpr std::size_t kAhead = 4;  // a quarter of what is written

}  // namespace

KvType parse_kv_type(std::string_view name) {
    if (name == "f16") return KvType::kF16;
    if (name == "int8") return KvType::kInt8;
    throw std::invalid_argument("a KV cache of " + std::string(name) + "; there are f16 and int8");
}

KvCache::KvCache(const std::vector<KvSpec>& specs, int pages) : specs_(specs) {
    for (std::size_t i = 0; i < specs_.size(); ++i) {
        const KvSpec& s = specs_[i];
        if (s.kv_heads < 1 || s.kv_heads > 4096 || s.head_dim < 8 || s.head_dim > 4096 || s.head_dim % 8 != 0 ||
            s.window < 0)
            throw std::invalid_argument("KV layer " + std::to_string(i) +
                                        ": heads must be at least 1, head_dim a multiple of 8, window not negative");
        if (s.latent && s.kv_heads != 1)
            throw std::invalid_argument("KV layer " + std::to_string(i) + ": latents belong to one head");
        if (s.latent && s.type != KvType::kF16)
            throw std::invalid_argument("KV layer " + std::to_string(i) + ": latents are f16");
        const auto block =
            static_cast<std::size_t>(key_words(s.type, s.head_dim) + (s.latent ? 0 : value_words(s.type, s.head_dim)));
        places_.push_back({page_words_, block});
        page_words_ = checked_sum(page_words_, static_cast<std::size_t>(s.kv_heads) * block);
    }
    const std::size_t page_bytes = checked_product(page_words_, sizeof(std::uint16_t));
    memory_ = Region(checked_product(page_bytes, static_cast<std::size_t>(pages)), "the KV cache");
}

bool KvCache::prepare() {
    const std::size_t written = written_.load(std::memory_order_relaxed);
    const std::size_t begin = std::max(prepared_, (written + kHugePage - 1) / kHugePage * kHugePage);
    if (begin + kHugePage > std::min(memory_.bytes(), written + written / kAhead)) return false;
    const bool provided = memory_.populate(begin, begin + kHugePage);
    prepared_ = provided ? begin + kHugePage : memory_.bytes();
    return provided;
}

}  // namespace undiced

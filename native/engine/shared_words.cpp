// Room for shared words; see shared_words.h.
#include "shared_words.h"

namespace undiced {
namespace {

constexpr std::size_t kSlots = static_cast<std::size_t>(kBlockPages * kPageTokens);

}  // namespace

void SharedWords::prepare(std::size_t entries, std::size_t dim) {
    entries_ = entries;
    bytes_ = align64(2 * dim * kSlots * sizeof(std::int16_t) + (kSlots + dim) * sizeof(float));
    memory_ = Region(checked_product(entries_, bytes_), "words that units share");
    states_ = std::make_unique<std::atomic<std::uint64_t>[]>(entries_);
}

PageWords SharedWords::at(std::size_t entry, std::int64_t key_dim, std::int64_t value_dim) const {
    std::byte* to = memory_.data() + entry * bytes_;
    PageWords words;
    words.pages = kBlockPages;
    words.k = reinterpret_cast<std::int16_t*>(to);
    words.v = words.k + static_cast<std::size_t>(key_dim) * kSlots;
    words.k_scale = reinterpret_cast<float*>(words.v + static_cast<std::size_t>(value_dim) * kSlots);
    words.v_scale = words.k_scale + kSlots;
    return words;
}

}  // namespace undiced

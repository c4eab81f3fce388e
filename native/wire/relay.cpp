// See relay.h.
#include "relay.h"

#include <cstring>

namespace undiced::wire {
namespace {

constexpr std::uint32_t kLongest = 64 << 20;  // more than that is no frame, which the reader of what is left says

std::uint32_t length_at(std::string_view data) {
    std::uint32_t length = 0;
    std::memcpy(&length, data.data(), sizeof length);  // little-endian, as all processors here are
    return length;
}

}  // namespace

std::shared_ptr<Lane> Relay::lane(std::string_view request_id, std::shared_ptr<Texts> texts) {
    const auto found = lanes_.find(request_id);
    if (found != lanes_.end()) return found->second;
    return lanes_.emplace(request_id, std::make_shared<Lane>(std::move(texts))).first->second;
}

void Relay::forget(std::string_view request_id) {
    const auto found = lanes_.find(request_id);
    if (found == lanes_.end()) return;
    found->second->close();
    lanes_.erase(found);
}

void Relay::feed(std::string_view data, std::string& left) {
    if (begun_.empty()) {
        begun_ = data.substr(take_frames(data, left));
        return;
    }
    begun_.append(data);
    begun_.erase(0, take_frames(begun_, left));
}

// Returns how many bytes whole frames have.
std::size_t Relay::take_frames(std::string_view data, std::string& left) {
    std::size_t at = 0;
    while (data.size() - at >= sizeof(std::uint32_t)) {
        const std::uint32_t length = length_at(data.substr(at));
        const std::size_t whole = sizeof(std::uint32_t) + length;
        if (length > kLongest) {
            left.append(data.substr(at));
            return data.size();
        }
        if (data.size() - at < whole) break;
        if (lanes_.empty()) figures_.clear();
        if (lanes_.empty() || !carry(data.substr(at + sizeof(std::uint32_t), length), left))
            left.append(data.substr(at, whole));
        at += whole;
    }
    return at;
}

// Lets the lanes have what is theirs, and leaves the rest of the step; false if the frame has to be left as it is.
bool Relay::carry(std::string_view payload, std::string& left) {
    if (!step_.cut(payload)) return false;
    const bool told = step_.behind != "\xc0";
    kept_.clear();
    for (const auto& delta : step_.deltas)
        if (!carry_one(delta)) kept_.push_back(delta);
    if (kept_.empty() && told && !step_.deltas.empty())
        figures_ = step_.behind;
    else if (told)
        figures_.clear();
    if (kept_.size() == step_.deltas.size()) return false;
    if (!kept_.empty()) step_.append(kept_, left);
    return true;
}

bool Relay::carry_one(std::string_view delta) {
    TokensOnly news;
    const bool plain = news.read(delta);
    const auto found = lanes_.find(news.request_id);
    if (found == lanes_.end()) return false;
    Lane& lane = *found->second;
    if (!lane.is_open()) return false;
    text_.clear();
    bool said = plain;
    for (std::uint32_t i = 0; said && i < news.count; ++i) said = lane.texts().append(*news.tokens.number(), text_);
    if (said)
        lane.say(news.count, text_);
    else
        lane.close();
    return said;
}

}  // namespace undiced::wire

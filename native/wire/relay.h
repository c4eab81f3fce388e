// What comes from an engine process, up to where it is read: tokens that have a lane take it, all else is left over.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "frame.h"
#include "lane.h"

namespace undiced::wire {

class Relay {
  public:
    // A lane for a sequence, closed at first; the same one until it is forgotten.
    std::shared_ptr<Lane> lane(std::string_view request_id, std::shared_ptr<Texts> texts);
    void forget(std::string_view request_id);

    // Takes bytes in as they come; appends whole frames of what no lane took, in their order. News of a sequence that
    // are more than tokens with texts of their own close its lane, so that nothing overtakes them. Of a step whose
    // news have all been taken, figures are kept and not left.
    void feed(std::string_view data, std::string& left);
    // The figures that were kept last, as they came; empty if others were left since, or there are none. Once.
    std::string take_figures() { return std::exchange(figures_, {}); }
    // Forgets the beginning of a frame: another process follows.
    void reset() { begun_.clear(), figures_.clear(); }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };

    std::size_t take_frames(std::string_view data, std::string& left);
    bool carry(std::string_view payload, std::string& left);
    bool carry_one(std::string_view delta);

    std::unordered_map<std::string, std::shared_ptr<Lane>, Hash, std::equal_to<>> lanes_;
    std::string begun_, text_, figures_;
    StepFrame step_;
    std::vector<std::string_view> kept_;
};

}  // namespace undiced::wire

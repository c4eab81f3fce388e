// What comes from an engine process, up to where it is read: tokens that have a lane take it, all else is left over.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "frame.h"
#include "lane.h"

namespace undiced::wire {

// Lanes are opened and closed, and what is left is taken, by one thread; bytes come in on another, or on the same.
class Relay {
  public:
    Relay() = default;
    ~Relay() { stop(); }
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    // A lane for a sequence, closed at first; the same one until it is forgotten.
    std::shared_ptr<Lane> lane(std::string_view request_id, std::shared_ptr<Texts> texts);
    void forget(std::string_view request_id);
    // Opens a lane as `Lane::open` does. False, and nothing written, while anything is left: news of its sequence may
    // be there, and must come before those that follow.
    bool open(Lane& lane, int socket, std::string before, std::string after, std::string_view text, Meter meter);
    // Closes it; returns the tokens that it said since the last time, and what of them was not written.
    std::pair<std::uint64_t, std::string> close(Lane& lane);
    double said_s(const Lane& lane);

    // Takes bytes in as they come. News of a sequence that are more than tokens with texts of their own close its lane,
    // so that nothing overtakes them. Of a step whose news have all been taken, figures are kept and not left.
    void feed(std::string_view data);
    // The oldest whole frame that is left, or what can't be one; empty if there is none.
    std::string take();
    // The figures that were kept last, as they came; empty if others were left since, or there are none. Once.
    std::string take_figures();

    // Reads what comes from a socket that blocks, on a thread, until its end or `stop`. Returns the number of a file
    // that can be read while something is left or the end has come. Throws std::system_error.
    int start(int socket);
    // Ends that, and shuts the socket down. What was left is gone.
    void stop();
    // Whether the socket's end has come.
    bool ended();

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };

    void read();
    std::size_t take_frames(std::string_view data);
    bool carry(std::string_view payload);
    bool carry_one(std::string_view delta);
    void signal(bool on);

    std::mutex mutex_;  // of all that follows, lanes included
    std::unordered_map<std::string, std::shared_ptr<Lane>, Hash, std::equal_to<>> lanes_;
    std::string begun_, text_, figures_;
    std::string left_;
    std::size_t taken_ = 0;  // of `left_`
    StepFrame step_;
    std::vector<std::string_view> kept_;
    bool ended_ = false;

    int socket_ = -1, bell_ = -1;
    std::thread thread_;
};

}  // namespace undiced::wire

// One thread's share of a mesh: its cores, when they are to be looked at, and what it sends to other threads' cores.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "simulator.h"
#include "wheel.h"
#include "world.h"

namespace undiced::fabric {

// Something that happens to another thread's core in a later cycle: it is looked at, and has a wavelet in a buffer.
struct Mail {
    std::uint32_t core;
    std::uint32_t cycle;
    std::uint8_t slot;  // kNoSlot: none
};

// Who has which cores: rows (or columns of a flat mesh) in strips, in turn.
class Shares {
  public:
    Shares(const Program& p, int threads) : owner_(static_cast<std::size_t>(p.cores())) {
        const bool by_rows = p.height >= threads * static_cast<int>(kStrip) || p.height >= p.width;
        const auto width = static_cast<std::size_t>(p.width);
        for (std::size_t core = 0; core < owner_.size(); ++core)
            owner_[core] = static_cast<std::uint8_t>((by_rows ? core / width : core % width) / kStrip %
                                                     static_cast<std::size_t>(threads));
    }

    [[nodiscard]] std::uint32_t owner(std::uint32_t core) const { return owner_[core]; }

  private:
    static constexpr std::size_t kStrip = 8;
    std::vector<std::uint8_t> owner_;
};

class Worker {
  public:
    Worker(World& world, const Shares& shares, int number, std::uint8_t* memory, const Options& options);

    // Schedules the starts of its cores.
    void begin();
    void receive(const Mail& mail, std::uint32_t now);
    // Looks at all cores of a cycle.
    void work(std::uint32_t cycle);

    [[nodiscard]] std::uint32_t next(std::uint32_t after) const;
    [[nodiscard]] std::vector<Mail>& outbox(std::uint32_t to) { return outboxes_[to]; }

    std::uint64_t hops = 0, active = 0, worked = 0;
    std::uint32_t last = 0;         // the latest cycle at which something had ended
    std::uint32_t mailed = kNever;  // the earliest cycle of this round's mail
    std::vector<Event> events;
    std::vector<std::uint32_t> section_start, section_end;
    std::optional<Wait> fault;
    std::uint32_t fault_cycle = kNever;

  private:
    struct Head {
        Entry entry;
        int color, port, queue;  // queue: -1 of a buffer
    };

    void look(std::uint32_t at, std::uint32_t cycle);
    void wake(std::uint32_t at, std::uint32_t cycle);
    void soon(std::uint32_t cycle) { next_ = cycle < next_ ? cycle : next_; }

    // router.cpp
    bool route(std::uint32_t at, Core& core);
    bool head_of(std::uint32_t at, const Role& role, int index, Head& head);
    bool has_room(std::uint32_t at, const Core& core, const Head& head, unsigned targets);
    bool links_free(Core& core, const Head& head, unsigned targets);
    void move(std::uint32_t at, Core& core, const Role& role, int index, const Head& head, unsigned targets);
    void push(std::uint32_t at, int slot, const Entry& entry);
    void pop(std::uint32_t at, Core& core, const Role& role, int index, const Head& head);
    void pass_link(Core& core, int port) const;
    void obey(Core& core, const Switch& s, int color, std::uint32_t command);

    // datapath.cpp
    bool execute(std::uint32_t at, Core& core);
    bool progress(std::uint32_t at, Core& core, int thread);
    bool fetch(std::uint32_t at, Core& core, int thread);
    bool begin_vector(std::uint32_t at, Core& core, int thread, const Op& op);
    bool bind_operands(std::uint32_t at, Core& core, int thread, const Op& op);
    void finish_op(std::uint32_t at, Core& core, int thread, std::uint32_t cycle);
    void end_thread(Core& core, int thread);
    bool next_section(std::uint32_t at, Core& core, Context& context);
    void commit(std::uint32_t at, Core& core, int thread, const Op& op);
    void compute_all(std::uint32_t at, int thread, const Op& op);
    void compute_elements(std::uint32_t at, const Op& op);
    bool can_beat(std::uint32_t at, Core& core, int thread);
    void beat(std::uint32_t at, Core& core, int thread);
    void send_control(std::uint32_t at, Core& core, int queue, int color, std::uint32_t control);
    void emit(std::uint32_t at, Core& core, int queue, Entry entry);
    void enter(Context& context, std::int32_t number) const;
    [[nodiscard]] std::uint32_t place_in_block(const Context& context) const;
    [[nodiscard]] std::uint32_t jitter(std::uint32_t at, int thread, std::uint32_t ops) const;
    [[nodiscard]] std::uint32_t start_of(std::uint32_t at) const;
    void fail(std::uint32_t at, int thread, Why why, int queue, int color);

    World& world_;
    const Shares& shares_;
    const Options& options_;
    std::uint8_t* memory_;
    std::uint32_t number_;
    std::uint32_t now_ = 0;
    std::uint32_t next_ = kNever;
    Wheel wheel_;
    std::vector<std::uint32_t> list_;
    int contested_ = -1;        // the head that took the first link that another wanted in this look
    int takers_[kPorts + 1]{};  // who took each link in this look, and the ramp into the router
    int sent_[kPorts]{};        // the color that each link passed in this look
    std::vector<std::pair<int, std::uint32_t>> turned_;  // colors whose switches got a command in this look
    std::vector<std::vector<Mail>> outboxes_;
};

}  // namespace undiced::fabric

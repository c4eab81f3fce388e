// Looks at cores: what their routers move and what their threads do in one cycle. Several workers look at different
// rows; nobody looks at a row, or writes to it, while another does (sweep.h).
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "agenda.h"
#include "simulator.h"
#include "world.h"

namespace undiced::fabric {

class Worker {
  public:
    Worker(const World& world, Agenda& agenda, std::uint8_t* memory, const Options& options);

    // Puts the starts of all cores of a row down.
    void begin(std::uint32_t row);
    // Looks at all cores of a row that have something to do in a cycle.
    void work(std::uint32_t row, std::uint32_t cycle);

    std::uint64_t hops = 0, active = 0, worked = 0;
    std::uint32_t last = 0;   // the latest cycle at which something had ended
    std::uint32_t acted = 0;  // the cycle after the last in which anything happened
    std::vector<Event> events;
    std::vector<std::uint32_t> section_start, section_end;
    std::optional<Wait> fault;
    std::uint32_t fault_cycle = kNever;

  private:
    struct Head {
        Wavelet wavelet;
        unsigned meta;
        int color, port, index;
    };
    struct Next {  // where a wavelet goes: at a neighbor, or (of port 0) in its own core
        Core* core;
        Buffer* buffer;
        Input* input;
        int slot;  // or queue
    };

    void ask_first(std::uint32_t at) const;
    void ask_then(const Here& here) const;
    void look(const Here& here);
    void wake(Core& core, std::uint32_t row, std::uint32_t column, std::uint32_t cycle);
    void soon(std::uint32_t cycle) { next_ = cycle < next_ ? cycle : next_; }

    // router.h; `alone`: the router has but one head, so that nothing can have taken anything
    bool route(const Here& here);
    template <bool alone>
    bool try_head(const Here& here, int index);
    bool head_of(const Here& here, int index, Head& head);
    template <bool alone>
    bool has_room(const Here& here, const Head& head, unsigned targets, Next (&next)[kPorts]);
    bool pauses(const Core& core, int port);
    bool links_free(const Core& core, const Head& head, unsigned targets);
    template <bool alone>
    void move(const Here& here, const Head& head, unsigned targets, const Next (&next)[kPorts]);
    void deliver(Core& core, const Next& next, std::uint32_t data);
    void push(const Here& here, int port, const Next& next, const Wavelet& wavelet, bool control);
    void pop(const Here& here, const Head& head);
    void obey(const Here& here, int color, std::uint32_t command);

    // threads.cpp
    bool start(const Here& here);
    void account(const Here& here);
    void settle(const Here& here);
    void grant(const Here& here);
    bool progress(const Here& here, int thread);
    bool fetch(const Here& here, int thread);
    [[nodiscard]] bool is_taken(const Here& here, const Op& op) const;
    bool begin_vector(const Here& here, int thread, const Op& op);
    bool begin_send(const Here& here, int thread, const Op& op);
    bool bind_operands(const Here& here, int thread, const Op& op);
    void finish_op(const Here& here, int thread, std::uint32_t cycle);
    void end_thread(const Here& here, int thread);
    bool next_section(const Here& here, Context& context);
    void commit(const Here& here, int thread, const Op& op);
    void enter(Context& context, std::int32_t number) const;
    [[nodiscard]] std::uint32_t place_in_block(const Context& context) const;
    [[nodiscard]] std::uint32_t jitter(const Here& here, int thread, std::uint32_t ops) const;
    [[nodiscard]] std::uint32_t start_of(std::uint32_t at) const;
    void repaint(const Here& here, int thread, const Op& op);
    void fail(const Here& here, int thread, Why why, int queue, int color, int port = -1);

    // datapath.h
    bool execute(const Here& here);
    bool try_beat(const Here& here, int thread);
    void emit(const Here& here, int queue, Outgoing wavelet);

    // datapath.cpp
    bool send_control(const Here& here, int thread, const Op& op);
    void end_beat(const Here& here, int thread, const Op& op, int turned);
    void compute_all(const Here& here, int thread, const Op& given);
    void compute_elements(const Here& here, const Op& op);

    Mesh mesh_;
    const Program& program_;
    const Options& options_;
    Agenda& agenda_;
    std::uint8_t* memory_;
    std::int64_t memory_bytes_;
    bool bound_;
    std::uint32_t now_ = 0;
    std::uint32_t next_ = kNever;
    std::vector<std::uint32_t> list_;
    Agenda::Line after_[3]{};  // the next cycle of the row above, the own one and the row below
    // Of one look at a router:
    unsigned taken_ = 0;        // links that passed a wavelet, and the ramp into the router as bit kPorts
    int contested_ = -1;        // the head that took the first link that another wanted
    int takers_[kPorts + 1]{};  // who took each
    int sent_[kPorts]{};        // the color that each link passed
    std::vector<std::pair<int, std::uint32_t>> turned_;  // colors whose switches got a command
};

}  // namespace undiced::fabric

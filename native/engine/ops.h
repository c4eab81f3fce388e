// The instructions that this engine carries: how each is checked against a program, and what each member does for it.
// To add one, write its two functions and a row in the table of ops.cpp.
#pragma once

#include <string>

#include "isa.h"
#include "state.h"

namespace undiced {

struct Bound;
using RunOp = void (*)(State& state, const Bound& bound, int member);

// An instruction of a program that has been checked against its buffers and weights.
struct Bound {
    Instr i;
    int index;                           // in the stream
    int extra = kNone;                   // ROPE: its table; attention: its layer
    bool large = false;                  // a barrier that small steps pass
    RunOp run = nullptr;                 // nullptr: a barrier
    const Instr* next_matmul = nullptr;  // the next MATMUL of the stream, around its end: what is streamed afterwards
    const Bound* attention = nullptr;    // MATMUL: the attention that comes before the next MATMUL

    template <class T>
    bool is() const {
        return i.op == static_cast<std::uint16_t>(T::kOp);
    }
};

// Checks one instruction: every function throws std::invalid_argument that names instruction, operand and value.
class Checker {
  public:
    Checker(State& state, const Bound& bound) : state(state), bound(bound) {}

    // The instruction's fields by name; its flags are ones that it takes.
    template <class T>
    T as() const {
        require(bound.is<T>() && (bound.i.flags & ~T::kFlags) == 0, "has a flag that it does not take");
        return bound.i.as<T>();
    }

    [[noreturn]] void refuse(const std::string& what) const;
    void require(bool condition, const char* what) const {
        if (!condition) refuse(what);
    }
    const Buffer& any(int buffer, const char* operand) const;
    const Buffer& floats(int buffer, const char* operand) const;
    const Buffer& codes(int buffer, const char* operand) const;
    // Columns [start, start + count) of a float buffer exist.
    const Buffer& columns(int buffer, const char* operand, std::int64_t start, std::int64_t count) const;
    const Slot& matrix(int slot) const;
    // A vector slot of `count` values; kNone is allowed if `optional`.
    void vector(int slot, std::int64_t count, bool optional) const;
    void same_rows(const Buffer& x, const Buffer& y) const;
    void layer(int index, int kv_heads, int head_dim, bool latent) const;

    State& state;
    const Bound& bound;
};

struct OpEntry {
    Op op;
    int (*check)(const Checker& checker);  // returns Bound::extra
    RunOp first;                           // what every member must have done before any may `run`, or nullptr
    RunOp run;                             // nullptr: a barrier
};

// The entry of an operation, or nullptr if this engine does not carry it.
const OpEntry* find_op(std::uint16_t code);

int check_embed(const Checker&);
int check_rmsnorm(const Checker&);
int check_layernorm(const Checker&);
int check_quantize(const Checker&);
int check_matmul(const Checker&);
int check_rope(const Checker&);
int check_kv_store(const Checker&);
int check_attention(const Checker&);
int check_glu(const Checker&);
int check_activate(const Checker&);
int check_add(const Checker&);
int check_scale(const Checker&);
int check_softcap(const Checker&);
int check_gather(const Checker&);
int check_sample(const Checker&);
int check_route(const Checker&);
int check_expert_glu(const Checker&);
int check_expert_sum(const Checker&);
int check_head_matmul(const Checker&);
int check_latent_store(const Checker&);
int check_latent_attention(const Checker&);
int check_position_scale(const Checker&);

void run_embed(State&, const Bound&, int);
void run_rmsnorm(State&, const Bound&, int);
void run_layernorm(State&, const Bound&, int);
void run_quantize(State&, const Bound&, int);
void run_matmul(State&, const Bound&, int);
void run_rope(State&, const Bound&, int);
void run_kv_store(State&, const Bound&, int);
void run_attention(State&, const Bound&, int);
void run_glu(State&, const Bound&, int);
void run_activate(State&, const Bound&, int);
void run_add(State&, const Bound&, int);
void run_scale(State&, const Bound&, int);
void run_softcap(State&, const Bound&, int);
void run_gather(State&, const Bound&, int);
void run_scan(State&, const Bound&, int);
void run_sample(State&, const Bound&, int);
void run_route(State&, const Bound&, int);
void run_expert_glu(State&, const Bound&, int);
void run_expert_sum(State&, const Bound&, int);
void run_head_matmul(State&, const Bound&, int);
void run_latent_store(State&, const Bound&, int);
void run_latent_attention(State&, const Bound&, int);
void run_position_scale(State&, const Bound&, int);

}  // namespace undiced

// The Python module undiced._native: the engine as one class, and what this machine can do.
// Converts arguments and releases the interpreter's lock; every check of values is the engine's.
#include "../mesh/bind.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cstring>
#include <stdexcept>

#include "../fabric/bind.h"
#include "../files/bind.h"
#include "../wire/bind.h"
#include "arrays.h"
#include "bind_machine.h"
#include "bind_sampling.h"
#include "engine.h"
#include "kept.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace undiced {
namespace {

using Ints = Array<const std::int32_t, 1>;
using Floats = Array<const float, 1>;
using Bytes = Array<const std::uint8_t, 1>;
using Sizes = nb::typed<nb::dict, nb::str, std::size_t>;
using Counts = nb::typed<nb::dict, nb::str, double>;
using Part = std::tuple<Bytes, std::string, std::int64_t, std::int64_t, Ints, bool>;

template <class A>
auto span_of(const A& array) {
    return std::span(array.data(), array.size());
}

std::vector<Instr> decode_stream(const nb::bytes& stream) {
    if (stream.size() % kInstrBytes != 0)
        throw std::invalid_argument("a stream of " + std::to_string(stream.size()) +
                                    " bytes is not whole instructions");
    std::vector<Instr> instrs(stream.size() / kInstrBytes);
    if (!instrs.empty()) std::memcpy(instrs.data(), stream.data(), stream.size());
    return instrs;
}

class PyEngine {
  public:
    PyEngine(const nb::bytes& stream, const std::vector<std::tuple<int, int, int, int>>& buffers,
             const std::vector<std::tuple<std::int64_t, std::int64_t, std::string, int>>& slots,
             const std::vector<std::tuple<int, int, int, int, std::string>>& kv, const std::vector<Floats>& constants,
             int threads, int max_batch, int max_tokens, int context, int pages, int vocab, const std::string& isa,
             int barrier_spin_us, int idle_spin_us, int max_samples, PyEngine* team) {
        EngineSpec spec{};
        if (team != nullptr) spec.team = team->engine_->team();
        spec.stream = decode_stream(stream);
        for (const auto& [width, samples, code_bytes, own] : buffers)
            spec.buffers.push_back({width, samples != 0, code_bytes, own != 0});
        for (const auto& [rows, columns, format, experts] : slots)
            spec.slots.push_back({rows, columns, format, experts});
        for (const auto& [heads, dim, window, latent, type] : kv)
            spec.kv.push_back({heads, dim, window, latent != 0, parse_kv_type(type)});
        for (const Floats& values : constants)
            spec.constants.emplace_back(values.data(), values.data() + values.size());
        spec.limits = {max_batch, max_samples == 0 ? max_batch : max_samples, max_tokens, context, pages, vocab};
        spec.threads = spec.team != nullptr ? spec.team->size() : threads;
        spec.spin = {barrier_spin_us, idle_spin_us};
        nb::gil_scoped_release unlocked;
        engine_ = std::make_unique<Engine>(spec, isa);
    }

    void load(const std::vector<std::pair<int, std::vector<Part>>>& slots) {
        std::vector<std::pair<int, std::vector<LoadPart>>> views;
        for (const auto& [slot, parts] : slots) {
            auto& own = views.emplace_back(slot, std::vector<LoadPart>()).second;
            for (const auto& [bytes, format, rows, columns, row_index, transposed] : parts)
                own.push_back({span_of(bytes), format, rows, columns, span_of(row_index), transposed});
        }
        std::vector<int> filled;
        for (const auto& [slot, parts] : views) filled.push_back(slot);
        nb::gil_scoped_release unlocked;
        engine_->touch(filled);
        for (const auto& [slot, parts] : views) engine_->load(slot, parts);
    }

    void load_vector(int slot, const Floats& values) { engine_->load_vector(slot, span_of(values)); }

    bool view_kept(int fd, std::uint64_t offset, const nb::bytes& sums) {
        if (sums.size() % sizeof(std::uint64_t) != 0) return false;
        std::vector<std::uint64_t> own(sums.size() / sizeof(std::uint64_t));
        if (!own.empty()) std::memcpy(own.data(), sums.data(), sums.size());
        nb::gil_scoped_release unlocked;
        return engine_->view_kept(fd, offset, own);
    }

    bool settle_kept(std::size_t chunk) const {
        nb::gil_scoped_release unlocked;
        return engine_->settle_kept(chunk);
    }

    std::uint64_t write_kept(int fd, std::uint64_t offset, std::size_t chunk) const {
        nb::gil_scoped_release unlocked;
        return engine_->write_kept(fd, offset, chunk);
    }

    std::size_t kept_bytes() const { return engine_->kept_bytes(); }
    int prompt_multiple() const { return engine_->prompt_multiple(); }

    void open_slot(int slot, const Ints& prompt, const Ints& bias_ids, const Floats& bias_values, const Ints& eos,
                   const Ints& allowed, int prompt_tokens) {
        engine_->open_slot(slot, span_of(prompt), span_of(bias_ids), span_of(bias_values), span_of(eos),
                           span_of(allowed), prompt_tokens);
    }

    void count_tokens(int slot, const Ints& tokens) { engine_->count_tokens(slot, span_of(tokens)); }

    // Runs a step, or submits it and returns its ticket.
    template <bool kApart>
    std::conditional_t<kApart, std::uint64_t, double> step(
        const Ints& tokens, const Ints& positions, const Ints& seq_start, const Ints& slots,
        const Array<const std::int32_t, 2>& page_table, const Ints& sample_rows, const nb::object& sampling,
        Array<std::int32_t, 1> out_tokens, Array<float, 1> out_logprobs, Array<std::int32_t, 2> out_top_ids,
        Array<float, 2> out_top_logprobs, const std::optional<Array<const std::int32_t, 2>>& masks) {
        if (!PyMemoryView_Check(sampling.ptr())) check_type(sampling.attr("dtype"));
        if (out_top_ids.shape(1) != kTopLogprobsMax || out_top_logprobs.shape(1) != kTopLogprobsMax ||
            page_table.shape(0) != slots.shape(0))
            throw std::invalid_argument("page_table must have one row per sequence, top arrays 20 columns");
        const SamplingView view(sampling);
        const StepInput in{span_of(tokens),
                           span_of(positions),
                           span_of(seq_start),
                           span_of(slots),
                           span_of(page_table),
                           static_cast<int>(page_table.shape(1)),
                           span_of(sample_rows),
                           view.rows(),
                           masks ? span_of(*masks) : std::span<const std::int32_t>(),
                           masks ? static_cast<int>(masks->shape(1)) : 0};
        const StepOutput out{span_of(out_tokens), span_of(out_logprobs), span_of(out_top_ids),
                             span_of(out_top_logprobs)};
        if constexpr (kApart) {
            flying_[submitted_ % flying_.size()] = {{tokens, positions, seq_start, slots, sample_rows},
                                                    page_table,
                                                    sampling,
                                                    out_tokens,
                                                    out_logprobs,
                                                    out_top_ids,
                                                    out_top_logprobs,
                                                    masks};
            nb::gil_scoped_release unlocked;
            submitted_ = engine_->submit(in, out) + 1;
            return submitted_ - 1;
        } else {
            nb::gil_scoped_release unlocked;
            return engine_->step(in, out);
        }
    }

    double wait(std::uint64_t ticket) {
        nb::gil_scoped_release unlocked;
        return engine_->wait(ticket);
    }

    nb::ndarray<nb::numpy, float, nb::ndim<2>> buffer(int index) {
        auto values = std::make_unique<std::vector<float>>();
        const auto [rows, columns] = engine_->read_buffer(index, *values);
        float* data = values->data();
        const nb::capsule owner(values.release(), [](void* p) noexcept { delete static_cast<std::vector<float>*>(p); });
        const std::size_t shape[2] = {static_cast<std::size_t>(rows), static_cast<std::size_t>(columns)};
        return nb::ndarray<nb::numpy, float, nb::ndim<2>>(data, 2, shape, owner);
    }

    Sizes memory() {
        const MemoryReport report = engine_->memory();
        Sizes out;
        out["weights"] = report.weights;
        out["buffers"] = report.buffers;
        out["kv"] = report.kv;
        out["sampling"] = report.sampling;
        out["huge"] = report.huge;
        return out;
    }

    Counts counters() {
        Counts out;
        out["steps"] = engine_->steps();
        out["tokens"] = engine_->tokens();
        out["folded_steps"] = engine_->folded_steps();
        for (const auto& [name, op] : kOpNames) {
            const double seconds = engine_->op_seconds()[static_cast<std::size_t>(op)];
            if (seconds > 0.0) out[nb::str(name.data(), name.size())] = seconds;
        }
        return out;
    }

    void set_folding(const std::string& mode) {
        if (mode == "auto")
            engine_->set_folding(Folding::kAuto);
        else if (mode == "never")
            engine_->set_folding(Folding::kNever);
        else if (mode == "always")
            engine_->set_folding(Folding::kAlways);
        else
            throw std::invalid_argument("folding must be auto, never or always");
    }
    void set_profile(bool on) { engine_->set_profile(on); }
    std::uint64_t progress() const { return engine_->progress(); }
    std::string isa() const { return engine_->isa(); }

    void close() {
        nb::gil_scoped_release unlocked;
        engine_->close();
    }

  private:
    void check_type(const nb::object& type) {
        if (type.is(checked_type_)) return;
        check_sampling_type(type);
        checked_type_ = type;
    }

    // The arrays of a step in flight, which live as long as it may run, whatever becomes of the caller's.
    struct Flying {
        std::array<Ints, 5> rows;
        Array<const std::int32_t, 2> page_table;
        nb::object sampling;
        Array<std::int32_t, 1> tokens;
        Array<float, 1> logprobs;
        Array<std::int32_t, 2> top_ids;
        Array<float, 2> top_logprobs;
        std::optional<Array<const std::int32_t, 2>> masks;
    };

    std::array<Flying, Flights::kMost> flying_;  // by ticket; outlives the engine below
    std::uint64_t submitted_ = 0;
    std::unique_ptr<Engine> engine_;
    nb::object checked_type_ = nb::none();
};

nb::typed<nb::dict, nb::str, int> op_codes() {
    nb::typed<nb::dict, nb::str, int> out;
    for (const auto& [name, op] : kOpNames) out[nb::str(name.data(), name.size())] = static_cast<int>(op);
    return out;
}

// The fields of a record by name, as the engine reads them.
nb::dict decode_instr(const nb::bytes& record) {
    const std::vector<Instr> instrs = decode_stream(record);
    if (instrs.size() != 1) throw std::invalid_argument("one instruction expected");
    const Instr& i = instrs[0];
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&i);
    nb::dict out;
    out["op"] = i.op;
    for (const Field& field : kFields) {
        if (static_cast<std::uint16_t>(field.op) != i.op) continue;
        const nb::str name(field.name.data(), field.name.size());
        std::int32_t word = 0;
        float number = 0.0f;
        if (field.kind == 'b') {
            out[name] = (i.flags >> field.place & 1) != 0;
        } else if (field.kind == 'i') {
            std::memcpy(&word, bytes + field.place, sizeof word);
            out[name] = word;
        } else {
            std::memcpy(&number, bytes + field.place, sizeof number);
            out[name] = number;
        }
    }
    return out;
}

#define UNDICED_STEP_ARGS                                                                                  \
    "tokens"_a.noconvert(), "positions"_a.noconvert(), "seq_start"_a.noconvert(), "slots"_a.noconvert(),   \
        "page_table"_a.noconvert(), "sample_rows"_a.noconvert(), "sampling"_a, "out_tokens"_a.noconvert(), \
        "out_logprobs"_a.noconvert(), "out_top_ids"_a.noconvert(), "out_top_logprobs"_a.noconvert(),       \
        "masks"_a.noconvert().none() = nb::none()

void bind_engine(nb::module_& m) {
    nb::class_<PyEngine>(m, "Engine", "A program, its weights and a team of threads that runs it.")
        .def(nb::init<const nb::bytes&, const std::vector<std::tuple<int, int, int, int>>&,
                      const std::vector<std::tuple<std::int64_t, std::int64_t, std::string, int>>&,
                      const std::vector<std::tuple<int, int, int, int, std::string>>&, const std::vector<Floats>&, int,
                      int, int, int, int, int, const std::string&, int, int, int, PyEngine*>(),
             "stream"_a, "buffers"_a, "slots"_a, "kv"_a, "constants"_a, "threads"_a, "max_batch"_a, "max_tokens"_a,
             "context"_a, "pages"_a, "vocab"_a, "isa"_a = "", "barrier_spin_us"_a = SpinTimes{}.barrier_us,
             "idle_spin_us"_a = SpinTimes{}.idle_us, "max_samples"_a = 0, "team"_a = nb::none(),
             "Check the program and reserve memory; buffers (width, samples, bytes a code or 0, own), slots (rows, "
             "columns, format, experts), kv (kv_heads, head_dim, window, latent, type); max_samples: sampled rows in a "
             "step, 0 for max_batch; team: another engine, whose threads do this one's steps too, never at the same "
             "time. "
             "ValueError names the instruction that can't be run.")
        .def("load", &PyEngine::load, "slots"_a,
             "Pack matrix slots (slot, parts) from stacked parts (bytes, format, rows, columns, row_index, "
             "transposed): rows and columns are the file's, row_index counts rows after the transposition.")
        .def("load_vector", &PyEngine::load_vector, "slot"_a, "values"_a)
        .def("view_kept", &PyEngine::view_kept, "fd"_a, "offset"_a, "sums"_a,
             "Make all slots a view of kept_bytes of a file, whose chunks must have these sums (8 bytes each); whether "
             "it did.")
        .def("settle_kept", &PyEngine::settle_kept, "chunk"_a,
             "Give KEPT_CHUNK bytes of a view memory of their own. Steps may run meanwhile. False where that can't be.")
        .def("write_kept", &PyEngine::write_kept, "fd"_a, "offset"_a, "chunk"_a,
             "Write a chunk of KEPT_CHUNK bytes of all slots to its place behind offset; its sum. Steps may run "
             "meanwhile. RuntimeError for what can't be written.")
        .def_prop_ro("prompt_multiple", &PyEngine::prompt_multiple,
                     "Tokens of a prompt in a step that its threads share evenly, and multiples of it.")
        .def("kept_bytes", &PyEngine::kept_bytes, "Bytes of all slots as they lie in memory.")
        .def("open_slot", &PyEngine::open_slot, "slot"_a, "prompt"_a, "bias_ids"_a, "bias_values"_a, "eos"_a,
             "allowed"_a, "prompt_tokens"_a = 0,
             "Start a new sequence: its sampling state, and how long its prompt is.")
        .def("count_tokens", &PyEngine::count_tokens, "slot"_a, "tokens"_a,
             "Count tokens of a sequence that were generated, but not drawn.")
        .def("step", &PyEngine::step<false>, UNDICED_STEP_ARGS,
             "Run one step; returns its seconds. A negative token says why its row has none. ValueError for bad input, "
             "which changes nothing.")
        .def("submit", &PyEngine::step<true>, UNDICED_STEP_ARGS,
             "Run one step on a thread of the engine's own, after those submitted before; returns its ticket. Its "
             "arrays "
             "must stay as they are until it was waited for.")
        .def("wait", &PyEngine::wait, "ticket"_a,
             "Wait for the oldest submitted step, or again for the last one; returns its seconds. Raises as step.")
        .def("buffer", &PyEngine::buffer, "index"_a, "The last step's rows of an f32 buffer, copied.")
        .def("memory", &PyEngine::memory, "Bytes reserved, and how many lie in huge pages.")
        .def("counters", &PyEngine::counters,
             "Steps, tokens, steps on half the team, and seconds an operation while profiling was on.")
        .def("set_folding", &PyEngine::set_folding, "mode"_a,
             "Whether steps may run on half of the team: auto (when a thread has lost its core), never, always.")
        .def("set_profile", &PyEngine::set_profile, "on"_a)
        .def_prop_ro("progress", &PyEngine::progress,
                     "Instructions done since the beginning; may be asked while a step runs.")
        .def_prop_ro("isa", &PyEngine::isa, "Name of the instruction set level in use.")
        .def("close", &PyEngine::close, "Free threads and memory; idempotent.");
}

}  // namespace
}  // namespace undiced

NB_MODULE(_native, m) {
    using namespace undiced;
    m.doc() = "The native engine of undiced: a thread team, quantized kernels and paged attention.";
    nb::set_leak_warnings(false);  // what is alive when a process ends may stay
    m.attr("INSTR_BYTES") = kInstrBytes;
    m.attr("SHARD_GRANULE") = kShardGranule;
    m.attr("SMALL_STEP_TOKENS") = kSmallStepTokens;
    m.attr("SAMPLING_RECORD") = sampling_record();
    m.attr("SAMPLING_BYTES") = sizeof(SamplingRow);
    m.attr("TOP_LOGPROBS_MAX") = kTopLogprobsMax;
    m.attr("BIAS_MAX") = kBiasMost;
    m.attr("NON_FINITE") = kNonFinite;
    m.attr("NOTHING_ALLOWED") = kNothingAllowed;
    m.attr("NOT_REACHED") = kNotReached;
    m.attr("PAGE_TOKENS") = kPageTokens;
    m.attr("KEPT_CHUNK") = kKeptChunk;
    m.attr("OPS") = op_codes();
    bind_engine(m);
    mesh::bind(m);
    fabric::bind(m);
    files::bind(m);
    wire::bind(m);
    m.def("decode_instr", &decode_instr, "record"_a, "The fields of one encoded instruction.");
    machine::bind(m);
}

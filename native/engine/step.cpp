// The rules of a step, one function a group of arrays; see step.h.
#include "step.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace undiced {
namespace {

[[noreturn]] void refuse(const std::string& what) { throw std::invalid_argument(what); }

std::string at(const char* array, std::size_t index, std::int64_t value) {
    return std::string(array) + "[" + std::to_string(index) + "] is " + std::to_string(value);
}

void check_range(const char* array, std::size_t index, std::int64_t value, std::int64_t end) {
    if (value < 0 || value >= end) refuse(at(array, index, value) + ", outside [0, " + std::to_string(end) + ")");
}

template <class T>
void check_field(const char* name, int row, T value, T least, T most) {
    if (!(value >= least && value <= most))  // NaN is in no range
        refuse("sampling[" + std::to_string(row) + "]." + name + " is " + std::to_string(value) + ", outside [" +
               std::to_string(least) + ", " + std::to_string(most) + "]");
}

}  // namespace

StepChecker::StepChecker(const Limits& limits, int window, int embed_rows, int position_rows)
    : limits_(limits),
      window_(window),
      embed_rows_(embed_rows),
      position_limit_(position_rows > 0 ? std::min(limits.context, position_rows) : limits.context),
      slot_marks_(static_cast<std::size_t>(limits.max_batch)),
      page_marks_(static_cast<std::size_t>(limits.pages)),
      sampled_marks_(static_cast<std::size_t>(limits.max_batch)) {}

void StepChecker::check(const StepInput& in, const StepOutput& out) {
    check_shapes(in, out);
    ++epoch_;
    for (int s = 0; s < in.sequences(); ++s) check_sequence(in, s);
    for (int r = 0; r < in.samples(); ++r) check_sample(in, r);
}

void StepChecker::check_shapes(const StepInput& in, const StepOutput& out) const {
    const std::size_t tokens = in.tokens.size(), sequences = in.slots.size(), rows = in.sample_rows.size();
    if (tokens < 1 || tokens > static_cast<std::size_t>(limits_.max_tokens))
        refuse("a step of " + std::to_string(tokens) + " tokens; this engine takes 1 to " +
               std::to_string(limits_.max_tokens));
    if (sequences < 1 || sequences > static_cast<std::size_t>(limits_.max_batch))
        refuse("a step of " + std::to_string(sequences) + " sequences; this engine takes 1 to " +
               std::to_string(limits_.max_batch));
    if (rows > static_cast<std::size_t>(limits_.max_samples))
        refuse(std::to_string(rows) + " sampled rows; this engine takes " + std::to_string(limits_.max_samples));
    if (in.positions.size() != tokens) refuse("positions and tokens differ in length");
    if (in.seq_start.size() != sequences + 1) refuse("seq_start must have one entry more than slots");
    if (in.page_table.size() != sequences * static_cast<std::size_t>(in.page_columns))
        refuse("page_table must have one row per sequence");
    if (in.sampling.size() != rows) refuse("sampling and sample_rows differ in length");
    if (!in.masks.empty() && in.mask_words != (limits_.vocab + 31) / 32)
        refuse("masks have " + std::to_string(in.mask_words) + " words a row for " + std::to_string(limits_.vocab) +
               " tokens");
    if (in.seq_start.front() != 0 || in.seq_start.back() != static_cast<std::int32_t>(tokens))
        refuse("seq_start must run from 0 to the number of tokens");
    if (out.tokens.size() < rows || out.logprobs.size() < rows || out.top_ids.size() < rows * kTopLogprobsMax ||
        out.top_logprobs.size() < rows * kTopLogprobsMax)
        refuse("an output array is too small for the sampled rows");
}

void StepChecker::check_sequence(const StepInput& in, int sequence) {
    const auto s = static_cast<std::size_t>(sequence);
    check_range("slots", s, in.slots[s], limits_.max_batch);
    auto& slot_mark = slot_marks_[static_cast<std::size_t>(in.slots[s])];
    if (slot_mark == epoch_) refuse(at("slots", s, in.slots[s]) + ", as an earlier one");
    slot_mark = epoch_;
    const std::int32_t begin = in.seq_start[s], end = in.seq_start[s + 1];
    if (begin < 0 || end <= begin || end > in.token_count()) refuse(at("seq_start", s + 1, end) + ": not ascending");
    const std::int32_t first = in.positions[static_cast<std::size_t>(begin)];
    for (auto t = static_cast<std::size_t>(begin); t < static_cast<std::size_t>(end); ++t) {
        check_range("tokens", t, in.tokens[t], embed_rows_);
        check_range("positions", t, in.positions[t], position_limit_);
        if (in.positions[t] != first + static_cast<std::int32_t>(t) - begin)
            refuse(at("positions", t, in.positions[t]) + ": positions of a sequence must follow each other");
    }
    const int last_page = (first + end - begin - 1) / static_cast<int>(kPageTokens);
    const int written = first / static_cast<int>(kPageTokens);
    const int visible = window_ > 0 ? std::max(0, first - window_ + 1) / static_cast<int>(kPageTokens) : 0;
    if (last_page >= in.page_columns)
        refuse("sequence " + std::to_string(sequence) + " needs " + std::to_string(last_page + 1) +
               " pages; page_table has " + std::to_string(in.page_columns) + " columns");
    for (int page = visible; page <= last_page; ++page) {
        const std::int32_t id = in.pages_of(sequence)[page];
        check_range("page_table", s * static_cast<std::size_t>(in.page_columns) + static_cast<std::size_t>(page), id,
                    limits_.pages);
        if (page < written) continue;
        if (page_marks_[static_cast<std::size_t>(id)] == epoch_)
            refuse("page " + std::to_string(id) + " would be written for two sequences");
        page_marks_[static_cast<std::size_t>(id)] = epoch_;
        pages_written_ = std::max(pages_written_, id + 1);
    }
}

void StepChecker::check_sample(const StepInput& in, int row) {
    const auto r = static_cast<std::size_t>(row);
    const SamplingRow& s = in.sampling[r];
    check_range("sample_rows", r, in.sample_rows[r], in.token_count());
    if (row > 0 && in.sample_rows[r] <= in.sample_rows[r - 1])
        refuse(at("sample_rows", r, in.sample_rows[r]) + ": not ascending");
    check_range("sampling.slot", r, s.slot, limits_.max_batch);
    auto& mark = sampled_marks_[static_cast<std::size_t>(s.slot)];
    if (mark == epoch_ && in.sampling[r - 1].slot != s.slot)
        refuse(at("sampling.slot", r, s.slot) + ": rows of one slot must follow each other");
    mark = epoch_;
    if (s.mask >= 0) check_range("sampling.mask", r, s.mask, in.mask_rows());
    if (s.target >= limits_.vocab) refuse(at("sampling.target", r, s.target) + ", outside the vocabulary");
#define UNDICED_CHECK(type, name, least, most) \
    check_field<type>(#name, row, s.name, static_cast<type>(least), static_cast<type>(most));
    UNDICED_SAMPLING_RECORD(UNDICED_CHECK)
#undef UNDICED_CHECK
}

}  // namespace undiced

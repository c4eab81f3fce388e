// Cutting and sharing out; see attention_plan.h.
#include "attention_plan.h"

namespace undiced {
namespace {

constexpr int kWordsTokens = 33;  // so many new tokens are a prompt's, if it is not known how long that is
constexpr int kEqualChunks = 8;   // so many have that; then two of four times as many pages, two of eight, and so on
constexpr int kWindowChunks = 16;
constexpr double kKeptShare = 0.75;  // of a member's fair share of pages: so much it does not leave to others

// The chunk that a page belongs to. Chunks do not depend on how far a sequence has come, so that a query's sums have
// the same order in whatever step it is computed: alone, or among the tokens of a draft. What reaches back a limited
// way moves over equal chunks.
int chunk_of(int page, int reach) {
    if (reach > 0) {
        const int pages = (reach - 1) / kPage + 2;  // that a query may see
        return page / std::max(kChunkPages, (pages + kWindowChunks - 3) / (kWindowChunks - 2));
    }
    int chunk = kEqualChunks, end = kChunkPages * kEqualChunks;
    if (page < end) return page / kChunkPages;
    for (; page >= 2 * end; end *= 2) chunk += 2;
    return chunk + (page - end) / (end / 2);
}

// Whether a sequence's new tokens are a piece of its prompt. That decides which bits they get, so that a prompt has the
// same ones however it is cut, and wherever a beginning that was kept ends.
bool is_prompt(const StepInput& in, int sequence, std::span<const std::int32_t> prompt_tokens) {
    const auto s = static_cast<std::size_t>(sequence);
    const int begin = in.seq_start[s], tokens = in.seq_start[s + 1] - begin;
    const std::int32_t known = prompt_tokens[static_cast<std::size_t>(in.slots[s])];
    return tokens >= kWordsTokens || in.positions[static_cast<std::size_t>(begin)] < known;
}

}  // namespace

AttentionPlan::Most AttentionPlan::most(const Limits& limits) const {
    // Of eight tokens those that are sampled may lie apart, as four units.
    const int together = kind_.sampled ? std::min(kind_.block_tokens, 2) : kind_.block_tokens;
    const auto cut = static_cast<std::size_t>((kMergeTokens + together - 1) / together);
    const int chunks = kind_.reach.most() > 0 ? kWindowChunks : chunk_of((limits.context - 1) / kPage, 0) + 1;
    const std::size_t of_a_sequence = cut * static_cast<std::size_t>(chunks) + 1;
    const std::size_t whole = static_cast<std::size_t>(limits.max_tokens / together);
    return {whole + static_cast<std::size_t>(limits.max_batch) * of_a_sequence, cut, chunks};
}

void AttentionPlan::prepare(const Limits& limits, int members) {
    const std::size_t units = most(limits).units;
    units_.reserve(units);
    shared_.reserve(units);
    kept_.resize(static_cast<std::size_t>(members));
}

void AttentionPlan::build(const StepInput& in, std::span<const std::int32_t> prompt_tokens) {
    units_.clear();
    merges_ = blocks_ = 0;
    if (kind_.sampled) {
        cut_sampled(in, prompt_tokens);
    } else {
        for (int s = 0; s < in.sequences(); ++s) {
            const auto at = static_cast<std::size_t>(s);
            cut_rows(in, s, {in.seq_start[at], in.seq_start[at + 1]}, is_prompt(in, s, prompt_tokens));
        }
    }
    share_out(in);
}

// Sampled rows whose tokens follow each other are cut as if they were all rows of their sequence.
void AttentionPlan::cut_sampled(const StepInput& in, std::span<const std::int32_t> prompt_tokens) {
    int sequence = 0;
    const auto token = [&](int row) { return in.sample_rows[static_cast<std::size_t>(row)]; };
    for (int row = 0, end = 0; row < in.samples(); row = end) {
        while (in.seq_start[static_cast<std::size_t>(sequence) + 1] <= token(row)) ++sequence;
        const int stop = in.seq_start[static_cast<std::size_t>(sequence) + 1];
        for (end = row + 1; end < in.samples() && token(end) == token(end - 1) + 1 && token(end) < stop;) ++end;
        cut_rows(in, sequence, {row, end}, is_prompt(in, sequence, prompt_tokens));
    }
}

// Where every sequence has one token, members begin with those whose keys and values they stored: these are in their
// caches. Sequences see different numbers of pages, so that the last units are for whoever comes first, and so are all
// where there are prompts. Those go from the last unit on: a prompt's last tokens see most pages, and long units must
// not come at the end.
void AttentionPlan::share_out(const StepInput& in) {
    const int count = static_cast<int>(units_.size()), members = static_cast<int>(kept_.size());
    const auto cost = [&](int unit) {
        const AttentionUnit& u = units_[static_cast<std::size_t>(unit)];
        return u.end_page - u.first_page;
    };
    int pages = 0;
    const int all = kind_.sampled ? in.samples() : in.token_count();
    for (int unit = 0; unit < count; ++unit) pages += cost(unit);
    const int most = in.token_count() == in.sequences() ? static_cast<int>(pages * kKeptShare) / members : 0;
    shared_.clear();
    int unit = count;
    for (int member = members; member-- > 0;) {
        const Share rows = share(all, members, member);
        int left = most;
        Share& kept = kept_[static_cast<std::size_t>(member)];
        kept = {unit, unit};
        for (; unit > 0 && units_[static_cast<std::size_t>(unit - 1)].row >= rows.begin; --unit) {
            left -= cost(unit - 1);
            if (left >= 0)
                kept.begin = unit - 1;
            else
                shared_.push_back(unit - 1);
        }
    }
}

void AttentionPlan::cut_rows(const StepInput& in, int sequence, Share rows, bool prompt) {
    const auto s = static_cast<std::size_t>(sequence);
    const bool few = in.seq_start[s + 1] - in.seq_start[s] <= kMergeTokens;
    const auto position_of = [&](int row) {
        return in
            .positions[static_cast<std::size_t>(kind_.sampled ? in.sample_rows[static_cast<std::size_t>(row)] : row)];
    };
    int words = kNotShared;
    if (prompt && rows.end - rows.begin > kind_.block_tokens) {
        const int first = kind_.reach.first(position_of(rows.begin)) / (kPage * kBlock);
        words = blocks_ - first;
        blocks_ += (position_of(rows.end - 1) + 1) / (kPage * kBlock) - first;
    }
    for (int row = rows.begin; row < rows.end; row += kind_.block_tokens) {
        const int tokens = std::min(kind_.block_tokens, rows.end - row);
        const int position = position_of(row);
        int page = kind_.reach.first(position) / kPage;
        const int pages_end = (position + tokens - 1) / kPage + 1;
        const auto chunk_at = [&](int at) { return !prompt && few ? chunk_of(at, kind_.reach.most()) : 0; };
        const int before = chunk_at(page), chunks = chunk_at(pages_end - 1) + 1 - before;
        const int place = chunks > 1 ? merges_++ : kNoMerge;
        for (int chunk = 0; chunk < chunks; ++chunk) {
            const int first = page;
            if (chunk + 1 == chunks) page = pages_end;
            while (page < pages_end && chunk_at(page) == before + chunk) ++page;
            units_.push_back({sequence, row, tokens, position, first, page, chunk, chunks, place, prompt, words});
        }
    }
}

}  // namespace undiced

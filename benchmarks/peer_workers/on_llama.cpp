// Answers benchmarks/peers.py with llama.cpp's own library: one line of JSON in, one out. See on_undiced.py for the lines.
//   on_llama MODEL.gguf THREADS BATCH CONTEXT
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "llama.h"
#include "nlohmann/json.hpp"

namespace {

using Json = nlohmann::json;
using Tokens = std::vector<llama_token>;

constexpr int kChunk = 512;       // tokens of a prompt that are computed together: the library's own n_ubatch
constexpr int kShortContext = 64;  // positions of each of several sequences

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void expect(bool fine, const char* what) {
    if (!fine) throw std::runtime_error(what);
}

class Batch {
  public:
    explicit Batch(int size) : batch_(llama_batch_init(size, 0, 1)) {}
    ~Batch() { llama_batch_free(batch_); }
    void clear() { batch_.n_tokens = 0; }
    void add(llama_token token, int position, int sequence, bool wanted) {
        const int at = batch_.n_tokens++;
        batch_.token[at] = token;
        batch_.pos[at] = position;
        batch_.n_seq_id[at] = 1;
        batch_.seq_id[at][0] = sequence;
        batch_.logits[at] = wanted;
    }
    llama_batch& get() { return batch_; }

  private:
    llama_batch batch_;
};

class Peer {
  public:
    Peer(const char* path, int threads, int batch, int context) : threads_(threads), most_(batch), context_(context) {
        llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
        llama_backend_init();
        model_.reset(llama_model_load_from_file(path, llama_model_default_params()));
        expect(model_ != nullptr, "the model can't be loaded");
        vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
        one_ = made(1, context);
    }

    Json generate(const std::vector<Tokens>& prompts, int count) {
        llama_context* context = context_for(prompts.size());
        llama_memory_clear(llama_get_memory(context), true);
        std::vector<Tokens> answers(prompts.size());
        std::vector<int> position(prompts.size());
        const double begin = now_s();
        Batch batch(std::max<int>(kChunk, static_cast<int>(prompts.size())));
        read(context, prompts, batch, answers, position);
        const double first = now_s();
        for (int step = 1; step < count; ++step) {
            batch.clear();
            for (std::size_t i = 0; i < prompts.size(); ++i)
                batch.add(answers[i].back(), position[i]++, static_cast<int>(i), true);
            expect(llama_decode(context, batch.get()) == 0, "a step failed");
            for (std::size_t i = 0; i < prompts.size(); ++i)
                answers[i].push_back(likeliest(context, static_cast<int>(i)));
        }
        return {{"first_s", first - begin}, {"all_s", now_s() - begin}, {"tokens", answers}};
    }

    // Logits of positions begin .. end - 2, which predict a token that the text has, as float32 rows.
    Json logits(const Tokens& text, int begin, const std::string& file) {
        llama_memory_clear(llama_get_memory(one_.get()), true);
        std::ofstream out(file, std::ios::binary);
        const int size = static_cast<int>(text.size());
        Batch batch(kChunk);
        for (int at = 0; at < size; ++at) batch.add(text[at], at, 0, at >= begin && at + 1 < size);
        expect(llama_decode(one_.get(), batch.get()) == 0, "the text can't be read");
        for (int at = begin; at + 1 < size; ++at)
            out.write(reinterpret_cast<const char*>(llama_get_logits_ith(one_.get(), at)),
                      static_cast<std::streamsize>(sizeof(float)) * vocab_);
        return {{"rows", size - 1 - begin}};
    }

  private:
    struct Free {
        void operator()(llama_model* model) const { llama_model_free(model); }
        void operator()(llama_context* context) const { llama_free(context); }
    };
    using Context = std::unique_ptr<llama_context, Free>;

    Context made(int sequences, int positions) {
        llama_context_params params = llama_context_default_params();
        params.n_ctx = static_cast<std::uint32_t>(sequences * positions);
        params.n_seq_max = static_cast<std::uint32_t>(sequences);
        params.n_batch = params.n_ubatch = kChunk;
        params.n_threads = params.n_threads_batch = threads_;
        params.type_k = params.type_v = GGML_TYPE_F16;
        Context context(llama_init_from_model(model_.get(), params));
        expect(context != nullptr, "no context");
        return context;
    }

    llama_context* context_for(std::size_t sequences) {
        if (sequences == 1) return one_.get();
        expect(static_cast<int>(sequences) <= most_, "more sequences than asked for");
        Context& several = several_[sequences == static_cast<std::size_t>(most_)];
        if (!several || llama_n_seq_max(several.get()) < sequences)
            several = made(static_cast<int>(sequences), kShortContext);
        return several.get();
    }

    // All prompts, chunk by chunk, and the first token of each answer.
    void read(llama_context* context, const std::vector<Tokens>& prompts, Batch& batch, std::vector<Tokens>& answers,
              std::vector<int>& position) {
        batch.clear();
        std::vector<std::pair<int, std::size_t>> wanted;  // (place in the batch, sequence)
        const auto flush = [&] {
            if (batch.get().n_tokens == 0) return;
            expect(llama_decode(context, batch.get()) == 0, "a prompt can't be read");
            for (const auto& [place, sequence] : wanted) answers[sequence].push_back(likeliest(context, place));
            wanted.clear();
            batch.clear();
        };
        for (std::size_t i = 0; i < prompts.size(); ++i)
            for (std::size_t at = 0; at < prompts[i].size(); ++at) {
                const bool last = at + 1 == prompts[i].size();
                if (last) wanted.emplace_back(batch.get().n_tokens, i);
                batch.add(prompts[i][at], position[i]++, static_cast<int>(i), last);
                if (batch.get().n_tokens == kChunk) flush();
            }
        flush();
    }

    llama_token likeliest(llama_context* context, int place) const {
        const float* row = llama_get_logits_ith(context, place);
        return static_cast<llama_token>(std::max_element(row, row + vocab_) - row);
    }

    int threads_, most_, context_, vocab_ = 0;
    std::unique_ptr<llama_model, Free> model_;
    Context one_;
    Context several_[2];  // of the most sequences, and of fewer
};

}  // namespace

int main(int argc, char** argv) {
    try {
        expect(argc == 5, "on_llama MODEL THREADS BATCH CONTEXT");
        Peer peer(argv[1], std::stoi(argv[2]), std::stoi(argv[3]), std::stoi(argv[4]));
        std::cout << Json{{"ready", llama_version()}}.dump() << std::endl;
        for (std::string line; std::getline(std::cin, line);) {
            const Json asked = Json::parse(line);
            const Json answer = asked.contains("text")
                                    ? peer.logits(asked["text"], asked["begin"], asked["file"])
                                    : peer.generate(asked["prompts"], asked["count"]);
            std::cout << answer.dump() << std::endl;
        }
    } catch (const std::exception& error) {
        std::cerr << error.what() << std::endl;
        return 1;
    }
}

#include "apps/evaluate_synthetic.h"

#include "lib/core/error.h"
#include "lib/model/session.h"
#include "lib/train/synthetic_tasks.h"

#include <algorithm>
#include <cstdio>
#include <mutex>

namespace strandwave {
namespace {

/// Compares the most likely token with the target, where there is one.
class Answers final : public PositionSink {
public:
    explicit Answers(Model const& model) : model_(model) {}

    /// The next feed begins at `begin` of this example.
    void start(std::vector<std::int32_t> const& targets, index_t begin) {
        targets_ = &targets;
        begin_ = begin;
    }

    void positions(index_t, index_t begin, View<float const, 2> hidden) override {
        index_t const vocab = model_.config().vocab_size;
        std::vector<float> logits(static_cast<std::size_t>(vocab));
        for (index_t i = 0; i < hidden.rows; ++i) {
            auto const target = (*targets_)[static_cast<std::size_t>(begin_ + begin + i)];
            if (target < 0) { continue; }
            model_.language_model_logits(hidden.rows_from(i, 1), {logits.data(), 1, vocab});
            auto const answer = std::max_element(logits.begin(), logits.end()) - logits.begin();
            std::lock_guard const lock(mutex_);
            ++asked_;
            right_ += answer == target ? 1 : 0;
        }
    }

    index_t asked() const noexcept { return asked_; }
    index_t right() const noexcept { return right_; }

private:
    Model const& model_;
    std::vector<std::int32_t> const* targets_ = nullptr;
    index_t begin_ = 0;
    std::mutex mutex_;
    index_t asked_ = 0;
    index_t right_ = 0;
};

void evaluate(OpenedModel const& opened, std::string const& text, index_t examples) {
    auto const task = parse_synthetic_task(text);
    if (task.vocab > opened.model->config().vocab_size) {
        throw Error(ErrorCode::invalid_argument, text + ": has more tokens than the model");
    }
    Answers answers(*opened.model);
    SessionOptions options;
    options.sink = &answers;
    options.sink_layers = {kFinalNorm};
    options.pool = false;
    Session session(opened.model, *opened.threads, options);
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> targets;
    for (index_t i = 0; i < examples; ++i) {
        make_example(task, kEvaluationSeries, static_cast<std::uint64_t>(i), tokens, targets);
        auto const length = static_cast<index_t>(tokens.size());
        for (index_t begin = 0; begin < length; begin += opened.chunk) {
            index_t const count = std::min(opened.chunk, length - begin);
            Piece const piece{count, 0, begin == 0, begin + count == length};
            answers.start(targets, begin);
            session.feed({{tokens.data() + begin, static_cast<std::size_t>(count)}, {}}, {&piece, 1});
        }
    }
    std::printf("%s\t%lld\t%lld\t%lld\t%.6f\n", task.name.c_str(), static_cast<long long>(tokens.size()),
                static_cast<long long>(answers.asked()), static_cast<long long>(answers.right()),
                static_cast<double>(answers.right()) / static_cast<double>(answers.asked()));
    std::fflush(stdout);
}

} // namespace

void evaluate_synthetic(OpenedModel const& opened, std::vector<std::string> const& tasks, index_t examples) {
    if (opened.model->config().head != HeadKind::language_model) {
        throw Error(ErrorCode::unsupported, "the model has no language model's head, which --synthetic tasks ask");
    }
    std::printf("task\tlength\ttargets\tright\taccuracy\n");
    for (auto const& task : tasks) {
        evaluate(opened, task, examples);
    }
}

} // namespace strandwave

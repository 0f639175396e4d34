#include "lib/model/verify.h"

#include "lib/core/dtype.h"
#include "lib/core/random.h"
#include "lib/core/threads.h"
#include "lib/model/session.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

namespace strandwave {
namespace {

/// Random input of a model: one of the two is empty.
struct Record {
    index_t length = 0;
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
};

Record random_record(ModelConfig const& config, index_t length, Random& random) {
    Record record;
    record.length = length;
    for (index_t i = 0; config.frame_length == 0 && i < length; ++i) {
        record.tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size))));
    }
    for (index_t i = 0; i < length * config.frame_length; ++i) {
        record.frames.push_back(static_cast<float>(random.uniform(-1.0, 1.0)));
    }
    return record;
}

FeedInput part_of(Record const& record, ModelConfig const& config, index_t begin, index_t count) {
    FeedInput input;
    if (config.frame_length > 0) {
        input.frames = {record.frames.data() + begin * config.frame_length, count, config.frame_length};
    } else {
        input.tokens = {record.tokens.data() + begin, static_cast<std::size_t>(count)};
    }
    return input;
}

/// The final norm's rows of a record, `[length, hidden_width]`, whatever the feeds.
class Rows final : public PositionSink {
public:
    Rows(index_t length, index_t width)
        : width_(width), values_(static_cast<std::size_t>(length * width), std::numeric_limits<float>::quiet_NaN()) {}

    /// The next feed begins at this position of the record; negative where other records stand before it.
    void place(index_t position) { position_ = position; }

    void positions(index_t, index_t begin, View<float const, 2> hidden) override {
        index_t const length = static_cast<index_t>(values_.size()) / width_;
        for (index_t i = 0; i < hidden.rows; ++i) {
            index_t const at = position_ + begin + i;
            if (at >= 0 && at < length) { std::copy_n(hidden.row(i), width_, values_.data() + at * width_); }
        }
    }

    std::vector<float> take() { return std::move(values_); }

private:
    index_t width_;
    index_t position_ = 0;
    std::vector<float> values_;
};

double relative_difference(std::vector<float> const& a, std::vector<float> const& b) {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        double const d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        difference += d * d;
        norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    if (difference == 0) { return 0; }
    double const relative = std::sqrt(difference / norm);
    return std::isfinite(relative) ? relative : std::numeric_limits<double>::infinity();
}

double rounding_bound(Model const& model) {
    ModelConfig const& config = model.config();
    double const terms = static_cast<double>(config.d_model + 2 * config.d_inner + config.dt_rank);
    double const fp32 = std::numeric_limits<float>::epsilon() * terms;
    // With bf16 the four inputs are rounded too, and a last bit of fp32 may tip each of them.
    double const inputs = model.dtype() == DType::bf16 ? 4 * 0x1p-8 : 0;
    return static_cast<double>(config.n_layer) * (fp32 + inputs);
}

class Verifier {
public:
    Verifier(std::shared_ptr<Model const> const& model, VerifyOptions const& options)
        : model_(model), config_(model->config()), on_gpu_(model->device().is_gpu()), threads_(options.threads),
          random_(options.seed), record_(random_record(config_, options.length, random_)),
          whole_(run(threads_, options.length)) {}

    std::vector<float> const& whole() const noexcept { return whole_; }

    std::vector<VerifyCheck> run_all() {
        // What is not finite differs from itself, here and in every other check.
        check("the same again, and finite", run(threads_, record_.length), 0);
        if (!config_.bidirectional) { check_pieces(); }
        check("packed among other records", run_in_company(), 0);
        on_gpu_ ? check_steps() : check_threads();
        if (config_.rcps) {
            check("reverse complement exchanges the strands", run_other_strand(), rounding_bound(*model_));
        }
        return std::move(checks_);
    }

private:
    void check(std::string name, std::vector<float> const& rows, double bound) {
        checks_.push_back({std::move(name), relative_difference(rows, whole_), bound});
    }

    void check_threads() {
        Threads one(1);
        check("1 thread = " + std::to_string(threads_.count()), run(one, record_.length), 0);
    }

    /// Steps shorter than the record and its company, so that where one ends depends on the other.
    void check_steps() {
        constexpr index_t kRows = 2 * kChunkUnit;
        check("packed, in steps of " + std::to_string(kRows) + " rows", run_in_company(kRows), 0);
    }

    void check_pieces() {
        std::vector<index_t> chunks = {1, 7, 64, 256};
        if (on_gpu_) { chunks = {1, 7, kChunkUnit, 2 * kChunkUnit}; }
        for (index_t const chunk : chunks) {
            check("pieces of " + std::to_string(chunk) + " = one feed", run(threads_, chunk), bound_of_cut(chunk));
        }
        check("decoding token by token = one feed", run(threads_, 1, 1), rounding_bound(*model_));
        index_t const third = record_.length / 3;
        index_t const cut = on_gpu_ && third > kChunkUnit ? third / kChunkUnit * kChunkUnit : third;
        check("state saved and restored", run_over_two_sessions(cut), bound_of_cut(cut));
    }

    /// A GPU combines tiles of a record, which begin where its pieces do.
    double bound_of_cut(index_t position) const {
        return on_gpu_ && position % kChunkUnit != 0 ? rounding_bound(*model_) : 0;
    }

    SessionOptions options_for(Rows& rows, index_t token_block) const {
        SessionOptions options;
        options.token_block = token_block;
        options.sink = &rows;
        options.sink_layers = {kFinalNorm};
        options.pool = false;
        return options;
    }

    void feed(Session& session, Rows& rows, index_t begin, index_t count) const {
        Piece const piece{count, 0, begin == 0, begin + count == record_.length};
        rows.place(begin);
        session.feed(part_of(record_, config_, begin, count), std::span(&piece, 1));
    }

    std::vector<float> run(Threads& threads, index_t chunk, index_t token_block = kDefaultTokenBlock) {
        Rows rows(record_.length, model_->hidden_width());
        Session session(model_, threads, options_for(rows, token_block));
        for (index_t begin = 0; begin < record_.length; begin += chunk) {
            feed(session, rows, begin, std::min(chunk, record_.length - begin));
        }
        return rows.take();
    }

    std::vector<float> run_over_two_sessions(index_t cut) {
        Rows rows(record_.length, model_->hidden_width());
        Session first(model_, threads_, options_for(rows, kDefaultTokenBlock));
        feed(first, rows, 0, cut);
        LaneState const state = first.save(0);
        Session second(model_, threads_, options_for(rows, kDefaultTokenBlock));
        second.restore(0, state);
        feed(second, rows, cut, record_.length - cut);
        return rows.take();
    }

    /// The record stands between a shorter and a longer one, in the same feed.
    std::vector<float> run_in_company(index_t step_rows = 0) {
        Record before = random_record(config_, 150, random_);
        Record const after = random_record(config_, 401, random_);
        for (Record const* next : {static_cast<Record const*>(&record_), &after}) {
            before.tokens.insert(before.tokens.end(), next->tokens.begin(), next->tokens.end());
            before.frames.insert(before.frames.end(), next->frames.begin(), next->frames.end());
        }
        std::vector<Piece> const pieces = {
            {before.length, 0, true, true}, {record_.length, 1, true, true}, {after.length, 2, true, true}};
        Rows rows(record_.length, model_->hidden_width());
        rows.place(-before.length);
        SessionOptions options = options_for(rows, kDefaultTokenBlock);
        options.lanes = 3;
        options.step_rows = step_rows;
        Session session(model_, threads_, options);
        session.feed(part_of(before, config_, 0, before.length + record_.length + after.length), pieces);
        return rows.take();
    }

    /// The reverse complement of the record, its rows put back into the record's order and strands.
    std::vector<float> run_other_strand() {
        auto& tokens = record_.tokens;
        auto const turn = [&] {
            std::reverse(tokens.begin(), tokens.end());
            for (auto& token : tokens) {
                token = config_.complement_map[static_cast<std::size_t>(token)];
            }
        };
        turn();
        std::vector<float> const other = run(threads_, record_.length);
        turn();
        auto const d = static_cast<std::size_t>(config_.d_model);
        auto const length = static_cast<std::size_t>(record_.length);
        std::vector<float> rows(other.size());
        for (std::size_t t = 0; t < length; ++t) {
            float const* from = other.data() + (length - 1 - t) * 2 * d;
            std::copy_n(from, d, rows.data() + t * 2 * d + d);
            std::copy_n(from + d, d, rows.data() + t * 2 * d);
        }
        return rows;
    }

    std::shared_ptr<Model const> model_;
    ModelConfig const& config_;
    bool on_gpu_;
    Threads threads_;
    Random random_;
    Record record_;
    std::vector<float> whole_; ///< the record in one feed
    std::vector<VerifyCheck> checks_;
};

} // namespace

std::vector<VerifyCheck> verify_model(std::shared_ptr<Model const> const& model, VerifyOptions const& options) {
    return Verifier(model, options).run_all();
}

VerifyCheck compare_models(std::shared_ptr<Model const> const& model, std::shared_ptr<Model const> const& reference,
                           VerifyOptions const& options) {
    auto const name = [](Model const& one) { return one.device().name() + " " + std::string(dtype_name(one.dtype())); };
    double const difference =
        relative_difference(Verifier(model, options).whole(), Verifier(reference, options).whole());
    return {name(*model) + " = " + name(*reference), difference,
            std::max(rounding_bound(*model), rounding_bound(*reference))};
}

} // namespace strandwave

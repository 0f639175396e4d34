#include "pipelines/feed_runner.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace strandwave {
namespace {

/// Adds the time for which it lives.
class Stopwatch {
public:
    explicit Stopwatch(double& seconds) : seconds_(seconds) {}
    ~Stopwatch() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
    Stopwatch(Stopwatch const&) = delete;
    Stopwatch& operator=(Stopwatch const&) = delete;

private:
    double& seconds_;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace

/// A session and what it needs of its own.
class FeedRunner::Stage final : private PositionSink {
public:
    Stage(std::shared_ptr<Model const> const& model, Threads& threads, UnitRunOptions const& options)
        : model_(*model), options_(options), session_(model, threads, session_options()) {}

    ~Stage() override {
        {
            std::lock_guard const lock(mutex_);
            ended_ = true;
        }
        wake_.notify_one();
        if (thread_.joinable()) { thread_.join(); }
    }
    Stage(Stage const&) = delete;
    Stage& operator=(Stage const&) = delete;

    void run(Feed& feed) {
        if (start(feed)) { finish(feed); }
    }

    /// The same on the session's own thread. It is none of the pool's: it mostly waits for a GPU, and what it computes
    /// on the processor goes through the pool.
    std::future<void> run_beside(Feed& feed) {
        if (!thread_.joinable()) {
            thread_ = std::thread([this] { work(); });
        }
        Job job{&feed, {}};
        auto done = job.done.get_future();
        {
            std::lock_guard const lock(mutex_);
            jobs_.push_back(std::move(job));
        }
        wake_.notify_one();
        return done;
    }

private:
    struct Job {
        Feed* feed;
        std::promise<void> done;
    };

    /// Runs jobs in order; starts the next one, if it is there, before it finishes the one before.
    void work() {
        std::optional<Job> started;
        for (;;) {
            auto job = next_job(!started);
            if (!job && !started) { return; }
            auto before = std::exchange(started, std::nullopt);
            if (job && begin(*job)) { started = std::move(job); }
            if (before) { end(*before); }
        }
    }

    /// None if no job is there and `wait` is false, or when the runner goes.
    std::optional<Job> next_job(bool wait) {
        std::unique_lock lock(mutex_);
        if (wait) {
            wake_.wait(lock, [this] { return ended_ || !jobs_.empty(); });
        }
        if (ended_ || jobs_.empty()) { return std::nullopt; }
        auto job = std::move(jobs_.front());
        jobs_.pop_front();
        return job;
    }

    /// False: the job is done already.
    bool begin(Job& job) {
        try {
            if (start(*job.feed)) { return true; }
            job.done.set_value();
        } catch (...) { job.done.set_exception(std::current_exception()); }
        return false;
    }

    void end(Job& job) {
        try {
            finish(*job.feed);
            job.done.set_value();
        } catch (...) { job.done.set_exception(std::current_exception()); }
    }

    /// False if the feed's only unit is too large.
    bool start(Feed& feed) {
        Stopwatch const watch(feed.model_seconds);
        if (options_.positions && feed.size * model_.hidden_width() > feed.positions.size()) {
            feed.positions = Buffer<float>(feed.size * model_.hidden_width());
        }
        rows_ = feed.positions.data();
        auto const width = model_.config().frame_length;
        View<float const, 2> const frames(feed.frames.data(), width > 0 ? feed.size : 0, width);
        try {
            session_.start({feed.tokens, frames}, feed.pieces);
        } catch (Error const& error) {
            if (error.code() != ErrorCode::too_large || feed.pieces.size() > 1) { throw; }
            auto const& unit = feed.units.front();
            feed.unfitted =
                UnitFailure{unit, Error(error.code(), unit.file + ": record " + unit.name + ": " + error.message())};
        }
        feed.notices = std::exchange(notices_, {});
        return !feed.unfitted;
    }

    void finish(Feed& feed) {
        Stopwatch const watch(feed.model_seconds);
        feed.results = session_.finish();
    }

    SessionOptions session_options() {
        SessionOptions session;
        session.pooling = options_.pooling;
        session.layer = options_.layer;
        session.pool = !options_.positions;
        session.notice = [this](std::string const& text) { notices_.push_back(text); };
        if (options_.positions) {
            session.sink = this;
            session.sink_layers = {options_.layer};
        }
        return session;
    }

    /// Calls write disjoint rows, so they need no lock.
    void positions(index_t, index_t begin, View<float const, 2> hidden) override {
        for (index_t r = 0; r < hidden.rows; ++r) {
            std::copy_n(hidden.row(r), hidden.cols, rows_ + (begin + r) * hidden.cols);
        }
    }

    Model const& model_;
    UnitRunOptions const& options_;
    float* rows_ = nullptr;            ///< of the feed that runs
    std::vector<std::string> notices_; ///< not given to a feed yet; the session's constructor may have some
    Session session_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> jobs_;
    bool ended_ = false;
    std::thread thread_; ///< uses all the others
};

FeedRunner::FeedRunner(Models models, Threads& threads, UnitRunOptions const& options)
    : beside_(models.size() > 1 || models.front()->device().is_gpu()) {
    for (auto const& model : models) {
        stages_.push_back(std::make_unique<Stage>(model, threads, options));
    }
}

FeedRunner::~FeedRunner() = default;

void FeedRunner::start(Feed& feed) {
    if (feed.pieces.empty()) { return; }
    auto& stage = *stages_[feed.session];
    if (beside_) {
        feed.done = stage.run_beside(feed);
    } else {
        stage.run(feed);
    }
}

void FeedRunner::finish(Feed& feed) {
    if (feed.done.valid()) { feed.done.get(); }
}

} // namespace strandwave

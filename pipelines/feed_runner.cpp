#include "pipelines/feed_runner.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace strandwave {
namespace {

/// A thread that runs what it is given, in order. It is none of the pool's: it mostly waits for a GPU, and what it
/// computes on the processor goes through the pool.
class Worker {
public:
    Worker() : thread_([this] { work(); }) {}

    ~Worker() {
        {
            std::lock_guard const lock(mutex_);
            ended_ = true;
        }
        wake_.notify_one();
        thread_.join();
    }
    Worker(Worker const&) = delete;
    Worker& operator=(Worker const&) = delete;

    std::future<void> add(std::function<void()> body) {
        std::packaged_task<void()> task(std::move(body));
        auto done = task.get_future();
        {
            std::lock_guard const lock(mutex_);
            tasks_.push_back(std::move(task));
        }
        wake_.notify_one();
        return done;
    }

private:
    void work() {
        std::unique_lock lock(mutex_);
        for (;;) {
            wake_.wait(lock, [this] { return ended_ || !tasks_.empty(); });
            if (ended_) { return; }
            auto task = std::move(tasks_.front());
            tasks_.pop_front();
            lock.unlock();
            task();
            lock.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::packaged_task<void()>> tasks_;
    bool ended_ = false;
    std::thread thread_; ///< uses all the others
};

} // namespace

/// A session and what it needs of its own.
class FeedRunner::Stage final : private PositionSink {
public:
    Stage(std::shared_ptr<Model const> const& model, Threads& threads, UnitRunOptions const& options)
        : model_(*model), options_(options), session_(model, threads, session_options()) {}

    void run(Feed& feed) {
        auto const begin = std::chrono::steady_clock::now();
        feed_session(feed);
        feed.model_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }

    /// The same on the session's own thread.
    std::future<void> run_beside(Feed& feed) {
        if (!worker_) { worker_.emplace(); }
        return worker_->add([this, &feed] { run(feed); });
    }

private:
    void feed_session(Feed& feed) {
        if (options_.positions && feed.size * model_.hidden_width() > feed.positions.size()) {
            feed.positions = Buffer<float>(feed.size * model_.hidden_width());
        }
        rows_ = feed.positions.data();
        auto const width = model_.config().frame_length;
        View<float const, 2> const frames(feed.frames.data(), width > 0 ? feed.size : 0, width);
        try {
            feed.results = session_.feed({feed.tokens, frames}, feed.pieces);
        } catch (Error const& error) {
            if (error.code() != ErrorCode::too_large || feed.pieces.size() > 1) { throw; }
            auto const& unit = feed.units.front();
            feed.unfitted =
                UnitFailure{unit, Error(error.code(), unit.file + ": record " + unit.name + ": " + error.message())};
        }
        feed.notices = std::exchange(notices_, {});
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
    std::optional<Worker> worker_; ///< ends before the session does
};

FeedRunner::FeedRunner(Models models, Threads& threads, UnitRunOptions const& options) {
    for (auto const& model : models) {
        stages_.push_back(std::make_unique<Stage>(model, threads, options));
    }
}

FeedRunner::~FeedRunner() = default;

void FeedRunner::start(Feed& feed) {
    if (feed.pieces.empty()) { return; }
    auto& stage = *stages_[feed.session];
    if (stages_.size() == 1) {
        stage.run(feed);
    } else {
        feed.done = stage.run_beside(feed);
    }
}

void FeedRunner::finish(Feed& feed) {
    if (feed.done.valid()) { feed.done.get(); }
}

} // namespace strandwave

#include "lib/core/threads.h"

#include "lib/core/error.h"
#include "lib/core/thread_order.h"

#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>
#include <vector>

namespace strandwave {
namespace {
using thread_order::Loop;
using thread_order::Order;
using thread_order::Turn;

/// The stages of a pipeline as filters that do not throw (oneTBB 2021.8 loses what is in flight when one does).
class Stages {
public:
    Stages(int places, std::function<bool(int)> const& produce, std::function<void(int)> const& transform,
           std::function<void(int)> const& consume)
        : produce_(produce), transform_(transform), consume_(consume), errors_(static_cast<std::size_t>(places)),
          place_orders_(errors_.size()) {
        for (auto& order : stage_orders_) {
            order.release();
        }
    }

    /// At most as many things are in flight as there are places, and they leave in order: so the oldest place is free.
    std::size_t produce(tbb::flow_control& control) {
        std::size_t const place = produced_++ % errors_.size();
        if (ended_ || given_up_) {
            control.stop();
            return place;
        }
        try {
            Turn const turn(stage_orders_[0], place_orders_[place]);
            if (!produce_(static_cast<int>(place))) { control.stop(); }
        } catch (...) {
            errors_[place] = std::current_exception();
            ended_ = true;
        }
        return place;
    }

    std::size_t transform(std::size_t place) {
        if (given_up_ || errors_[place]) { return place; }
        try {
            Turn const turn(stage_orders_[1], place_orders_[place]);
            transform_(static_cast<int>(place));
        } catch (...) {
            errors_[place] = std::current_exception();
            given_up_ = true;
        }
        return place;
    }

    void consume(std::size_t place) {
        if (!error_) { error_ = errors_[place]; }
        if (error_) { return; }
        try {
            Turn const turn(stage_orders_[2], place_orders_[place]);
            consume_(static_cast<int>(place));
        } catch (...) {
            error_ = std::current_exception();
            given_up_ = true;
        }
    }

    /// Behind the last of them. Throws what a stage threw.
    void end() {
        for (auto& order : stage_orders_) {
            order.acquire();
        }
        if (error_) { std::rethrow_exception(error_); }
    }

private:
    std::function<bool(int)> const& produce_;
    std::function<void(int)> const& transform_;
    std::function<void(int)> const& consume_;
    std::vector<std::exception_ptr> errors_; ///< of the thing in a place
    std::size_t produced_ = 0;               ///< used by produce only
    bool ended_ = false;                     ///< used by produce only
    std::exception_ptr error_;               ///< used by consume only: nothing more is consumed
    std::atomic<bool> given_up_{false};      ///< nothing more is produced or transformed
    std::array<Order, 3> stage_orders_;      ///< calls of a stage come one at a time
    std::vector<Order> place_orders_;        ///< so do stages of a place
};

} // namespace

struct Threads::Arena {
    explicit Arena(int count)
        : limit(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(count)), arena(count) {}
    tbb::global_control limit;
    tbb::task_arena arena;
};

Threads::Threads(int count) : count_(count) {
    if (count < 0) { throw Error(ErrorCode::invalid_argument, "threads must be 1 or more (0 = all)"); }
    if (count == 0) { count_ = tbb::info::default_concurrency(); }
    arena_ = std::make_unique<Arena>(count_);
}

Threads::~Threads() = default;

void Threads::parallel_for(index_t n, std::function<void(index_t)> const& body) const {
    if (n == 1 || count_ == 1) {
        for (index_t i = 0; i < n; ++i) {
            body(i);
        }
        return;
    }
    // Isolated: a thread that waits here for the last bodies takes up only bodies of this loop, not of an outer one,
    // so that what an outer body holds (scratch, a place in a chain) is held once a thread.
    Loop loop;
    auto const one = [&](index_t i) { loop.run(body, i); };
    arena_->arena.execute([&] {
        tbb::this_task_arena::isolate([&] { tbb::parallel_for(index_t{0}, n, one, tbb::simple_partitioner{}); });
    });
}

void Threads::run_workers(std::function<void(int)> const& body) const {
    // Numbers are drawn at the start of each worker, so that a lower number always belongs to a worker that runs.
    std::atomic<int> next{0};
    parallel_for(count_, [&](index_t) { body(next.fetch_add(1)); });
}

void Threads::pipeline(int places, std::function<bool(int)> const& produce, std::function<void(int)> const& transform,
                       std::function<void(int)> const& consume) const {
    if (count_ == 1) {
        while (produce(0)) {
            transform(0);
            consume(0);
        }
        return;
    }
    Stages stages(places, produce, transform, consume);
    constexpr auto kInOrder = tbb::filter_mode::serial_in_order;
    using Place = std::size_t;
    auto const chain =
        tbb::make_filter<void, Place>(kInOrder, [&](tbb::flow_control& control) { return stages.produce(control); }) &
        tbb::make_filter<Place, Place>(kInOrder, [&](Place place) { return stages.transform(place); }) &
        tbb::make_filter<Place, void>(kInOrder, [&](Place place) { stages.consume(place); });
    // Not isolated: while one thread is in `transform`, the caller has to take its share of the loops in there.
    arena_->arena.execute([&] { tbb::parallel_pipeline(static_cast<std::size_t>(places), chain); });
    stages.end();
}

} // namespace strandwave

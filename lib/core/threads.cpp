#include "lib/core/threads.h"

#include "lib/core/error.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace strandwave {

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
    arena_->arena.execute([&] {
        tbb::this_task_arena::isolate([&] { tbb::parallel_for(index_t{0}, n, body, tbb::simple_partitioner{}); });
    });
}

void Threads::run_workers(std::function<void(int)> const& body) const {
    // Numbers are drawn at the start of each worker, so that a lower number always belongs to a worker that runs.
    std::atomic<int> next{0};
    parallel_for(count_, [&](index_t) { body(next.fetch_add(1)); });
}

} // namespace strandwave

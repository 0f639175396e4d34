#pragma once

#include "lib/core/view.h"

#include <functional>
#include <memory>

namespace strandwave {

/// The one thread pool: a oneTBB arena of `count` threads (the caller is one of them). Model code and pipelines share
/// it, so `--threads N` bounds the whole process. Safe to call from inside itself.
class Threads {
public:
    /// count >= 1; 0 takes what the process may use (its CPU affinity, not the machine's size).
    explicit Threads(int count);
    ~Threads();
    Threads(Threads const&) = delete;
    Threads& operator=(Threads const&) = delete;

    int count() const noexcept { return count_; }

    /// Calls body(0) .. body(n-1), each once, in any order and at most `count()` at a time; returns when all are done.
    /// The first exception that a body throws is thrown here.
    void parallel_for(index_t n, std::function<void(index_t)> const& body) const;

    /// Calls body(0) .. body(count()-1), each a long-lived worker. A worker may wait for the progress of another
    /// worker with a smaller number: workers are started in order, and a thread that started one ends it before it
    /// takes another.
    void run_workers(std::function<void(int)> const& body) const;

    /// Carries one thing after another through three stages that run beside each other. What a thing is made of the
    /// caller keeps, for `places` (>= 1) things in flight: `produce(place)` fills a place that is free or returns false
    /// at the end, then comes `transform(place)`, then `consume(place)`, which frees it. The calls of a stage come one
    /// at a time and in order of production, from any thread of the pool; a call may wait (for a file, for a GPU).
    /// With count() == 1 the stages take turns.
    /// Throws what a stage threw, the first in order of production: all that was produced before it is consumed, it and
    /// what is behind it are not.
    /// To be called from outside the pool: while it waits, the caller takes up whatever there is to do.
    void pipeline(int places, std::function<bool(int)> const& produce, std::function<void(int)> const& transform,
                  std::function<void(int)> const& consume) const;

private:
    struct Arena;
    int count_;
    std::unique_ptr<Arena> arena_;
};

} // namespace strandwave

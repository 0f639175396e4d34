#pragma once

#include "pipelines/feed_packer.h"

#include <memory>

namespace strandwave {

/// Runs feeds through the sessions of one or more models, a session each.
class FeedRunner {
public:
    FeedRunner(Models models, Threads& threads, UnitRunOptions const& options);
    ~FeedRunner(); ///< waits for the feeds that run; what waits for its turn is dropped

    /// With one model on the processor runs the feed. Else starts it: each session has a thread, which runs its feeds
    /// in order, and starts the next one before it waits for the one before. The feed has to stay where it is until
    /// the runner is gone or `finish` has returned.
    void start(Feed& feed);

    /// Until the feed has run. With several models on the processor not to be called in the pool that the sessions
    /// compute in: a session's thread that waits for a place there takes up what it finds, this call for example. Both
    /// throw what Session::feed threw, but for a unit that is too large on its own (Feed::unfitted).
    static void finish(Feed& feed);

private:
    class Stage;
    bool beside_; ///< feeds run on the sessions' own threads
    std::vector<std::unique_ptr<Stage>> stages_;
};

} // namespace strandwave

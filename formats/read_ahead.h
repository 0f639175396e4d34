#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace strandwave {

/// Blocks that a thread of its own fills ahead of their use, in order: work of two kinds on one stream (decompression
/// and what reads the text) goes on side by side. Memory: kBlocks blocks, which are used again and again.
/// Only for sources that do not wait for somebody, such as files: the thread can be ended between two blocks only.
template <class Block>
class ReadAhead {
public:
    static constexpr std::size_t kBlocks = 4;

    /// Fills a block, whose old content is still there; false at the end, where the block does not count. Called from
    /// the other thread, not any more after it returned false or threw.
    using Fill = std::function<bool(Block&)>;

    explicit ReadAhead(Fill fill) : fill_(std::move(fill)), thread_([this] { run(); }) {}

    ~ReadAhead() {
        {
            std::lock_guard const lock(mutex_);
            abandoned_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }
    ReadAhead(ReadAhead const&) = delete;
    ReadAhead& operator=(ReadAhead const&) = delete;

    /// The next block, to be used until the next call; null at the end. Throws what `fill` threw, when the blocks
    /// before it have been given.
    Block* next() {
        std::unique_lock lock(mutex_);
        used_ = given_;
        changed_.notify_one();
        changed_.wait(lock, [this] { return filled_ > given_ || ended_; });
        if (filled_ > given_) { return &blocks_[given_++ % kBlocks]; }
        if (error_) { std::rethrow_exception(error_); }
        return nullptr;
    }

private:
    void run() noexcept {
        std::unique_lock lock(mutex_);
        while (!ended_) {
            changed_.wait(lock, [this] { return abandoned_ || filled_ - used_ < kBlocks; });
            if (abandoned_) { return; }
            auto& block = blocks_[filled_ % kBlocks];
            lock.unlock();
            bool more = false;
            std::exception_ptr error;
            try {
                more = fill_(block);
            } catch (...) { error = std::current_exception(); }
            lock.lock();
            filled_ += more ? 1 : 0;
            ended_ = !more;
            error_ = error;
            changed_.notify_one();
        }
    }

    Fill fill_;
    std::array<Block, kBlocks> blocks_;
    std::mutex mutex_; ///< guards what follows
    std::condition_variable changed_;
    std::size_t filled_ = 0; ///< blocks so far: filled >= given >= used
    std::size_t given_ = 0;
    std::size_t used_ = 0;
    bool ended_ = false;
    bool abandoned_ = false;
    std::exception_ptr error_;
    std::thread thread_; ///< uses all the others
};

} // namespace strandwave

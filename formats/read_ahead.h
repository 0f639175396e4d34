#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace strandwave {

/// Blocks that threads of their own make ahead of their use: work of two kinds on one stream (decompression and what
/// reads the text) goes on side by side. A block is fetched, in order and one at a time, and then worked on, several at
/// a time. Memory: two blocks a thread and two more, which are used again and again.
/// Only for sources that do not wait for somebody, such as files: the threads can be ended between two blocks only.
template <class Block>
class ReadAhead {
public:
    /// Fills a block, whose old content is still there; false at the end, where the block does not count. Not called
    /// any more after it returned false or threw.
    using Fetch = std::function<bool(Block&)>;
    /// What then remains to be done with it; may throw. Called for several blocks at a time.
    using Work = std::function<void(Block&)>;

    /// Where the system gives fewer threads, it goes on with those; throws std::system_error if there is none.
    explicit ReadAhead(
        Fetch fetch, Work work = [](Block&) {}, int threads = 1)
        : fetch_(std::move(fetch)), work_(std::move(work)), slots_(2 * static_cast<std::size_t>(threads) + 2) {
        threads_.reserve(static_cast<std::size_t>(threads));
        try {
            for (int i = 0; i < threads; ++i) {
                threads_.emplace_back([this] { run(); });
            }
        } catch (std::system_error const&) {
            if (threads_.empty()) { throw; }
        }
    }

    ~ReadAhead() {
        {
            std::lock_guard const lock(mutex_);
            abandoned_ = true;
        }
        freed_.notify_one();
        for (auto& thread : threads_) {
            thread.join();
        }
    }
    ReadAhead(ReadAhead const&) = delete;
    ReadAhead& operator=(ReadAhead const&) = delete;

    /// The next block, to be used until the next call; null at the end. Throws what was thrown when it was made, after
    /// the blocks before it have been given.
    Block* next() {
        std::unique_lock lock(mutex_);
        used_ = given_;
        lock.unlock();
        freed_.notify_one(); // without the lock, which who is woken wants next
        lock.lock();
        auto& slot = slots_[given_ % slots_.size()];
        made_.wait(lock, [&] { return given_ < fetched_ ? slot.made : ended_; });
        if (given_ == fetched_ && error_) { std::rethrow_exception(error_); }
        if (given_ == fetched_) { return nullptr; }
        if (slot.error) { std::rethrow_exception(slot.error); }
        ++given_;
        return &slot.block;
    }

private:
    struct Slot {
        Block block;
        bool made = false;
        std::exception_ptr error;
    };

    void run() noexcept {
        while (auto* const slot = fetch()) {
            std::exception_ptr error;
            try {
                work_(slot->block);
            } catch (...) { error = std::current_exception(); }
            std::unique_lock lock(mutex_);
            slot->error = error;
            slot->made = true;
            bool const is_next = slot == &slots_[given_ % slots_.size()];
            lock.unlock();
            if (is_next) { made_.notify_one(); }
        }
    }

    /// Null when there is nothing more to do.
    Slot* fetch() noexcept {
        std::lock_guard const turn(fetching_);
        std::unique_lock lock(mutex_);
        freed_.wait(lock, [this] { return abandoned_ || ended_ || fetched_ - used_ < slots_.size(); });
        if (abandoned_ || ended_) { return nullptr; }
        auto& slot = slots_[fetched_ % slots_.size()];
        lock.unlock();
        bool more = false;
        std::exception_ptr error;
        try {
            more = fetch_(slot.block);
        } catch (...) { error = std::current_exception(); }
        lock.lock();
        slot.made = false;
        fetched_ += more ? 1 : 0;
        ended_ = !more;
        error_ = error;
        if (ended_) { made_.notify_one(); }
        return more ? &slot : nullptr;
    }

    Fetch fetch_;
    Work work_;
    std::mutex fetching_; ///< whoever has it fetches the next block
    std::mutex mutex_;    ///< guards what follows, but the blocks of slots, which are their thread's or the reader's
    std::condition_variable freed_, made_;
    std::vector<Slot> slots_;
    std::size_t fetched_ = 0; ///< blocks so far: fetched >= given >= used
    std::size_t given_ = 0;
    std::size_t used_ = 0;
    bool ended_ = false; ///< all are fetched
    std::exception_ptr error_;
    bool abandoned_ = false;
    std::vector<std::thread> threads_; ///< use all the others
};

} // namespace strandwave

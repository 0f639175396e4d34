#include "lib/core/threads.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <gtest/gtest.h>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

/// Throws if a second caller comes while one is inside.
class OneAtATime {
public:
    class Turn {
    public:
        explicit Turn(OneAtATime& owner) : owner_(owner) {
            if (owner_.inside_.exchange(true)) { throw std::logic_error("two calls at a time"); }
        }
        ~Turn() { owner_.inside_ = false; }

    private:
        OneAtATime& owner_;
    };

private:
    std::atomic<bool> inside_{false};
};

/// Numbers 0, 1, ... through three stages; each stage notes what it saw.
class Line {
public:
    Line(int threads, int places) : threads_(threads), places_(places), slots_(static_cast<std::size_t>(places), -1) {}

    /// `fault(stage, number)` is called in every stage, 0 to 2, and may throw.
    void run(
        int count, std::function<void(int, int)> const& fault = [](int, int) {}) {
        threads_.pipeline(
            places_,
            [&](int place) {
                OneAtATime::Turn const turn(turns_[0]);
                EXPECT_EQ(std::exchange(slot(place), next_), -1) << "the place was not free";
                if (next_ == count) { return false; }
                fault(0, next_++);
                produced.push_back(slot(place));
                in_flight_most = std::max(in_flight_most.load(), ++in_flight_);
                return true;
            },
            [&](int place) {
                OneAtATime::Turn const turn(turns_[1]);
                fault(1, slot(place));
                transformed.push_back(slot(place));
            },
            [&](int place) {
                OneAtATime::Turn const turn(turns_[2]);
                fault(2, slot(place));
                consumed.push_back(std::exchange(slot(place), -1));
                --in_flight_;
            });
    }

    Threads const& threads() const { return threads_; }

    std::vector<int> produced, transformed, consumed;
    std::atomic<int> in_flight_most{0};

private:
    int& slot(int place) { return slots_.at(static_cast<std::size_t>(place)); }

    Threads threads_;
    int places_;
    std::vector<int> slots_;
    int next_ = 0;
    std::atomic<int> in_flight_{0};
    std::array<OneAtATime, 3> turns_;
};

std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

TEST(ThreadsPipeline, EveryStageSeesEverythingInOrderAndInBoundedPlaces) {
    for (int const threads : {1, 2, 3, 8}) {
        for (int const places : {1, 2, 3, 7}) {
            for (int const count : {0, 1, 2, 1000}) {
                SCOPED_TRACE(std::to_string(threads) + " threads, " + std::to_string(places) + " places, " +
                             std::to_string(count) + " numbers");
                Line line(threads, places);
                line.run(count);
                EXPECT_EQ(line.produced, numbers(count));
                EXPECT_EQ(line.transformed, numbers(count));
                EXPECT_EQ(line.consumed, numbers(count));
                EXPECT_LE(line.in_flight_most, threads == 1 ? 1 : places);
            }
        }
    }
}

TEST(ThreadsPipeline, AFailureLetsThroughWhatWasProducedBeforeAndNothingElse) {
    for (int const threads : {1, 2, 4}) {
        for (int const stage : {0, 1, 2}) {
            for (int const bad : {0, 1, 5, 99}) {
                SCOPED_TRACE(std::to_string(threads) + " threads, stage " + std::to_string(stage) + ", number " +
                             std::to_string(bad));
                Line line(threads, 3);
                auto const fault = [&](int in, int number) {
                    if (in == stage && number == bad) { throw std::runtime_error(std::to_string(number)); }
                };
                std::string thrown;
                try {
                    line.run(100, fault);
                } catch (std::runtime_error const& error) { thrown = error.what(); }
                EXPECT_EQ(thrown, std::to_string(bad));
                EXPECT_EQ(line.consumed, numbers(bad));
                if (stage < 2) { EXPECT_EQ(line.transformed, numbers(bad)); }
                if (stage == 0) { EXPECT_EQ(line.produced, numbers(bad)); }
                EXPECT_LE(line.produced.size(), static_cast<std::size_t>(bad) + 3);
            }
        }
    }
}

TEST(ThreadsPipeline, TheFirstFailureInOrderIsTheOneThatIsThrown) {
    for (int const threads : {1, 2, 4}) {
        Line line(threads, 3);
        // Consuming 4 fails only after transforming 5 has failed, where that comes first at all.
        std::atomic<bool> later_failed{threads == 1};
        auto const fault = [&](int stage, int number) {
            if (stage == 1 && number == 5) {
                later_failed = true;
                later_failed.notify_all();
                throw std::runtime_error("later");
            }
            if (stage == 2 && number == 4) {
                later_failed.wait(false);
                throw std::runtime_error("earlier");
            }
        };
        std::string thrown;
        try {
            line.run(100, fault);
        } catch (std::runtime_error const& error) { thrown = error.what(); }
        EXPECT_EQ(thrown, "earlier");
        EXPECT_EQ(line.consumed, numbers(4));
    }
}

TEST(ThreadsPipeline, WhatIsNoExceptionTypeComesThroughToo) {
    struct Stop {};
    Line line(2, 3);
    EXPECT_THROW(line.run(10,
                          [](int stage, int) {
                              if (stage == 2) { throw Stop{}; }
                          }),
                 Stop);
}

TEST(ThreadsPipeline, StagesRunBesideEachOther) {
    // Number 0 stays in the second stage until 1 and 2 were produced: stages that took turns would stand still here.
    Line line(2, 3);
    std::atomic<int> produced{0};
    line.run(3, [&](int stage, int number) {
        if (stage == 0) {
            produced = number + 1;
            produced.notify_all();
        }
        for (int seen = produced; stage == 1 && seen < 3; seen = produced) {
            produced.wait(seen);
        }
    });
    EXPECT_EQ(line.consumed, numbers(3));
}

TEST(ThreadsPipeline, WhatIsReadyBehindAFailureIsNotTransformed) {
    Line line(2, 3);
    std::atomic<int> produced{0};
    auto const fault = [&](int stage, int number) {
        if (stage == 0) {
            produced = number + 1;
            produced.notify_all();
        }
        if (stage != 1 || number != 5) { return; }
        for (int seen = produced; seen < 7; seen = produced) {
            produced.wait(seen);
        }
        throw std::runtime_error("five");
    };
    EXPECT_THROW(line.run(100, fault), std::runtime_error);
    EXPECT_EQ(line.transformed, numbers(5));
    EXPECT_EQ(line.consumed, numbers(5));
}

TEST(ThreadsPipeline, TheCallerTakesPartInTheLoopsOfAStage) {
    // Both bodies have to run at once: if one of the two threads left the other alone, this would stand still.
    Line line(2, 3);
    line.run(200, [&](int stage, int) {
        if (stage != 1) { return; }
        std::atomic<int> inside{0};
        line.threads().parallel_for(2, [&](index_t) {
            ++inside;
            inside.notify_all();
            inside.wait(1);
        });
    });
    EXPECT_EQ(line.consumed, numbers(200));
}

TEST(ThreadsPipeline, StagesMayUseTheThreadsOfThePool) {
    for (int const threads : {1, 2, 3, 8}) {
        Line line(threads, 3);
        std::atomic<index_t> sum{0};
        line.run(200, [&](int stage, int number) {
            if (stage != 1) { return; }
            line.threads().parallel_for(17, [&](index_t i) { sum += i + number; });
            // Workers that wait for the one before them, as blocks of a wavefront do.
            std::vector<std::atomic<bool>> done(static_cast<std::size_t>(threads));
            line.threads().run_workers([&](int worker) {
                auto const self = static_cast<std::size_t>(worker);
                if (worker > 0) { done[self - 1].wait(false); }
                line.threads().parallel_for(3, [&](index_t i) { sum += i; });
                done[self] = true;
                done[self].notify_all();
            });
        });
        EXPECT_EQ(line.consumed, numbers(200));
        EXPECT_EQ(sum, 200 * 17 * 8 + 17 * (200 * 199 / 2) + 200 * threads * 3);
    }
}

} // namespace
} // namespace strandwave

#include "formats/read_ahead.h"

#include "lib/core/error.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <optional>
#include <pthread.h>
#include <vector>

namespace strandwave {
namespace {

using Numbers = ReadAhead<int>;

TEST(ReadAhead, gives_all_blocks_in_order) {
    int made = 0;
    Numbers numbers([&made](int& block) {
        block = made;
        return made++ < 1000;
    });
    for (int i = 0; i < 1000; ++i) {
        auto const* const block = numbers.next();
        ASSERT_NE(block, nullptr);
        ASSERT_EQ(*block, i);
    }
    EXPECT_EQ(numbers.next(), nullptr);
    EXPECT_EQ(numbers.next(), nullptr) << "an end stays an end";
}

TEST(ReadAhead, an_error_comes_behind_the_blocks_before_it) {
    int made = 0;
    Numbers numbers([&made](int& block) {
        if (made == 3) { throw Error(ErrorCode::io, "broken"); }
        block = made++;
        return true;
    });
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(*numbers.next(), i);
    }
    EXPECT_THROW(numbers.next(), Error);
    EXPECT_THROW(numbers.next(), Error) << "an error stays an error";
}

TEST(ReadAhead, fills_no_more_than_its_blocks_and_ends_when_nobody_reads_on) {
    std::atomic<int> made{0};
    {
        Numbers numbers([&made](int& block) {
            block = made++;
            return true;
        });
        EXPECT_EQ(*numbers.next(), 0);
        EXPECT_EQ(*numbers.next(), 1);
        while (made < 5) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        // Time to go wrong: block 0 was given back, 1 is in use, 2 to 4 wait.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        EXPECT_EQ(made, 5);
    }
    EXPECT_EQ(made, 5);
}

/// While it lives, a thread gets more stack than there are addresses, so that the system makes none.
class NoMoreThreads {
public:
    NoMoreThreads() {
        pthread_attr_init(&attributes_);
        pthread_getattr_default_np(&attributes_);
        auto none = attributes_;
        pthread_attr_setstacksize(&none, std::size_t{1} << 47);
        pthread_setattr_default_np(&none);
    }
    ~NoMoreThreads() {
        pthread_setattr_default_np(&attributes_);
        pthread_attr_destroy(&attributes_);
    }
    NoMoreThreads(NoMoreThreads const&) = delete;
    NoMoreThreads& operator=(NoMoreThreads const&) = delete;

private:
    pthread_attr_t attributes_{};
};

TEST(ReadAhead, goes_on_with_the_threads_that_it_gets) {
    std::optional<NoMoreThreads> none;
    int made = 0;
    Numbers numbers(
        [&](int& block) {
            if (made == 0) { none.emplace(); }
            block = made++;
            return made <= 1000;
        },
        [](int&) {}, 64);
    for (int i = 0; i < 1000; ++i) {
        ASSERT_EQ(*numbers.next(), i);
    }
    EXPECT_EQ(numbers.next(), nullptr);
}

TEST(ReadAhead, says_so_where_there_is_no_thread) {
    NoMoreThreads const none;
    EXPECT_THROW(Numbers([](int&) { return true; }), std::system_error);
}

TEST(ReadAhead, uses_the_storage_of_a_block_again) {
    int made = 0;
    ReadAhead<std::vector<int>> blocks([&made](std::vector<int>& block) {
        if (made >= 4) { EXPECT_EQ(block.size(), static_cast<std::size_t>(made - 3)); }
        block.resize(static_cast<std::size_t>(++made));
        return made < 50;
    });
    while (blocks.next() != nullptr) {}
    EXPECT_EQ(made, 50);
}

} // namespace
} // namespace strandwave

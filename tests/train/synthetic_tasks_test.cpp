#include "lib/train/synthetic_tasks.h"

#include "lib/core/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace strandwave {
namespace {

struct Example {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> targets;

    bool operator==(Example const&) const = default;
};

Example example_of(SyntheticTask const& task, std::uint64_t seed, std::uint64_t index) {
    Example example;
    make_example(task, seed, index, example.tokens, example.targets);
    EXPECT_EQ(static_cast<index_t>(example.tokens.size()), example_length(task));
    EXPECT_EQ(example.targets.size(), example.tokens.size());
    for (std::size_t i = 0; i < example.tokens.size(); ++i) {
        EXPECT_TRUE(example.tokens[i] >= 0 && example.tokens[i] < task.vocab) << i;
        EXPECT_TRUE(example.targets[i] >= -1 && example.targets[i] < task.vocab) << i;
    }
    EXPECT_EQ(std::ranges::count_if(example.targets, [](auto target) { return target >= 0; }), task.items);
    return example;
}

std::string error_of(std::string const& text) {
    try {
        parse_synthetic_task(text);
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        return error.message();
    }
    return "";
}

TEST(SyntheticTasks, DefaultsAreThoseOfThePapers) {
    auto const copying = parse_synthetic_task("selective-copying");
    EXPECT_EQ(copying.length, 4096);
    EXPECT_EQ(copying.items, 16);
    EXPECT_EQ(copying.vocab, 16);
    EXPECT_EQ(example_length(copying), 4096 + 16);
    auto const induction = parse_synthetic_task("induction-heads:");
    EXPECT_EQ(induction.length, 256);
    EXPECT_EQ(induction.vocab, 16);
    EXPECT_EQ(example_length(induction), 256);
    EXPECT_EQ(parse_synthetic_task("mqar").vocab, 8192);
}

TEST(SyntheticTasks, KeysReplaceDefaults) {
    auto const task = parse_synthetic_task("mqar:length=128,vocab=64,items=8,power=0.5,fill=1");
    EXPECT_EQ(task.name, "mqar");
    EXPECT_EQ(task.length, 128);
    EXPECT_EQ(task.vocab, 64);
    EXPECT_EQ(task.items, 8);
    EXPECT_EQ(task.power, 0.5);
    EXPECT_TRUE(task.fill);
}

TEST(SyntheticTasks, ErrorsListNamesAndKeys) {
    EXPECT_EQ(error_of("copying"),
              "there is no synthetic task 'copying', but selective-copying, induction-heads, mqar");
    EXPECT_EQ(error_of("induction-heads:items=2"),
              "induction-heads: there is no key 'items', but length, vocab, as in length=256");
    EXPECT_EQ(error_of("mqar:length=x"), "mqar: 'x' is not a number that length can be");
    for (auto const* text : {"",
                             ":",
                             "mqar:length",
                             "mqar:length=",
                             "mqar:=1",
                             "mqar:length=64=",
                             "mqar:length=64.5",
                             "mqar:fill=yes",
                             "mqar:power=nan",
                             "mqar:length=15",
                             "mqar:items=17",
                             "mqar:items=0",
                             "mqar:vocab=9",
                             "mqar:,",
                             "induction-heads:length=2",
                             "induction-heads:vocab=1",
                             "induction-heads:length=99999999999999",
                             "induction-heads:vocab=2147483648",
                             "selective-copying:vocab=2",
                             "selective-copying:items=4097",
                             "selective-copying:length=-1"}) {
        EXPECT_NE(error_of(text), "") << text;
    }
    std::vector<std::int32_t> tokens;
    EXPECT_THROW(make_example({.name = "mqar", .length = 8, .vocab = 64, .items = 3}, 1, 0, tokens, tokens), Error);
}

TEST(SyntheticTasks, AnExampleDependsOnSeedAndIndexOnly) {
    for (auto const* text : {"selective-copying:length=100", "induction-heads", "mqar:length=100,items=8,fill=1"}) {
        auto const task = parse_synthetic_task(text);
        std::vector<Example> forward;
        for (std::uint64_t i = 0; i < 20; ++i) {
            forward.push_back(example_of(task, 7, i));
        }
        for (std::uint64_t i = 20; i-- > 0;) {
            EXPECT_EQ(example_of(task, 7, i), forward[i]) << text;
            EXPECT_NE(example_of(task, 8, i), forward[i]) << text;
            if (i > 0) { EXPECT_NE(forward[i], forward[i - 1]) << text; }
        }
    }
}

TEST(SelectiveCopying, MarkersAskForTheDataInOrder) {
    auto const task = parse_synthetic_task("selective-copying:length=97,items=16,vocab=16");
    std::set<std::int32_t> seen;
    std::set<std::size_t> places;
    for (std::uint64_t i = 0; i < 200; ++i) {
        auto const [tokens, targets] = example_of(task, 1, i);
        std::vector<std::int32_t> data;
        for (std::size_t at = 0; at < 97; ++at) {
            EXPECT_EQ(targets[at], -1);
            if (tokens[at] == 0) { continue; }
            EXPECT_LT(tokens[at], 15);
            data.push_back(tokens[at]);
            places.insert(at);
        }
        EXPECT_EQ(data, std::vector<std::int32_t>(targets.begin() + 97, targets.end()));
        EXPECT_EQ(std::count(tokens.begin() + 97, tokens.end(), 15), 16);
        seen.insert(data.begin(), data.end());
    }
    EXPECT_EQ(seen.size(), 14U); // all but noise and marker
    EXPECT_EQ(places.size(), 97U);
}

TEST(SelectiveCopying, HoldsNothingButDataIfThereIsNoRoom) {
    auto const [tokens, targets] = example_of(parse_synthetic_task("selective-copying:length=5,items=5"), 1, 0);
    EXPECT_EQ(std::vector(tokens.begin(), tokens.begin() + 5), std::vector(targets.begin() + 5, targets.end()));
}

void expect_induction(SyntheticTask const& task, Example const& example, std::set<std::size_t>& places) {
    auto const special = static_cast<std::int32_t>(task.vocab - 1);
    auto const first = std::ranges::find(example.tokens, special);
    ASSERT_LT(first, example.tokens.end() - 2);
    EXPECT_EQ(std::find(first + 1, example.tokens.end(), special), example.tokens.end() - 1);
    EXPECT_EQ(example.targets.back(), first[1]);
    places.insert(static_cast<std::size_t>(first - example.tokens.begin()));
}

TEST(InductionHeads, AsksForWhatFollowedTheSpecialToken) {
    auto const task = parse_synthetic_task("induction-heads:length=24,vocab=16");
    std::set<std::size_t> places;
    std::set<std::int32_t> answers;
    for (std::uint64_t i = 0; i < 500; ++i) {
        auto const example = example_of(task, 1, i);
        expect_induction(task, example, places);
        answers.insert(example.targets.back());
    }
    EXPECT_EQ(places.size(), 22U);
    EXPECT_EQ(answers.size(), 15U);
}

TEST(InductionHeads, IsOfAnyLength) {
    for (auto const* length : {"3", "4", "257", "1048576", "1048577"}) {
        auto const task = parse_synthetic_task(std::string("induction-heads:length=") + length);
        std::set<std::size_t> places;
        expect_induction(task, example_of(task, 3, 9), places);
    }
}

TEST(MultiQueryRecall, EveryKeyIsAskedForOnce) {
    for (auto const* text : {"mqar", "mqar:length=256,items=64,vocab=130", "mqar:length=100,items=3,fill=1"}) {
        auto const task = parse_synthetic_task(text);
        for (std::uint64_t i = 0; i < 50; ++i) {
            auto const [tokens, targets] = example_of(task, 5, i);
            auto const context = static_cast<std::size_t>(2 * task.items);
            std::map<std::int32_t, std::int32_t> value_of;
            std::set<std::int32_t> values;
            for (std::size_t at = 0; at < context; at += 2) {
                EXPECT_TRUE(tokens[at] > 0 && tokens[at] < task.vocab / 2);
                EXPECT_GE(tokens[at + 1], task.vocab / 2);
                value_of[tokens[at]] = tokens[at + 1];
                values.insert(tokens[at + 1]);
            }
            EXPECT_EQ(static_cast<index_t>(value_of.size()), task.items);
            EXPECT_EQ(static_cast<index_t>(values.size()), task.items);
            for (std::size_t at = 0; at < tokens.size(); ++at) {
                if (targets[at] < 0) {
                    EXPECT_TRUE(at < context || task.fill || tokens[at] == 0) << at;
                    continue;
                }
                EXPECT_TRUE(at >= context && at % 2 == 0) << at;
                ASSERT_TRUE(value_of.contains(tokens[at]));
                EXPECT_EQ(value_of[tokens[at]], targets[at]);
                value_of.erase(tokens[at]);
            }
            EXPECT_TRUE(value_of.empty());
        }
    }
}

TEST(MultiQueryRecall, GapsFollowThePowerLaw) {
    // One pair, so that its gap has p(g) ~ (g + 1)^(power - 1) itself. Bounds: five standard deviations of a count.
    for (double const power : {0.01, 1.0}) {
        SyntheticTask const task = {.name = "mqar", .length = 22, .vocab = 16, .items = 1, .power = power};
        constexpr int kExamples = 20000;
        std::vector<int> counts(10);
        for (std::uint64_t i = 0; i < kExamples; ++i) {
            auto const targets = example_of(task, 11, i).targets;
            auto const query = std::ranges::find_if(targets, [](auto target) { return target >= 0; }) - targets.begin();
            ++counts[static_cast<std::size_t>(query / 2 - 1)];
        }
        double total = 0;
        for (int gap = 1; gap <= 10; ++gap) {
            total += std::pow(gap, power - 1);
        }
        for (int gap = 1; gap <= 10; ++gap) {
            double const p = std::pow(gap, power - 1) / total;
            EXPECT_NEAR(counts[static_cast<std::size_t>(gap - 1)], kExamples * p,
                        5 * std::sqrt(kExamples * p * (1 - p)));
        }
    }
}

} // namespace
} // namespace strandwave

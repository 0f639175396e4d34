#include "pipelines/batch_sampler.h"

#include "tests/pipelines/training_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace strandwave {
namespace {

void expect_equal(TrainBatch const& a, TrainBatch const& b) {
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.frames, b.frames);
    EXPECT_EQ(a.lengths, b.lengths);
    EXPECT_EQ(a.token_targets, b.token_targets);
    EXPECT_EQ(a.pooled_targets, b.pooled_targets);
    EXPECT_EQ(a.examples, b.examples);
}

class BatchSamplerTest : public testing::Test, public TrainingFiles {
protected:
    BatchOptions options_;
    TrainBatch batch_, other_;
};

TEST_F(BatchSamplerTest, ABatchIsAFunctionOfItsNumber) {
    auto const set = dna({50, 60, 70, 80, 90});
    for (auto const objective : {Objective::classification, Objective::masked_token, Objective::next_token}) {
        options_.objective = objective;
        options_.seed = 1;
        options_.batch_size = 3;
        options_.crop = 20;
        options_.reverse_complement = true;
        BatchSampler const sampler(set, every_example(set), options_);
        for (index_t step = 0; step < 10; ++step) {
            sampler.make(step, batch_);
        }
        BatchSampler const fresh(set, every_example(set), options_);
        fresh.make(9, other_);
        expect_equal(batch_, other_);
        fresh.make(8, other_);
        EXPECT_NE(batch_.tokens, other_.tokens);
        options_.seed = 2;
        BatchSampler(set, every_example(set), options_).make(9, other_);
        EXPECT_NE(batch_.tokens, other_.tokens);
    }
}

TEST_F(BatchSamplerTest, ItemsDoNotDependOnTheBatchSize) {
    auto const set = dna({50, 60, 70, 80, 90});
    options_.batch_size = 6;
    options_.crop = 20;
    BatchSampler(set, every_example(set), options_).make(1, batch_);
    options_.batch_size = 2;
    BatchSampler const small(set, every_example(set), options_);
    Tokens tokens;
    for (index_t step = 3; step < 6; ++step) {
        small.make(step, other_);
        tokens.insert(tokens.end(), other_.tokens.begin(), other_.tokens.end());
    }
    EXPECT_EQ(tokens, batch_.tokens);
}

TEST_F(BatchSamplerTest, EveryEpochHasEveryExampleOnceInAnOrderOfItsOwn) {
    for (index_t const n : {1, 2, 5, 16, 17, 100}) {
        files.clear();
        auto const set = dna(std::vector<index_t>(static_cast<std::size_t>(n), 4));
        options_.batch_size = n;
        BatchSampler const sampler(set, every_example(set), options_);
        EXPECT_EQ(sampler.steps_per_epoch(), 1);
        std::set<std::vector<index_t>> orders;
        for (index_t epoch = 0; epoch < 10; ++epoch) {
            sampler.make(epoch, batch_);
            orders.insert(batch_.examples);
            std::sort(batch_.examples.begin(), batch_.examples.end());
            EXPECT_EQ(batch_.examples, every_example(set));
        }
        EXPECT_GE(static_cast<index_t>(orders.size()), n < 5 ? n : 8);
    }
}

TEST_F(BatchSamplerTest, EveryOrderIsAsLikely) {
    auto const set = dna({4, 4, 4});
    options_.batch_size = 3;
    BatchSampler const sampler(set, every_example(set), options_);
    std::map<std::vector<index_t>, int> orders;
    constexpr int kEpochs = 6000;
    for (index_t epoch = 0; epoch < kEpochs; ++epoch) {
        sampler.make(epoch, batch_);
        ++orders[batch_.examples];
    }
    EXPECT_EQ(orders.size(), 6U);
    for (auto const& [order, count] : orders) {
        expect_share(count, kEpochs, 1.0 / 6, "an order");
    }
}

TEST_F(BatchSamplerTest, CropsLieInTheirRecordAndStartAnywhere) {
    auto const set = dna({30, 8});
    options_.batch_size = 2;
    options_.crop = 10;
    BatchSampler const sampler(set, every_example(set), options_);
    auto const letters = stored_tokens(set, 0);
    std::map<index_t, int> starts;
    constexpr int kSteps = 4200;
    for (index_t step = 0; step < kSteps; ++step) {
        sampler.make(step, batch_);
        auto const records = records_of(batch_, batch_.tokens);
        for (std::size_t i = 0; i < 2; ++i) {
            if (batch_.examples[i] == 1) {
                ASSERT_EQ(records[i], stored_tokens(set, 1));
                continue;
            }
            ASSERT_EQ(records[i].size(), 10U);
            auto const at = std::search(letters.begin(), letters.end(), records[i].begin(), records[i].end());
            ASSERT_NE(at, letters.end());
            ++starts[at - letters.begin()];
        }
    }
    EXPECT_EQ(starts.size(), 21U);
    for (auto const& [start, count] : starts) {
        expect_share(count, kSteps, 1.0 / 21, "a start");
    }
}

TEST_F(BatchSamplerTest, TargetsOfClassesAreSmoothedThenWeighted) {
    auto const set = dna({5, 5});
    options_.label_smoothing = 0.2;
    options_.class_weights = {1, 3};
    BatchSampler const sampler(set, every_example(set), options_);
    EXPECT_EQ(sampler.targets_per_record(), 2);
    sampler.make_evaluation(0, batch_);
    EXPECT_EQ(batch_.pooled_targets, (std::vector<float>{0.9F, 0.1F, 0.3F, 2.7F}));
    EXPECT_TRUE(batch_.token_targets.empty());
}

TEST_F(BatchSamplerTest, TargetsOfRegressionAreTheValues) {
    write("a.csv", "sequence,label\nACGT,1.5\nAC,-2\n");
    options.target = TargetKind::values;
    auto const set = read("header");
    options_.objective = Objective::regression;
    BatchSampler const sampler(set, {1, 0}, options_);
    EXPECT_EQ(sampler.targets_per_record(), 1);
    sampler.make_evaluation(0, batch_);
    EXPECT_EQ(batch_.pooled_targets, (std::vector<float>{-2, 1.5F}));
    options_.label_scale = {-1, 0.5};
    BatchSampler(set, {1, 0}, options_).make_evaluation(0, batch_);
    EXPECT_EQ(batch_.pooled_targets, (std::vector<float>{-2, 5})) << "standardised";
}

TEST_F(BatchSamplerTest, EvaluationIsInOrderAndTakesTheMiddle) {
    auto const set = dna({20, 9, 30, 11, 5});
    options_.batch_size = 2;
    options_.reverse_complement = true;
    options_.crop = 3;
    options_.max_length = 10;
    std::vector<index_t> const some = {4, 0, 2, 3};
    BatchSampler const sampler(set, some, options_);
    EXPECT_EQ(sampler.make_evaluation(0, batch_), 2);
    EXPECT_EQ(batch_.examples, (std::vector<index_t>{4, 0}));
    EXPECT_EQ(batch_.lengths, (std::vector<index_t>{5, 10}));
    auto const whole = stored_tokens(set, 0);
    EXPECT_EQ(records_of(batch_, batch_.tokens)[1], Tokens(whole.begin() + 5, whole.begin() + 15));
    EXPECT_EQ(sampler.make_evaluation(2, batch_), 2);
    EXPECT_EQ(sampler.make_evaluation(3, batch_), 1);
    EXPECT_EQ(sampler.make_evaluation(4, batch_), 0);
    EXPECT_EQ(batch_.records(), 0);
}

TEST_F(BatchSamplerTest, SpecialTokensSurroundPooledRecordsOnly) {
    options.source.preprocessor.special_tokens = true;
    auto const set = dna({6});
    BatchSampler(set, {0}, options_).make_evaluation(0, batch_);
    auto expected = stored_tokens(set, 0);
    expected.push_back(1); // [SEP]
    EXPECT_EQ(batch_.tokens, expected);
    EXPECT_EQ(batch_.lengths, (std::vector<index_t>{7}));
    options_.objective = Objective::next_token;
    BatchSampler(set, {0}, options_).make_evaluation(0, batch_);
    EXPECT_EQ(batch_.tokens, stored_tokens(set, 0));
}

TEST_F(BatchSamplerTest, RefusesOptionsThatMakeNoSense) {
    auto const set = dna({20, 30});
    auto const refuses = [&](auto change) {
        BatchOptions wrong;
        change(wrong);
        EXPECT_THROW(BatchSampler(set, every_example(set), wrong), Error);
    };
    EXPECT_THROW(BatchSampler(set, {}, {}), Error);
    refuses([](auto& o) { o.batch_size = 0; });
    refuses([](auto& o) { o.crop = -1; });
    refuses([](auto& o) { o.batch_tokens = 100; });
    refuses([](auto& o) { o.objective = Objective::regression; });
    refuses([](auto& o) { o.label_smoothing = 1.5; });
    refuses([](auto& o) { o.class_weights = {1}; });
    refuses([](auto& o) { o.class_weights = {1, -1}; });
    refuses([](auto& o) { o.audio.mix_probability = 1; });
    refuses([](auto& o) {
        o.objective = Objective::next_token;
        o.crop = 30;
        o.batch_tokens = 100;
    });
}

} // namespace
} // namespace strandwave

#include "pipelines/synthetic_batches.h"

#include "lib/core/error.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

using Tokens = std::vector<std::int32_t>;

SyntheticTask induction(index_t length) {
    return parse_synthetic_task("induction-heads:length=" + std::to_string(length));
}

/// Lengths of the validation's examples, a vector a batch.
std::vector<std::vector<index_t>> validation_lengths(SyntheticBatches const& batches) {
    std::vector<std::vector<index_t>> lengths;
    TrainBatch batch;
    index_t first = 0;
    while (index_t const taken = batches.make_validation(first, batch)) {
        EXPECT_EQ(taken, batch.records());
        EXPECT_EQ(batch.positions(), static_cast<index_t>(batch.tokens.size()));
        EXPECT_EQ(batch.tokens.size(), batch.token_targets.size());
        lengths.push_back(batch.lengths);
        first += taken;
    }
    return lengths;
}

TEST(SyntheticBatches, ABatchOfTrainingHasItsExamplesInOrder) {
    SyntheticBatches const batches(induction(12), induction(40), {.seed = 3, .batch_size = 2});
    TrainBatch batch;
    batches.make(5, batch);
    EXPECT_EQ(batch.examples, (std::vector<index_t>{10, 11}));
    EXPECT_EQ(batch.lengths, (std::vector<index_t>{12, 12}));
    Tokens tokens;
    Tokens targets;
    make_example(induction(12), 3, 11, tokens, targets);
    EXPECT_EQ(Tokens(batch.tokens.begin() + 12, batch.tokens.end()), tokens);
    EXPECT_EQ(Tokens(batch.token_targets.begin() + 12, batch.token_targets.end()), targets);
}

TEST(SyntheticBatches, AValidationHasNoMorePositionsAtOnceThanTraining) {
    auto const lengths = [](index_t training, index_t validation) {
        return validation_lengths(
            SyntheticBatches(induction(training), induction(validation), {.batch_size = 4, .validation_examples = 6}));
    };
    using Lengths = std::vector<std::vector<index_t>>;
    EXPECT_EQ(lengths(10, 10), (Lengths{{10, 10, 10, 10}, {10, 10}}));
    EXPECT_EQ(lengths(10, 5), (Lengths{{5, 5, 5, 5}, {5, 5}})); // nor more examples
    EXPECT_EQ(lengths(10, 20), (Lengths{{20, 20}, {20, 20}, {20, 20}}));
    EXPECT_EQ(lengths(10, 21), (Lengths{{21}, {21}, {21}, {21}, {21}, {21}}));
    EXPECT_EQ(lengths(10, 1000), (Lengths{{1000}, {1000}, {1000}, {1000}, {1000}, {1000}}));
}

TEST(SyntheticBatches, AValidationHasExamplesOfItsOwn) {
    auto const first_example = [](std::uint64_t seed) {
        Tokens tokens;
        Tokens targets;
        make_example(induction(64), seed, 0, tokens, targets);
        return tokens;
    };
    for (std::uint64_t const seed : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{1}}) {
        SyntheticBatches const batches(induction(64), induction(64), {.seed = seed, .batch_size = 1});
        TrainBatch batch;
        batches.make_validation(0, batch);
        EXPECT_NE(batch.tokens, first_example(seed)) << seed;
        EXPECT_NE(batch.tokens, first_example(kEvaluationSeries)) << seed;
    }
}

TEST(SyntheticBatches, AnotherTaskHasOtherTokens) {
    auto const message = [](std::string const& validation) -> std::string {
        try {
            SyntheticBatches const batches(parse_synthetic_task("mqar:vocab=32"), parse_synthetic_task(validation), {});
        } catch (Error const& error) {
            EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
            return error.message();
        }
        return "";
    };
    EXPECT_EQ(message("mqar:vocab=32,length=256,items=8,fill=1"), "");
    EXPECT_NE(message("mqar:length=256").find("is mqar with vocab=8192, that of training mqar with vocab=32"),
              std::string::npos);
    EXPECT_NE(message("induction-heads:vocab=32").find("is induction-heads with vocab=32"), std::string::npos);
}

} // namespace
} // namespace strandwave

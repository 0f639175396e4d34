#include "lib/train/batch_pieces.h"

#include "lib/core/error.h"
#include "tests/train/train_support.h"

#include <cmath>
#include <gtest/gtest.h>

// Records of pooled objectives in pieces: gradients, losses and outputs are those of the records as a whole.
namespace strandwave {
namespace {

using test::RandomModel;

/// A GPU may cut at multiples of 256 without another bit, the processor anywhere.
index_t piece_length() { return test::load_options().device.is_gpu() ? 256 : 32; }

std::vector<index_t> lengths_of_records() {
    index_t const piece = piece_length();
    return {3 * piece - 7, piece + 5, 3, 2 * piece + 1};
}

/// Gradients are sums over the positions of a batch, which pieces add in another order: each addition rounds to 2^-24
/// of what there is, at most so often as there are positions.
double rounding(TrainBatch const& batch) { return static_cast<double>(batch.positions()) * std::ldexp(1.0, -24); }

struct Case {
    std::string name;
    Pooling pooling = Pooling::mean;
    Objective objective = Objective::classification;
    bool hard = false; ///< targets are one class each
    bool recompute = false;
    index_t frame_length = 0;
    index_t first_layer = 0;
};

std::ostream& operator<<(std::ostream& out, Case const& c) { return out << c.name; }

RandomModel shape_of(Case const& c) {
    RandomModel shape;
    shape.d_model = 12;
    shape.labels = 3;
    shape.frame_length = c.frame_length;
    return shape;
}

TrainModelOptions options_of(Case const& c) {
    TrainModelOptions options;
    options.objective = c.objective;
    options.pooling = c.pooling;
    options.recompute = c.recompute;
    options.first_layer = c.first_layer;
    return options;
}

TrainBatch batch_of(Case const& c, std::vector<index_t> const& lengths) {
    auto batch = test::random_batch(shape_of(c), lengths, 3);
    for (std::size_t i = 0; c.hard && i < batch.pooled_targets.size(); ++i) {
        batch.pooled_targets[i] = i % 3 == i / 3 % 3 ? 1.0F : 0.0F;
    }
    return batch;
}

struct Outcome {
    LossSums sums;
    std::vector<float> logits;
    independent::Tensors gradients;
};

/// `piece` 0: of whole records.
Outcome outcome(Case const& c, TrainBatch const& batch, index_t piece) {
    auto const shape = shape_of(c);
    test::ModelInTraining model(shape, shape.tensors(11), options_of(c));
    auto& train = model.train();
    Outcome result;
    if (piece == 0) {
        train.put(batch, 0.1F, 0);
        train.forward_backward();
        result.sums = train.sums();
        result.logits = train.outputs();
    } else {
        CutBatch const cut(batch, piece);
        auto const put = [&](index_t number) {
            auto const p = cut.piece(number);
            train.put(p.batch, 0.1F, 0, p.slots);
        };
        train.carry(cut.slots(), cut.records().positions());
        for (index_t i = 0; i < cut.pieces(); ++i) {
            put(i);
            train.forward_piece();
        }
        train.judge(cut.records(), 0.1F, true);
        result.sums = train.sums();
        result.logits = train.outputs();
        for (index_t i = cut.pieces() - 1; i >= 0; --i) {
            put(i);
            train.backward_piece(i + 1 < cut.pieces());
        }
    }
    train.finish_gradients();
    result.gradients = model.gradients();
    return result;
}

std::vector<Case> cases() {
    std::vector<Case> all;
    std::pair<Pooling, char const*> const poolings[] = {
        {Pooling::mean, "mean"}, {Pooling::max, "max"}, {Pooling::first, "first"}, {Pooling::last, "last"}};
    for (auto const& [pooling, name] : poolings) {
        all.push_back({std::string(name) + "_hard", pooling, Objective::classification, true});
        all.push_back({std::string(name) + "_soft", pooling, Objective::classification});
        all.push_back({std::string(name) + "_regression", pooling, Objective::regression});
    }
    all.push_back({.name = "frames", .frame_length = 5});
    all.push_back({.name = "recomputed", .pooling = Pooling::max, .recompute = true});
    all.push_back({.name = "head_alone", .first_layer = 3});
    return all;
}

/// One of each pooling, and frames.
std::vector<Case> few_cases() {
    auto few = cases();
    std::erase_if(few, [](Case const& c) { return c.hard || c.objective == Objective::regression || c.recompute; });
    return few;
}

class PooledPieces : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PooledPieces, testing::ValuesIn(cases()),
                         [](auto const& kind) { return kind.param.name; });

TEST_P(PooledPieces, GiveTheGradientsOfWholeRecords) {
    auto const batch = batch_of(GetParam(), lengths_of_records());
    auto const whole = outcome(GetParam(), batch, 0);
    auto const pieces = outcome(GetParam(), batch, piece_length());
    EXPECT_NEAR(pieces.sums.loss, whole.sums.loss, rounding(batch) * whole.sums.loss);
    EXPECT_EQ(pieces.sums.correct, whole.sums.correct);
    EXPECT_EQ(pieces.sums.count, whole.sums.count);
    EXPECT_LT(test::relative_error(pieces.logits, whole.logits), rounding(batch));
    for (auto const& [name, gradient] : pieces.gradients) {
        auto const& expected = whole.gradients.at(name).values;
        if (gradient.values == expected) { continue; } // zeros of what is not trained
        EXPECT_LT(test::relative_error(gradient.values, expected), rounding(batch)) << name;
    }
}

class PooledCompany : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Kinds, PooledCompany, testing::ValuesIn(few_cases()),
                         [](auto const& kind) { return kind.param.name; });

TEST_P(PooledCompany, OfOtherRecordsDoesNotMatter) {
    auto const all = batch_of(GetParam(), lengths_of_records());
    auto const together = outcome(GetParam(), all, piece_length());
    LossSums sums;
    independent::Tensors gradients;
    index_t const width = shape_of(GetParam()).frame_length;
    for (index_t r = 0, begin = 0; r < all.records(); ++r) {
        index_t const length = all.lengths[static_cast<std::size_t>(r)];
        TrainBatch one;
        one.lengths = {length};
        one.tokens.assign(all.tokens.begin() + (width > 0 ? 0 : begin),
                          all.tokens.begin() + (width > 0 ? 0 : begin + length));
        one.frames.assign(all.frames.begin() + begin * width, all.frames.begin() + (begin + length) * width);
        one.pooled_targets.assign(all.pooled_targets.begin() + 3 * r, all.pooled_targets.begin() + 3 * (r + 1));
        auto const alone = outcome(GetParam(), one, piece_length());
        std::vector<float> const logits(together.logits.begin() + 3 * r, together.logits.begin() + 3 * (r + 1));
        EXPECT_LT(test::relative_error(alone.logits, logits), rounding(all)); // a product's sums know its rows
        sums += alone.sums;
        for (auto const& [name, gradient] : alone.gradients) {
            auto& sum = gradients.try_emplace(name, independent::Tensor{gradient.shape, {}}).first->second.values;
            sum.resize(gradient.values.size());
            for (std::size_t i = 0; i < sum.size(); ++i) {
                sum[i] += gradient.values[i];
            }
        }
        begin += length;
    }
    EXPECT_NEAR(together.sums.loss, sums.loss, rounding(all) * sums.loss);
    for (auto const& [name, gradient] : together.gradients) {
        auto const& expected = gradients.at(name).values;
        if (gradient.values == expected) { continue; }
        EXPECT_LT(test::relative_error(gradient.values, expected), rounding(all)) << name;
    }
}

TEST(CutBatch, HasASlotForEachBorderAndAPartForEachPiece) {
    TrainBatch batch;
    batch.lengths = {5, 2, 4};
    for (std::int32_t i = 0; i < 11; ++i) {
        batch.tokens.push_back(i);
        batch.token_targets.push_back(-i);
    }
    batch.examples = {7, 8, 9};
    batch.pooled_targets = {1, 2, 3};
    CutBatch const cut(batch, 2);
    ASSERT_EQ(cut.pieces(), 3);
    EXPECT_EQ(cut.slots(), 3);
    BatchPiece const pieces[] = {cut.piece(0), cut.piece(1), cut.piece(2)};
    EXPECT_EQ(pieces[0].batch.tokens, (std::vector<std::int32_t>{0, 1, 5, 6, 7, 8}));
    EXPECT_EQ(pieces[1].batch.tokens, (std::vector<std::int32_t>{2, 3, 9, 10}));
    EXPECT_EQ(pieces[1].batch.token_targets, (std::vector<std::int32_t>{-2, -3, -9, -10}));
    EXPECT_EQ(pieces[1].batch.examples, (std::vector<index_t>{7, 9}));
    EXPECT_EQ(pieces[2].batch.lengths, std::vector<index_t>{1});
    EXPECT_EQ(pieces[0].slots[1].initial, -1);
    EXPECT_EQ(pieces[0].slots[1].final, -1); // over within its first piece
    EXPECT_EQ(pieces[1].slots[0].initial, pieces[0].slots[0].final);
    EXPECT_EQ(pieces[2].slots[0].initial, pieces[1].slots[0].final);
    EXPECT_EQ(pieces[1].slots[1].final, -1);
    EXPECT_NE(pieces[0].slots[0].final, pieces[0].slots[2].final);

    EXPECT_EQ(cut.records().lengths, (std::vector<index_t>{3, 1, 2}));
    EXPECT_EQ(cut.records().pooled_targets, batch.pooled_targets);
    EXPECT_EQ(pieces[2].slots[0].part, 2);
    EXPECT_EQ(pieces[0].slots[1].part, 3);
    EXPECT_EQ(pieces[1].slots[1].part, 5);
    EXPECT_FLOAT_EQ(pieces[0].slots[0].share, 6.0F / 5);
    EXPECT_FLOAT_EQ(pieces[2].slots[0].share, 3.0F / 5);
    EXPECT_FLOAT_EQ(pieces[0].slots[1].share, 1);
    EXPECT_THROW(CutBatch(batch, 0), Error);
}

TEST(CutBatch, KeepsFramesWhole) {
    TrainBatch batch;
    batch.lengths = {3, 1};
    batch.frames = {0, 1, 2, 3, 4, 5, 6, 7};
    CutBatch const cut(batch, 2);
    ASSERT_EQ(cut.pieces(), 2);
    EXPECT_EQ(cut.piece(0).batch.frames, (std::vector<float>{0, 1, 2, 3, 6, 7}));
    EXPECT_EQ(cut.piece(1).batch.frames, (std::vector<float>{4, 5}));
}

TEST(Pieces, AreRefusedWhereTheyCannotBe) {
    RandomModel shape;
    shape.labels = 3;
    shape.dialect = test::Dialect::caduceus_ph;
    test::ModelInTraining both_ways(shape, shape.tensors(1), {});
    EXPECT_THROW(both_ways.train().carry(1, 1), Error);
    shape.dialect = test::Dialect::hugging_face;
    TrainModelOptions options;
    options.dropout = 0.1F;
    test::ModelInTraining with_dropout(shape, shape.tensors(1), options);
    EXPECT_THROW(with_dropout.train().carry(1, 1), Error);

    test::ModelInTraining model(shape, shape.tensors(1), {});
    auto const batch = test::random_batch(shape, {9, 4}, 1);
    CutBatch const cut(batch, 4);
    auto const put = [&](index_t i) { model.train().put(cut.piece(i).batch, 1, 0, cut.piece(i).slots); };
    EXPECT_THROW(put(0), Error); // nothing is carried
    model.train().carry(cut.slots(), cut.records().positions());
    put(0);
    put(2);
    EXPECT_THROW(model.train().put(cut.piece(1).batch, 1, 0, cut.piece(0).slots), Error); // of other records
    auto records = cut.records();
    records.lengths = {4, 4};
    EXPECT_THROW(model.train().judge(records, 1, false), Error);
}

} // namespace
} // namespace strandwave

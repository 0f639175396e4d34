#include "lib/model/cuda_parts.h"
#include "tests/model/model_support.h"
#include "tests/model/random_model.h"
#include "tests/support/gpu.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <limits>

// Feeds of single positions, which take a path of their own through a GPU, against the ordinary one.
namespace strandwave {
namespace {

using test::RandomModel;
using test::Record;
using test::RecordOutputs;
using test::relative_error;

constexpr index_t kLength = 142;

struct Case {
    std::string name;
    RandomModel shape;
    DType dtype;
};

std::vector<Case> cases() {
    std::vector<Case> all;
    for (DType const dtype : {DType::f32, DType::bf16}) {
        std::string const type(dtype_name(dtype));
        RandomModel odd;
        odd.n_layer = 5;
        odd.d_model = 37;
        odd.d_state = 7;
        odd.dt_rank = 3;
        odd.d_conv = 3;
        all.push_back({"odd_" + type, odd, dtype});
        RandomModel wide;
        wide.n_layer = 3;
        wide.d_model = 256;
        wide.dt_rank = 16;
        wide.dialect = test::Dialect::original;
        all.push_back({"dna_" + type, wide, dtype});
    }
    return all;
}

std::ostream& operator<<(std::ostream& out, Case const& tested) { return out << tested.name; }

class DecodeCuda : public testing::GpuTest, public ::testing::WithParamInterface<Case> {
protected:
    void SetUp() override {
        GpuTest::SetUp();
        if (IsSkipped()) { return; }
        GetParam().shape.write(folder_.path(), GetParam().shape.tensors(3));
        LoadOptions options;
        options.dtype = GetParam().dtype;
        options.device.gpu = 0;
        model_ = Model::load(folder_.path(), options);
        if (model_->parts().cuda->step_weights(model_->config(), model_->dtype()) == nullptr) {
            GTEST_SKIP() << "SKIPPED: the GPU has no clusters of thread blocks";
        }
        Random random(8);
        for (index_t t = 0; t < kLength; ++t) {
            auto const vocabulary = static_cast<std::uint64_t>(model_->config().vocab_size);
            record_.tokens.push_back(static_cast<std::int32_t>(random.below(vocabulary)));
        }
    }

    struct Run {
        std::vector<float> rows; ///< of the final norm
        std::vector<float> pooled;
        LaneState state; ///< before the last piece
    };

    /// What a session asks for that is to decode.
    static SessionOptions decoding() {
        SessionOptions options;
        options.token_block = 1;
        return options;
    }

    /// The record in pieces of these lengths. `ordinary`: single positions too go the way of longer pieces.
    Run run(std::vector<index_t> const& cuts, bool ordinary = false, Pooling pooling = Pooling::mean) {
        RecordOutputs out;
        test::StreamCollector collector(out, {kFinalNorm}, kLength, model_->hidden_width());
        SessionOptions options = ordinary ? SessionOptions() : decoding();
        options.pooling = pooling;
        options.sink = &collector;
        options.sink_layers = {kFinalNorm};
        Session session(model_, threads_, options);
        Run result;
        index_t begin = 0;
        for (index_t const length : cuts) {
            Piece const piece{length, 0, begin == 0, begin + length == kLength};
            if (piece.last) { result.state = session.save(0); }
            collector.start_feed(begin);
            for (auto& record : session.feed(part(begin, length), std::span(&piece, 1))) {
                EXPECT_EQ(record.length, kLength);
                result.pooled = std::move(record.pooled);
            }
            begin += length;
        }
        EXPECT_EQ(begin, kLength);
        result.rows = std::move(out.streams.at(kFinalNorm));
        return result;
    }

    FeedInput part(index_t begin, index_t length) const {
        FeedInput input;
        input.tokens =
            std::span(record_.tokens).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(length));
        return input;
    }

    static std::vector<index_t> mixed_cuts() { return {100, 1, 1, 1, 1, 1, 36, 1}; }

    /// What `strandwave verify` allows for the order of sums, and for rounding to bf16 where one of the two does.
    double bound() const {
        auto const& c = model_->config();
        auto const terms = static_cast<double>(c.d_model + 2 * c.d_inner + c.dt_rank);
        double const fp32 = static_cast<double>(std::numeric_limits<float>::epsilon()) * terms;
        double const inputs = model_->dtype() == DType::bf16 ? 4 * 0x1p-8 : 0;
        return static_cast<double>(c.n_layer) * (fp32 + inputs);
    }

    void expect_close(Run const& ours, Run const& other) const {
        EXPECT_LE(relative_error(ours.rows, other.rows), bound());
        EXPECT_LE(relative_error(ours.pooled, other.pooled), bound());
        EXPECT_LE(relative_error(ours.state.pooled, other.state.pooled), bound());
        EXPECT_EQ(ours.state.length, other.state.length);
        ASSERT_EQ(ours.state.layers.size(), other.state.layers.size());
        for (std::size_t i = 0; i < ours.state.layers.size(); ++i) {
            SCOPED_TRACE(i);
            EXPECT_LE(relative_error(ours.state.layers[i].conv, other.state.layers[i].conv), bound());
            EXPECT_LE(relative_error(ours.state.layers[i].scan, other.state.layers[i].scan), bound());
        }
    }

    TempDir folder_;
    std::shared_ptr<Model const> model_;
    Record record_;
    Threads threads_{1};
};

TEST_P(DecodeCuda, TokenByTokenIsCloseToTheOrdinaryWay) {
    std::vector<index_t> const single(kLength, 1);
    expect_close(run(single), run(single, true));
}

TEST_P(DecodeCuda, TokenByTokenIsCloseToTheProcessor) {
    auto const ours = run(std::vector<index_t>(kLength, 1));
    auto const theirs = test::run_record(Model::load(folder_.path()), threads_, record_, 0); // in fp32
    EXPECT_LE(relative_error(ours.rows, theirs.streams.at(kFinalNorm)), bound());
    EXPECT_LE(relative_error(ours.pooled, theirs.pooled), bound());
}

TEST_P(DecodeCuda, GoesOnFromLongerPiecesAndIntoThem) {
    auto const ours = run(mixed_cuts());
    expect_close(ours, run(mixed_cuts(), true));
    expect_close(ours, run({kLength - 1, 1}));
}

TEST_P(DecodeCuda, TwiceTheSameBits) {
    auto const first = run(mixed_cuts());
    auto const second = run(mixed_cuts());
    EXPECT_EQ(first.rows, second.rows);
    EXPECT_EQ(first.pooled, second.pooled);
}

/// Every way to pool; also of a record that ends with its first position.
TEST_P(DecodeCuda, PoolsWhatTheSinkSees) {
    auto const d = static_cast<std::size_t>(model_->config().d_model);
    for (auto const pooling : {Pooling::mean, Pooling::max, Pooling::first, Pooling::last}) {
        SCOPED_TRACE(static_cast<int>(pooling));
        auto const ours = run(std::vector<index_t>(kLength, 1), false, pooling);
        std::vector<double> state(d);
        std::vector<float> pooled(d);
        View<float const, 2> const rows(ours.rows.data(), kLength, model_->config().d_model);
        pool_accumulate(pooling, rows, 0, {state.data(), rows.cols});
        pool_finish(pooling, {state.data(), rows.cols}, kLength, {pooled.data(), rows.cols});
        EXPECT_EQ(ours.pooled, pooled);

        SessionOptions options = decoding();
        options.pooling = pooling;
        Session session(model_, threads_, options);
        Piece const whole{1, 0, true, true};
        auto const results = session.feed(part(0, 1), std::span(&whole, 1));
        ASSERT_EQ(results.size(), 1U);
        EXPECT_EQ(results[0].length, 1);
        EXPECT_EQ(results[0].pooled, std::vector<float>(ours.rows.begin(), ours.rows.begin() + static_cast<int>(d)));
    }
}

/// Records of other lanes, whole ones, and short ones of the same lane come between the positions of a record.
TEST_P(DecodeCuda, CompanyDoesNotChangeBits) {
    auto const alone = run(std::vector<index_t>(kLength, 1));
    SessionOptions options = decoding();
    options.lanes = 2;
    Session session(model_, threads_, options);
    std::vector<float> pooled[2];
    Piece const short_record{1, 0, true, true};
    session.feed(part(7, 1), std::span(&short_record, 1));
    for (index_t t = 0; t < kLength; ++t) {
        for (index_t lane = 0; lane < 2; ++lane) {
            Piece const piece{1, lane, t == 0, t + 1 == kLength};
            for (auto& result : session.feed(part(t, 1), std::span(&piece, 1))) {
                EXPECT_EQ(result.lane, lane);
                pooled[lane] = std::move(result.pooled);
            }
        }
    }
    EXPECT_EQ(pooled[0], alone.pooled);
    EXPECT_EQ(pooled[1], alone.pooled);
}

TEST_P(DecodeCuda, ASavedStateGoesOnInAnotherSession) {
    auto const whole = run(std::vector<index_t>(kLength, 1));
    LaneState state;
    {
        Session first(model_, threads_, decoding());
        for (index_t t = 0; t < kLength / 2; ++t) {
            Piece const piece{1, 0, t == 0, false};
            EXPECT_TRUE(first.feed(part(t, 1), std::span(&piece, 1)).empty());
        }
        state = first.save(0);
    }
    Session second(model_, threads_, decoding());
    second.restore(0, state);
    for (index_t t = kLength / 2; t < kLength; ++t) {
        Piece const piece{1, 0, false, t + 1 == kLength};
        for (auto const& result : second.feed(part(t, 1), std::span(&piece, 1))) {
            EXPECT_EQ(result.pooled, whole.pooled);
        }
    }
}

std::string test_name(::testing::TestParamInfo<Case> const& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Models, DecodeCuda, ::testing::ValuesIn(cases()), test_name);

} // namespace
} // namespace strandwave

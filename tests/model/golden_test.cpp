#include "lib/core/error.h"
#include "tests/model/golden.h"

#include <cstring>
#include <gtest/gtest.h>

// Against the outputs of the published implementations, in fp32.
namespace strandwave {
namespace {

using test::Record;
using test::RecordOutputs;
using test::relative_error;

class Golden : public test::GoldenFixture {
protected:
    std::vector<double> values(std::string const& name) const {
        StoredTensor const& tensor = *reference_.find(name);
        if (tensor.dtype == DType::f64) {
            std::vector<double> result(static_cast<std::size_t>(tensor.elements()));
            std::memcpy(result.data(), tensor.bytes.data(), tensor.bytes.size());
            return result;
        }
        auto const floats = read_f32(tensor);
        return {floats.begin(), floats.end()};
    }

    /// [B, L, vocab], or [B, labels] for a classifier.
    std::vector<float> logits(index_t chunk, index_t token_block = kDefaultTokenBlock) {
        std::vector<float> all;
        for (Record const& record : records_) {
            RecordOutputs const out = test::run_record(model_, threads_, record, chunk, token_block);
            auto const& mine =
                GetParam().classifier ? model_->classify({out.pooled.data(), model_->config().d_model}) : out.logits;
            all.insert(all.end(), mine.begin(), mine.end());
        }
        return all;
    }

    std::vector<float> stream(index_t layer) {
        std::vector<float> all;
        for (Record const& record : records_) {
            RecordOutputs const out = test::run_record(model_, threads_, record, 0, kDefaultTokenBlock, {layer});
            auto const rows = test::published_layout(out.streams.at(layer), model_->config());
            all.insert(all.end(), rows.begin(), rows.end());
        }
        return all;
    }

    /// At most twice the error of the published fp32 run; or 1e-5 where no double-precision run was published.
    void expect_golden(std::vector<float> const& ours) {
        auto const published = values("logits_f32");
        if (reference_.find("logits_f64") != nullptr) {
            auto const truth = values("logits_f64");
            EXPECT_LE(relative_error(ours, truth), 2 * relative_error(published, truth));
        } else {
            EXPECT_LE(relative_error(ours, published), 1e-5);
        }
    }
};

TEST_P(Golden, LogitsOfOneShot) { expect_golden(logits(0)); }

TEST_P(Golden, LogitsInPieces) {
    for (index_t const chunk : {1, 7, 64}) {
        SCOPED_TRACE(chunk);
        if (causal()) {
            expect_golden(logits(chunk));
            expect_golden(logits(chunk, chunk)); // GEMMs of that many rows: 1 is decoding
        } else {
            EXPECT_THROW(logits(chunk), Error); // bidirectional models need a record whole
        }
    }
}

TEST_P(Golden, HiddenStates) {
    ModelConfig const& config = model_->config();
    auto const published = [&](index_t k) { return "hidden_states." + std::to_string(k); };
    if (causal()) { // k is the stream after layer k, counted from 0; the last one is the final norm
        for (index_t k = 0; k < config.n_layer; ++k) {
            EXPECT_LE(relative_error(stream(k + 1), values(published(k))), 1e-5) << k;
        }
        EXPECT_LE(relative_error(stream(kFinalNorm), values(published(config.n_layer))), 1e-5);
        return;
    }
    // Caduceus: 0 is the embedding, k the output of mixer k without the residual, the last one (fused) the final norm.
    EXPECT_LE(relative_error(stream(0), values(published(0))), 0.0);
    for (index_t k = 1; k < config.n_layer; ++k) {
        auto before = stream(k - 1);
        if (config.rcps && config.fused_add_norm) { // this path swaps the halves of the residual in each block
            for (auto row = before.begin(); row != before.end(); row += 2 * config.d_model) {
                std::swap_ranges(row, row + config.d_model, row + config.d_model);
            }
        }
        auto expected = values(published(k));
        for (std::size_t i = 0; i < expected.size(); ++i) {
            expected[i] += static_cast<double>(before[i]);
        }
        EXPECT_LE(relative_error(stream(k), expected), 1e-5) << k;
    }
    if (reference_.find(published(config.n_layer)) != nullptr) {
        EXPECT_LE(relative_error(stream(kFinalNorm), values(published(config.n_layer))), 1e-5);
    }
}

/// Keeps the independent reference of random_models_test.cpp honest: it must agree with the published runs itself.
/// The errors of both fp32 runs against it are a property of the test (--gtest_output).
TEST_P(Golden, IndependentReferenceAgrees) {
    auto const tensors = test::to_tensors(open_checkpoint(model_folder_.path()));
    independent::Forward<double> const forward(GetParam().description, tensors);
    std::vector<double> all;
    for (Record const& record : records_) {
        auto const out = forward.tokens(record.tokens);
        auto const mine = GetParam().classifier ? out.class_logits : test::flat(out.logits);
        all.insert(all.end(), mine.begin(), mine.end());
    }
    RecordProperty("logits", "published " + test::figure(relative_error(values("logits_f32"), all)) + ", ours " +
                                 test::figure(relative_error(logits(0), all)));
    if (reference_.find("logits_f64") != nullptr) {
        // Not less: parts of the published double-precision run are fp32 (A, the norms).
        EXPECT_LE(relative_error(all, values("logits_f64")), 1e-6);
    } else {
        EXPECT_LE(relative_error(values("logits_f32"), all), 1e-6); // what fp32 lost there
    }
}

INSTANTIATE_TEST_SUITE_P(Published, Golden, testing::ValuesIn(test::golden_models()), test::golden_name);
INSTANTIATE_TEST_SUITE_P(Pickled, Golden, testing::ValuesIn(test::golden_pickles()), test::golden_name);

} // namespace
} // namespace strandwave

#include "lib/checkpoint/safetensors.h"
#include "lib/core/error.h"
#include "lib/model/model.h"
#include "tests/model/model_support.h"
#include "tests/support/temp_dir.h"

#include <cstring>
#include <gtest/gtest.h>

// The published implementations' outputs on small random models; ../shared/golden/README.md says how they were made.
namespace strandwave {
namespace {

using independent::Description;
using test::Record;
using test::RecordOutputs;
using test::relative_error;

struct Case {
    char const* folder;
    Description description;
    bool classifier = false;
    bool pickle = false; ///< read pytorch_model.bin, not model.safetensors
};

std::ostream& operator<<(std::ostream& out, Case const& c) { return out << c.folder << (c.pickle ? " .bin" : ""); }

Description mamba(index_t n_layer) {
    Description d;
    d.n_layer = n_layer;
    return d;
}

Description falcon_mamba(index_t n_layer) {
    Description d = mamba(n_layer);
    d.mixer_rms_epsilon = 1e-6;
    return d;
}

Description caduceus(index_t n_layer, bool rcps, bool fused) {
    Description d = mamba(n_layer);
    d.caduceus = true;
    d.rcps = rcps;
    d.fused_add_norm = fused;
    d.complement = {0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15};
    return d;
}

class Golden : public testing::TestWithParam<Case> {
protected:
    void SetUp() override {
        folder_ = std::filesystem::path(STRANDWAVE_SOURCE_DIR).parent_path() / "shared" / "golden" / GetParam().folder;
        if (!std::filesystem::exists(folder_)) { GTEST_SKIP() << "SKIPPED: no golden references in " << folder_; }
        read_safetensors(folder_ / "reference.safetensors", reference_);
        std::filesystem::copy(folder_ / "config.json", model_folder_.path());
        char const* const weights = GetParam().pickle ? "pytorch_model.bin" : "model.safetensors";
        std::filesystem::copy(folder_ / weights, model_folder_.path());
        model_ = Model::load(model_folder_.path(), test::load_options());
        auto const& ids = *reference_.find("input_ids");
        records_.resize(static_cast<std::size_t>(ids.shape[0]));
        length_ = ids.shape[1];
        std::vector<std::int64_t> all(static_cast<std::size_t>(ids.elements()));
        std::memcpy(all.data(), ids.bytes.data(), ids.bytes.size());
        for (std::size_t b = 0; b < records_.size(); ++b) {
            auto const first = all.begin() + static_cast<std::ptrdiff_t>(b) * length_;
            records_[b].tokens.assign(first, first + length_);
        }
    }

    bool causal() const { return !model_->config().bidirectional; }

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

    std::filesystem::path folder_;
    TempDir model_folder_;
    TensorStore reference_;
    std::shared_ptr<Model const> model_;
    Threads threads_{2};
    std::vector<Record> records_;
    index_t length_ = 0;
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
TEST_P(Golden, IndependentReferenceAgrees) {
    auto const tensors = test::to_tensors(open_checkpoint(model_folder_.path()));
    independent::Forward<double> const forward(GetParam().description, tensors);
    std::vector<double> all;
    for (Record const& record : records_) {
        auto const out = forward.tokens(record.tokens);
        auto const mine = GetParam().classifier ? out.class_logits : test::flat(out.logits);
        all.insert(all.end(), mine.begin(), mine.end());
    }
    if (reference_.find("logits_f64") != nullptr) {
        // Not less: parts of the published double-precision run are fp32 (A, the norms).
        EXPECT_LE(relative_error(all, values("logits_f64")), 1e-6);
    } else {
        EXPECT_LE(relative_error(values("logits_f32"), all), 1e-6); // what fp32 lost there
    }
}

std::string case_name(testing::TestParamInfo<Case> const& tested) {
    std::string name = tested.param.folder;
    std::replace(name.begin(), name.end(), '-', '_');
    return tested.param.pickle ? name + "_pickle" : name;
}

INSTANTIATE_TEST_SUITE_P(Published, Golden,
                         testing::Values(Case{"mamba1", mamba(4)}, Case{"mamba1-original-bin", mamba(4), false, true},
                                         Case{"falcon_mamba", falcon_mamba(3)},
                                         Case{"caduceus-ph", caduceus(3, false, true)},
                                         Case{"caduceus-ph-unfused", caduceus(3, false, false)},
                                         Case{"caduceus-ps", caduceus(3, true, true)},
                                         Case{"caduceus-ps-unfused", caduceus(3, true, false)},
                                         Case{"caduceus-ph-classifier", caduceus(2, false, true), true},
                                         Case{"caduceus-ph-classifier", caduceus(2, false, true), true, true},
                                         Case{"caduceus-ps-classifier", caduceus(2, true, true), true},
                                         Case{"caduceus-ps-classifier", caduceus(2, true, true), true, true}),
                         case_name);

} // namespace
} // namespace strandwave

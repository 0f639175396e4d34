#include "lib/model/model.h"
#include "tests/model/model_support.h"
#include "tests/model/random_model.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <limits>

// Shapes that no published checkpoint has, against a forward pass that shares no code with the library.
namespace strandwave {
namespace {

using test::Dialect;
using test::RandomModel;
using test::Record;
using test::relative_error;

constexpr index_t kLength = 299; // two strands of it end and begin within blocks of every usual size

RandomModel make(std::string name, Dialect dialect, void (*change)(RandomModel&)) {
    RandomModel model;
    model.name = std::move(name);
    model.dialect = dialect;
    change(model);
    return model;
}

std::vector<RandomModel> models() {
    auto const hf = Dialect::hugging_face;
    auto const ph = Dialect::caduceus_ph;
    auto const ps = Dialect::caduceus_ps;
    return {
        make("d_state_1", hf, [](RandomModel& m) { m.d_state = 1; }),
        make("d_state_5", hf, [](RandomModel& m) { m.d_state = 5; }),
        make("d_state_40", hf, [](RandomModel& m) { m.d_state = 40; }),
        make("d_conv_2", hf, [](RandomModel& m) { m.d_conv = 2; }),
        make("d_conv_3", hf, [](RandomModel& m) { m.d_conv = 3; }),
        make("d_conv_5", hf, [](RandomModel& m) { m.d_conv = 5; }),
        make("dt_rank_1_expand_1", hf, [](RandomModel& m) { m.dt_rank = 1, m.expand = 1; }),
        make("dt_rank_7_expand_3", hf, [](RandomModel& m) { m.dt_rank = 7, m.expand = 3; }),
        make("odd_width", hf, [](RandomModel& m) { m.d_model = 13, m.expand = 1, m.d_state = 3, m.dt_rank = 3; }),
        make("projection_biases", hf, [](RandomModel& m) { m.bias = true; }),
        make("no_conv_bias", hf, [](RandomModel& m) { m.conv_bias = false; }),
        make("untied_head", hf, [](RandomModel& m) { m.tied_head = false; }),
        make("odd_vocabulary", hf, [](RandomModel& m) { m.vocab_size = 5; }),
        make("one_layer", hf, [](RandomModel& m) { m.n_layer = 1; }),
        make("classifier", hf, [](RandomModel& m) { m.labels = 3; }),
        make("original_layer_norm", Dialect::original, [](RandomModel& m) { m.layer_norm = true; }),
        make("original_untied", Dialect::original, [](RandomModel& m) { m.tied_head = false, m.bias = true; }),
        make("falcon_odd", Dialect::falcon_mamba, [](RandomModel& m) { m.d_state = 5, m.dt_rank = 3; }),
        make("falcon_untied", Dialect::falcon_mamba, [](RandomModel& m) { m.tied_head = false; }),
        make("frames", hf, [](RandomModel& m) { m.frame_length = 9, m.labels = 4; }),
        make("bands", hf, [](RandomModel& m) { m.frame_length = 11, m.n_bands = 7, m.labels = 4; }),
        make("ph_bands", ph, [](RandomModel& m) { m.frame_length = 6, m.n_bands = 5, m.labels = 2; }),
        make("ph_multiply", ph, [](RandomModel& m) { m.multiply = true; }),
        make("ph_layer_norm", ph, [](RandomModel& m) { m.layer_norm = true; }),
        make("ph_untied_projections", ph, [](RandomModel& m) { m.weight_tie = false; }),
        make("ph_biases", ph, [](RandomModel& m) { m.bias = true, m.d_conv = 3, m.d_state = 5; }),
        make("ph_classifier", ph, [](RandomModel& m) { m.labels = 2; }),
        make("ps_fused_odd", ps, [](RandomModel& m) { m.n_layer = 3; }),
        make("ps_fused_even", ps, [](RandomModel& m) { m.n_layer = 2; }),
        make("ps_unfused_odd", ps, [](RandomModel& m) { m.n_layer = 3, m.fused_add_norm = false; }),
        make("ps_unfused_even", ps, [](RandomModel& m) { m.n_layer = 2, m.fused_add_norm = false; }),
        make("ph_untied_head", ph, [](RandomModel& m) { m.tied_head = false; }),
        make("ps_untied_projections", ps, [](RandomModel& m) { m.weight_tie = false; }),
        make("ps_fused_layer_norm", ps, [](RandomModel& m) { m.layer_norm = true, m.n_layer = 3; }),
        make("ps_unfused_layer_norm", ps, [](RandomModel& m) { m.layer_norm = true, m.fused_add_norm = false; }),
        make("ps_multiply", ps, [](RandomModel& m) { m.multiply = true; }),
        make("ps_odd_shapes", ps, [](RandomModel& m) { m.d_model = 13, m.d_state = 5, m.d_conv = 3, m.dt_rank = 3; }),
        make("ps_classifier_odd", ps, [](RandomModel& m) { m.labels = 3, m.n_layer = 3; }),
        make("ps_classifier_unfused", ps, [](RandomModel& m) { m.labels = 3, m.fused_add_norm = false; }),
    };
}

class RandomModels : public testing::TestWithParam<RandomModel> {
protected:
    void SetUp() override {
        RandomModel const& shape = GetParam();
        tensors_ = shape.tensors(2026);
        shape.write(folder_.path(), tensors_);
        model_ = Model::load(folder_.path(), test::load_options());
        Random random(7);
        for (index_t t = 0; t < kLength; ++t) {
            // Tokens of all kinds, but in words too: the scan is to see repeats.
            record_.tokens.push_back(static_cast<std::int32_t>(random.below(
                static_cast<std::uint64_t>(t % 3 == 0 ? std::min<index_t>(shape.vocab_size, 4) : shape.vocab_size))));
        }
        for (index_t i = 0; i < kLength * shape.frame_length; ++i) {
            record_.frames.push_back(static_cast<float>(random.uniform(-1, 1)));
        }
    }

    template <class T, class Stored = independent::AsComputed>
    independent::Outputs<T> expected() const {
        independent::Forward<T, Stored> const forward(GetParam().description(), tensors_);
        index_t const width = GetParam().frame_length;
        if (width == 0) { return forward.tokens(record_.tokens); }
        independent::Rows<float> frames;
        for (auto at = record_.frames.begin(); at != record_.frames.end(); at += width) {
            frames.emplace_back(at, at + width);
        }
        return forward.frames(frames);
    }

    /// The error of ours is at most twice that of plain loops of the same type, and a rounding of the result to fp32.
    template <class Truth, class Plain>
    static void expect_close(std::vector<float> const& ours, Truth const& truth, Plain const& plain) {
        double const rounding = static_cast<double>(std::numeric_limits<float>::epsilon());
        EXPECT_LE(relative_error(ours, truth), 2 * relative_error(plain, truth) + rounding);
    }

    TempDir folder_;
    independent::Tensors tensors_;
    std::shared_ptr<Model const> model_;
    Record record_;
    Threads threads_{2};
};

TEST_P(RandomModels, EqualsTheIndependentForward) {
    auto const truth = expected<double>();
    auto const plain = expected<float>();
    std::vector<index_t> layers;
    for (index_t k = 0; k <= GetParam().n_layer; ++k) {
        layers.push_back(k);
    }
    std::vector<index_t> const chunks =
        model_->config().bidirectional ? std::vector<index_t>{0} : std::vector<index_t>{0, 1, 7};
    for (index_t const chunk : chunks) {
        SCOPED_TRACE(chunk);
        auto const ours =
            test::run_record(model_, threads_, record_, chunk, chunk > 0 ? chunk : kDefaultTokenBlock, layers);
        for (index_t const k : layers) {
            SCOPED_TRACE(k);
            auto const i = static_cast<std::size_t>(k);
            expect_close(test::published_layout(ours.streams.at(k), model_->config()), test::flat(truth.streams[i]),
                         test::flat(plain.streams[i]));
        }
        expect_close(test::published_layout(ours.streams.at(kFinalNorm), model_->config()),
                     test::flat(truth.final_norm), test::flat(plain.final_norm));
        if (GetParam().labels > 0) {
            auto const logits = model_->classify({ours.pooled.data(), model_->config().d_model});
            expect_close(logits, truth.class_logits, plain.class_logits);
        } else {
            expect_close(ours.logits, test::flat(truth.logits), test::flat(plain.logits));
        }
    }
}

/// At most twice what a plain run in bf16 loses.
TEST_P(RandomModels, Bf16EqualsTheIndependentForward) {
    if (!test::bf16_runs()) { GTEST_SKIP() << "SKIPPED: this processor has no bf16 products"; }
    model_ = Model::load(folder_.path(), test::bf16_options());
    auto const truth = expected<double>();
    auto const plain = expected<float, independent::AsBf16>();
    auto const ours = test::run_record(model_, threads_, record_, 0);
    expect_close(test::published_layout(ours.streams.at(kFinalNorm), model_->config()), test::flat(truth.final_norm),
                 test::flat(plain.final_norm));
    if (GetParam().labels == 0) { expect_close(ours.logits, test::flat(truth.logits), test::flat(plain.logits)); }
}

std::string model_name(testing::TestParamInfo<RandomModel> const& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Shapes, RandomModels, testing::ValuesIn(models()), model_name);

} // namespace
} // namespace strandwave

#include "lib/train/train_model.h"

#include "lib/core/error.h"
#include "tests/train/train_support.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

// Gradients of whole models against differences of a forward pass in double that shares no code with the library.
namespace strandwave {
namespace {

using test::Dialect;
using test::RandomModel;

RandomModel make(std::string name, Dialect dialect, void (*change)(RandomModel&)) {
    RandomModel model;
    model.name = std::move(name);
    model.dialect = dialect;
    model.d_model = 12; // every tensor costs four forward passes in double
    change(model);
    return model;
}

std::vector<RandomModel> models() {
    auto const hf = Dialect::hugging_face;
    auto const ph = Dialect::caduceus_ph;
    auto const ps = Dialect::caduceus_ps;
    return {
        make("tied_head", hf, [](RandomModel&) {}),
        make("odd", hf,
             [](RandomModel& m) { m.d_model = 13, m.expand = 1, m.d_state = 3, m.dt_rank = 3, m.d_conv = 2; }),
        make("biases_untied", hf, [](RandomModel& m) { m.bias = true, m.tied_head = false; }),
        make("no_conv_bias", hf, [](RandomModel& m) { m.conv_bias = false; }),
        make("classifier", hf, [](RandomModel& m) { m.labels = 3; }),
        make("layer_norm", Dialect::original, [](RandomModel& m) { m.layer_norm = true; }),
        make("falcon", Dialect::falcon_mamba, [](RandomModel& m) { m.d_state = 5, m.dt_rank = 3; }),
        make("frames", hf, [](RandomModel& m) { m.frame_length = 9, m.labels = 4; }),
        make("ph", ph, [](RandomModel& m) { m.d_state = 5; }),
        make("ph_untied_projections", ph, [](RandomModel& m) { m.weight_tie = false; }),
        make("ph_biases", ph, [](RandomModel& m) { m.bias = true; }),
        make("bands", hf, [](RandomModel& m) { m.frame_length = 9, m.n_bands = 5, m.labels = 4; }),
        make("ph_bands", ph, [](RandomModel& m) { m.frame_length = 5, m.n_bands = 7, m.labels = 2; }),
        make("ph_frames", ph, [](RandomModel& m) { m.frame_length = 5, m.labels = 2; }),
        make("ps", ps, [](RandomModel&) {}),
        make("ps_unfused", ps, [](RandomModel& m) { m.n_layer = 3, m.fused_add_norm = false; }),
        make("ps_classifier", ps, [](RandomModel& m) { m.labels = 3; }),
        make("ps_classifier_odd_layers", ps, [](RandomModel& m) { m.labels = 2, m.n_layer = 3; }),
        make("ps_biases", ps, [](RandomModel& m) { m.labels = 2, m.n_layer = 3, m.bias = true, m.layer_norm = true; }),
    };
}

/// -sum_k weights[k] * log softmax(logits)[k]
double cross_entropy(std::vector<double> const& logits, std::vector<double> const& weights) {
    double const top = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (double const l : logits) {
        sum += std::exp(l - top);
    }
    double loss = 0;
    for (std::size_t k = 0; k < logits.size(); ++k) {
        loss += weights[k] * (top + std::log(sum) - logits[k]);
    }
    return loss;
}

/// The sum of the losses of all rows, in double.
double loss_of(RandomModel const& shape, independent::Tensors const& tensors, TrainBatch const& batch) {
    independent::Forward<double> const forward(shape.description(), tensors);
    double loss = 0;
    index_t begin = 0;
    for (std::size_t r = 0; r < batch.lengths.size(); ++r) {
        index_t const end = begin + batch.lengths[r];
        independent::Outputs<double> out;
        if (shape.frame_length > 0) {
            independent::Rows<float> frames;
            for (index_t t = begin; t < end; ++t) {
                auto const row = batch.frames.begin() + t * shape.frame_length;
                frames.emplace_back(row, row + shape.frame_length);
            }
            out = forward.frames(frames);
        } else {
            out = forward.tokens({batch.tokens.begin() + begin, batch.tokens.begin() + end});
        }
        if (shape.labels > 0) {
            auto const row = batch.pooled_targets.begin() + static_cast<index_t>(r) * shape.labels;
            loss += cross_entropy(out.class_logits, std::vector<double>(row, row + shape.labels));
        }
        for (index_t t = begin; t < end && shape.labels == 0; ++t) {
            auto const target = batch.token_targets[static_cast<std::size_t>(t)];
            if (target < 0) { continue; }
            auto const& logits = out.logits[static_cast<std::size_t>(t - begin)];
            std::vector<double> one_hot(logits.size(), 0.0);
            one_hot[static_cast<std::size_t>(target)] = 1;
            loss += cross_entropy(logits, one_hot);
        }
        begin = end;
    }
    return loss;
}

double norm(std::vector<float> const& v) { return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0)); }

class TrainModels : public ::testing::TestWithParam<RandomModel> {};

TEST_P(TrainModels, GradientsAreThoseOfTheLoss) {
    auto const& shape = GetParam();
    auto const tensors = shape.tensors(11);
    TrainModelOptions options;
    options.objective = test::objective_of(shape);
    test::ModelInTraining model(shape, tensors, options);
    auto const batch = test::random_batch(shape, {21, 2, 9}, 3);
    model.train().put(batch, 1.0F, 0);
    model.train().forward_backward();
    model.train().finish_gradients();

    double const loss = loss_of(shape, tensors, batch);
    EXPECT_NEAR(model.train().sums().loss, loss, 1e-5 * loss);
    auto const gradients = model.gradients();
    ASSERT_EQ(gradients.size(), tensors.size());
    for (auto const& [name, gradient] : gradients) {
        double const length = norm(gradient.values);
        ASSERT_GT(length, 0) << name;
        Random random(5);
        for (bool const along : {true, false}) {
            // A small step, as floats can hold it.
            double const size = 3e-5 * norm(tensors.at(name).values) + 1e-6;
            std::vector<float> direction;
            for (float const g : gradient.values) {
                direction.push_back(along ? g : static_cast<float>(random.normal()));
            }
            double const unit = size / norm(direction);
            auto plus = tensors;
            auto minus = tensors;
            double expected = 0;
            double moved = 0;
            for (std::size_t i = 0; i < direction.size(); ++i) {
                auto const step = static_cast<float>(unit * direction[i]);
                plus[name].values[i] += step;
                minus[name].values[i] -= step;
                double const way = static_cast<double>(plus[name].values[i]) - minus[name].values[i];
                expected += gradient.values[i] * way;
                moved += way * way;
            }
            double const difference = loss_of(shape, plus, batch) - loss_of(shape, minus, batch);
            // The difference is central: what it leaves out is of the third order in the step.
            EXPECT_NEAR(difference, expected, 1e-3 * length * std::sqrt(moved)) << name << (along ? " along" : "");
        }
    }
}

TEST_P(TrainModels, RecomputationChangesNothing) {
    auto const& shape = GetParam();
    auto const tensors = shape.tensors(12);
    independent::Tensors results[2];
    for (bool const recompute : {false, true}) {
        TrainModelOptions options;
        options.objective = test::objective_of(shape);
        options.recompute = recompute;
        options.dropout = 0.2F;
        test::ModelInTraining model(shape, tensors, options);
        model.train().put(test::random_batch(shape, {19, 1, 134}, 4), 0.1F, 77);
        model.train().forward_backward();
        model.train().finish_gradients();
        results[recompute] = model.gradients();
    }
    for (auto const& [name, gradient] : results[0]) {
        auto const& again = results[1].at(name).values;
        if (test::load_options().device.is_gpu()) {
            // States before every 32nd row come from another order of fp32 sums, of some 32 rows.
            EXPECT_LE(test::relative_error(again, gradient.values), 32 * 1.2e-7) << name;
        } else {
            EXPECT_EQ(gradient.values, again) << name;
        }
    }
}

TEST_P(TrainModels, ParametersAreWrittenAsTheyWereRead) {
    auto const& shape = GetParam();
    auto const tensors = shape.tensors(13);
    TrainModelOptions options;
    options.objective = test::objective_of(shape);
    test::ModelInTraining model(shape, tensors, options);
    auto const values = read_parameters(model.parameters(), model.store());
    TempDir folder;
    write_parameters(model.parameters(), values, model.store(), folder.path() / "model.safetensors");
    auto const written = open_checkpoint(folder.path());
    ASSERT_EQ(written.tensors().size(), model.store().tensors().size());
    for (auto const& [name, tensor] : written.tensors()) {
        auto const* original = model.store().find(name);
        ASSERT_NE(original, nullptr) << name;
        EXPECT_TRUE(
            std::equal(tensor.bytes.begin(), tensor.bytes.end(), original->bytes.begin(), original->bytes.end()))
            << name;
    }
}

INSTANTIATE_TEST_SUITE_P(Shapes, TrainModels, ::testing::ValuesIn(models()),
                         [](auto const& shape) { return shape.param.name; });

/// Gradients of a record in pieces, exactly: all forward, then backward from the last one.
TEST(LongRecords, PiecesGiveTheGradientsOfTheWhole) {
    RandomModel const shape = make("causal", Dialect::hugging_face, [](RandomModel&) {});
    auto const tensors = shape.tensors(14);
    index_t const unit = 256; // where a GPU may cut
    std::vector<index_t> const pieces = {unit, 2 * unit, unit, 3};
    auto const whole = test::random_batch(shape, {4 * unit + 3}, 6);
    TrainModelOptions options;
    options.objective = Objective::next_token;
    test::ModelInTraining reference(shape, tensors, options);
    reference.train().put(whole, 0.01F, 0);
    reference.train().forward_backward();
    reference.train().finish_gradients();

    test::ModelInTraining model(shape, tensors, options);
    model.train().carry(static_cast<index_t>(pieces.size()) + 1, 0);
    std::vector<TrainBatch> batches;
    std::vector<RecordSlots> slots;
    index_t begin = 0;
    for (index_t const length : pieces) {
        TrainBatch piece;
        piece.lengths = {length};
        piece.tokens.assign(whole.tokens.begin() + begin, whole.tokens.begin() + begin + length);
        piece.token_targets.assign(whole.token_targets.begin() + begin, whole.token_targets.begin() + begin + length);
        batches.push_back(piece);
        auto const number = static_cast<std::int32_t>(slots.size());
        slots.push_back({number == 0 ? -1 : number, number + 1});
        begin += length;
    }
    auto const put = [&](std::size_t i) { model.train().put(batches[i], 0.01F, 0, {&slots[i], 1}); };
    double loss = 0;
    for (std::size_t i = 0; i < batches.size(); ++i) {
        put(i);
        model.train().evaluate();
        loss += model.train().sums().loss;
    }
    EXPECT_NEAR(loss, reference.train().sums().loss, 1e-5 * loss);
    for (std::size_t i = batches.size(); i-- > 0;) {
        put(i);
        model.train().forward_backward();
    }
    model.train().finish_gradients();
    auto const expected = reference.gradients();
    for (auto const& [name, gradient] : model.gradients()) {
        EXPECT_LT(test::relative_error(gradient.values, expected.at(name).values), 1e-4) << name;
    }
}

TEST(TrainModel, RefusesWhatDoesNotBelongTogether) {
    RandomModel const shape = make("causal", Dialect::hugging_face, [](RandomModel&) {});
    TrainModelOptions options;
    options.objective = Objective::next_token;
    test::ModelInTraining model(shape, shape.tensors(1), options);
    auto batch = test::random_batch(shape, {4, 5}, 1);
    batch.tokens[3] = 16;
    EXPECT_THROW(model.train().put(batch, 1, 0), Error);
    batch.tokens.pop_back();
    EXPECT_THROW(model.train().put(batch, 1, 0), Error);
    options.objective = Objective::classification;
    EXPECT_THROW(test::ModelInTraining(shape, shape.tensors(1), options), Error);
}

} // namespace
} // namespace strandwave

#include "lib/train/label_scale.h"

#include "lib/core/error.h"
#include "tests/train/train_support.h"

#include <cmath>
#include <gtest/gtest.h>

namespace strandwave {
namespace {

TEST(LabelScale, IsTheMeanAndTheStandardDeviation) {
    auto const scale = label_scale(std::vector<float>{1, 3, 5, 7});
    EXPECT_DOUBLE_EQ(scale.mean, 4);
    EXPECT_DOUBLE_EQ(scale.deviation, std::sqrt(5.0));
    EXPECT_DOUBLE_EQ(scale.standardised(9), std::sqrt(5.0));
    auto const equal = label_scale(std::vector<float>(10, 0.1F)); // ten tenths of it add up to something else
    EXPECT_EQ(equal.mean, static_cast<double>(0.1F));
    EXPECT_EQ(equal.deviation, 1);
    EXPECT_THROW(label_scale({}), Error);
}

/// A head in the units of the labels gives mean + deviation times what a standardised one gives.
TEST(LabelScale, TheHeadChangesItsUnitAndNothingElse) {
    test::RandomModel shape;
    shape.labels = 1;
    TempDir folder;
    auto tensors = shape.tensors(4);
    tensors["score.bias"] = {{1}, {0.5F}};
    shape.write(folder.path(), tensors);
    TensorStore const store = open_checkpoint(folder.path());
    auto const parameters = find_parameters(read_model_config(folder.path(), store), store);
    auto const before = read_parameters(parameters, store);
    LabelScale const scale{-3, 0.25};

    auto values = before;
    restore_head(parameters, scale, values);
    auto const& weight = parameters[parameters.head_weight];
    auto const& bias = parameters[parameters.head_bias];
    for (std::size_t i = 0; i < values.size(); ++i) {
        auto const at = static_cast<index_t>(i);
        auto const inside = [&](Parameter const& p) { return at >= p.offset && at < p.offset + p.rows * p.cols; };
        float const wanted =
            before[i] * (inside(weight) || inside(bias) ? 0.25F : 1.0F) + (inside(bias) ? -3.0F : 0.0F);
        EXPECT_FLOAT_EQ(values[i], wanted) << i;
    }
    standardise_head(parameters, scale, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
        EXPECT_NEAR(values[i], before[i], 3 / 0.25 * 6e-8 * 2) << i;
    }
}

} // namespace
} // namespace strandwave

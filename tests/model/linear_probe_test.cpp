#include "lib/model/linear_probe.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

struct Sample {
    std::vector<float> x;
    std::vector<std::int32_t> y;
    index_t features = 0;
    View<float const, 2> view() const { return {x.data(), static_cast<index_t>(y.size()), features}; }
};

/// Classes at the corners of a simplex, far apart against their spread; the features have odd scales and offsets.
Sample blobs(index_t classes, index_t a_class, double spread, std::uint64_t seed) {
    Random random(seed);
    Sample sample;
    sample.features = classes + 1;
    for (index_t i = 0; i < classes * a_class; ++i) {
        auto const label = static_cast<std::int32_t>(i % classes);
        for (index_t k = 0; k < classes; ++k) {
            double const value = (k == label ? 1.0 : 0.0) + spread * random.normal();
            sample.x.push_back(static_cast<float>(1000.0 + value * std::pow(10.0, static_cast<double>(k % 3))));
        }
        sample.x.push_back(7.0F); // constant: must not matter and must not divide by zero
        sample.y.push_back(label);
    }
    return sample;
}

TEST(LinearProbe, SeparatesClassesThatAreApart) {
    Sample const sample = blobs(4, 50, 0.05, 1);
    LinearProbe const probe = fit_linear_probe(sample.view(), sample.y, 4);
    EXPECT_EQ(probe.validation_rows.size(), 40U);
    EXPECT_EQ(probe.fitted_rows.size(), 160U);
    EXPECT_EQ(probe.validation_correct, 40);
    EXPECT_EQ(probe.fitted_correct, 160);
    for (index_t truth = 0; truth < 4; ++truth) {
        for (index_t answer = 0; answer < 4; ++answer) {
            EXPECT_EQ(probe.confusion[static_cast<std::size_t>(truth * 4 + answer)], truth == answer ? 10 : 0);
        }
    }
}

TEST(LinearProbe, NoiseLabelsAreNotLearned) {
    Random random(5);
    Sample sample;
    sample.features = 40;
    for (int i = 0; i < 200; ++i) {
        for (int k = 0; k < 40; ++k) {
            sample.x.push_back(static_cast<float>(random.normal()));
        }
        sample.y.push_back(static_cast<std::int32_t>(random.below(2)));
    }
    // The held-out loss stops the fit near the start: the logits stay small, where a full fit would make them large.
    LinearProbe const probe = fit_linear_probe(sample.view(), sample.y, 2);
    double norm = 0;
    for (float const w : probe.weight) {
        norm += static_cast<double>(w) * static_cast<double>(w);
    }
    EXPECT_LT(norm, 1.0);
}

TEST(LinearProbe, TheSameSeedGivesTheSameBits) {
    Sample const sample = blobs(3, 30, 0.5, 2);
    LinearProbe const a = fit_linear_probe(sample.view(), sample.y, 3);
    LinearProbe const b = fit_linear_probe(sample.view(), sample.y, 3);
    EXPECT_EQ(a.weight, b.weight);
    EXPECT_EQ(a.bias, b.bias);
    LinearProbeOptions other;
    other.seed = 99;
    EXPECT_NE(fit_linear_probe(sample.view(), sample.y, 3, other).weight, a.weight);
}

TEST(LinearProbe, EveryClassIsHeldOutAndFitted) {
    Sample sample = blobs(2, 20, 0.1, 3);
    for (std::size_t i = 0; i < sample.y.size(); ++i) {
        sample.y[i] = i < 2 ? 1 : 0; // two records of class 1, 38 of class 0
    }
    LinearProbe const probe = fit_linear_probe(sample.view(), sample.y, 2);
    EXPECT_EQ(probe.confusion[2] + probe.confusion[3], 1);
    EXPECT_EQ(probe.validation_rows.size(), 1U + 8);
}

TEST(LinearProbe, GroupsAreNeverSplit) {
    // Twenty groups of five equal rows a class, and labels that only the copies of a row can tell: a split group would
    // give its held-out rows away.
    Random random(11);
    Sample sample;
    sample.features = 60;
    std::vector<index_t> groups;
    for (index_t group = 0; group < 40; ++group) {
        std::vector<float> row;
        for (index_t k = 0; k < sample.features; ++k) {
            row.push_back(static_cast<float>(random.normal()));
        }
        for (int copy = 0; copy < 5; ++copy) {
            sample.x.insert(sample.x.end(), row.begin(), row.end());
            sample.y.push_back(static_cast<std::int32_t>(group % 2));
            groups.push_back(group);
        }
    }
    LinearProbe const leaking = fit_linear_probe(sample.view(), sample.y, 2);
    EXPECT_EQ(leaking.validation_correct, static_cast<index_t>(leaking.validation_rows.size()));
    LinearProbeOptions options;
    options.groups = groups;
    LinearProbe const honest = fit_linear_probe(sample.view(), sample.y, 2, options);
    EXPECT_EQ(honest.validation_rows.size(), 40U);
    for (index_t const count : honest.confusion) {
        EXPECT_EQ(count % 5, 0); // equal rows get equal answers
    }
    EXPECT_LT(honest.validation_correct, static_cast<index_t>(honest.validation_rows.size()));
}

TEST(LinearProbe, RefusesWhatMakesNoSense) {
    Sample sample = blobs(3, 5, 0.1, 4);
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 1), Error);
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 2), Error); // label 2 is out of range
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 4), Error); // class 3 has no record
    EXPECT_THROW(fit_linear_probe(sample.view().rows_from(0, 3), sample.y, 3), Error);
    LinearProbeOptions options;
    std::vector<index_t> const too_few = {1, 2};
    options.groups = too_few;
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 3, options), Error);
    options.groups = {};
    options.validation = 0;
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 3, options), Error);
    sample.x[4] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(fit_linear_probe(sample.view(), sample.y, 3), Error);
}

} // namespace
} // namespace strandwave

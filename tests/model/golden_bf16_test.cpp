#include "lib/core/dtype.h"
#include "lib/core/random.h"
#include "tests/model/golden.h"

#include <bit>
#include <cmath>
#include <gtest/gtest.h>

// What bf16 costs the golden models. The truth is the independent reference in double, which golden_test.cpp holds
// against the published outputs; the yardstick is the same reference in plain bf16 (independent::AsBf16).
namespace strandwave {
namespace {

using test::figure;
using test::Record;
using test::relative_error;

/// The values of all records one behind the other, by what they are: "logits", "final norm", "stream 1" to "stream n".
using Values = std::map<std::string, std::vector<double>>;

template <class T>
void append(Values& all, std::string const& what, std::vector<T> const& values) {
    auto& list = all[what];
    list.insert(list.end(), values.begin(), values.end());
}

std::string stream_name(index_t layer) { return "stream " + std::to_string(layer); }

class GoldenBf16 : public test::GoldenFixture {
protected:
    void SetUp() override {
        if (!test::bf16_runs()) { GTEST_SKIP() << "SKIPPED: this processor has no bf16 products"; }
        GoldenFixture::SetUp();
    }

    LoadOptions options() const override { return test::bf16_options(); }

    template <class T, class Stored>
    Values reference() const {
        auto const tensors = test::to_tensors(open_checkpoint(model_folder_.path()));
        independent::Forward<T, Stored> const forward(GetParam().description, tensors);
        Values all;
        for (Record const& record : records_) {
            auto const out = forward.tokens(record.tokens);
            append(all, "logits", GetParam().classifier ? out.class_logits : test::flat(out.logits));
            append(all, "final norm", test::flat(out.final_norm));
            for (index_t k = 1; k <= GetParam().description.n_layer; ++k) {
                append(all, stream_name(k), test::flat(out.streams[static_cast<std::size_t>(k)]));
            }
        }
        return all;
    }

    /// All streams in one feed; pieces show the final norm alone, so that a GPU decodes (kernels/mamba_step).
    Values ours(index_t chunk) {
        auto const& config = model_->config();
        std::vector<index_t> layers;
        for (index_t k = 1; chunk == 0 && k <= config.n_layer; ++k) {
            layers.push_back(k);
        }
        Values all;
        for (Record const& record : records_) {
            auto const out =
                test::run_record(model_, threads_, record, chunk, chunk > 0 ? chunk : kDefaultTokenBlock, layers);
            auto const stream = [&](index_t k) { return test::published_layout(out.streams.at(k), config); };
            append(all, "logits",
                   GetParam().classifier ? model_->classify({out.pooled.data(), config.d_model}) : out.logits);
            append(all, "final norm", stream(kFinalNorm));
            for (index_t const k : layers) {
                append(all, stream_name(k), stream(k));
            }
        }
        return all;
    }
};

/// In one feed, in pieces, and token by token. The figures are properties of the test (--gtest_output).
TEST_P(GoldenBf16, LosesAtMostTwiceWhatAPlainRunLoses) {
    auto const truth = reference<double, independent::AsComputed>();
    auto const plain = reference<float, independent::AsBf16>();
    for (index_t const chunk : causal() ? std::vector<index_t>{0, 7, 1} : std::vector<index_t>{0}) {
        SCOPED_TRACE(chunk);
        auto const mine = ours(chunk);
        for (auto const& [what, values] : mine) {
            double const error = relative_error(values, truth.at(what));
            double const allowed = relative_error(plain.at(what), truth.at(what));
            EXPECT_LE(error, 2 * allowed) << what;
            // fp32 has 16 bits more: a run that loses 8 bits less was none in bf16.
            EXPECT_GT(error, 0x1p-8 * allowed) << what;
            std::string const how = chunk == 0 ? "" : " in pieces of " + std::to_string(chunk);
            RecordProperty(what + how, "plain " + figure(allowed) + ", ours " + figure(error));
        }
    }
}

TEST(AsBf16, RoundsToTheNearestAndTiesToEven) {
    Random random(3);
    for (int i = 0; i < 1000; ++i) {
        auto const x = static_cast<float>(random.normal() * std::exp(8 * random.normal()));
        float const below = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xffff0000U);
        float const tie = std::bit_cast<float>(std::bit_cast<std::uint32_t>(below) | 0x8000U);
        for (float const v : {x, below, tie, 0.0F}) {
            EXPECT_EQ(independent::AsBf16::kept(v), to_f32(to_bf16(v)));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Published, GoldenBf16, testing::ValuesIn(test::golden_models()), test::golden_name);

} // namespace
} // namespace strandwave

#include "lib/model/initialise.h"

#include "lib/core/error.h"
#include "lib/model/tensor_names.h"
#include "tests/model/random_model.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <numbers>

namespace strandwave::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string read_text(fs::path const& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Tensor names with their shapes.
std::map<std::string, std::vector<index_t>> shapes(TensorStore const& store) {
    std::map<std::string, std::vector<index_t>> all;
    for (auto const& [name, tensor] : store.tensors()) {
        all[name] = tensor.shape;
    }
    return all;
}

json config_of(Dialect dialect) {
    RandomModel model;
    model.dialect = dialect;
    return model.config();
}

class InitialiseTest : public testing::Test {
protected:
    void write_config(json const& config) const { std::ofstream(config_path()) << config.dump(2); }
    fs::path config_path() const { return folder_.path() / "wanted.json"; }
    fs::path out() const { return folder_.path() / "model"; }

    TensorStore make(json const& config, std::uint64_t seed = 1) const {
        write_config(config);
        initialise_model(config_path(), seed, out(), true);
        return open_checkpoint(out());
    }

    ErrorCode failure(json const& config) const {
        try {
            make(config);
        } catch (Error const& error) {
            EXPECT_FALSE(fs::exists(out())) << error.message();
            return error.code();
        }
        ADD_FAILURE() << "no error";
        return {};
    }

    TempDir folder_;
};

TEST_F(InitialiseTest, WritesTheTensorsThatPublishedFilesHold) {
    for (auto const dialect : {Dialect::hugging_face, Dialect::original, Dialect::falcon_mamba, Dialect::caduceus_ph,
                               Dialect::caduceus_ps}) {
        for (int variant = 0; variant < 3; ++variant) {
            RandomModel model;
            model.dialect = dialect;
            model.bias = variant == 1;
            model.conv_bias = variant != 1;
            model.layer_norm = variant == 1 && dialect != Dialect::hugging_face && dialect != Dialect::falcon_mamba;
            model.weight_tie = variant != 1;
            model.fused_add_norm = variant != 2;
            model.labels = variant == 2 ? 3 : 0;
            auto config = model.config();
            if (model.labels > 0) { config["architectures"] = {"SomeForSequenceClassification"}; }

            auto const fresh = make(config);
            model.write(folder_.path() / "expected", model.tensors(1));
            auto expected = shapes(open_checkpoint(folder_.path() / "expected"));
            if (model.rcps() && model.labels == 0) { expected["lm_head.complement_map"] = {16}; }
            EXPECT_EQ(shapes(fresh), expected);
            EXPECT_EQ(read_text(out() / "config.json"), read_text(config_path()));
            auto const read = read_model_config(out(), fresh);
            EXPECT_NO_THROW(find_model_tensors(read, fresh));
            fs::remove_all(out());
        }
    }
}

TEST_F(InitialiseTest, PublishedConfigsGivePublishedTensors) {
    auto const golden = fs::path(STRANDWAVE_SOURCE_DIR) / "../shared/golden";
    if (!fs::exists(golden)) { GTEST_SKIP() << golden << " is not here"; }
    for (auto const* const name : {"mamba1", "falcon_mamba", "caduceus-ph", "caduceus-ps", "caduceus-ps-unfused"}) {
        auto const expected = shapes(open_checkpoint(golden / name / "model.safetensors"));
        initialise_model(golden / name / "config.json", 1, folder_.path() / name);
        EXPECT_EQ(shapes(open_checkpoint(folder_.path() / name)), expected) << name;
    }
}

TEST_F(InitialiseTest, DrawsAsTheOriginalDoes) {
    RandomModel model;
    model.dialect = Dialect::original;
    model.d_model = 64;
    model.n_layer = 4;
    model.vocab_size = 1000;
    auto const store = make(model.config());
    auto const values = [&](std::string const& name) { return read_f32(*store.find("backbone." + name)); };
    auto const all_within = [](std::vector<float> const& v, double low, double high) {
        return std::all_of(v.begin(), v.end(), [&](float x) { return x >= low && x <= high; });
    };
    auto const deviation = [](std::vector<float> const& v) {
        double sum = 0;
        for (float const x : v) {
            sum += static_cast<double>(x) * static_cast<double>(x);
        }
        return std::sqrt(sum / static_cast<double>(v.size()));
    };
    // Each bound with float rounding of one part in 2^23; each deviation within 6 standard errors of its estimate.
    double const round = 1 + 0x1p-23;
    auto const uniform = [&](std::string const& name, double limit) {
        auto const v = values(name);
        EXPECT_TRUE(all_within(v, -limit * round, limit * round)) << name;
        double const error = 6 * std::sqrt(0.2 / static_cast<double>(v.size()));
        EXPECT_NEAR(deviation(v) / (limit / std::sqrt(3.0)), 1.0, error) << name;
    };
    uniform("layers.0.mixer.in_proj.weight", 1 / std::sqrt(64.0));
    uniform("layers.0.mixer.x_proj.weight", 1 / std::sqrt(128.0));
    uniform("layers.0.mixer.out_proj.weight", 1 / std::sqrt(128.0) / std::sqrt(4.0));
    uniform("layers.0.mixer.conv1d.weight", 1 / std::sqrt(4.0));
    uniform("layers.0.mixer.conv1d.bias", 1 / std::sqrt(4.0));
    uniform("layers.0.mixer.dt_proj.weight", 1 / std::sqrt(2.0));
    auto const embedding = values("embedding.weight");
    EXPECT_NEAR(deviation(embedding) / 0.02, 1.0, 6 * std::sqrt(0.5 / static_cast<double>(embedding.size())));

    for (float const bias : values("layers.1.mixer.dt_proj.bias")) {
        double const dt = std::log1p(std::exp(static_cast<double>(bias)));
        EXPECT_TRUE(dt > 0.001 * (1 - 1e-5) && dt < 0.1 * (1 + 1e-5)) << dt;
    }
    auto const a_log = values("layers.0.mixer.A_log");
    for (std::size_t i = 0; i < a_log.size(); ++i) {
        EXPECT_EQ(a_log[i], static_cast<float>(std::log(static_cast<double>(i % 16 + 1))));
    }
    EXPECT_TRUE(all_within(values("layers.0.mixer.D"), 1, 1));
    EXPECT_TRUE(all_within(values("norm_f.weight"), 1, 1));
}

TEST_F(InitialiseTest, SeedsDecideTheBytes) {
    auto const config = RandomModel{}.config();
    make(config, 7);
    auto const first = read_text(out() / "model.safetensors");
    make(config, 7);
    EXPECT_EQ(read_text(out() / "model.safetensors"), first);
    make(config, 8);
    EXPECT_NE(read_text(out() / "model.safetensors"), first);
}

TEST_F(InitialiseTest, DefaultsFillWhatTheConfigLeavesOut) {
    auto const store = make({{"d_model", 40}, {"n_layer", 1}, {"vocab_size", 13}});
    auto const config = read_model_config(out(), store);
    EXPECT_EQ(config.vocab_size, 16);
    EXPECT_EQ(config.d_inner, 80);
    EXPECT_EQ(config.d_state, 16);
    EXPECT_EQ(config.d_conv, 4);
    EXPECT_EQ(config.dt_rank, 3);
}

TEST_F(InitialiseTest, MakesFrameModels) {
    for (auto const dialect : {Dialect::hugging_face, Dialect::original, Dialect::caduceus_ph}) {
        RandomModel model;
        model.dialect = dialect;
        auto json_config = model.config();
        json_config.erase("vocab_size");
        json_config["frame_length"] = 20;
        auto const store = make(json_config);
        auto const config = read_model_config(out(), store);
        EXPECT_EQ(config.frame_length, 20);
        EXPECT_EQ(config.head, HeadKind::none);
        EXPECT_NO_THROW(find_model_tensors(config, store));
    }
}

/// A tone is loudest in the band of its frequency, the mel-like places of which are told by the header's words alone.
TEST_F(InitialiseTest, FilterBanksTellFrequenciesApart) {
    constexpr index_t kBands = 24;
    constexpr index_t kLength = 400;
    constexpr double kPi = std::numbers::pi;
    RandomModel model;
    auto json_config = model.config();
    json_config.erase("vocab_size");
    json_config["frame_length"] = kLength;
    json_config["n_bands"] = kBands;
    auto const store = make(json_config);
    auto const config = read_model_config(out(), store);
    ASSERT_EQ(config.n_bands, kBands);
    auto const filters = read_f32(*find_model_tensors(config, store).filter_bank);
    double const top = 2595 * std::log10(1 + 8000 / 700.0);
    for (index_t band = 0; band < kBands; ++band) {
        double const mel = top * static_cast<double>(band + 1) / (kBands + 1);
        double const cycles = 700 * (std::pow(10, mel / 2595) - 1) / 16000;
        std::vector<double> power;
        for (index_t k = 0; k < kBands; ++k) {
            double sums[2] = {};
            for (index_t half = 0; half < 2; ++half) {
                for (index_t i = 0; i < kLength; ++i) {
                    auto const at = static_cast<std::size_t>((half * kBands + k) * kLength + i);
                    sums[half] +=
                        static_cast<double>(filters[at]) * std::sin(2 * kPi * cycles * static_cast<double>(i) + 0.7);
                }
            }
            power.push_back(sums[0] * sums[0] + sums[1] * sums[1]);
        }
        auto const loudest = std::max_element(power.begin(), power.end()) - power.begin();
        EXPECT_EQ(loudest, band);
    }
}

TEST_F(InitialiseTest, KeepsWhatIsThereUnlessForced) {
    write_config(RandomModel{}.config());
    fs::create_directory(out());
    std::ofstream(out() / "note") << "keep";
    try {
        initialise_model(config_path(), 1, out());
        FAIL();
    } catch (Error const& error) { EXPECT_EQ(error.code(), ErrorCode::already_exists); }
    EXPECT_FALSE(fs::exists(out() / "model.safetensors"));
    initialise_model(config_path(), 1, out() / "", true);
    EXPECT_TRUE(fs::exists(out() / "model.safetensors"));
    EXPECT_EQ(read_text(out() / "note"), "keep");
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2) << "no temporary folder is left";
}

TEST_F(InitialiseTest, RefusesWhatItCannotMake) {
    json const base = config_of(Dialect::original);
    auto const with = [&](json const& patch) {
        json config = base;
        config.merge_patch(patch);
        return failure(config);
    };
    EXPECT_EQ(with({{"d_model", nullptr}}), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(with({{"vocab_size", nullptr}}), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(with({{"d_model", 2147483648}}), ErrorCode::too_large);
    EXPECT_EQ(with({{"n_layer", 100000}, {"d_model", 100000}}), ErrorCode::too_large);
    EXPECT_EQ(with({{"n_layer", 2147483648}}), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(with({{"ssm_cfg", {{"expand", -1}}}}), ErrorCode::too_large);
    EXPECT_EQ(with({{"ssm_cfg", {{"dt_min", -1}}}}), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(with({{"frame_length", 4}, {"architectures", {"MambaForCausalLM"}}}), ErrorCode::unsupported);
    json ps = config_of(Dialect::caduceus_ps);
    ps["complement_map"]["3"] = 4;
    EXPECT_EQ(failure(ps), ErrorCode::malformed_checkpoint);
}

} // namespace
} // namespace strandwave::test

#include "lib/model/config.h"

#include "lib/core/error.h"
#include "lib/model/tensor_names.h"
#include "tests/model/random_model.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A small model on disk whose config and tensors a test may change before they are read.
class ConfigTest : public testing::Test {
protected:
    void use(RandomModel const& model) {
        model_ = model;
        config_ = model.config();
        tensors_ = model.tensors(1);
    }
    void use(Dialect dialect) {
        RandomModel model;
        model.dialect = dialect;
        use(model);
    }

    ModelConfig read() const {
        model_.write(folder_.path(), tensors_);
        std::ofstream(folder_.path() / "config.json") << (text_.empty() ? config_.dump() : text_);
        return read_model_config(folder_.path(), open_checkpoint(folder_.path()));
    }

    ModelTensors find(bool ignore_extra = false) {
        auto const config = read();
        store_ = open_checkpoint(folder_.path());
        return find_model_tensors(config, store_, ignore_extra);
    }

    Error failure() {
        try {
            find();
        } catch (Error const& error) { return error; }
        ADD_FAILURE() << "no error for " << config_.dump();
        return {ErrorCode::invalid_argument, ""};
    }

    void expect_failure(ErrorCode code, std::vector<std::string> const& words) {
        auto const error = failure();
        EXPECT_EQ(error.code(), code) << error.message();
        for (auto const& word : words) {
            EXPECT_NE(error.message().find(word), std::string::npos) << "'" << word << "' not in: " << error.message();
        }
    }

    TempDir folder_;
    RandomModel model_;
    json config_;
    std::string text_; ///< in place of config_, for what is no JSON
    independent::Tensors tensors_;
    TensorStore store_;
};

constexpr auto kMalformed = ErrorCode::malformed_checkpoint;
constexpr auto kUnsupported = ErrorCode::unsupported;

TEST_F(ConfigTest, ExtentsComeFromTheTensorsInEveryDialect) {
    for (auto const dialect : {Dialect::hugging_face, Dialect::original, Dialect::falcon_mamba, Dialect::caduceus_ph,
                               Dialect::caduceus_ps}) {
        RandomModel model;
        model.dialect = dialect;
        model.d_model = 12;
        model.n_layer = 3;
        model.expand = 3;
        model.d_state = 5;
        model.d_conv = 3;
        model.dt_rank = 7;
        model.bias = true;
        model.conv_bias = false;
        use(model);
        // Only what tensors cannot tell is left.
        for (auto const* const key :
             {"d_model", "n_layer", "vocab_size", "ssm_cfg", "hidden_size", "state_size", "intermediate_size",
              "num_hidden_layers", "conv_kernel", "time_step_rank", "expand", "use_bias", "use_conv_bias"}) {
            config_.erase(key);
        }
        if (dialect == Dialect::hugging_face || dialect == Dialect::falcon_mamba) { config_["hidden_size"] = 12; }
        auto const config = read();
        EXPECT_EQ(config.d_model, 12);
        EXPECT_EQ(config.n_layer, 3);
        EXPECT_EQ(config.vocab_size, 16);
        EXPECT_EQ(config.d_inner, 36);
        EXPECT_EQ(config.d_state, 5);
        EXPECT_EQ(config.d_conv, 3);
        EXPECT_EQ(config.dt_rank, 7);
        EXPECT_TRUE(config.bias);
        EXPECT_FALSE(config.conv_bias);
        EXPECT_EQ(config.head, HeadKind::language_model);
        EXPECT_TRUE(config.tied_head);
        EXPECT_EQ(config.strands(), dialect == Dialect::caduceus_ps ? 2 : 1);
        EXPECT_EQ(config.bidirectional, model.caduceus());
        EXPECT_EQ(config.mixer_rms_epsilon.has_value(), dialect == Dialect::falcon_mamba);
        EXPECT_EQ(find().layers.size(), 3U);
    }
}

TEST_F(ConfigTest, DisagreementNamesBothValues) {
    struct Case {
        Dialect dialect;
        json patch;
        std::vector<std::string> words;
    };
    for (auto const& [dialect, patch, words] : std::vector<Case>{
             {Dialect::hugging_face, {{"hidden_size", 25}}, {"'hidden_size' says 25", "embeddings.weight' says 24"}},
             {Dialect::hugging_face, {{"num_hidden_layers", 3}}, {"'num_hidden_layers' says 3", "says 2"}},
             {Dialect::hugging_face, {{"vocab_size", 17}}, {"'vocab_size' says 17", "says 16"}},
             {Dialect::hugging_face, {{"state_size", 8}}, {"'state_size' says 8", "A_log' says 16"}},
             {Dialect::hugging_face, {{"conv_kernel", 3}}, {"'conv_kernel' says 3", "conv1d.weight' says 4"}},
             {Dialect::hugging_face, {{"time_step_rank", 3}}, {"'time_step_rank' says 3", "says 2"}},
             {Dialect::hugging_face, {{"intermediate_size", 24}}, {"'intermediate_size' says 24", "says 48"}},
             {Dialect::hugging_face, {{"use_bias", true}}, {"'use_bias' is true", "in_proj.bias' is not there"}},
             {Dialect::hugging_face, {{"use_conv_bias", false}}, {"'use_conv_bias' is false", "is there"}},
             {Dialect::original, {{"d_model", 25}}, {"'d_model' says 25", "embedding.weight' says 24"}},
             {Dialect::original, {{"n_layer", 1}}, {"'n_layer' says 1", "says 2"}},
             {Dialect::original, {{"ssm_cfg", {{"d_state", 8}}}}, {"'ssm_cfg.d_state' says 8", "says 16"}},
             {Dialect::original, {{"ssm_cfg", {{"expand", 4}}}}, {"says 96", "says 48"}},
             {Dialect::original, {{"rms_norm", false}}, {"'rms_norm' is false", "norm.bias' is not there"}},
             {Dialect::caduceus_ps, {{"rcps", false}}, {"'rcps' is false", "is there"}},
             {Dialect::caduceus_ph, {{"rcps", true}}, {"'rcps' is true", "is not there"}},
             {Dialect::caduceus_ps, {{"fused_add_norm", false}}, {"'fused_add_norm' is false", "is not there"}},
         }) {
        use(dialect);
        config_.merge_patch(patch);
        expect_failure(kMalformed, words);
    }
    use(Dialect::caduceus_ph);
    config_["model_type"] = "mamba";
    expect_failure(kMalformed, {"mamba", "mamba_fwd"});
}

TEST_F(ConfigTest, HabitsOfPublishedFilesAreKnown) {
    use(Dialect::original); // 13 tokens padded to a multiple of 8
    config_["vocab_size"] = 13;
    config_["pad_vocab_size_multiple"] = 8;
    EXPECT_EQ(read().vocab_size, 16);
    config_.erase("pad_vocab_size_multiple");
    EXPECT_EQ(read().vocab_size, 16) << "8 is the class default";

    use(Dialect::falcon_mamba); // intermediate_size counts before an `expand` that is not its model's
    config_["expand"] = 16;
    EXPECT_EQ(read().d_inner, 48);

    use(Dialect::hugging_face); // left-overs of the original config
    config_.merge_patch({{"d_model", 1}, {"d_inner", 2}, {"n_layer", 3}, {"ssm_cfg", json::object()}});
    config_["time_step_rank"] = "auto";
    EXPECT_EQ(read().dt_rank, 2);
    config_["hidden_act"] = "swish";
    EXPECT_EQ(read().d_model, 24);

    use(Dialect::hugging_face); // tokens that Python writes and JSON lacks
    auto dumped = config_.dump();
    text_ = dumped.substr(0, dumped.size() - 1) + R"(,"time_step_limit":[-Infinity,Infinity],"x":NaN,"y":"\"NaN"})";
    EXPECT_EQ(read().d_model, 24);
    text_ = dumped.substr(0, dumped.size() - 1) + R"(,"layer_norm_epsilon":NaN})";
    expect_failure(kMalformed, {"'layer_norm_epsilon' must be a number"});
}

TEST_F(ConfigTest, WhatCannotBeRunIsRefusedByName) {
    struct Case {
        Dialect dialect;
        json patch;
        std::string word;
    };
    for (auto const& [dialect, patch, word] : std::vector<Case>{
             {Dialect::original, {{"ssm_cfg", {{"layer", "Mamba2"}}}}, "Mamba2"},
             {Dialect::original, {{"ssm_cfg", {{"headdim", 64}}}}, "'ssm_cfg.headdim'"},
             {Dialect::original, {{"attn_layer_idx", {1}}}, "'attn_layer_idx'"},
             {Dialect::original, {{"d_intermediate", 8}}, "'d_intermediate'"},
             {Dialect::hugging_face, {{"hidden_act", "gelu"}}, "'gelu'"},
             {Dialect::hugging_face, {{"model_type", "jamba"}}, "'jamba'"},
             {Dialect::hugging_face,
              {{"architectures", {"MambaForTokenClassification"}}},
              "MambaForTokenClassification"},
             {Dialect::caduceus_ph, {{"bidirectional_strategy", "concat"}}, "'concat'"},
             {Dialect::caduceus_ps, {{"bidirectional", false}}, "'bidirectional'"},
             {Dialect::caduceus_ps, {{"frame_length", 4}}, "'frame_length'"},
         }) {
        use(dialect);
        config_.merge_patch(patch);
        expect_failure(kUnsupported, {word, "config.json"});
    }
}

TEST_F(ConfigTest, WrongTypesAndValuesAreRefusedByName) {
    for (auto const& [key, value] : std::vector<std::pair<std::string, json>>{
             {"hidden_size", "24"},
             {"hidden_size", 0},
             {"hidden_size", -24},
             {"hidden_size", 24.5},
             {"hidden_size", 18446744073709551615ULL},
             {"use_bias", 1},
             {"layer_norm_epsilon", true},
             {"hidden_act", 3},
             {"model_type", json::array()},
             {"architectures", "MambaForCausalLM"},
             {"id2label", 3},
             {"id2label", {{"0", 1}}},
             {"id2label", {{"0", "a\tb"}}},
             {"id2label", {{"1", "a"}}},
             {"id2label", {{"0", "a"}, {"00", "b"}}},
         }) {
        use(Dialect::hugging_face);
        config_[key] = value;
        expect_failure(kMalformed, {"'" + key + "'", "config.json"});
    }
    for (auto const* const text : {" ", "[]", "{\"hidden_size\": 24", "null", "{\"a\": Infinit}"}) {
        use(Dialect::hugging_face);
        text_ = text;
        expect_failure(kMalformed, {"config.json", "not a JSON object"});
    }
}

TEST_F(ConfigTest, LabelsAreSortedAsNumbers) {
    RandomModel model;
    model.labels = 11;
    use(model);
    auto const config = read();
    EXPECT_EQ(config.head, HeadKind::classifier);
    ASSERT_EQ(config.labels.size(), 11U);
    EXPECT_EQ(config.labels[2], "class 2");
    EXPECT_EQ(config.labels[10], "class 10");
    config_.erase("id2label");
    EXPECT_EQ(read().labels.at(10), "LABEL_10");
    config_["num_labels"] = 10;
    expect_failure(kMalformed, {"'num_labels' says 10", "'score.weight' says 11"});
    config_["id2label"] = {{"0", "only"}};
    config_.erase("num_labels");
    expect_failure(kMalformed, {"'id2label' says 1", "'score.weight' says 11"});
}

TEST_F(ConfigTest, HeadsAreFoundOrMissed) {
    use(Dialect::hugging_face);
    config_["architectures"] = {"MambaForSequenceClassification"};
    expect_failure(kMalformed, {"'score.weight' is missing"});
    config_["architectures"] = {"MambaModel"};
    EXPECT_EQ(read().head, HeadKind::none);
    config_.erase("architectures");
    config_["tie_word_embeddings"] = false;
    expect_failure(kMalformed, {"missing tensors: 'lm_head.weight'"});

    tensors_["lm_head.weight"] = tensors_.at("backbone.embeddings.weight");
    EXPECT_NE(find().head_weight, find().embedding_weight);
    config_["tie_word_embeddings"] = true;
    auto const tied = find();
    EXPECT_EQ(tied.head_weight, tied.embedding_weight);
    tensors_["lm_head.weight"].values[0] += 1;
    expect_failure(kMalformed, {"'lm_head.weight' differs from 'backbone.embeddings.weight'"});
}

TEST_F(ConfigTest, BareBackbonesHaveNoHead) {
    for (auto const dialect : {Dialect::hugging_face, Dialect::caduceus_ph, Dialect::caduceus_ps}) {
        use(dialect);
        std::string const cut = model_.caduceus() ? "caduceus." : "backbone.";
        independent::Tensors bare;
        for (auto const& [name, tensor] : tensors_) {
            bare[name.substr(cut.size())] = tensor;
        }
        tensors_ = bare;
        if (model_.rcps()) {
            // The writer adds the buffer under its full name, which belongs to no bare model.
            expect_failure(kMalformed, {"caduceus.backbone.embeddings.word_embeddings.complement_map"});
            auto const tensors = find(true);
            EXPECT_EQ(tensors.head_weight, nullptr);
        } else {
            EXPECT_EQ(find().head_weight, nullptr);
            EXPECT_EQ(read().head, HeadKind::none);
        }
    }
}

TEST_F(ConfigTest, MissingUnexpectedAndMisshapenTensorsAreAllNamed) {
    use(Dialect::hugging_face);
    tensors_.erase("backbone.layers.1.mixer.D");
    tensors_.erase("backbone.norm_f.weight");
    expect_failure(kMalformed, {"missing", "'backbone.layers.1.mixer.D'", "'backbone.norm_f.weight'"});

    use(Dialect::hugging_face);
    tensors_["backbone.layers.0.mixer.extra"] = {{1}, {0.0F}};
    tensors_["other"] = {{1}, {0.0F}};
    expect_failure(kMalformed, {"unexpected", "backbone.layers.0.mixer.extra", "other", "--ignore-extra"});
    EXPECT_EQ(find(true).extra, (std::vector<std::string>{"backbone.layers.0.mixer.extra", "other"}));

    use(Dialect::hugging_face);
    tensors_["backbone.layers.1.norm.weight"] = {{2}, {1, 1}};
    expect_failure(kMalformed, {"'backbone.layers.1.norm.weight' has shape [2]", "needs [24]"});

    for (auto const* const essential :
         {"backbone.embeddings.weight", "backbone.layers.0.mixer.A_log", "backbone.layers.0.mixer.conv1d.weight",
          "backbone.layers.0.mixer.dt_proj.weight"}) {
        use(Dialect::hugging_face);
        tensors_.erase(essential);
        auto const error = failure();
        EXPECT_EQ(error.code(), kMalformed);
        EXPECT_NE(error.message().find("is missing"), std::string::npos) << error.message();
    }
    use(Dialect::hugging_face);
    tensors_ = {{"decoder.weight", {{1}, {0.0F}}}};
    expect_failure(kMalformed, {"not the weights of a Mamba"});
    use(Dialect::hugging_face);
    tensors_["backbone.layers.0.mixer.A_log"] = {{0, 16}, {}};
    expect_failure(kMalformed, {"A_log' has shape [0, 16]"});
}

TEST_F(ConfigTest, ReverseProjectionsAreTiedOrTheirOwn) {
    use(Dialect::caduceus_ph);
    auto const tied = find();
    EXPECT_EQ(tied.layers[0].reverse->in_proj_weight, tied.layers[0].forward.in_proj_weight);
    EXPECT_NE(tied.layers[0].reverse->x_proj_weight, tied.layers[0].forward.x_proj_weight);

    std::string const at = "caduceus.backbone.layers.0.mixer.";
    tensors_[at + "mamba_rev.in_proj.weight"] = tensors_.at(at + "mamba_fwd.in_proj.weight");
    EXPECT_EQ(find().layers.size(), 2U);
    tensors_[at + "mamba_rev.in_proj.weight"].values[5] += 1;
    expect_failure(kMalformed, {at + "mamba_rev.in_proj.weight' differs from"});

    RandomModel untied;
    untied.dialect = Dialect::caduceus_ph;
    untied.weight_tie = false;
    use(untied);
    auto const own = find();
    EXPECT_NE(own.layers[0].reverse->in_proj_weight, own.layers[0].forward.in_proj_weight);
    tensors_.erase(at + "mamba_rev.out_proj.weight");
    expect_failure(kMalformed, {"missing", at + "mamba_rev.out_proj.weight"});
}

TEST_F(ConfigTest, CausalCaduceusHasNoReverse) {
    use(Dialect::caduceus_ph);
    for (auto it = tensors_.begin(); it != tensors_.end();) {
        it = it->first.find("mamba_rev") == std::string::npos ? std::next(it) : tensors_.erase(it);
    }
    config_["bidirectional"] = false;
    EXPECT_FALSE(find().layers[0].reverse.has_value());
    config_["bidirectional"] = true;
    expect_failure(kMalformed, {"mamba_rev.A_log"});
}

TEST_F(ConfigTest, ComplementMapIsThatOfTheCheckpoint) {
    use(Dialect::caduceus_ps);
    auto const expected = caduceus_complement(16);
    EXPECT_EQ(read().complement_map, expected);
    config_["complement_map"] = {{"0", 0}}; // the buffer counts
    EXPECT_EQ(read().complement_map, expected);
    config_["complement_map"] = {{"0", -1}};
    expect_failure(kMalformed, {"'complement_map'"});
}

TEST_F(ConfigTest, ComplementMapOfTheConfigIsSortedAsNumbersAndPadded) {
    use(Dialect::caduceus_ph);
    for (int id = 12; id < 16; ++id) {
        config_["complement_map"].erase(std::to_string(id));
    }
    // dump() writes "0", "1", "10", "11", "2", ..
    auto const map = read().complement_map;
    ASSERT_EQ(map.size(), 12U);
    EXPECT_EQ(map[7], 10);
    EXPECT_EQ(map[10], 7);
    EXPECT_EQ(map[2], 2);
}

TEST_F(ConfigTest, FramesTakeThePlaceOfTheVocabulary) {
    RandomModel model;
    model.frame_length = 9;
    model.labels = 2;
    use(model);
    auto const config = read();
    EXPECT_EQ(config.frame_length, 9);
    EXPECT_EQ(config.vocab_size, 0);
    EXPECT_EQ(config.d_model, 24);
    auto const tensors = find();
    EXPECT_EQ(tensors.embedding_weight, nullptr);
    ASSERT_NE(tensors.frame_embedding_weight, nullptr);
    EXPECT_EQ(tensors.frame_embedding_weight->shape, (std::vector<index_t>{24, 9}));
    config_["frame_length"] = 8;
    expect_failure(kMalformed, {"'frame_length' says 8", "says 9"});
    config_.erase("frame_length");
    tensors_.erase("backbone.frame_embedding.bias");
    config_["frame_length"] = 9;
    expect_failure(kMalformed, {"missing tensors: 'backbone.frame_embedding.bias'"});
}

TEST_F(ConfigTest, BandsStandBetweenFrameAndEmbedding) {
    RandomModel model;
    model.frame_length = 9;
    model.n_bands = 5;
    model.labels = 2;
    use(model);
    auto const config = read();
    EXPECT_EQ(config.frame_length, 9);
    EXPECT_EQ(config.n_bands, 5);
    EXPECT_EQ(config.frame_floats(), 9 + 3 * 5);
    auto const tensors = find();
    ASSERT_NE(tensors.filter_bank, nullptr);
    EXPECT_EQ(tensors.filter_bank->shape, (std::vector<index_t>{10, 9}));
    EXPECT_EQ(tensors.frame_embedding_weight->shape, (std::vector<index_t>{24, 5}));
    config_["n_bands"] = 4;
    expect_failure(kMalformed, {"'n_bands' says 4", "says 5"});
    config_.erase("n_bands");
    expect_failure(kMalformed, {"'n_bands' says 0", "says 5"});
    config_["n_bands"] = 5;
    config_["frame_length"] = 8;
    expect_failure(kMalformed, {"'frame_length' says 8", "filter_bank.weight", "says 9"});
    config_.erase("frame_length");
    expect_failure(kMalformed, {"'n_bands'", "'frame_length' is missing"});
    config_["frame_length"] = 9;
    tensors_["backbone.filter_bank.weight"].shape = {9, 10};
    config_["frame_length"] = 10;
    expect_failure(kMalformed, {"filter_bank.weight"});
}

TEST(GoldenConfigs, SayWhatTheirReadmeSays) {
    auto const golden = fs::path(STRANDWAVE_SOURCE_DIR) / "../shared/golden";
    if (!fs::exists(golden)) { GTEST_SKIP() << golden << " is not here"; }
    struct Case {
        char const* folder;
        Architecture architecture;
        index_t d_model, n_layer, vocab_size, dt_rank;
        bool rcps, fused;
        HeadKind head;
    };
    auto const lm = HeadKind::language_model;
    auto const caduceus = Architecture::caduceus;
    for (auto const& c : {Case{"mamba1", Architecture::mamba, 64, 4, 16, 4, false, true, lm},
                          Case{"mamba1-original-bin", Architecture::mamba, 64, 4, 16, 4, false, true, lm},
                          Case{"falcon_mamba", Architecture::falcon_mamba, 48, 3, 32, 3, false, true, lm},
                          Case{"caduceus-ph", caduceus, 32, 3, 16, 2, false, true, lm},
                          Case{"caduceus-ps", caduceus, 32, 3, 16, 2, true, true, lm},
                          Case{"caduceus-ph-unfused", caduceus, 32, 3, 16, 2, false, false, lm},
                          Case{"caduceus-ps-unfused", caduceus, 32, 3, 16, 2, true, false, lm},
                          Case{"caduceus-ph-classifier", caduceus, 32, 2, 16, 2, false, true, HeadKind::classifier},
                          Case{"caduceus-ps-classifier", caduceus, 32, 2, 16, 2, true, true, HeadKind::classifier}}) {
        SCOPED_TRACE(c.folder);
        for (auto const* const file : {"model.safetensors", "pytorch_model.bin"}) {
            if (!fs::exists(golden / c.folder / file)) { continue; }
            auto const store = open_checkpoint(golden / c.folder / file);
            auto const config = read_model_config(golden / c.folder, store);
            EXPECT_EQ(config.architecture, c.architecture);
            EXPECT_EQ(config.d_model, c.d_model);
            EXPECT_EQ(config.n_layer, c.n_layer);
            EXPECT_EQ(config.vocab_size, c.vocab_size);
            EXPECT_EQ(config.d_inner, 2 * c.d_model);
            EXPECT_EQ(config.d_state, 16);
            EXPECT_EQ(config.d_conv, 4);
            EXPECT_EQ(config.dt_rank, c.dt_rank);
            EXPECT_EQ(config.rcps, c.rcps);
            EXPECT_EQ(config.fused_add_norm, c.fused);
            EXPECT_EQ(config.head, c.head);
            EXPECT_EQ(config.tied_head, c.head == lm);
            EXPECT_EQ(config.norm_epsilon, 1e-5F);
            EXPECT_EQ(config.labels.size(), c.head == lm ? 0U : 3U);
            EXPECT_NO_THROW(find_model_tensors(config, store));
        }
    }
    for (auto const* const other : {"mamba2", "jamba", "bamba", "zamba2", "nemotron_h", "gated_deltanet"}) {
        try {
            read_model_config(golden / other, open_checkpoint(golden / other));
            ADD_FAILURE() << other;
        } catch (Error const& error) { EXPECT_EQ(error.code(), kUnsupported) << error.message(); }
    }
}

} // namespace
} // namespace strandwave::test

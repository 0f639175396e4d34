#include "lib/encode/preprocessor_config.h"

#include "lib/core/error.h"
#include "tests/support/temp_dir.h"

#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

namespace strandwave {
namespace {

ModelConfig caduceus(index_t vocab_size) {
    ModelConfig model;
    model.architecture = Architecture::caduceus;
    model.bidirectional = true;
    model.vocab_size = vocab_size;
    return model;
}
ModelConfig mamba(index_t vocab_size, index_t frame_length = 0) {
    ModelConfig model;
    model.vocab_size = vocab_size;
    model.frame_length = frame_length;
    return model;
}

class Preprocessor : public testing::Test {
protected:
    PreprocessorConfig read(std::string const& json, ModelConfig const& model) const {
        std::ofstream(dir_.path() / "preprocessor_config.json") << json;
        return read_preprocessor_config(dir_.path(), model);
    }
    void expect_refused(std::string const& json, ModelConfig const& model, std::string const& word) const {
        try {
            read(json, model);
            ADD_FAILURE() << json << " was accepted";
        } catch (Error const& error) {
            EXPECT_EQ(error.code(), ErrorCode::malformed_checkpoint);
            EXPECT_NE(error.message().find("preprocessor_config.json"), std::string::npos) << error.what();
            EXPECT_NE(error.message().find(word), std::string::npos) << error.what();
        }
    }
    TempDir dir_;
};

TEST_F(Preprocessor, ADirectoryWithoutTheFileGetsWhatItsModelSuggests) {
    auto const vocabulary = [&](ModelConfig const& model) {
        auto const config = read_preprocessor_config(dir_.path(), model);
        EXPECT_EQ(config.input, InputKind::dna);
        EXPECT_EQ(config.pooling, Pooling::mean);
        EXPECT_EQ(config.strand, StrandPolicy::forward);
        return config.nucleotide.vocabulary;
    };
    EXPECT_EQ(vocabulary(caduceus(12)), Vocabulary::caduceus);
    EXPECT_EQ(vocabulary(caduceus(16)), Vocabulary::caduceus);
    EXPECT_EQ(vocabulary(caduceus(8)), Vocabulary::plantcaduceus);
    EXPECT_EQ(vocabulary(caduceus(7)), Vocabulary::plantcaduceus);
    EXPECT_EQ(vocabulary(mamba(8)), Vocabulary::nucleotide);
    EXPECT_EQ(vocabulary(mamba(5)), Vocabulary::nucleotide);
    auto const audio = read_preprocessor_config(dir_.path(), mamba(256));
    EXPECT_EQ(audio.input, InputKind::audio);
    EXPECT_EQ(audio.audio.encoding, AudioEncoding::mulaw);
    EXPECT_EQ(audio.audio.sampling_rate_hz, 16000);
}

TEST_F(Preprocessor, AModelThatMayReadAnythingNeedsTheFile) {
    for (auto const& model : {mamba(50280), mamba(4), caduceus(256), mamba(0, 320)}) {
        try {
            read_preprocessor_config(dir_.path(), model);
            ADD_FAILURE();
        } catch (Error const& error) {
            EXPECT_NE(error.message().find("preprocessor_config.json"), std::string::npos) << error.what();
            EXPECT_NE(error.message().find(dir_.path().string()), std::string::npos) << error.what();
        }
    }
}

TEST_F(Preprocessor, EveryKeyIsRead) {
    auto const dna = read(R"({"input": "dna", "vocabulary": "nucleotide", "lower_case": "mask", "n": "skip",
                              "iupac": "error", "uracil": "error", "strand": "both", "special_tokens": true,
                              "pooling": "max", "feature_extractor_type": "X", "processor_class": "Y"})",
                          mamba(8));
    EXPECT_EQ(dna.nucleotide.vocabulary, Vocabulary::nucleotide);
    EXPECT_EQ(dna.nucleotide.lower_case, LowerCase::mask);
    EXPECT_EQ(dna.nucleotide.n, AmbiguousBase::skip);
    EXPECT_EQ(dna.nucleotide.iupac, IupacCode::error);
    EXPECT_EQ(dna.nucleotide.uracil, Uracil::error);
    EXPECT_EQ(dna.strand, StrandPolicy::both);
    EXPECT_TRUE(dna.special_tokens);
    EXPECT_EQ(dna.pooling, Pooling::max);

    auto const audio = read(R"({"input": "audio", "sampling_rate": 8000, "encoding": "frames", "frame_length": 64,
                                "frame_hop": 32, "channels": "each", "pooling": "last"})",
                            mamba(0, 64));
    EXPECT_EQ(audio.input, InputKind::audio);
    EXPECT_EQ(audio.audio.sampling_rate_hz, 8000);
    EXPECT_EQ(audio.audio.encoding, AudioEncoding::frames);
    EXPECT_EQ(audio.audio.frame_length, 64);
    EXPECT_EQ(audio.audio.frame_hop, 32);
    EXPECT_EQ(audio.audio.channels, ChannelPolicy::each);
    EXPECT_EQ(audio.pooling, Pooling::last);
}

TEST_F(Preprocessor, KeysThatAreLeftOutKeepTheModelsDefault) {
    EXPECT_EQ(read("{}", caduceus(8)).nucleotide.vocabulary, Vocabulary::plantcaduceus);
    EXPECT_EQ(read("{}", mamba(256)).input, InputKind::audio);
    auto const frames = read(R"({"sampling_rate": 16000, "frame_hop": 160})", mamba(0, 320));
    EXPECT_EQ(frames.audio.encoding, AudioEncoding::frames);
    EXPECT_EQ(frames.audio.frame_length, 320);
    EXPECT_EQ(read(R"({"input": "dna", "vocabulary": "caduceus"})", mamba(256)).input, InputKind::dna);
}

TEST_F(Preprocessor, MistakesAreNamed) {
    auto const dna = caduceus(16);
    expect_refused("", dna, "parse error");
    expect_refused("[]", dna, "JSON object");
    expect_refused(R"({"vocabulary": )", dna, "parse error");
    expect_refused(R"({"vocabulery": "caduceus"})", dna, "'vocabulery' is not a key");
    expect_refused(R"({"vocabulary": "dna"})", dna, "caduceus, plantcaduceus, nucleotide");
    expect_refused(R"({"vocabulary": 3})", dna, "vocabulary is 3");
    expect_refused(R"({"special_tokens": "yes"})", dna, "true or false");
    expect_refused(R"({"sampling_rate": 16000})", dna, "'sampling_rate' is not a key for input \"dna\"");
    expect_refused(R"({"pooling": "sum"})", dna, "mean, max, first, last");
    expect_refused(R"({"input": "image"})", dna, "dna, audio");
    expect_refused(R"({"input": "audio"})", dna, "needs 256 token ids");
    expect_refused(R"({"vocabulary": "caduceus"})", mamba(8), "needs 12 token ids");
    expect_refused(R"({"input": "dna"})", mamba(50280), "vocabulary is missing");

    auto const audio = mamba(256);
    expect_refused(R"({"strand": "both"})", audio, "'strand' is not a key for input \"audio\"");
    expect_refused(R"({"sampling_rate": 0})", audio, "sampling_rate is 0");
    expect_refused(R"({"sampling_rate": "16k"})", audio, "number of Hz");
    expect_refused(R"({"encoding": "frames", "frame_length": 4, "frame_hop": 2})", audio, "embed tokens");
    expect_refused(R"({"frame_hop": 1.5})", audio, "whole number");
    expect_refused(R"({"frame_hop": 99999999999999999999})", audio, "whole number");

    auto const frames = mamba(0, 320);
    expect_refused(R"({"frame_hop": 160})", frames, "sampling_rate is missing");
    expect_refused(R"({"sampling_rate": 16000})", frames, "frame_hop is missing");
    expect_refused(R"({"sampling_rate": 16000, "frame_hop": 160, "frame_length": 64})", frames, "320");
    expect_refused(R"({"sampling_rate": 16000, "frame_hop": 160, "encoding": "mulaw"})", frames, "\"frames\"");
    expect_refused(R"({"input": "dna", "vocabulary": "caduceus"})", frames, "frames of 320");
}

TEST_F(Preprocessor, WhatIsWrittenIsReadBack) {
    PreprocessorConfig config;
    config.nucleotide = {Vocabulary::nucleotide, LowerCase::error, AmbiguousBase::skip, IupacCode::unknown,
                         Uracil::error};
    config.strand = StrandPolicy::reverse;
    config.special_tokens = true;
    config.pooling = Pooling::first;
    write_preprocessor_config(dir_.path(), config);
    auto const dna = read_preprocessor_config(dir_.path(), mamba(8));
    EXPECT_EQ(dna.nucleotide.iupac, IupacCode::unknown);
    EXPECT_EQ(dna.nucleotide.lower_case, LowerCase::error);
    EXPECT_EQ(dna.strand, StrandPolicy::reverse);
    EXPECT_EQ(dna.pooling, Pooling::first);
    EXPECT_TRUE(dna.special_tokens);

    config.input = InputKind::audio;
    config.audio = {22050.5, AudioEncoding::frames, 320, 160, ChannelPolicy::first};
    write_preprocessor_config(dir_.path(), config);
    auto const audio = read_preprocessor_config(dir_.path(), mamba(0, 320));
    EXPECT_EQ(audio.audio.sampling_rate_hz, 22050.5);
    EXPECT_EQ(audio.audio.frame_hop, 160);
    EXPECT_EQ(audio.audio.channels, ChannelPolicy::first);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

TEST(PreprocessorWords, ParseAndNameAgree) {
    for (auto const pooling : {Pooling::mean, Pooling::max, Pooling::first, Pooling::last}) {
        EXPECT_EQ(parse_pooling(std::string(pooling_name(pooling))), pooling);
    }
    for (auto const strand : {StrandPolicy::forward, StrandPolicy::reverse, StrandPolicy::both}) {
        EXPECT_EQ(parse_strand(std::string(strand_name(strand))), strand);
    }
    try {
        parse_pooling("sum");
        ADD_FAILURE();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        EXPECT_NE(error.message().find("mean, max, first, last"), std::string::npos) << error.what();
    }
}

} // namespace
} // namespace strandwave

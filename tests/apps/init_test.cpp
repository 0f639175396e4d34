#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

class InitCommand : public testing::Test {
protected:
    void SetUp() override {
        auto config = mamba_config(16);
        write_text(folder() / "dna.json", config.dump());
        config["vocab_size"] = 256;
        write_text(folder() / "mulaw.json", config.dump());
        config["frame_length"] = 16;
        write_text(folder() / "frames.json", config.dump());
    }

    std::filesystem::path const& folder() const { return temp_.path(); }

    ProgramRun init(std::vector<std::string> more) {
        more.insert(more.begin(), "init");
        return run_program(folder(), std::move(more));
    }

    nlohmann::json preprocessor(std::string const& name) {
        return nlohmann::json::parse(read_text(folder() / name / "preprocessor_config.json"));
    }

    std::size_t entries() const {
        auto const all = std::filesystem::directory_iterator(folder());
        return static_cast<std::size_t>(std::distance(begin(all), end(all)));
    }

    TempDir temp_;
};

TEST_F(InitCommand, TheSeedDecides) {
    ASSERT_EQ(init({"--config", "dna.json", "--input", "dna", "--seed", "1", "-o", "a"}).exit_code, 0);
    ASSERT_EQ(init({"--config", "dna.json", "--input", "dna", "--seed", "1", "-o", "b"}).exit_code, 0);
    ASSERT_EQ(init({"--config", "dna.json", "--input", "dna", "--seed", "2", "-o", "c"}).exit_code, 0);
    auto const weights = [&](char const* name) { return read_text(folder() / name / "model.safetensors"); };
    EXPECT_EQ(weights("a"), weights("b"));
    EXPECT_NE(weights("a"), weights("c"));
    EXPECT_EQ(nlohmann::json::parse(read_text(folder() / "a" / "config.json")), mamba_config(16));
}

TEST_F(InitCommand, ASeedThatDoesNotFitIsRefusedAndNotWrappedAround) {
    for (auto const* const seed : {"-1", " -1", "-18446744073709551615", "18446744073709551616", "1.5"}) {
        auto const run = init({"--config", "dna.json", "--input", "dna", "--seed", seed, "-o", "a"});
        EXPECT_EQ(run.exit_code, 2) << seed;
        EXPECT_NE(run.err.find("has to be a whole number"), std::string::npos) << run.err;
    }
    EXPECT_EQ(init({"--config", "dna.json", "--input", "dna", "--seed", "18446744073709551615", "-o", "a"}).exit_code,
              0);
}

TEST_F(InitCommand, AModelThatCannotReadItsInputIsRefused) {
    auto const audio = init({"--config", "dna.json", "--input", "audio", "-o", "a"});
    EXPECT_EQ(audio.exit_code, 2);
    EXPECT_NE(audio.err.find("dna.json: needs 256 token ids, but the model has 16"), std::string::npos) << audio.err;
    auto const strand = init({"--config", "mulaw.json", "--input", "audio", "--strand", "reverse", "-o", "a"});
    EXPECT_EQ(strand.exit_code, 2);
    EXPECT_NE(strand.err.find("--strand is for DNA"), std::string::npos) << strand.err;
    EXPECT_FALSE(std::filesystem::exists(folder() / "a"));
}

TEST_F(InitCommand, FlagsBecomeThePreprocessorConfig) {
    ASSERT_EQ(init({"--config", "dna.json", "--vocabulary", "nucleotide", "--strand", "both", "-o", "a/"}).exit_code,
              0);
    EXPECT_EQ(preprocessor("a").at("vocabulary"), "nucleotide");
    EXPECT_EQ(preprocessor("a").at("strand"), "both");
    ASSERT_EQ(init({"--config", "mulaw.json", "--sampling-rate", "8000", "--pool", "max", "-o", "b"}).exit_code, 0);
    EXPECT_EQ(preprocessor("b").at("input"), "audio");
    EXPECT_EQ(preprocessor("b").at("sampling_rate"), 8000);
    EXPECT_EQ(preprocessor("b").at("pooling"), "max");
    ASSERT_EQ(init({"--config", "frames.json", "--input", "audio", "--frame-hop", "4", "-o", "c"}).exit_code, 0);
    EXPECT_EQ(preprocessor("c").at("frame_length"), 16);
    EXPECT_EQ(preprocessor("c").at("frame_hop"), 4);
}

TEST_F(InitCommand, RefusesAndLeavesNothing) {
    auto const before = entries();
    EXPECT_EQ(init({"--config", "missing.json", "-o", "x"}).exit_code, 2);
    EXPECT_EQ(init({"--config", "mulaw.json", "--frame-hop", "4", "-o", "x"}).exit_code, 2);
    EXPECT_EQ(init({"--config", "frames.json", "--input", "dna", "-o", "x"}).exit_code, 2);
    EXPECT_EQ(init({"--config", "dna.json", "--vocabulary", "nucleotide", "--input", "audio", "-o", "x"}).exit_code, 2);
    EXPECT_EQ(init({"--config", "dna.json", "--sampling-rate", "8000", "--input", "dna", "-o", "x"}).exit_code, 2);
    EXPECT_EQ(entries(), before);
}

// A limit of 1 KiB a file, which the shell sets, stands for a full disk.
TEST_F(InitCommand, AFullDiskNamesThePlaceThatWasGiven) {
    std::string const script = "ulimit -f 1; trap '' XFSZ; exec \"$0\" init --config dna.json --input dna -o \"$1\"";
    auto const run = run_program(folder(), {"-c", script, STRANDWAVE_PROGRAM, "a/"}, "", "/bin/bash");
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("error: a/model.safetensors: cannot be written: File too large"), std::string::npos)
        << run.err;
    EXPECT_FALSE(std::filesystem::exists(folder() / "a"));
    EXPECT_EQ(run.err.find(".partial-"), std::string::npos) << run.err;
}

TEST_F(InitCommand, OverwritesOnlyWhenForced) {
    ASSERT_EQ(init({"--config", "dna.json", "--input", "dna", "-o", "a"}).exit_code, 0);
    write_text(folder() / "a" / "notes.txt", "mine");
    auto const run = init({"--config", "dna.json", "--input", "dna", "--seed", "9", "-o", "a"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("--force"), std::string::npos);
    auto const old = read_text(folder() / "a" / "model.safetensors");
    EXPECT_EQ(init({"--config", "dna.json", "--input", "dna", "--seed", "9", "-o", "a", "--force"}).exit_code, 0);
    EXPECT_NE(read_text(folder() / "a" / "model.safetensors"), old);
    EXPECT_EQ(read_text(folder() / "a" / "notes.txt"), "mine");
}

} // namespace
} // namespace strandwave

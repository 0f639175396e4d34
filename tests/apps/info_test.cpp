#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

class InfoCommand : public testing::Test {
protected:
    std::filesystem::path const& folder() const { return temp_.path(); }

    nlohmann::json info(std::string const& path, std::string const& input = "") {
        auto const run = run_program(folder(), on_cpu({"info", path, "--json", "--quiet"}), input);
        EXPECT_EQ(run.exit_code, 0) << run.err;
        return nlohmann::json::parse(run.out);
    }

    TempDir temp_;
};

TEST_F(InfoCommand, LengthsOfRecords) {
    // Lengths 0, 10, 20, 30, 100: half of 160 bases lies in the longest.
    std::string text = ">nothing\n";
    for (index_t const length : {30, 10, 100, 20}) {
        text += fasta("r" + std::to_string(length), bases(length));
    }
    write_text(folder() / "x.fa", text);
    auto const found = info("x.fa");
    EXPECT_EQ(found.at("format"), "fasta");
    EXPECT_EQ(found.at("records"), 5);
    EXPECT_EQ(found.at("bases"), 160);
    EXPECT_EQ(found.at("shortest"), 0);
    EXPECT_EQ(found.at("median"), 20);
    EXPECT_EQ(found.at("longest"), 100);
    EXPECT_EQ(found.at("n50"), 100);
    EXPECT_EQ(found.at("empty_records"), 1);
    EXPECT_EQ(info("-", text).at("bases"), 160);
}

TEST_F(InfoCommand, TextHasALineAFigure) {
    write_text(folder() / "x.fa", fasta("r", bases(12)));
    auto const run = run_program(folder(), {"info", "x.fa"});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_NE(run.out.find("\nbases\t12\n"), std::string::npos) << run.out;
}

TEST_F(InfoCommand, Sound) {
    write_text(folder() / "x.wav", wav(4000, 2, 8000));
    auto const found = info("x.wav");
    EXPECT_EQ(found.at("format"), "wav");
    EXPECT_EQ(found.at("sampling_rate_hz"), 8000);
    EXPECT_EQ(found.at("channels"), 2);
    EXPECT_EQ(found.at("samples_per_channel"), 4000);
    EXPECT_EQ(found.at("seconds"), 0.5);
}

TEST_F(InfoCommand, Models) {
    auto const causal = info(make_dna_model(folder()).string());
    EXPECT_EQ(causal.at("architecture"), "mamba");
    EXPECT_EQ(causal.at("direction"), "causal");
    EXPECT_EQ(causal.at("d_model"), 8);
    EXPECT_EQ(causal.at("d_inner"), 16);
    EXPECT_EQ(causal.at("labels"), (nlohmann::json{"red", "green", "blue"}));
    // Two layers of (d_conv - 1 + d_state) * d_inner numbers.
    EXPECT_EQ(causal.at("state_bytes_per_lane"), 2 * (3 + 4) * 16 * 4);
    // Embedding and head, final norm, and per layer: norm, in, conv, x, dt, A, D, out.
    index_t const layer = 8 + 32 * 8 + 16 * 4 + 16 + 10 * 16 + 16 * 2 + 16 + 16 * 4 + 16 + 8 * 16;
    EXPECT_EQ(causal.at("parameters"), 16 * 8 + 8 + 2 * layer + 3 * 8);
    EXPECT_GT(causal.at("tokens_per_s_estimate"), 0);
    auto const two_strands = info(make_caduceus_model(folder(), true).string());
    EXPECT_EQ(two_strands.at("direction"), "bidirectional");
    EXPECT_EQ(two_strands.at("reverse_complement_equivariant"), true);
    EXPECT_EQ(info(make_frame_model(folder()).string()).at("frame_length"), 16);
}

TEST_F(InfoCommand, DamageIsAnError) {
    write_text(folder() / "cut.wav", wav(4000, 1, 8000).substr(0, 5000));
    auto const run = run_program(folder(), {"info", "cut.wav"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("cut.wav"), std::string::npos) << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_EQ(run_program(folder(), {"info", "missing.fa"}).exit_code, 2);
    std::filesystem::create_directories(folder() / "no model");
    EXPECT_EQ(run_program(folder(), {"info", "no model"}).exit_code, 2);
}

} // namespace
} // namespace strandwave

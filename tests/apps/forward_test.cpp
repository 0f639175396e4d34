#include "formats/npy.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

template <class T>
void write_npy(std::filesystem::path const& path, std::string const& descr, std::vector<index_t> const& shape,
               std::vector<T> const& values) {
    std::string extents;
    for (index_t const extent : shape) {
        extents += std::to_string(extent) + ", ";
    }
    std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + extents + "), }";
    header.resize((header.size() + 10 + 64) / 64 * 64 - 10, ' ');
    header.back() = '\n';
    auto const size = static_cast<char>(header.size());
    std::string file = std::string("\x93NUMPY\x01\x00", 8) + size + '\0' + header;
    file.append(reinterpret_cast<char const*>(values.data()), values.size() * sizeof(T));
    write_text(path, file);
}

class ForwardCommand : public testing::Test {
protected:
    static constexpr index_t kSequences = 3;
    static constexpr index_t kLength = 37;

    void SetUp() override {
        for (index_t i = 0; i < kSequences * kLength; ++i) {
            ids_.push_back((i * i + 3 * i) % 16);
        }
        write_npy(folder() / "ids.npy", "<i8", {kSequences, kLength}, ids_);
    }

    std::filesystem::path const& folder() const { return temp_.path(); }

    ProgramRun forward(std::filesystem::path const& model, std::vector<std::string> more) {
        more.insert(more.begin(), {"forward", "--model", model.string()});
        return run_program(folder(), on_cpu(std::move(more)));
    }

    NpyArray<float> output(std::string const& name) { return read_npy_f32(folder() / name).value(); }

    TempDir temp_;
    std::vector<std::int64_t> ids_;
};

double relative_difference(std::vector<float> const& a, std::vector<float> const& b) {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
        difference += std::pow(static_cast<double>(a.at(i)) - static_cast<double>(b[i]), 2);
        norm += std::pow(static_cast<double>(b[i]), 2);
    }
    return std::sqrt(difference / norm);
}

TEST_F(ForwardCommand, ChunksGiveTheSameLogits) {
    auto const model = make_headless_model(folder());
    ASSERT_EQ(forward(model, {"--tokens", "ids.npy", "-o", "whole.npy"}).exit_code, 0);
    auto const whole = output("whole.npy");
    EXPECT_EQ(whole.shape, (std::vector<index_t>{kSequences, kLength, 16}));
    for (std::string const chunk : {"1", "7", "36", "64"}) {
        ASSERT_EQ(forward(model, {"--tokens", "ids.npy", "-o", "c" + chunk + ".npy", "--chunk", chunk}).exit_code, 0);
        auto const chunked = output("c" + chunk + ".npy");
        EXPECT_EQ(chunked.shape, whole.shape);
        // Dot products of K terms may lose K units in the last place; two layers of them, and the head.
        constexpr double kTerms = 2 * (8 + 2 * 16 + 2) + 8;
        EXPECT_LE(relative_difference(chunked.values, whole.values),
                  kTerms * static_cast<double>(std::numeric_limits<float>::epsilon()));
    }
}

TEST_F(ForwardCommand, SequencesDoNotSeeOneAnother) {
    auto const model = make_headless_model(folder());
    ASSERT_EQ(forward(model, {"--tokens", "ids.npy", "-o", "all.npy", "--chunk", "5"}).exit_code, 0);
    std::vector<std::int64_t> const second(ids_.begin() + kLength, ids_.begin() + 2 * kLength);
    write_npy(folder() / "second.npy", "<i8", {1, kLength}, second);
    ASSERT_EQ(forward(model, {"--tokens", "second.npy", "-o", "one.npy", "--chunk", "5"}).exit_code, 0);
    auto const all = output("all.npy").values;
    auto const one = output("one.npy").values;
    EXPECT_EQ(one, std::vector<float>(all.begin() + kLength * 16, all.begin() + 2 * kLength * 16));
}

TEST_F(ForwardCommand, HiddenStatesOfEveryLayer) {
    auto const model = make_headless_model(folder());
    ASSERT_EQ(forward(model, {"--tokens", "ids.npy", "--hidden-states", "hidden", "--chunk", "10"}).exit_code, 0);
    std::vector<index_t> const shape = {kSequences, kLength, 8};
    for (std::string const name : {"layer_0", "layer_1", "layer_2", "final_norm"}) {
        EXPECT_EQ(output("hidden/" + name + ".npy").shape, shape) << name;
    }
    auto const embedding = output("hidden/layer_0.npy").values;
    for (std::size_t i = 1; i < ids_.size(); ++i) { // equal ids have equal rows, others have not
        bool const equal = std::equal(embedding.begin(), embedding.begin() + 8, embedding.data() + 8 * i);
        EXPECT_EQ(equal, ids_[i] == ids_[0]) << i;
    }
    EXPECT_EQ(forward(model, {"--tokens", "ids.npy", "--hidden-states", "hidden"}).exit_code, 2);
    EXPECT_EQ(forward(model, {"--tokens", "ids.npy", "--hidden-states", "hidden", "--force"}).exit_code, 0);
}

TEST_F(ForwardCommand, ClassifiersGiveOneRowASequence) {
    ASSERT_EQ(forward(make_dna_model(folder()), {"--tokens", "ids.npy", "-o", "classes.npy"}).exit_code, 0);
    EXPECT_EQ(output("classes.npy").shape, (std::vector<index_t>{kSequences, 3}));
    std::vector<float> frames(2 * 5 * 16, 0.25F);
    write_npy(folder() / "frames.npy", "<f4", {2, 5, 16}, frames);
    ASSERT_EQ(forward(make_frame_model(folder()), {"--frames", "frames.npy", "-o", "sound.npy"}).exit_code, 0);
    EXPECT_EQ(output("sound.npy").shape, (std::vector<index_t>{2, 3}));
}

TEST_F(ForwardCommand, TwoStrandsHaveTwiceTheChannels) {
    auto const model = make_caduceus_model(folder(), true);
    ASSERT_EQ(forward(model, {"--tokens", "ids.npy", "-o", "l.npy", "--hidden-states", "hidden"}).exit_code, 0);
    EXPECT_EQ(output("hidden/final_norm.npy").shape, (std::vector<index_t>{kSequences, kLength, 16}));
}

TEST_F(ForwardCommand, BidirectionalModelsRefuseToBeChunked) {
    auto const model = make_caduceus_model(folder());
    auto const run = forward(model, {"--tokens", "ids.npy", "-o", "l.npy", "--chunk", "7"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("bidirectional"), std::string::npos) << run.err;
    EXPECT_FALSE(std::filesystem::exists(folder() / "l.npy"));
    EXPECT_EQ(forward(model, {"--tokens", "ids.npy", "-o", "l.npy", "--chunk", "37"}).exit_code, 0);
}

TEST_F(ForwardCommand, NoSequencesAndNoPositions) {
    auto const model = make_headless_model(folder());
    write_npy(folder() / "none.npy", "<i8", {0, 5}, std::vector<std::int64_t>{});
    ASSERT_EQ(forward(model, {"--tokens", "none.npy", "-o", "none_out.npy"}).exit_code, 0);
    EXPECT_EQ(output("none_out.npy").shape, (std::vector<index_t>{0, 5, 16}));
    write_npy(folder() / "empty.npy", "<i8", {2, 0}, std::vector<std::int64_t>{});
    ASSERT_EQ(forward(model, {"--tokens", "empty.npy", "-o", "empty_out.npy"}).exit_code, 0);
    EXPECT_EQ(output("empty_out.npy").shape, (std::vector<index_t>{2, 0, 16}));
}

TEST_F(ForwardCommand, RefusesWhatDoesNotFit) {
    auto const model = make_headless_model(folder());
    auto const refused = [&](std::vector<std::string> more, std::string const& word) {
        auto const run = forward(model, std::move(more));
        EXPECT_EQ(run.exit_code, 2);
        EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
        EXPECT_FALSE(std::filesystem::exists(folder() / "out.npy"));
    };
    refused({"-o", "out.npy"}, "--tokens");
    refused({"--tokens", "ids.npy"}, "--hidden-states");
    refused({"--frames", "ids.npy", "-o", "out.npy"}, "reads tokens");
    refused({"--tokens", "missing.npy", "-o", "out.npy"}, "missing.npy");
    refused({"--tokens", "ids.npy", "-o", "out.npy", "--pool", "max"}, "--pool is for a classifier");
    write_npy(folder() / "bad.npy", "<i8", {1, 2}, std::vector<std::int64_t>{3, 16});
    refused({"--tokens", "bad.npy", "-o", "out.npy"}, "[0, 1]");
    write_npy(folder() / "flat.npy", "<i8", {2}, std::vector<std::int64_t>{3, 3});
    refused({"--tokens", "flat.npy", "-o", "out.npy"}, "[B, L]");
    write_npy(folder() / "floats.npy", "<f4", {1, 2}, std::vector<float>{3, 3});
    refused({"--tokens", "floats.npy", "-o", "out.npy"}, "floats.npy");
    refused({"--tokens", "ids.npy", "-o", "ids.npy", "--force"}, "is an input too");
    refused({"--tokens", "ids.npy", "--hidden-states", "ids.npy"}, "is a file; name a folder");
    refused({"--tokens", "ids.npy", "--hidden-states", "ids.npy/below"}, "cannot be made: Not a directory");
}

} // namespace
} // namespace strandwave

#include "kernels/linear/linear.h"
#include "lib/checkpoint/safetensors.h"
#include "lib/cuda/gpus.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

TEST(VerifyCommand, GoodModelsPass) {
    TempDir const temp;
    auto const& folder = temp.path();
    for (auto const& model : {make_dna_model(folder), make_frame_model(folder), make_caduceus_model(folder),
                              make_caduceus_model(folder, true)}) {
        auto const run = run_program(folder, on_cpu({"verify", model.string()}));
        EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
        EXPECT_NE(run.out.find("packed among other records\t0\t0\tpass\n"), std::string::npos) << run.out;
        EXPECT_EQ(run.out.find("FAIL"), std::string::npos) << run.out;
    }
}

TEST(VerifyCommand, ChecksFitTheModel) {
    TempDir const temp;
    auto const causal =
        run_program(temp.path(), on_cpu({"verify", make_dna_model(temp.path()).string(), "--length", "90"}));
    EXPECT_NE(causal.out.find("pieces of 7 = one feed\t0\t0\tpass\n"), std::string::npos) << causal.out;
    EXPECT_EQ(causal.out.find("strands"), std::string::npos);
    auto const both = run_program(temp.path(), on_cpu({"verify", make_caduceus_model(temp.path(), true).string()}));
    EXPECT_EQ(both.out.find("pieces"), std::string::npos);
    EXPECT_NE(both.out.find("reverse complement exchanges the strands\t"), std::string::npos) << both.out;
}

TEST(VerifyCommand, ABrokenModelFails) {
    TempDir const temp;
    auto const model = make_dna_model(temp.path());
    {
        TensorStore const store = open_checkpoint(model);
        std::vector<TensorToWrite> tensors;
        auto weights = read_f32(*store.find("backbone.norm_f.weight"));
        weights[3] = std::numeric_limits<float>::quiet_NaN();
        for (auto const& [name, tensor] : store.tensors()) {
            bool const broken = name == "backbone.norm_f.weight";
            tensors.push_back(
                {name, tensor.dtype, tensor.shape, broken ? std::as_bytes(std::span(weights)) : tensor.bytes});
        }
        write_safetensors(model / "model.safetensors", tensors);
    }
    auto const run = run_program(temp.path(), on_cpu({"verify", model.string()}));
    EXPECT_EQ(run.exit_code, 1) << run.err;
    EXPECT_NE(run.out.find("\tinf\t0\tFAIL\n"), std::string::npos) << run.out;
}

class VerifyInputs : public testing::Test {
protected:
    ProgramRun verify(std::filesystem::path const& model, std::vector<std::string> const& inputs) {
        std::vector<std::string> arguments{"verify", model.string()};
        arguments.insert(arguments.end(), inputs.begin(), inputs.end());
        return run_program(folder_.path(), on_cpu(arguments));
    }

    TempDir folder_;
    std::string const good_ = write_text(folder_.path() / "good.fa",
                                         fasta("a", bases(90)) + fasta("b", bases(400, 2)) + fasta("c", bases(7, 3)));
};

TEST_F(VerifyInputs, LabelsAreComparedAndCounted) {
    auto const causal = make_dna_model(folder_.path());
    for (auto const& model : {causal, make_caduceus_model(folder_.path(), true)}) {
        auto const run = verify(model, {good_, good_});
        EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
        EXPECT_NE(run.out.find("labels changed\t0\t0.002\tpass (n = 6)\n"), std::string::npos) << run.out;
    }
    auto const* const dtype = bf16_is_supported() ? "bf16" : "f32";
    auto const windows = verify(causal, {good_, "--window", "100", "--dtype", dtype});
    EXPECT_NE(windows.out.find(" (n = 6)\n"), std::string::npos) << windows.out << windows.err;
}

TEST_F(VerifyInputs, RecordsThatFailAreNotCountedAndFailTheRun) {
    auto const model = make_dna_model(folder_.path());
    auto const run = verify(model, {good_, "gone.fa"});
    EXPECT_EQ(run.exit_code, 1) << run.err;
    EXPECT_NE(run.out.find("labels changed\t0\t0.002\tpass (n = 3)\n"), std::string::npos) << run.out;
    auto const told = run.err.find("gone.fa");
    EXPECT_NE(told, std::string::npos) << run.err;
    EXPECT_EQ(run.err.find("gone.fa", told + 1), std::string::npos) << "told twice: " << run.err;
    auto const none = verify(model, {"gone.fa"});
    EXPECT_EQ(none.exit_code, 1);
    EXPECT_NE(none.out.find("labels changed\t-\t0.002\tFAIL (n = 0)\n"), std::string::npos) << none.out;
    auto const empty = verify(model, {write_text(folder_.path() / "empty.fa", "").string()});
    EXPECT_EQ(empty.exit_code, 1);
    EXPECT_NE(empty.out.find("labels changed\t-\t0.002\tFAIL (n = 0)\n"), std::string::npos) << empty.out;
}

TEST_F(VerifyInputs, WhatHasNoLabelsIsRefusedBeforeAnythingRuns) {
    auto const headless = verify(make_headless_model(folder_.path()), {good_});
    EXPECT_EQ(headless.exit_code, 2);
    EXPECT_EQ(headless.out, "");
    EXPECT_NE(headless.err.find("no classifier head"), std::string::npos) << headless.err;
    auto const twice = verify(make_dna_model(folder_.path()), {"-"});
    EXPECT_EQ(twice.exit_code, 2);
    EXPECT_NE(twice.err.find("stdin: can be read only once, and verify reads its inputs twice"), std::string::npos)
        << twice.err;
}

/// On the first GPU, where there is one.
class VerifyOnGpu : public testing::Test {
protected:
    void SetUp() override {
        auto const gpus = find_gpus();
        if (!gpus) { GTEST_SKIP() << "SKIPPED: no GPU: " << gpus.error().message(); }
    }

    std::string verify(std::filesystem::path const& model, std::vector<std::string> const& more) {
        std::vector<std::string> arguments{"verify", model.string(), "--device", "cuda:0"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        auto const run = run_program(folder_.path(), arguments);
        EXPECT_EQ(run.exit_code, 0) << run.err;
        EXPECT_EQ(run.out.find("FAIL"), std::string::npos) << model << "\n" << run.out;
        return run.out;
    }

    TempDir folder_;
};

TEST_F(VerifyOnGpu, GoodModelsPassInBothTypes) {
    for (auto const& model : {make_dna_model(folder_.path()), make_frame_model(folder_.path()),
                              make_caduceus_model(folder_.path()), make_caduceus_model(folder_.path(), true)}) {
        for (std::string const dtype : {"f32", "bf16"}) {
            auto const report = verify(model, {"--dtype", dtype});
            EXPECT_NE(report.find("cuda:0 f32 = cpu f32\t"), std::string::npos) << report;
            EXPECT_EQ(report.find("cuda:0 bf16 = cpu f32\t") != std::string::npos, dtype == "bf16") << report;
            EXPECT_EQ(report.find("1 thread"), std::string::npos) << report;
        }
    }
}

TEST_F(VerifyOnGpu, ChunksAtTileMultiplesAreTheSameBits) {
    auto const report = verify(make_dna_model(folder_.path()), {"--length", "2000"});
    for (std::string const chunk : {"256", "512"}) {
        EXPECT_NE(report.find("pieces of " + chunk + " = one feed\t0\t0\tpass\n"), std::string::npos) << report;
    }
    EXPECT_NE(report.find("packed, in steps of 512 rows\t0\t0\tpass\n"), std::string::npos) << report;
}

TEST_F(VerifyOnGpu, LabelsAreThoseOfTheCpu) {
    auto const reads = write_text(folder_.path() / "a.fa", fasta("a", bases(90)) + fasta("b", bases(400, 2)));
    auto const report = verify(make_dna_model(folder_.path()), {"--dtype", "f32", reads.string()});
    EXPECT_NE(report.find("labels changed\t0\t0.002\tpass (n = 2)\n"), std::string::npos) << report;
}

} // namespace
} // namespace strandwave

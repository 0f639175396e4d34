#include "lib/cuda/gpus.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

/// How often `word` is in `text`.
int count(std::string const& text, std::string const& word) {
    int found = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
        ++found;
    }
    return found;
}

class DeviceTest : public testing::Test {
protected:
    ProgramRun classify(Strings const& device) {
        Strings arguments{"classify", "--model", model_.string(), input_.string()};
        arguments.insert(arguments.end(), device.begin(), device.end());
        return run_program(folder_.path(), arguments);
    }

    /// Two steps.
    ProgramRun train(std::string const& device, Strings const& more = {}) {
        auto const samples = std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "data" / "samples";
        Strings arguments{"train",   "--model",  model_.string(), "--labels", (samples / "genomes.tsv").string(),
                          "--steps", "2",        "--crop",        "60",       "--batch-size",
                          "4",       "--device", device,          "-o",       "trained"};
        arguments.push_back((samples / "genomes.fa.gz").string());
        arguments.insert(arguments.end(), more.begin(), more.end());
        return run_program(folder_.path(), arguments);
    }

    TempDir folder_;
    std::filesystem::path model_ = make_dna_model(folder_.path());
    std::filesystem::path input_ = write_text(folder_.path() / "a.fa", fasta("a", "ACGT"));
};

/// What these say holds for machines without a GPU.
class NoGpuTest : public DeviceTest {
protected:
    void SetUp() override {
        auto const gpus = find_gpus();
        if (gpus) { GTEST_SKIP() << "SKIPPED: this machine has a GPU"; }
        reason_ = gpus.error().message();
    }

    std::string reason_;
};

TEST_F(NoGpuTest, AutoFallsBackAndSaysWhyOnce) {
    for (auto const& device : {Strings{}, Strings{"--device", "auto"}}) {
        auto const run = classify(device);
        EXPECT_EQ(run.exit_code, 0) << run.err;
        EXPECT_EQ(count(run.err, "strandwave: cuda: " + reason_ + "; computing on the cpu\n"), 1) << run.err;
        EXPECT_EQ(count(run.err, "cuda"), 1) << run.err;
        EXPECT_EQ(count(run.err, "device cpu ("), 1) << run.err;
        EXPECT_EQ(count(run.err, "dtype f32,"), 1) << run.err;
    }
    EXPECT_EQ(classify({"--quiet"}).err, "");
}

TEST_F(NoGpuTest, AGpuThatWasAskedForIsAnErrorOfSetUp) {
    for (std::string const device : {"cuda", "cuda:0", "cuda:7", "cuda:all"}) {
        auto const run = classify({"--device", device});
        EXPECT_EQ(run.exit_code, 2) << device;
        EXPECT_EQ(run.out, "") << device;
        EXPECT_EQ(run.err, "strandwave: error: --device " + device + ": " + reason_ + "\n");
    }
}

TEST_F(NoGpuTest, TrainingOnAllGpusIsAnErrorToo) {
    auto const run = train("cuda:all");
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_EQ(run.err, "strandwave: error: --device cuda:all: " + reason_ + "\n");
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "trained"));
}

TEST_F(NoGpuTest, TrainingGoesOnWhateverTheDeviceWas) {
    ASSERT_EQ(train("cpu").exit_code, 0);
    auto const run = train("auto", {"--resume"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
}

/// What these say holds for machines with one GPU and with several.
class GpuTest : public DeviceTest {
protected:
    void SetUp() override {
        auto found = find_gpus();
        if (!found) { GTEST_SKIP() << "SKIPPED: no GPU: " << found.error().message(); }
        gpus_ = std::move(*found);
    }

    std::vector<Gpu> gpus_;
};

TEST_F(GpuTest, TheLogNamesEveryGpuAndHowMuchIsFedAtOnce) {
    for (std::string const device : {"auto", "cuda:all"}) {
        auto const run = classify({"--device", device});
        EXPECT_EQ(run.exit_code, 0) << run.err;
        for (auto const& gpu : gpus_) {
            bool const used = device == "cuda:all" || gpu.index == gpus_.front().index;
            auto const text = "cuda:" + std::to_string(gpu.index) + " (" + gpu.name + ", ";
            EXPECT_EQ(count(run.err, text), used ? 1 : 0) << run.err;
            EXPECT_NE(gpu.name, "");
        }
        EXPECT_EQ(count(run.err, "dtype bf16,"), 1) << run.err;
        EXPECT_EQ(count(run.err, "chunk 262144\n"), 1) << run.err;
    }
}

TEST_F(GpuTest, AllGpusGiveTheRowsOfOne) {
    std::string text;
    for (int i = 0; i < 64; ++i) { // four a feed, so that none is cut: elsewhere the scan would round differently
        text += fasta("r" + std::to_string(i), bases(256, static_cast<std::uint32_t>(i)));
    }
    input_ = write_text(folder_.path() / "many.fa", text);
    Strings const how{"--probabilities", "--chunk", "1024", "--device"};
    auto const on = [&](std::string const& device) {
        auto arguments = how;
        arguments.push_back(device);
        return classify(arguments);
    };
    auto const one = on("cuda:" + std::to_string(gpus_.front().index));
    auto const all = on("cuda:all");
    EXPECT_EQ(one.exit_code, 0) << one.err;
    EXPECT_EQ(all.exit_code, 0) << all.err;
    EXPECT_EQ(count(one.out, "\n"), 65);
    EXPECT_EQ(all.out, one.out);
}

TEST_F(DeviceTest, TheProcessorIsUsedWithoutAWordWhenAskedFor) {
    auto const run = classify({"--device", "cpu"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(count(run.err, "cuda"), 0) << run.err;
    EXPECT_EQ(count(run.err, "device cpu ("), 1) << run.err;
    EXPECT_EQ(count(run.err, "chunk 16384\n"), 1) << run.err;
}

TEST_F(DeviceTest, UnknownDevicesAreErrorsOfUsage) {
    for (std::string const device :
         {"toaster", "", "cuda:", "cuda:-1", "cuda:0x", "cuda:99999999999", "cuda0", "CPU"}) {
        auto const run = classify({"--device", device});
        EXPECT_EQ(run.exit_code, 2) << device;
        EXPECT_EQ(run.out, "") << device;
        EXPECT_EQ(count(run.err, "computing"), 0) << "refused before anything is opened";
        EXPECT_NE(run.err.find("--device"), std::string::npos) << run.err;
    }
}

TEST_F(DeviceTest, AGpuThatNoMachineHasIsAnErrorOfSetUp) {
    auto const run = classify({"--device", "cuda:1000"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_EQ(run.err.rfind("strandwave: error: --device cuda:1000: ", 0), 0U) << run.err;
}

TEST_F(DeviceTest, OnlyWhatSpreadsItsWorkTakesAllGpus) {
    auto const run = run_program(folder_.path(), {"verify", model_.string(), "--device", "cuda:all"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("one device"), std::string::npos) << run.err;
}

} // namespace
} // namespace strandwave

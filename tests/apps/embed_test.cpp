#include "formats/npy.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

class EmbedTest : public testing::Test {
protected:
    ProgramRun embed(Strings const& extra, std::string const& input = "") {
        Strings arguments{"embed", "--model", model_.string()};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        return run_program(folder_.path(), on_cpu(arguments), input);
    }
    std::string path(std::string const& name) const { return (folder_.path() / name).string(); }
    std::string file(std::string const& name, std::string const& content) const {
        return write_text(folder_.path() / name, content).string();
    }
    std::vector<float> vectors(Strings extra) {
        extra.insert(extra.end(), {"-q", "--force", "-o", path("v.npy")});
        auto const run = embed(extra);
        EXPECT_EQ(run.exit_code, 0) << run.err;
        return read_npy_f32(path("v.npy")).value().values;
    }
    /// What Python prints; skips the test where there is no numpy.
    std::string numpy(std::string const& script) {
        return run_program(folder_.path(), {"-c", script}, "", "/usr/bin/python3").out;
    }
    bool has_numpy() { return numpy("import numpy; print(1)") == "1\n"; }

    TempDir folder_;
    std::filesystem::path model_ = make_dna_model(folder_.path());
};

TEST_F(EmbedTest, WritesAnArrayAndItsTable) {
    auto const run = embed({file("a.fa", fasta("a", bases(60)) + fasta("b", "ACGT")), "-o", path("e.npy")});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.out, "");
    auto const array = read_npy_f32(path("e.npy")).value();
    EXPECT_EQ(array.shape, std::vector<index_t>({2, 8}));
    EXPECT_EQ(read_text(path("e.tsv")), "name\tstart\tend\na\t0\t60\nb\t0\t4\n");
    EXPECT_NE(run.err.find("2 records, 2 rows, 64 tokens"), std::string::npos) << run.err;
}

TEST_F(EmbedTest, NumpyLoadsIt) {
    if (!has_numpy()) { GTEST_SKIP() << "python3 has no numpy here"; }
    embed({file("a.fa", fasta("a", bases(60)) + fasta("b", "ACGT")), "-o", path("e.npy")});
    EXPECT_EQ(numpy("import numpy; a = numpy.load('e.npy'); print(a.shape, a.dtype, numpy.isfinite(a).all())"),
              "(2, 8) float32 True\n");
}

TEST_F(EmbedTest, BitsDependOnNeitherThreadsNorChunkNorCompany) {
    auto const a = file("a.fa", fasta("a", bases(300)) + fasta("b", bases(20, 2)));
    auto const both = vectors({a});
    EXPECT_EQ(both, vectors({a, "--chunk", "7", "--threads", "1"}));
    auto const alone = vectors({file("b.fa", fasta("b", bases(20, 2)))});
    EXPECT_EQ(alone, std::vector<float>(both.begin() + 8, both.end()));
}

TEST_F(EmbedTest, LayersAndPoolingsDiffer) {
    auto const a = file("a.fa", fasta("a", bases(60)));
    auto const last = vectors({a});
    std::vector<std::vector<float>> seen{last};
    for (auto const& flags : {Strings{"--layer", "0"},
                              {"--layer", "1"},
                              {"--layer", "2"},
                              {"--pool", "max"},
                              {"--pool", "first"},
                              {"--pool", "last"}}) {
        auto arguments = flags;
        arguments.push_back(a);
        auto const now = vectors(arguments);
        EXPECT_EQ(std::count(seen.begin(), seen.end(), now), 0) << flags[0] << ' ' << flags[1];
        seen.push_back(now);
    }
    EXPECT_EQ(embed({a, "--layer", "3", "-o", path("x.npy")}).exit_code, 2);
    EXPECT_FALSE(std::filesystem::exists(path("x.npy")));
}

TEST_F(EmbedTest, PerRecordIsTheMeanOfItsWindows) {
    auto const a = file("a.fa", fasta("a", bases(40)));
    auto const windows = vectors({a, "--window", "20"});
    auto const mean = vectors({a, "--window", "20", "--per-record"});
    ASSERT_EQ(windows.size(), 16U);
    ASSERT_EQ(mean.size(), 8U);
    for (std::size_t i = 0; i < 8; ++i) {
        EXPECT_EQ(mean[i], static_cast<float>((double{windows[i]} + double{windows[8 + i]}) / 2));
    }
}

TEST_F(EmbedTest, PositionsGoToHdf5) {
    auto const a = file("a.fa", fasta("a", bases(30)) + fasta("b", "ACGT"));
    auto const run = embed({a, "--pool", "none", "--chunk", "8", "-o", path("p.h5")});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("to write"), std::string::npos) << "the size is told: " << run.err;
    EXPECT_GT(std::filesystem::file_size(path("p.h5")), 34U * 8 * 4);
    auto const both = embed({a, "--pool", "none", "--strand", "both", "-o", path("q.h5")});
    EXPECT_EQ(both.exit_code, 2);
    EXPECT_FALSE(std::filesystem::exists(path("q.h5")));
    EXPECT_EQ(embed({a, "--pool", "none", "-o", path("q.npy")}).exit_code, 2) << "one array a record is no .npy";
    EXPECT_EQ(embed({"-", "--pool", "none", "-o", path("s.h5")}, fasta("a", "ACGT")).exit_code, 0);
}

TEST_F(EmbedTest, NothingIsOverwrittenOrLeftHalfWritten) {
    auto const a = file("a.fa", fasta("a", "ACGT"));
    file("e.tsv", "mine");
    EXPECT_EQ(embed({a, "-o", path("e.npy")}).exit_code, 2) << "the table is there";
    EXPECT_EQ(read_text(path("e.tsv")), "mine");
    EXPECT_EQ(embed({a, "-o", path("e.npy"), "--force"}).exit_code, 0);
    EXPECT_EQ(embed({a, "-o", path("e.npy")}).exit_code, 2);
    auto const rows = file("rows.tsv", "sequence\tlabel\nACGT\tx\n");
    auto const over = embed({rows, "-o", path("rows.npy"), "--force"});
    EXPECT_NE(over.err.find("rows.tsv: is an input too"), std::string::npos) << over.err;
    EXPECT_EQ(embed({a}).exit_code, 2) << "no output";
    EXPECT_EQ(embed({a, "-o", path("e.txt")}).exit_code, 2);

    EXPECT_EQ(embed({a, "--layer", "99", "-o", path("f.npy")}).exit_code, 2);
    for (auto const& entry : std::filesystem::directory_iterator(folder_.path())) {
        EXPECT_NE(entry.path().filename().string().rfind("f.", 0), 0U) << entry.path();
    }
}

TEST_F(EmbedTest, NoRecordGivesAnEmptyArray) {
    EXPECT_EQ(embed({file("a.fa", ">none\n"), "-o", path("e.npy")}).exit_code, 0);
    EXPECT_EQ(read_npy_f32(path("e.npy")).value().shape, std::vector<index_t>({0, 8}));
}

TEST_F(EmbedTest, HeadlessModelsEmbed) {
    model_ = make_headless_model(folder_.path());
    EXPECT_EQ(vectors({file("a.fa", fasta("a", "ACGT"))}).size(), 8U);
}

} // namespace
} // namespace strandwave

#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace strandwave {
namespace {

/// Mostly A and T, or mostly C and G: a class that no model can miss.
std::string skewed(bool strong, std::uint32_t seed) {
    std::string letters = bases(200, seed);
    for (std::size_t i = 0; i < letters.size(); ++i) {
        if (i % 4 != 0) { letters[i] = strong ? "CG"[i / 4 % 2] : "AT"[i / 4 % 2]; }
    }
    return letters;
}

class ProbeCommand : public testing::Test {
protected:
    static constexpr int kRecords = 40;

    void SetUp() override {
        model_ = make_headless_model(folder());
        std::string all;
        std::string table;
        std::map<bool, std::string> parts;
        for (int i = 0; i < kRecords; ++i) {
            bool const strong = i % 2 != 0;
            std::string const name = "r" + std::to_string(i);
            std::string const label = strong ? "gc rich" : "at_rich";
            auto const letters = skewed(strong, static_cast<std::uint32_t>(i + 1));
            all += ">" + name + " length=200 kind=" + (strong ? "gc" : "at") + "\n" + letters + "\n";
            table += name + "\t" + label + "\n";
            parts[strong] += fasta(name, letters);
        }
        write_text(folder() / "all.fa", all);
        write_text(folder() / "labels.tsv", table);
        for (bool const strong : {false, true}) {
            std::string const word = strong ? "gc" : "at";
            std::filesystem::create_directories(folder() / word);
            write_text(folder() / word / "x.fa", parts[strong]);
            write_text(folder() / (word + "_1.fa"), parts[strong]);
        }
    }

    std::filesystem::path const& folder() const { return temp_.path(); }

    ProgramRun probe(std::vector<std::string> more) {
        more.insert(more.begin(), {"probe", "--model", model_.string(), "-o", "new"});
        auto run = run_program(folder(), on_cpu(std::move(more)));
        labels_ = std::filesystem::exists(folder() / "new") ? config().at("id2label") : nlohmann::json();
        return run;
    }

    nlohmann::json config() { return nlohmann::json::parse(read_text(folder() / "new" / "config.json")); }

    /// The new directory classifies all records, and how many it gets right.
    int correct(std::string const& at, std::string const& gc) {
        auto const run = run_program(folder(), on_cpu({"classify", "--model", "new", "all.fa"}));
        EXPECT_EQ(run.exit_code, 0) << run.err;
        std::istringstream lines(run.out);
        std::string line;
        std::getline(lines, line); // the header
        int count = 0;
        for (int i = 0; std::getline(lines, line); ++i) {
            count += line.find("\t" + (i % 2 != 0 ? gc : at) + "\t") != std::string::npos ? 1 : 0;
        }
        return count;
    }

    void expect_perfect(ProgramRun const& run, std::string const& at, std::string const& gc) {
        ASSERT_EQ(run.exit_code, 0) << run.err;
        EXPECT_NE(run.out.find("fitted\t32\t32\t1.0000\n"), std::string::npos) << run.out;
        EXPECT_NE(run.out.find("held out\t8\t8\t1.0000\n"), std::string::npos) << run.out;
        EXPECT_NE(run.out.find("\n" + at + "\t4\t0\n" + gc + "\t0\t4\n"), std::string::npos) << run.out;
        EXPECT_EQ(labels_, (nlohmann::json{{"0", at}, {"1", gc}}));
        EXPECT_EQ(correct(at, gc), kRecords);
    }

    TempDir temp_;
    std::filesystem::path model_;
    nlohmann::json labels_;
};

TEST_F(ProbeCommand, ClassesFromATable) {
    expect_perfect(probe({"--labels", "labels.tsv", "all.fa"}), "at_rich", "gc rich");
    EXPECT_EQ(config().at("architectures"), (nlohmann::json{"MambaForSequenceClassification"}));
    EXPECT_EQ(config().at("label2id"), (nlohmann::json{{"at_rich", 0}, {"gc rich", 1}}));
}

TEST_F(ProbeCommand, NeighboursAreAskedToo) {
    auto const run = probe({"--labels", "labels.tsv", "all.fa", "--neighbours", "3"});
    EXPECT_NE(run.out.find("\nheld out\t8\t8\t1.0000\nheld out, neighbours\t8\t8\t1.0000\n"), std::string::npos)
        << run.out;
}

TEST_F(ProbeCommand, ClassesFromHeaders) {
    expect_perfect(probe({"--labels-from", "header", "--header-key", "kind", "all.fa"}), "at", "gc");
}

TEST_F(ProbeCommand, ClassesFromFilesAndFolders) {
    expect_perfect(probe({"--labels-from", "file", "at_1.fa", "gc_1.fa"}), "at", "gc");
    expect_perfect(probe({"--labels-from", "folder", "at/x.fa", "gc/x.fa", "--force"}), "at", "gc");
}

TEST_F(ProbeCommand, EveryArchitectureBecomesAClassifier) {
    for (bool const rcps : {false, true}) {
        model_ = make_caduceus_model(folder(), rcps);
        expect_perfect(probe({"--labels", "labels.tsv", "all.fa", "--force"}), "at_rich", "gc rich");
        EXPECT_EQ(config().at("architectures"), (nlohmann::json{"CaduceusForSequenceClassification"}));
    }
}

TEST_F(ProbeCommand, PoliciesOfTheFitAreKept) {
    ASSERT_EQ(probe({"--labels", "labels.tsv", "all.fa", "--pool", "max", "--strand", "both"}).exit_code, 0);
    auto const kept = nlohmann::json::parse(read_text(folder() / "new" / "preprocessor_config.json"));
    EXPECT_EQ(kept.at("pooling"), "max");
    EXPECT_EQ(kept.at("strand"), "both");
}

TEST_F(ProbeCommand, RecordsWithoutAClassAreLeftOutAndCounted) {
    write_text(folder() / "all.fa", read_text(folder() / "all.fa") + fasta("stranger", bases(100)));
    auto const run = probe({"--labels", "labels.tsv", "all.fa"});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_NE(run.err.find("1 rows left out"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("stranger"), std::string::npos) << run.err;
}

TEST_F(ProbeCommand, RefusesWhatItCannotFit) {
    auto const refused = [&](std::vector<std::string> more, std::string const& word) {
        auto const run = probe(std::move(more));
        EXPECT_EQ(run.exit_code, 2);
        EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
        EXPECT_FALSE(std::filesystem::exists(folder() / "new"));
    };
    refused({"all.fa"}, "--labels");
    refused({"--labels", "labels.tsv", "--labels-from", "file", "all.fa"}, "--labels");
    refused({"--labels", "missing.tsv", "all.fa"}, "missing.tsv");
    refused({"--labels-from", "file", "at_1.fa"}, "two classes");
    refused({"--labels-from", "header", "-"}, "stdin");
    write_text(folder() / "bad.tsv", "r0\tx\nr1\n");
    refused({"--labels", "bad.tsv", "all.fa"}, "line 2");
    write_text(folder() / "twice.tsv", "r0\tx\nr0\ty\n");
    refused({"--labels", "twice.tsv", "all.fa"}, "line 2");
    auto const over = run_program(folder(), {"probe", "--model", model_.string(), "-o", model_.string(), "--force",
                                             "--labels", "labels.tsv", "all.fa"});
    EXPECT_NE(over.err.find("is the folder of --model"), std::string::npos) << over.err;
    refused({"--labels", "labels.tsv", "all.fa", "missing.fa"}, "missing.fa: cannot be opened");
    auto const records = read_text(folder() / "all.fa");
    write_text(folder() / "cut.fa", records.substr(0, records.rfind('>') + 2)); // inside the last header
    refused({"--labels", "labels.tsv", "cut.fa"}, "cut.fa");
}

} // namespace
} // namespace strandwave

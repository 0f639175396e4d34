#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

/// Random DNA whose share of C and G is learnt as a percentage.
class RegressionTest : public testing::Test {
protected:
    RegressionTest() {
        write_records("train", 160, 0);
        write_records("test", 60, 1000);
        auto config = mamba_config(16);
        config.erase("id2label");
        write_text(unborn() / "config.json", config.dump());
        write_preprocessor_config(unborn(), {});
    }

    void write_records(std::string const& name, std::uint32_t count, std::uint32_t first) {
        std::string records;
        std::string labels;
        for (std::uint32_t i = first; i < first + count; ++i) {
            auto letters = bases(60 + i % 20, i + 1);
            // Every k-th A or T becomes a C or G, or the other way round: contents from few to many per cent.
            for (std::size_t at = 0; at < letters.size(); at += 1 + i % 4) {
                letters[at] = i % 8 < 4 ? "CG"[at % 2] : "AT"[at % 2];
            }
            auto const strong =
                std::count_if(letters.begin(), letters.end(), [](char c) { return c == 'C' || c == 'G'; });
            records += fasta("r" + std::to_string(i), letters);
            labels += "r" + std::to_string(i) + "\t" +
                      std::to_string(100.0 * static_cast<double>(strong) / static_cast<double>(letters.size())) + "\n";
        }
        write_text(folder() / (name + ".fa"), records);
        write_text(folder() / (name + ".tsv"), labels);
    }

    ProgramRun program(Strings const& arguments) { return run_program(folder(), on_cpu(arguments)); }
    ProgramRun train(std::string const& from, std::string const& to, Strings const& more,
                     std::string const& learning_rate = "0.01") {
        Strings all{"train",           "-q",           "--model", from,         "--objective",
                    "regression",      "-o",           to,        "--labels",   "train.tsv",
                    "train.fa",        "--batch-size", "16",      "--held-out", "0.2",
                    "--learning-rate", learning_rate};
        all.insert(all.end(), more.begin(), more.end());
        return program(all);
    }
    /// The value of a metric of the test records.
    double metric(std::string const& model, std::string const& name) {
        auto const run = program({"evaluate", "-q", "--model", model, "--labels", "test.tsv", "test.fa"});
        EXPECT_EQ(run.exit_code, 0) << run.err;
        std::istringstream lines(run.out);
        for (std::string line; std::getline(lines, line);) {
            if (line.rfind(name + "\t", 0) == 0) { return std::stod(line.substr(name.size() + 1)); }
        }
        ADD_FAILURE() << run.out;
        return 0;
    }
    void refused(Strings const& arguments, std::string const& word) {
        auto const run = program(arguments);
        EXPECT_EQ(run.exit_code, 2);
        EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
    }

    std::filesystem::path const& folder() const { return temp_.path(); }
    std::filesystem::path unborn() const {
        std::filesystem::create_directories(folder() / "unborn");
        return folder() / "unborn";
    }

    TempDir temp_;
};

TEST_F(RegressionTest, LearnsTheContentOfCAndGInPerCent) {
    auto const run = train("unborn", "new", {"--epochs", "10"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_GT(metric("new", "r2"), 0.9);
    EXPECT_LT(metric("new", "mae"), 5) << "in the units of the labels";

    auto const config = nlohmann::json::parse(read_text(folder() / "new" / "config.json"));
    EXPECT_EQ(config.at("problem_type"), "regression");
    EXPECT_EQ(config.at("num_labels"), 1);
    EXPECT_FALSE(config.contains("id2label"));

    // Goes on from what it knows: the head is kept, in units of other labels too.
    ASSERT_EQ(train("new", "again", {"--steps", "1"}, "1e-12").exit_code, 0);
    EXPECT_NEAR(metric("again", "rmse"), metric("new", "rmse"), 1e-3);
    EXPECT_EQ(program({"verify", "new"}).exit_code, 0);
}

TEST_F(RegressionTest, ClassifyWritesValues) {
    ASSERT_EQ(train("unborn", "new", {"--epochs", "2"}).exit_code, 0);
    auto const evaluated =
        program({"evaluate", "-q", "--model", "new", "--labels", "test.tsv", "test.fa", "-o", "report"});
    ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
    EXPECT_EQ(read_text(folder() / "report" / "metrics.tsv"), evaluated.out);
    EXPECT_EQ(nlohmann::json::parse(read_text(folder() / "report" / "metrics.json")).at("rows"), 60);
    std::istringstream rows(read_text(folder() / "report" / "predictions.tsv"));

    auto const table = program({"classify", "-q", "--model", "new", "test.fa"});
    auto const objects = program({"classify", "-q", "--model", "new", "test.fa", "--format", "jsonl"});
    std::istringstream lines(table.out);
    std::istringstream json_lines(objects.out);
    std::string row;
    std::string line;
    std::string json;
    std::getline(rows, row);
    std::getline(lines, line);
    EXPECT_EQ(line, "name\tstart\tend\tvalue");
    int count = 0;
    for (; std::getline(lines, line) && std::getline(json_lines, json) && std::getline(rows, row); ++count) {
        double const value = std::stod(line.substr(line.rfind('\t') + 1));
        EXPECT_EQ(nlohmann::json::parse(json).at("value").get<double>(), value);
        EXPECT_NEAR(std::stod(row.substr(row.rfind('\t') + 1)), value, 1e-5 * std::abs(value)) << row;
    }
    EXPECT_EQ(count, 60);
    refused({"classify", "--model", "new", "test.fa", "--probabilities"}, "--probabilities");
    refused({"classify", "--model", "new", "test.fa", "--min-probability", "0.5"}, "--min-probability");
    refused({"batch", "--task", "classify", "--model", "new", "test.fa", "--output", "folder"}, "strandwave classify");
}

TEST_F(RegressionTest, APublishedHeadWithoutABiasIsKept) {
    auto config = mamba_config(16);
    config.erase("id2label");
    config["num_labels"] = 1;
    config["problem_type"] = "regression";
    auto const model = make_model(folder(), "published", config, {}).string();
    ASSERT_EQ(train(model, "new", {"--steps", "1"}, "1e-12").exit_code, 0);
    EXPECT_NEAR(metric("new", "rmse"), metric(model, "rmse"), 1e-3);
}

TEST_F(RegressionTest, LabelsThatAreNoNumbersAreNamed) {
    write_text(folder() / "train.tsv", read_text(folder() / "train.tsv") + "odd\tmany\n");
    write_text(folder() / "train.fa", read_text(folder() / "train.fa") + fasta("odd", bases(50)));
    auto const run = train("unborn", "new", {"--steps", "2"});
    EXPECT_EQ(run.exit_code, 1) << run.err;
    EXPECT_NE(run.err.find("record odd: its label 'many' is not a number"), std::string::npos) << run.err;
    auto const evaluated = program({"evaluate", "-q", "--model", "new", "--labels", "train.tsv", "train.fa"});
    EXPECT_EQ(evaluated.exit_code, 1);
    EXPECT_NE(evaluated.out.find("rows\t160\t"), std::string::npos) << evaluated.out;
    EXPECT_NE(evaluated.err.find("their labels are no numbers (odd is the first)"), std::string::npos) << evaluated.err;
}

TEST_F(RegressionTest, RefusesWhatIsForClasses) {
    Strings const common{"train",     "--model",  "unborn",  "--objective", "regression", "--labels",
                         "train.tsv", "train.fa", "--steps", "1",           "-o",         "other"};
    auto const with = [&](Strings more) {
        more.insert(more.begin(), common.begin(), common.end());
        return more;
    };
    refused(with({"--balance"}), "--balance");
    refused(with({"--label-smoothing", "0.1"}), "--label-smoothing");
    refused(with({"--score", "mcc"}), "mcc");
    refused(with({"--score", "accuracy"}), "accuracy");
    auto const three = make_dna_model(folder());
    auto config = nlohmann::json::parse(read_text(three / "config.json"));
    config["problem_type"] = "regression";
    write_text(three / "config.json", config.dump());
    refused({"classify", "--model", three.string(), "test.fa"}, "problem_type");
}

} // namespace
} // namespace strandwave

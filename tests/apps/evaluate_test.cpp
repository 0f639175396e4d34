#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

std::vector<Strings> table(std::string const& text) {
    std::vector<Strings> rows;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        rows.emplace_back(1);
        for (char const c : line) {
            if (c == '\t') {
                rows.back().emplace_back();
            } else {
                rows.back().back() += c;
            }
        }
    }
    return rows;
}

class EvaluateTest : public testing::Test {
protected:
    ProgramRun evaluate(Strings const& extra, std::string const& input = "") {
        Strings arguments{"evaluate", "--model", model_.string()};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        return run_program(folder(), on_cpu(arguments), input);
    }
    void refused(Strings const& extra, std::string const& word) {
        auto const run = evaluate(extra);
        EXPECT_EQ(run.exit_code, 2);
        EXPECT_EQ(run.out, "");
        EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
        EXPECT_FALSE(std::filesystem::exists(folder() / "report"));
    }
    std::filesystem::path const& folder() const { return temp_.path(); }
    std::string file(std::string const& name, std::string const& content) {
        return write_text(folder() / name, content).string();
    }
    /// Six records, and the classes that the model gives them.
    std::vector<Strings> classified() {
        std::string all;
        for (std::uint32_t i = 0; i < 6; ++i) {
            all += fasta("r" + std::to_string(i), bases(60 + 40 * i, i + 1));
        }
        file("all.fa", all);
        auto rows = table(
            run_program(folder(), on_cpu({"classify", "-q", "--model", model_.string(), "all.fa", "--probabilities"}))
                .out);
        rows.erase(rows.begin());
        return rows;
    }
    static std::map<std::string, Strings> metrics(std::string const& text) {
        std::map<std::string, Strings> all;
        for (auto const& row : table(text)) {
            EXPECT_EQ(row.size(), 4U);
            all[row[0]] = row;
        }
        return all;
    }

    TempDir temp_;
    std::filesystem::path model_ = make_dna_model(folder());
};

std::filesystem::path sample(std::string const& name) {
    return std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "data" / "samples" / name;
}

TEST_F(EvaluateTest, TheDemoModelOnItsSample) {
    model_ = std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "data" / "models" / "organism";
    auto const run =
        evaluate({"--labels", sample("genomes.tsv").string(), sample("genomes.fa.gz").string(), "-o", "report"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    auto const all = metrics(run.out);
    EXPECT_EQ(all.at("rows")[1], "30");
    double const accuracy = std::stod(all.at("accuracy")[1]);
    EXPECT_GE(accuracy, 0.8);
    EXPECT_LE(std::stod(all.at("accuracy")[2]), accuracy);
    EXPECT_GE(std::stod(all.at("accuracy")[3]), accuracy);
    EXPECT_EQ(all.at("log_loss")[2], "");
    EXPECT_EQ(read_text(folder() / "report" / "metrics.tsv"), run.out);

    auto const json = nlohmann::json::parse(read_text(folder() / "report" / "metrics.json"));
    EXPECT_EQ(json.at("rows"), 30);
    EXPECT_NEAR(json.at("metrics").at("accuracy").at("value").get<double>(), accuracy, 1e-6);
    EXPECT_EQ(json.at("classes").size(), 6U);
    index_t rows = 0;
    for (auto const& line : json.at("confusion")) {
        for (auto const& count : line) {
            rows += count.get<index_t>();
        }
    }
    EXPECT_EQ(rows, 30);

    auto const predictions = table(read_text(folder() / "report" / "predictions.tsv"));
    ASSERT_EQ(predictions.size(), 31U);
    EXPECT_EQ(predictions[0], (Strings{"name", "start", "end", "truth", "predicted", "probability"}));
    int correct = 0;
    for (auto const& row : predictions) {
        correct += row[3] == row[4] ? 1 : 0;
    }
    EXPECT_NEAR(correct / 30.0, accuracy, 1e-6);
    EXPECT_EQ(table(read_text(folder() / "report" / "confusion.tsv")).size(), 7U);
    EXPECT_EQ(table(read_text(folder() / "report" / "per_class.tsv")).size(), 7U);
    EXPECT_EQ(table(read_text(folder() / "report" / "calibration.tsv")).size(), 16U);
    EXPECT_EQ(table(read_text(folder() / "report" / "coverage.tsv")).back()[1], "30");
    EXPECT_EQ(read_text(folder() / "report" / "confusion.svg").rfind("<svg", 0), 0U);
}

TEST_F(EvaluateTest, AgreesWithClassify) {
    auto const rows = classified();
    Strings const names{"red", "green", "blue"};
    std::string labels;
    double loss = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        // The model's own answer, but for one record.
        auto const answer = std::find(names.begin(), names.end(), rows[i][3]) - names.begin();
        auto const truth = static_cast<std::size_t>(i == 2 ? (answer + 1) % 3 : answer);
        labels += rows[i][0] + "\t" + names[truth] + "\n";
        loss -= std::log(std::stod(rows[i][5 + truth])) / 6;
    }
    file("labels.tsv", labels);
    auto const run = evaluate({"-q", "--labels", "labels.tsv", "all.fa"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    auto const all = metrics(run.out);
    EXPECT_EQ(all.at("rows")[1], "6");
    EXPECT_EQ(all.at("accuracy")[1], "0.833333");
    EXPECT_NEAR(std::stod(all.at("log_loss")[1]), loss, 1e-5) << "of probabilities with six digits";
    EXPECT_EQ(run.out, evaluate({"-q", "--labels", "labels.tsv", "all.fa", "--threads", "1", "--chunk", "7"}).out);
}

TEST_F(EvaluateTest, LabelsFromFoldersAndWindowsOfARecord) {
    for (auto const* name : {"red", "blue"}) {
        std::filesystem::create_directories(folder() / name);
        file(std::string(name) + "/x.fa", fasta("a", bases(200, 3)) + fasta("b", bases(100, 4)));
    }
    Strings const inputs{"-q", "--labels-from", "folder", "red/x.fa", "blue/x.fa"};
    auto const with = [&](Strings more) {
        more.insert(more.begin(), inputs.begin(), inputs.end());
        auto const run = evaluate(more);
        EXPECT_EQ(run.exit_code, 0) << run.err;
        return metrics(run.out).at("rows")[1];
    };
    EXPECT_EQ(with({}), "4");
    EXPECT_EQ(with({"--window", "50"}), "12");
    EXPECT_EQ(with({"--window", "50", "--per-record"}), "4");
}

TEST_F(EvaluateTest, ASingleRecordHasNoInterval) {
    auto const run = evaluate({"--labels", file("l.tsv", "a\tred\n"), file("a.fa", fasta("a", bases(100))), "-o", "r"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    auto const all = metrics(run.out);
    EXPECT_EQ(all.at("accuracy")[2], "");
    EXPECT_EQ(all.at("auroc")[1], "");
    auto const json = nlohmann::json::parse(read_text(folder() / "r" / "metrics.json"));
    EXPECT_TRUE(json.at("metrics").at("auroc").at("value").is_null());
    EXPECT_FALSE(json.at("metrics").at("accuracy").contains("low"));
}

TEST_F(EvaluateTest, RecordsWithoutAClassAreLeftOutAndCounted) {
    file("labels.tsv", "a\tred\nb\tblue\n");
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("stranger", bases(60)) + fasta("b", bases(70)));
    auto const run = evaluate({"--labels", "labels.tsv", input});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(metrics(run.out).at("rows")[1], "2");
    EXPECT_NE(run.err.find("1 rows left out: no label is known for them (stranger is the first)"), std::string::npos)
        << run.err;
}

TEST_F(EvaluateTest, FailedRecordsAreNamedAndTheRestIsEvaluated) {
    file("labels.tsv", "a\tred\nevil\tred\nb\tblue\n");
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("evil", "ACJT") + fasta("b", bases(70)));
    auto const run = evaluate({"-q", "--labels", "labels.tsv", input, "-o", "report"});
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_EQ(metrics(run.out).at("rows")[1], "2");
    EXPECT_NE(run.err.find("evil"), std::string::npos) << run.err;
    EXPECT_EQ(nlohmann::json::parse(read_text(folder() / "report" / "metrics.json")).at("failed"), 1);
}

TEST_F(EvaluateTest, RefusesWhatCannotBeCompared) {
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("b", bases(60)));
    refused({"-o", "report", input}, "--labels");
    refused({"-o", "report", "--labels", "missing.tsv", input}, "missing.tsv");
    refused({"-o", "report", "--labels", file("other.tsv", "a\tpink\nb\tgrey\n"), input}, "'grey', 'pink'");
    refused({"-o", "report", "--labels", file("known.tsv", "a\tred\nb\tpink\n"), input}, "red, green, blue");
    refused({"-o", "report", "--labels", file("none.tsv", "c\tred\n"), input}, "none of the 2 rows");
    refused({"-o", "report", "--labels", file("l.tsv", "a\tred\n"), input, "--per-record"}, "--window");
    refused({"-o", "report", "--labels", "l.tsv", "gone.fa"}, "No such file or directory; nothing else was read");
    refused({"-o", "report", "--labels", file("empty.tsv", ""), input}, "empty.tsv: holds no line");
    refused({"-o", "report", "--labels", folder().string(), input}, "Is a directory");
    refused({"-o", "report", "--labels-from", "header", input}, "has a word label=");
    refused({"-o", "report", "--labels", "l.tsv", file("empty.fa", "")}, "no record of the inputs");
    model_ = make_headless_model(folder());
    refused({"-o", "report", "--labels", "l.tsv", input}, "no classifier head");
    auto config = mamba_config(16);
    config["id2label"] = {{"0", "red"}};
    model_ = make_model(folder(), "single", config, {});
    refused({"-o", "report", "--labels", "l.tsv", input}, "single class");
}

TEST_F(EvaluateTest, AReportIsNeverOverwritten) {
    Strings const arguments{"-q", "--labels", file("l.tsv", "a\tred\n"), file("x.fa", fasta("a", bases(50))),
                            "-o", "report"};
    EXPECT_EQ(evaluate(arguments).exit_code, 0);
    auto const again = evaluate(arguments);
    EXPECT_EQ(again.exit_code, 2);
    EXPECT_NE(again.err.find("--force"), std::string::npos) << again.err;
    auto forced = arguments;
    forced.emplace_back("--force");
    EXPECT_EQ(evaluate(forced).exit_code, 0);
}

} // namespace
} // namespace strandwave

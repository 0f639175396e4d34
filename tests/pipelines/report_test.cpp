#include "formats/block_file.h"
#include "lib/core/error.h"
#include "pipelines/report/class_rows.h"
#include "pipelines/report/principal_axes.h"
#include "pipelines/report/report_data.h"
#include "pipelines/report/row_figures.h"
#include "pipelines/report/tab_table.h"
#include "tests/support/batch_folder.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

namespace strandwave {
namespace {

using Counts = std::vector<index_t>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class Work>
ErrorCode code_of(Work const& work) {
    try {
        work();
    } catch (Error const& error) { return error.code(); }
    ADD_FAILURE() << "no error";
    return ErrorCode::io;
}

TEST(ConfidenceCounts, BinsAreHalfOpenButTheLast) {
    ConfidenceCounts counts;
    for (double const value : {0.0, 0.04, 0.05, 0.29, 0.95, 1.0, 1.0}) {
        counts.add(value, Verdict::correct);
    }
    counts.add(0.06, Verdict::wrong);
    counts.add(kNaN, Verdict::wrong);
    auto const bins = counts.histogram(Verdict::correct, 20);
    EXPECT_EQ(bins[0], 2);
    EXPECT_EQ(bins[1], 1);
    EXPECT_EQ(bins[5], 1);
    EXPECT_EQ(bins[19], 3);
    EXPECT_EQ(counts.histogram(Verdict::correct, 100)[29], 1);
    EXPECT_EQ(counts.histogram(Verdict::wrong, 20)[1], 1);
    EXPECT_EQ(counts.rows(), 8);
    EXPECT_EQ(counts.not_finite(), 1);
}

TEST(ConfidenceCounts, QuantilesAreThoseOfAllRows) {
    ConfidenceCounts counts;
    EXPECT_TRUE(std::isnan(counts.quantile(0.5)));
    for (int i = 0; i < 100; ++i) {
        counts.add(i / 100.0, i % 2 == 0 ? Verdict::correct : Verdict::unlabelled);
    }
    EXPECT_NEAR(counts.quantile(0.5), 0.49, 0.001);
    EXPECT_NEAR(counts.quantile(0.05), 0.04, 0.001);
    EXPECT_NEAR(counts.quantile(0), 0.0, 0.001);
    EXPECT_NEAR(counts.quantile(1), 0.99, 0.001);
}

TEST(LengthConfidence, ColumnsHoldEveryRowOnce) {
    LengthConfidence lengths;
    for (int i = 0; i < 1000; ++i) {
        lengths.add(100 + 37 * i, (i % 50) / 50.0, i < 500 ? Verdict::correct : Verdict::wrong);
    }
    lengths.add(0, 0.5, Verdict::correct);
    lengths.add(kNaN, 0.5, Verdict::correct);
    lengths.add(100, kNaN, Verdict::correct);
    EXPECT_EQ(lengths.rows(), 1000);
    EXPECT_EQ(lengths.shortest(), 100);
    EXPECT_EQ(lengths.longest(), 100 + 37 * 999);
    for (index_t const most : {1, 7, 40, 1000}) {
        auto const columns = lengths.columns(most);
        EXPECT_LE(static_cast<index_t>(columns.size()), most);
        index_t rows = 0;
        index_t labelled = 0;
        index_t correct = 0;
        for (std::size_t i = 0; i < columns.size(); ++i) {
            rows += columns[i].all();
            labelled += columns[i].labelled;
            correct += columns[i].correct;
            if (i > 0) { EXPECT_EQ(columns[i].low, columns[i - 1].high); }
        }
        EXPECT_EQ(rows, 1000);
        EXPECT_EQ(labelled, 1000);
        EXPECT_EQ(correct, 500);
        EXPECT_LE(columns.front().low, 100);
        EXPECT_GT(columns.back().high, lengths.longest());
    }
}

TEST(LengthConfidence, AColumnKnowsItsMedian) {
    LengthConfidence lengths;
    for (double const confidence : {0.11, 0.61, 0.61, 0.61, 0.99}) {
        lengths.add(1024, confidence, Verdict::unlabelled);
    }
    auto const columns = lengths.columns(40);
    ASSERT_EQ(columns.size(), 1U);
    EXPECT_NEAR(columns[0].median(), 0.61, 0.5 / LengthConfidence::kConfidenceSteps);
    EXPECT_EQ(columns[0].rows[24], 3);
    EXPECT_LE(columns[0].low, 1024);
    EXPECT_GT(columns[0].high, 1024);
}

TEST(TruthCounts, ConfusionIsInTheModelsOrder) {
    TruthCounts truths;
    EXPECT_EQ(truths.add("mouse", "mouse"), Verdict::correct);
    EXPECT_EQ(truths.add("mouse", "human"), Verdict::wrong);
    EXPECT_EQ(truths.add("human", "unclassified"), Verdict::wrong);
    EXPECT_EQ(truths.add("yeast", "human"), Verdict::wrong);
    auto const all = truths.confusion({"human", "fly", "mouse"});
    EXPECT_EQ(all.names, (std::vector<std::string>{"human", "mouse", "unclassified", "yeast"}));
    EXPECT_EQ(all.confusion.counts, (Counts{0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}));
    EXPECT_EQ(accuracy(all.confusion), 0.25);
}

TEST(TruthCounts, HoldsABoundedNumberOfNames) {
    TruthCounts truths;
    constexpr int kRows = 2000;
    for (int i = 0; i < kRows; ++i) {
        truths.add("t" + std::to_string(i), "t" + std::to_string(i));
    }
    auto const all = truths.confusion({});
    EXPECT_EQ(all.names.size(), TruthCounts::kMostNames + 1);
    EXPECT_EQ(all.confusion.rows(), kRows);
}

TEST(LargestClasses, KeepsEveryRow) {
    NamedConfusion all{{"a", "b", "c", "d"}, Confusion(4)};
    all.confusion.counts = {1, 0, 0, 2, 0, 50, 3, 0, 0, 4, 60, 0, 5, 0, 6, 7};
    auto const shown = largest_classes(all, 2, "rest");
    EXPECT_EQ(shown.names, (std::vector<std::string>{"b", "c", "rest"}));
    EXPECT_EQ(shown.confusion.counts, (Counts{50, 3, 0, 4, 60, 0, 0, 6, 15}));
    EXPECT_EQ(largest_classes(all, 4, "rest").names, all.names);
}

/// Rows a (3, 4, 0) / 5 + b (-4, 3, 0) / 5 far from 0, with a in +-10 and b in +-2, all four combinations.
std::vector<float> cross(double offset) {
    std::vector<float> values;
    for (auto const& [a, b] : {std::pair{10.0, 2.0}, {10.0, -2.0}, {-10.0, 2.0}, {-10.0, -2.0}}) {
        values.push_back(static_cast<float>(offset + 0.6 * a - 0.8 * b));
        values.push_back(static_cast<float>(offset + 0.8 * a + 0.6 * b));
        values.push_back(static_cast<float>(offset));
    }
    return values;
}

TEST(PrincipalAxes, FindTheAxesOfAKnownCloud) {
    for (double const offset : {0.0, 1000.0}) {
        auto const values = cross(offset);
        PrincipalAxes axes(3, 4);
        for (index_t i = 0; i < 4; ++i) {
            axes.add({values.data() + 3 * i, 3}, i);
        }
        auto const projection = axes.finish();
        EXPECT_NEAR(projection.x_share, 100.0 / 104, 1e-6);
        EXPECT_NEAR(projection.y_share, 4.0 / 104, 1e-6);
        EXPECT_EQ(projection.measured, 4);
        ASSERT_EQ(projection.rows.size(), 4U);
        // (0.6, 0.8, 0) is the sign with a positive largest coefficient, and so is (0.8, -0.6, 0).
        constexpr std::array<std::pair<double, double>, 4> kPlaces{{{10, -2}, {10, 2}, {-10, -2}, {-10, 2}}};
        double const tolerance = 1e-5 + offset * 0x1p-22; // what a float holds
        for (std::size_t i = 0; i < 4; ++i) {
            EXPECT_NEAR(projection.rows[i].x, kPlaces[i].first, tolerance);
            EXPECT_NEAR(projection.rows[i].y, kPlaces[i].second, tolerance);
            EXPECT_EQ(projection.rows[i].group, static_cast<index_t>(i));
        }
    }
}

TEST(PrincipalAxes, DrawEvenlySpacedRows) {
    constexpr index_t kRows = 3 * PrincipalAxes::kProjectedRows;
    PrincipalAxes axes(2, kRows);
    for (index_t i = 0; i < kRows; ++i) {
        std::array<float, 2> const row{static_cast<float>(i), 0};
        axes.add({row.data(), 2}, i);
    }
    auto const projection = axes.finish();
    ASSERT_EQ(static_cast<index_t>(projection.rows.size()), PrincipalAxes::kProjectedRows);
    for (std::size_t i = 1; i < projection.rows.size(); ++i) {
        ASSERT_EQ(projection.rows[i].group - projection.rows[i - 1].group, 3);
    }
    EXPECT_NEAR(projection.x_share, 1, 1e-12);
}

TEST(PrincipalAxes, OneDimensionEqualRowsAndNaN) {
    PrincipalAxes line(1, 3);
    for (float const value : {1.0F, std::numeric_limits<float>::quiet_NaN(), 3.0F}) {
        line.add({&value, 1}, 0);
    }
    auto const projection = line.finish();
    EXPECT_EQ(projection.not_finite, 1);
    ASSERT_EQ(projection.rows.size(), 2U);
    EXPECT_NEAR(projection.rows[1].x, 1, 1e-12);
    EXPECT_EQ(projection.rows[1].y, 0);

    PrincipalAxes equal(2, 2);
    std::array<float, 2> const row{5, 5};
    equal.add({row.data(), 2}, 0);
    equal.add({row.data(), 2}, 0);
    auto const point = equal.finish();
    EXPECT_EQ(point.x_share, 0);
    EXPECT_EQ(point.rows[0].x, 0);
    EXPECT_EQ(code_of([] { PrincipalAxes(PrincipalAxes::kWidest + 1, 1); }), ErrorCode::invalid_argument);
}

class ReportDataTest : public testing::Test {
protected:
    ReportData read(LabelOptions const& labels = {}) { return read_report_data(batch_.path(), labels); }

    static std::string rows(std::vector<BatchFolder::Cells> const& all) {
        std::string text = BatchFolder::line({"name", "start", "end", "label", "probability"});
        for (auto const& row : all) {
            text += BatchFolder::line(row);
        }
        return text;
    }
    static std::string three_rows() {
        return rows({{"r0", "0", "100", "A", "0.99"}, {"r1", "50", "250", "B", "0.6"}, {"r2", "0", "100", "A", "nan"}});
    }

    BatchFolder batch_{{"A", "B", "unclassified"}};
};

TEST_F(ReportDataTest, AddsUpTheCompleteInputs) {
    batch_.input({"x/a.fq", "", "A", "complete"}, 3, 2, {2, 1, 0}, "x/a.fq.classes.tsv");
    batch_.input({"b.fq", "two", "", "complete"}, 1, 0, {0, 0, 1}, "b.fq.classes.jsonl");
    batch_.input({"c.fq", "", "B", "failed"}, 3, 0, {2, 1, 0}, "c.fq.classes.tsv", "cut short");
    batch_.file("x/a.fq.classes.tsv", three_rows());
    batch_.file("c.fq.classes.tsv", three_rows());
    batch_.file("b.fq.classes.jsonl", "{\"file\":\"b.fq\",\"name\":\"q\",\"start\":0,\"end\":1000,\"label\":"
                                      "\"unclassified\",\"probability\":0.4}\n");
    batch_.finish(R"({"strandwave": "0.1.0", "task": "classify", "model": {"labels": ["B", "A"]}})",
                  BatchFolder::line({"x/a.fq", "1", "r9", "malformed_input", "why"}) +
                      BatchFolder::line({"c.fq", "", "", "truncated_input", "cut"}));
    auto const data = read();
    EXPECT_EQ(data.problems.total, 0) << data.problems.first.front();
    EXPECT_EQ(data.summary.inputs.size(), 3U);
    EXPECT_EQ(data.summary.complete(), 2);
    EXPECT_EQ(data.summary.rows, 7);
    EXPECT_EQ(data.summary.failed, 2);
    EXPECT_EQ(data.summary.class_rows(), (Counts{2, 1, 1}));
    ASSERT_EQ(data.summary.skipped.size(), 2U);
    EXPECT_EQ(data.summary.skipped[0].count, 9);
    EXPECT_EQ(data.confidence.rows(), 3);
    EXPECT_EQ(data.confidence.not_finite(), 1);
    EXPECT_EQ(data.confidence.rows(Verdict::unlabelled), 1);
    EXPECT_EQ(data.lengths.shortest(), 100);
    EXPECT_EQ(data.lengths.longest(), 1000);
    EXPECT_EQ(data.truths.rows(), 3);
    EXPECT_EQ(data.truths.confusion(data.run.labels).names, (std::vector<std::string>{"B", "A"}));
    EXPECT_EQ(data.failures.total, 2);
    EXPECT_EQ(data.failures.by_code.at("truncated_input"), 1);
    EXPECT_FALSE(data.embeddings);
}

TEST_F(ReportDataTest, ReadsCompressedTablesAndSecondsOfSound) {
    BlockFile table(batch_.outside() / "a.wav.classes.tsv.gz", BlockFile::Compression::bgzf);
    table.write("name\tstart\tend\tstart_s\tend_s\tlabel\tprobability\na.wav\t0\t8000\t0.000000\t0.500000\tA\t0.7\n");
    table.end_block();
    table.commit();
    index_t rows = 0;
    read_class_rows(batch_.outside() / "a.wav.classes.tsv.gz", [&](ClassifiedRow const& row) {
        ++rows;
        EXPECT_TRUE(row.seconds);
        EXPECT_EQ(row.length, 0.5);
        EXPECT_EQ(row.label, "A");
    });
    EXPECT_EQ(rows, 1);
}

TEST_F(ReportDataTest, MissingAndDamagedFilesAreProblems) {
    batch_.input({"a", "", "", "complete"}, 3, 0, {2, 1, 0}, "a.classes.tsv,a.labels.txt");
    batch_.input({"b", "", "", "complete"}, 3, 0, {2, 1, 0}, "b.classes.tsv");
    batch_.input({"c", "", "", "complete"}, 4, 0, {2, 1, 0}, "c.classes.tsv");
    batch_.input({"d", "", "", "complete"}, 3, 0, {2, 1, 0}, "d.classes.tsv.gz");
    batch_.file("a.classes.tsv", three_rows());
    batch_.file("b.classes.tsv", three_rows().substr(0, 60));
    batch_.file("c.classes.tsv", three_rows());
    batch_.file("d.classes.tsv.gz", "\x1f\x8b\x08");
    batch_.finish();
    auto const data = read();
    ASSERT_EQ(data.problems.total, 4);
    EXPECT_NE(data.problems.first[0].find("a.labels.txt: summary.tsv lists it"), std::string::npos);
    EXPECT_NE(data.problems.first[1].find("b.classes.tsv: line 3"), std::string::npos) << data.problems.first[1];
    EXPECT_NE(data.problems.first[2].find("c.classes.tsv: has 3 rows"), std::string::npos);
    EXPECT_NE(data.problems.first[3].find("d.classes.tsv.gz"), std::string::npos);
    EXPECT_EQ(data.confidence.rows(), 2 + 1 + 2) << "what could be read counts";
}

TEST_F(ReportDataTest, WhatIsNoBatchIsRefused) {
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::not_found);
    std::filesystem::create_directory(batch_.path());
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::not_found);
    batch_.finish();
    std::filesystem::remove(batch_.path() / "failures.tsv");
    EXPECT_EQ(read().problems.total, 0) << "nothing failed";
    batch_.file("run.json", "[1]");
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::malformed_input);
    batch_.finish();
    batch_.file("summary.tsv", "input\tstatus\n");
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::malformed_input) << "no column outputs";
    batch_.file("summary.tsv", "input\tstatus\toutputs\na\tcomplete\n");
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::malformed_input);
    batch_.file("summary.tsv", "input\tstatus\toutputs\na\tcomplete\t");
    EXPECT_EQ(code_of([&] { read(); }), ErrorCode::truncated_input);
}

TEST_F(ReportDataTest, CommasInNamesOfOutputs) {
    batch_.input({"a,b", "", "", "complete"}, 3, 0, {2, 1, 0}, "a,b.classes.tsv,gone.bed,a,b.labels.txt");
    batch_.file("a,b.classes.tsv", three_rows());
    batch_.file("a,b.labels.txt", "");
    batch_.finish();
    auto const data = read();
    EXPECT_EQ(data.summary.inputs[0].outputs.size(), 2U) << "what is missing hides the beginning of the next name";
    EXPECT_EQ(data.problems.total, 1);
    EXPECT_EQ(data.confidence.rows(), 2);
}

TEST_F(ReportDataTest, LabelsOfATableComeBeforeThoseOfTheSheet) {
    batch_.input({"a", "", "A", "complete"}, 3, 0, {2, 1, 0}, "a.classes.tsv");
    batch_.file("a.classes.tsv", three_rows());
    batch_.finish();
    LabelOptions labels;
    labels.table = write_text(batch_.outside() / "labels.tsv", "r0\tB\nr1\tB\n");
    auto const data = read(labels);
    EXPECT_EQ(data.truths.rows(), 2);
    EXPECT_EQ(accuracy(data.truths.confusion({"A", "B"}).confusion), 0.5);
    EXPECT_EQ(data.confidence.rows(Verdict::unlabelled), 0) << "the row without a finite probability is r2";
}

TEST(ReportEmbeddings, AreGroupedByInputOrLabel) {
    BatchFolder batch;
    batch.input({"a", "first", "", "complete"}, 2, 0, {}, "a.embeddings.npy,a.embeddings.tsv");
    batch.input({"b", "", "", "complete"}, 2, 0, {}, "b.embeddings.npy");
    batch.input({"c", "", "", "complete"}, 1, 0, {}, "c.embeddings.npy");
    auto const values = cross(0);
    batch.embeddings("a.embeddings.npy", {values.begin(), values.begin() + 6}, 3);
    batch.embeddings("b.embeddings.npy", {values.begin() + 6, values.end()}, 3);
    batch.embeddings("c.embeddings.npy", {1, 2}, 2);
    batch.file("a.embeddings.tsv", "name\tstart\tend\nr0\t0\t1\nr1\t0\t1\n");
    batch.file("b.embeddings.tsv", "name\tstart\tend\nr2\t0\t1\nr3\t0\t1\n");
    batch.finish();
    auto const by_input = read_report_data(batch.path(), {});
    EXPECT_EQ(by_input.problems.total, 1) << "c is narrower";
    ASSERT_TRUE(by_input.embeddings);
    EXPECT_EQ(by_input.embeddings->rows, 4);
    EXPECT_FALSE(by_input.embeddings->by_label);
    ASSERT_EQ(by_input.embeddings->groups.size(), 2U);
    EXPECT_EQ(by_input.embeddings->groups[0].name, "first");
    EXPECT_EQ(by_input.embeddings->groups[1].count, 2);
    EXPECT_NEAR(by_input.embeddings->projection.rows[3].x, -10, 1e-5);

    LabelOptions labels;
    labels.table = write_text(batch.outside() / "labels.tsv", "r0\tX\nr3\tX\nr1\tY\n");
    auto const by_label = read_report_data(batch.path(), labels);
    ASSERT_TRUE(by_label.embeddings);
    ASSERT_EQ(by_label.embeddings->groups.size(), 3U);
    EXPECT_EQ(by_label.embeddings->groups[0].count, 2);
    EXPECT_EQ(by_label.embeddings->groups[2].name, "");
    EXPECT_EQ(by_label.embeddings->projection.rows[3].group, 0);
}

} // namespace
} // namespace strandwave

#include "pipelines/report/report_page.h"
#include "tests/support/batch_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

std::size_t count(std::string const& text, std::string const& what) {
    std::size_t found = 0;
    for (auto place = text.find(what); place != std::string::npos; place = text.find(what, place + 1)) {
        ++found;
    }
    return found;
}

bool has(std::string const& text, std::string const& what) { return text.find(what) != std::string::npos; }

/// The page closes what it opens, is UTF-8, and asks nothing of the world outside.
void expect_sound(std::string const& page) {
    EXPECT_EQ(page.rfind("<!DOCTYPE html>", 0), 0U);
    for (auto const* tag : {"section", "table", "tr", "details", "svg", "figure", "ul", "dl", "div", "bdi", "p"}) {
        std::string const name(tag);
        EXPECT_EQ(count(page, "<" + name + ">") + count(page, "<" + name + " "), count(page, "</" + name + ">")) << tag;
    }
    for (auto const* word : {"<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "http:", "https:", "//",
                             "NaN", ">nan", ">inf", "javascript:"}) {
        EXPECT_FALSE(has(page, word)) << word;
    }
    EXPECT_NO_THROW(static_cast<void>(nlohmann::json(page).dump())) << "not UTF-8";
    EXPECT_TRUE(has(page, "name=\"viewport\""));
    EXPECT_TRUE(has(page, "default-src 'none'; style-src 'unsafe-inline'"));
    EXPECT_TRUE(has(page, "prefers-color-scheme:dark"));
    EXPECT_EQ(count(page, "<svg"), count(page, "role=\"img\" aria-labelledby=")) << "every picture has a name";
    EXPECT_LE(page.size(), kLargestPage);
}

class ReportTest : public testing::Test {
protected:
    ProgramRun report(Strings const& extra = {}) {
        Strings arguments{"report", batch_.path().string()};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        return run_program(batch_.outside(), arguments);
    }
    std::string page() const { return read_text(batch_.path() / "report.html"); }
    static bool has_section(std::string const& page, std::string const& id) {
        return has(page, "<section id=\"" + id + "\"") && has(page, "<a href=\"#" + id + "\"");
    }
    static std::string rows(int count, int shift = 0) {
        std::string text = BatchFolder::line({"name", "start", "end", "label", "probability"});
        for (int i = 0; i < count; ++i) {
            auto const label = (i + shift) % 3 == 0 ? "B" : "A";
            text += BatchFolder::line({"r" + std::to_string(i), "0", std::to_string(100 + 90 * i), label,
                                       "0." + std::to_string(40 + i % 60)});
        }
        return text;
    }
    /// Two inputs of 60 rows with labels, one failed.
    void classified() {
        batch_.input({"a.fq", "", "A", "complete"}, 60, 1, {40, 20, 0}, "a.fq.classes.tsv");
        batch_.input({"b.fq", "", "B", "complete"}, 60, 0, {40, 20, 0}, "b.fq.classes.tsv");
        batch_.input({"c.fq", "", "", "failed"}, 0, 0, {0, 0, 0}, "", "c.fq: ends early");
        batch_.file("a.fq.classes.tsv", rows(60));
        batch_.file("b.fq.classes.tsv", rows(60, 1));
        batch_.finish(
            R"({"strandwave": "0.1.0", "task": "classify", "command": "strandwave batch ...", "threads": 8,
                "model": {"directory": "m", "parameters": 1234567, "labels": ["A", "B"]},
                "figures": {"seconds": 75.4, "tokens_per_second": 9876543.2, "wait_share": 0.031,
                            "peak_memory_bytes": 1610612736},
                "settings": {"window": 1000, "preprocessor": "{\"pool\": \"mean\"}"}, "started": "2025-01-02T03:04:05Z"})",
            BatchFolder::line({"a.fq", "7", "r7", "malformed_input", "a.fq: record r7: not a base"}));
    }

    BatchFolder batch_{{"A", "B", "unclassified"}};
};

TEST_F(ReportTest, AClassifiedRunGetsItsSections) {
    classified();
    auto const run = report({"--title", "Run & 12"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.out, "");
    auto const html = page();
    expect_sound(html);
    EXPECT_EQ(count(html, "Run &amp; 12"), 2U) << "title and heading";
    for (auto const* id : {"classes", "confidence", "length", "confusion", "inputs", "failures", "run"}) {
        EXPECT_TRUE(has_section(html, id)) << id;
    }
    for (auto const* id : {"problems", "embeddings"}) {
        EXPECT_FALSE(has_section(html, id)) << id;
    }
    EXPECT_TRUE(has(html, "<dt>Accuracy</dt><dd>50.0%</dd>"));
    EXPECT_TRUE(has(html, "<dt>Inputs complete</dt><dd>2 of 3</dd>"));
    EXPECT_TRUE(has(html, "<td class=\"h5 same\">40</td><td class=\"h3\">20</td>")) << "of true A";
    for (auto const* text : {"1,234,567", "9,876,543", "1 min 15 s", "3.1%", "1.5 GiB", "preprocessor.pool",
                             "2025-01-02 03:04:05 UTC", "c.fq: ends early", "a.fq: record r7: not a base"}) {
        EXPECT_TRUE(has(html, text)) << text;
    }
}

TEST_F(ReportTest, TheSameFolderGivesTheSameBytes) {
    classified();
    ASSERT_EQ(report().exit_code, 0);
    auto const first = page();
    EXPECT_EQ(report().exit_code, 2) << "the page is there already";
    EXPECT_EQ(report({"--force"}).exit_code, 0);
    EXPECT_EQ(page(), first);
    auto const printed = report({"-o", "-"});
    EXPECT_EQ(printed.exit_code, 0);
    EXPECT_EQ(printed.out, first);
    EXPECT_EQ(report({"-o", "other.html", "-q"}).err, "");
    EXPECT_EQ(read_text(batch_.outside() / "other.html"), first);
}

TEST_F(ReportTest, WithoutLabelsNothingIsTrueOrFalse) {
    batch_.input({"a.fq", "", "", "complete"}, 60, 0, {40, 20, 0}, "a.fq.classes.tsv");
    batch_.file("a.fq.classes.tsv", rows(60));
    batch_.finish();
    ASSERT_EQ(report().exit_code, 0);
    auto const html = page();
    expect_sound(html);
    EXPECT_FALSE(has_section(html, "confusion"));
    EXPECT_FALSE(has(html, "Accuracy"));
    EXPECT_TRUE(has_section(html, "confidence"));

    write_text(batch_.outside() / "labels.tsv", "r0\tB\nr1\tB\n");
    EXPECT_EQ(report({"--force", "--labels", "labels.tsv"}).exit_code, 0);
    EXPECT_TRUE(has(page(), "Of 2 rows with a known class, without 58 whose class is not known."));
    EXPECT_EQ(report({"--force", "--labels-from", "file"}).exit_code, 0);
    EXPECT_TRUE(has(page(), "Of 60 rows with a known class."));
}

TEST_F(ReportTest, ARunWithoutRowsOrInputsIsAPageToo) {
    batch_.finish("{}");
    ASSERT_EQ(report().exit_code, 0);
    expect_sound(page());
    EXPECT_FALSE(has(page(), "<section id=\"inputs\""));
    batch_.input({"empty.fq", "", "A", "complete"}, 0, 0, {0, 0, 0}, "empty.fq.classes.tsv");
    batch_.file("empty.fq.classes.tsv", rows(0));
    batch_.finish("{}");
    ASSERT_EQ(report({"--force"}).exit_code, 0);
    expect_sound(page());
    for (auto const* id : {"classes", "confidence", "length", "confusion", "embeddings"}) {
        EXPECT_FALSE(has_section(page(), id)) << id;
    }
    EXPECT_TRUE(has_section(page(), "inputs"));
}

TEST_F(ReportTest, MissingFilesAreOnThePageAndInTheExitCode) {
    classified();
    std::filesystem::remove(batch_.path() / "b.fq.classes.tsv");
    auto const run = report();
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_TRUE(has(run.err, "b.fq.classes.tsv")) << run.err;
    EXPECT_TRUE(has_section(page(), "problems"));
    EXPECT_TRUE(has(page(), "b.fq.classes.tsv: summary.tsv lists it"));
    expect_sound(page());
}

TEST_F(ReportTest, WhatIsNoBatchExitsWithTwo) {
    auto const run = report();
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_TRUE(has(run.err, "no such folder")) << run.err;
    batch_.file("reads.fq", "");
    auto const again = report();
    EXPECT_EQ(again.exit_code, 2);
    EXPECT_TRUE(has(again.err, "holds no run.json")) << again.err;
    EXPECT_FALSE(std::filesystem::exists(batch_.path() / "report.html"));
}

TEST_F(ReportTest, EmbeddingsOfAKnownCloudAreDrawn) {
    batch_.input({"a", "", "", "complete"}, 4, 0, {0, 0, 0}, "a.embeddings.npy");
    batch_.embeddings("a.embeddings.npy", {10, 2, 10, -2, -10, 2, -10, -2}, 2);
    batch_.finish(R"({"task": "embed"})");
    ASSERT_EQ(report().exit_code, 0);
    expect_sound(page());
    EXPECT_TRUE(has_section(page(), "embeddings"));
    EXPECT_TRUE(has(page(), "axis 1 (96.2% of variance)"));
    EXPECT_FALSE(has_section(page(), "confidence"));
    auto const dots = page().substr(page().find("<path class=\"dots k0\""));
    EXPECT_EQ(count(dots.substr(0, dots.find("/>")), "h0"), 4U);
}

/// Names that try to be markup, and that are no text at all.
std::string const kNasty = "<script>alert(\"x\")</script>&'\xff\xc3 \xe2\x80\xae\x01";

TEST_F(ReportTest, NamesCannotBreakThePage) {
    BatchFolder batch({kNasty, "unclassified"});
    batch.input({kNasty, kNasty, kNasty, "complete"}, 1, 1, {1, 0}, "a.classes.tsv");
    batch.input({kNasty, "", "", "failed"}, 0, 0, {0, 0}, kNasty, kNasty);
    batch.file("a.classes.tsv", BatchFolder::line({"name", "start", "end", "label", "probability"}) +
                                    BatchFolder::line({kNasty, "0", "9", kNasty, "0.5"}));
    batch.finish(R"({"task": "</title><b>", "command": "<i onclick=x>", "settings": {"<u>": ["</dd>"]}, "model": 7})",
                 BatchFolder::line({kNasty, kNasty, kNasty, kNasty, kNasty}));
    auto const run =
        run_program(batch.outside(), {"report", batch.path().string(), "--title", kNasty, "-o", "page.html"});
    EXPECT_EQ(run.exit_code, 1) << "an output of that name is missing";
    auto const html = read_text(batch.outside() / "page.html");
    expect_sound(html);
    EXPECT_GT(count(html, "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39;\xef\xbf\xbd"), 8U);
    for (auto const* markup : {"<b>", "<i onclick", "<u>", "\x01"}) {
        EXPECT_FALSE(has(html, markup)) << markup;
    }
    EXPECT_EQ(count(html, "</dd>"), count(html, "<dd>"));
}

TEST_F(ReportTest, ThePageIsBoundedHoweverLargeTheRun) {
    std::string const longest(5000, '"'); // each is six bytes of a page
    Strings classes;
    for (int k = 0; k < 120; ++k) {
        classes.push_back(std::to_string(k) + longest);
    }
    BatchFolder batch(classes);
    std::string failures;
    for (int i = 0; i < 260; ++i) {
        auto const name = std::to_string(i) + longest;
        auto const number = std::to_string(i);
        std::vector<int> class_rows(classes.size(), 1 + i % 3);
        bool const failed = i % 3 == 0;
        batch.input({name, "", name, failed ? "failed" : "complete"}, 1, 1, class_rows,
                    failed ? "" : number + ".classes.tsv", name);
        if (!failed) {
            batch.file(number + ".classes.tsv",
                       BatchFolder::line({"name", "start", "end", "label", "probability"}) +
                           BatchFolder::line({name, "0", std::to_string(1 + i * i), classes[i % 120], "0.5"}));
        }
        failures += BatchFolder::line({name, name, name, name, name});
    }
    nlohmann::json settings;
    for (int i = 0; i < 300; ++i) {
        settings[std::to_string(i) + longest] = longest;
    }
    batch.finish(nlohmann::json{{"task", longest}, {"command", longest}, {"settings", settings}}.dump(), failures);
    auto const run = run_program(batch.outside(), {"report", batch.path().string(), "-o", "page.html"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    auto const html = read_text(batch.outside() / "page.html");
    expect_sound(html);
    EXPECT_TRUE(has(html, "The first 50 of 260"));
    EXPECT_TRUE(has(html, "Inputs 21 to 200 of 260"));
    EXPECT_TRUE(has(html, "all others</bdi></span>")) << "of the confusion matrix";
}

} // namespace
} // namespace strandwave

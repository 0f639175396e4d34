#include "kernels/linear/linear.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <sys/stat.h>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

class ClassifyTest : public testing::Test {
protected:
    /// classify with the causal DNA model, quiet unless `extra` wants otherwise.
    ProgramRun classify(Strings const& extra, std::string const& input = "") {
        Strings arguments{"classify", "--model", model_.string()};
        arguments.insert(arguments.end(), extra.begin(), extra.end());
        return run_program(folder_.path(), on_cpu(arguments), input);
    }
    std::string file(std::string const& name, std::string const& content) {
        return write_text(folder_.path() / name, content).string();
    }
    /// Cells of each line.
    static std::vector<Strings> table(std::string const& text) {
        std::vector<Strings> rows;
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            rows.emplace_back();
            std::istringstream cells(line);
            for (std::string cell; std::getline(cells, cell, '\t');) {
                rows.back().push_back(cell);
            }
        }
        return rows;
    }

    TempDir folder_;
    std::filesystem::path model_ = make_dna_model(folder_.path());
};

TEST_F(ClassifyTest, AFileThatIsGivenTwiceIsNamedAndCountsTwice) {
    auto const one = file("a.fa", fasta("one", "ACGT"));
    auto const link = (folder_.path() / "link.fa").string();
    std::filesystem::create_symlink(one, link);
    auto const run = classify({one, file("b.fa", fasta("one", "ACGT")), link, one});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(table(run.out).size(), 5U);
    EXPECT_NE(run.err.find("2 of 4 inputs repeat an earlier one (" + link + " is the first)"), std::string::npos)
        << run.err;
    EXPECT_EQ(classify({one, file("b.fa", "")}).err.find("repeat an earlier"), std::string::npos);
}

TEST_F(ClassifyTest, WritesOneRowARecord) {
    auto const run = classify({file("a.fa", fasta("one two", "ACGT") + fasta("three", bases(100)))});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    auto const rows = table(run.out);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0], Strings({"name", "start", "end", "label", "probability"}));
    EXPECT_EQ(rows[1][0], "one");
    EXPECT_EQ(rows[2][2], "100");
    EXPECT_NE(run.err.find("device cpu"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("dtype f32, threads "), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("2 records, 2 rows, 104 tokens"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("classes: "), std::string::npos) << run.err;
    EXPECT_EQ(run.err.find('\r'), std::string::npos) << "a progress line went into a file";
}

TEST_F(ClassifyTest, BytesDependOnNeitherThreadsNorChunkNorCompany) {
    auto const a = file("a.fa", fasta("a", bases(700, 1)) + fasta("b", bases(33, 2)));
    auto const b = file("b.fa", fasta("c", bases(90, 3)));
    auto const all = classify({"-q", a, b, "--probabilities"}).out;
    EXPECT_EQ(all, classify({"-q", a, b, "--probabilities", "--threads", "1", "--chunk", "7"}).out);
    EXPECT_EQ(all, classify({"-q", a, b, "--probabilities", "--threads", "2", "--chunk", "64"}).out);
    auto const one = table(classify({"-q", b, "--probabilities"}).out);
    auto const other = table(classify({"-q", b, a, "--probabilities"}).out);
    EXPECT_EQ(one[1], table(all)[3]);
    EXPECT_EQ(one[1], other[1]);
}

TEST_F(ClassifyTest, ProbabilitiesOfAllClassesSumToOne) {
    auto const rows = table(classify({"-q", "--probabilities", file("a.fa", fasta("a", bases(50)))}).out);
    ASSERT_EQ(rows[0].size(), 8U);
    EXPECT_EQ(rows[0][5], "p_red");
    EXPECT_EQ(rows[0][7], "p_blue");
    double sum = 0;
    for (std::size_t i = 5; i < 8; ++i) {
        sum += std::stod(rows[1][i]);
    }
    EXPECT_NEAR(sum, 1, 3e-6) << "three numbers of six digits";
}

TEST_F(ClassifyTest, JsonLinesParse) {
    auto const run =
        classify({"-q", "--format", "jsonl", "--probabilities", "-", "--window", "40"}, fasta("a\"b", bases(80)));
    std::istringstream lines(run.out);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
        auto const row = nlohmann::json::parse(line);
        EXPECT_EQ(row["name"], "a\"b");
        EXPECT_EQ(row["file"], "stdin");
        EXPECT_EQ(row["start"], 40 * count);
        EXPECT_EQ(row["probabilities"].size(), 3U);
        EXPECT_EQ(row["probabilities"][row["label"].get<std::string>()], row["probability"]);
    }
    EXPECT_EQ(count, 2);
}

TEST_F(ClassifyTest, WindowsEqualRecordsCutByHand) {
    auto const letters = bases(250);
    auto const windows =
        table(classify({"-q", "--window", "100", "--stride", "75", file("a.fa", fasta("a", letters))}).out);
    auto const cut =
        table(classify({"-q", file("b.fa", fasta("a", letters.substr(0, 100)) + fasta("a", letters.substr(75, 100)) +
                                               fasta("a", letters.substr(150)))})
                  .out);
    ASSERT_EQ(windows.size(), 4U);
    for (std::size_t i = 1; i < 4; ++i) {
        EXPECT_EQ(windows[i][3], cut[i][3]);
        EXPECT_EQ(windows[i][4], cut[i][4]);
        EXPECT_EQ(windows[i][1], std::to_string(75 * (i - 1)));
    }
    auto const per_record =
        table(classify({"-q", "--window", "100", "--per-record", file("a.fa", fasta("a", letters))}).out);
    ASSERT_EQ(per_record.size(), 2U);
    EXPECT_EQ(per_record[1][2], "250");
}

TEST_F(ClassifyTest, MinProbabilityLeavesRowsUnclassified) {
    auto const run = classify({"--min-probability", "1", file("a.fa", fasta("a", "ACGT"))});
    EXPECT_EQ(table(run.out)[1][3], "unclassified");
    EXPECT_NE(run.err.find("unclassified 1"), std::string::npos) << run.err;
}

TEST_F(ClassifyTest, StrandsDifferAndBothIsTheirMean) {
    auto const a = file("a.fa", fasta("a", bases(60)));
    auto const forward = classify({"-q", a, "--probabilities"}).out;
    auto const reverse = classify({"-q", a, "--probabilities", "--strand", "reverse"}).out;
    auto const both = classify({"-q", a, "--probabilities", "--strand", "both"}).out;
    EXPECT_NE(forward, reverse);
    EXPECT_NE(forward, both);
    EXPECT_NE(reverse, both);
    EXPECT_EQ(forward, classify({"-q", a, "--probabilities", "--strand", "forward"}).out);
}

TEST_F(ClassifyTest, PoolOverridesTheModel) {
    auto const a = file("a.fa", fasta("a", bases(60)));
    auto const mean = classify({"-q", a, "--probabilities"}).out;
    EXPECT_EQ(mean, classify({"-q", a, "--probabilities", "--pool", "mean"}).out);
    for (auto const* pool : {"max", "last", "first"}) {
        auto const run = classify({"-q", a, "--probabilities", "--pool", pool});
        EXPECT_EQ(run.exit_code, 0) << run.err;
        EXPECT_NE(run.out, mean) << pool;
    }
}

TEST_F(ClassifyTest, LetterPoliciesAreObeyedAndCounted) {
    auto const a = file("a.fa", fasta("a", "ACgtNNNRUacgt"));
    auto const run = classify({a});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_NE(run.err.find("6 lower case, 3 N, 1 other IUPAC codes, 1 U of 13"), std::string::npos) << run.err;
    EXPECT_NE(classify({a, "--n", "skip"}).err.find(" 9 tokens"), std::string::npos) << "R is read as N";
    EXPECT_NE(classify({"-q", a, "--lower-case", "mask", "--probabilities"}).out,
              classify({"-q", a, "--probabilities"}).out);
    EXPECT_NE(classify({"-q", a, "--iupac", "unknown", "--probabilities"}).out,
              classify({"-q", a, "--probabilities"}).out);
    for (auto const* flag : {"--lower-case", "--n", "--iupac", "--uracil"}) {
        EXPECT_EQ(classify({a, flag, "error"}).exit_code, 1) << flag;
        EXPECT_EQ(classify({a, flag, "perhaps"}).exit_code, 2) << flag;
    }
    EXPECT_NE(classify({a, "--special-tokens"}).err.find(" 14 tokens"), std::string::npos);
}

TEST_F(ClassifyTest, FailuresAreNamedAndTheRestGoesOn) {
    auto const bad = file("bad.fa", fasta("good", "ACGT") + fasta("evil", "ACJT") + fasta("fine", "ACGT"));
    auto const last = file("last.fa", fasta("last", "ACGT"));
    auto const run = classify({bad, (folder_.path() / "missing.fa").string(), last});
    EXPECT_EQ(run.exit_code, 1);
    auto const rows = table(run.out);
    ASSERT_EQ(rows.size(), 4U);
    EXPECT_EQ(rows[3][0], "last");
    EXPECT_NE(run.err.find("bad.fa: record evil: 'J' at offset 2"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("missing.fa"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("failed: 2"), std::string::npos) << run.err;
    EXPECT_NE(classify({"-q", bad}).err.find("evil"), std::string::npos) << "--quiet hides no errors";
}

TEST_F(ClassifyTest, AnOutputFileIsWholeAndNeverOverwritten) {
    auto const a = file("a.fa", fasta("a", "ACGT"));
    auto const out = (folder_.path() / "out.tsv").string();
    auto const first = classify({a, "-o", out});
    EXPECT_EQ(first.exit_code, 0) << first.err;
    EXPECT_EQ(first.out, "");
    auto const written = read_text(out);
    EXPECT_EQ(table(written).size(), 2U);
    auto const second = classify({a, "-o", out});
    EXPECT_EQ(second.exit_code, 2);
    EXPECT_NE(second.err.find("--force"), std::string::npos) << second.err;
    EXPECT_EQ(read_text(out), written);
    EXPECT_EQ(classify({a, a, "-o", out, "--force"}).exit_code, 0);
    EXPECT_EQ(table(read_text(out)).size(), 3U);
    EXPECT_EQ(classify({a, "-o", (folder_.path() / "no" / "where.tsv").string()}).exit_code, 2);
}

TEST_F(ClassifyTest, AnOutputTakesThePlaceOfNoInputFolderOrPipe) {
    auto const a = file("a.fa", fasta("a", "ACGT"));
    auto const refused = [&](std::string const& output, std::string const& why) {
        auto const run = classify({a, "-o", output, "--force"});
        EXPECT_EQ(run.exit_code, 2) << output;
        EXPECT_NE(run.err.find(why), std::string::npos) << run.err;
    };
    refused(a, "is an input too");
    EXPECT_EQ(read_text(a), fasta("a", "ACGT"));
    refused(folder_.path().string(), "is a folder");
    auto const pipe = (folder_.path() / "pipe").string();
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    refused(pipe, "a pipe");
    refused("", "an empty name");
}

TEST_F(ClassifyTest, InputFlagsChooseRecords) {
    auto const a = file("a.fa", fasta("a", bases(100)) + fasta("b", "ACG") + fasta("c", bases(50)));
    EXPECT_EQ(table(classify({"-q", a, "--limit", "2"}).out).size(), 3U);
    EXPECT_EQ(table(classify({"-q", a, "--min-length", "10"}).out).size(), 3U);
    EXPECT_NE(classify({a, "--min-length", "10"}).err.find("1 shorter"), std::string::npos);
    auto const region = table(classify({"-q", "--region", "a:11-20", "--region", "c", a, "--limit", "9"}).out);
    ASSERT_EQ(region.size(), 3U);
    EXPECT_EQ(Strings(region[1].begin(), region[1].begin() + 3), Strings({"a", "10", "20"}));
    auto const bed = table(classify({"-q", a, "--bed", file("a.bed", "c\t0\t5\n")}).out);
    EXPECT_EQ(Strings(bed[1].begin(), bed[1].begin() + 3), Strings({"c", "0", "5"}));
    EXPECT_EQ(classify({a, "--region", "zz:1-5"}).exit_code, 2);
}

TEST_F(ClassifyTest, WindowsOfSilenceAreCounted) {
    model_ = make_sound_model(folder_.path());
    auto sound = wav(16'000, 1, 8000);
    std::fill(sound.end() - 16'000, sound.end(), '\0');
    auto const run = classify({file("a.wav", sound), "--window", "0.5s", "--skip-silence", "-50"});
    EXPECT_EQ(table(run.out).size(), 3U) << run.out;
    EXPECT_NE(run.err.find("skipped: 2 windows below --skip-silence"), std::string::npos) << run.err;
}

TEST_F(ClassifyTest, AlignmentsAreSkippedUnlessKept) {
    auto const sam = file("a.sam", "@HD\tVN:1.6\n@SQ\tSN:c\tLN:100\n"
                                   "r1\t0\tc\t1\t60\t4M\t*\t0\t0\tACGT\tIIII\n"
                                   "r1\t256\tc\t9\t0\t4M\t*\t0\t0\tACGT\tIIII\n");
    EXPECT_EQ(table(classify({"-q", sam}).out).size(), 2U);
    EXPECT_NE(classify({sam}).err.find("1 secondary"), std::string::npos);
    EXPECT_EQ(table(classify({"-q", sam, "--keep-secondary"}).out).size(), 3U);
}

TEST_F(ClassifyTest, CramIsReadWithItsReferenceOnly) {
    std::filesystem::path const cram = STRANDWAVE_SOURCE_DIR "/data/formats/cram";
    auto const with = classify({(cram / "valid.cram").string(), "--reference", (cram / "reference.fa").string()});
    EXPECT_EQ(with.exit_code, 0) << with.err;
    EXPECT_GT(table(with.out).size(), 1U);
    auto const without = classify({(cram / "valid.cram").string()});
    EXPECT_EQ(without.exit_code, 1);
    EXPECT_NE(without.err.find("--reference"), std::string::npos) << without.err;
}

TEST_F(ClassifyTest, ModelsWithUnknownTensorsAreReadOnRequest) {
    auto const a = file("a.fa", fasta("a", "ACGT"));
    auto const plain = classify({"-q", a}).out;
    auto weights = read_text(model_ / "model.safetensors");
    std::uint64_t header = 0;
    std::memcpy(&header, weights.data(), sizeof header);
    auto json = nlohmann::json::parse(weights.substr(8, header));
    json["stranger"] = {{"dtype", "F32"}, {"shape", {0}}, {"data_offsets", {0, 0}}};
    auto const text = json.dump();
    auto const size = static_cast<std::uint64_t>(text.size());
    weights = std::string(reinterpret_cast<char const*>(&size), sizeof size) + text + weights.substr(8 + header);
    write_text(model_ / "model.safetensors", weights);
    auto const refused = classify({a});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_NE(refused.err.find("stranger"), std::string::npos) << refused.err;
    EXPECT_EQ(classify({"-q", a, "--ignore-extra"}).out, plain);
}

TEST_F(ClassifyTest, BidirectionalModelsNeedTheWholeRecord) {
    model_ = make_caduceus_model(folder_.path());
    auto const a = file("a.fa", fasta("long", bases(5000)) + fasta("short", bases(20)));
    EXPECT_EQ(classify({"-q", a, "--chunk", "64"}).exit_code, 0);
    auto const run = classify({"-q", a, "--max-memory", "100K"});
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_NE(run.err.find("--window"), std::string::npos) << run.err;
    EXPECT_EQ(table(run.out).size(), 2U);
    EXPECT_EQ(classify({a, "--max-memory", "lots"}).exit_code, 2);
}

TEST_F(ClassifyTest, EquivariantModelsReadBothStrandsAtOnce) {
    model_ = make_caduceus_model(folder_.path(), true);
    auto const a = file("a.fa", fasta("a", bases(200)));
    auto const forward = table(classify({"-q", a, "--probabilities"}).out);
    auto const reverse = table(classify({"-q", a, "--probabilities", "--strand", "reverse"}).out);
    for (std::size_t i = 4; i < 8; ++i) {
        EXPECT_NEAR(std::stod(forward[1][i]), std::stod(reverse[1][i]), 2e-6);
    }
}

TEST_F(ClassifyTest, SoundIsReadByChannelAndRaw) {
    model_ = make_sound_model(folder_.path());
    auto const a = file("a.wav", wav(400, 2, 8000));
    auto const mix = classify({"-q", a, "--probabilities"});
    EXPECT_EQ(mix.exit_code, 0) << mix.err;
    EXPECT_EQ(table(mix.out)[1][0], a);
    EXPECT_NE(classify({"-q", a, "--probabilities", "--channels", "first"}).out, mix.out);
    EXPECT_EQ(table(classify({"-q", a, "--channels", "each"}).out).size(), 3U);
    EXPECT_EQ(table(classify({"-q", a, "--window", "0.01s"}).out).size(), 6U);
    auto const raw = classify({"-q", "-", "--raw", "s16le:8000:1"}, std::string(200, 'x'));
    EXPECT_EQ(raw.exit_code, 0) << raw.err;
    EXPECT_EQ(table(raw.out)[1][2], "100");
    EXPECT_EQ(classify({"-", "--raw", "s16:8000"}).exit_code, 2);
    EXPECT_EQ(classify({a, "--strand", "both"}).exit_code, 2);
    for (auto const& flags : {Strings{"--n", "skip"}, {"--special-tokens"}, {"--trim-quality", "9"}}) {
        Strings arguments{a};
        arguments.insert(arguments.end(), flags.begin(), flags.end());
        EXPECT_EQ(classify(arguments).exit_code, 2) << flags[0] << " of sound";
    }
}

TEST_F(ClassifyTest, SetUpErrorsExitWithTwo) {
    auto const a = file("a.fa", fasta("a", "ACGT"));
    EXPECT_EQ(classify({a, "--per-record"}).exit_code, 2);
    auto const no_model = run_program(folder_.path(), on_cpu({"classify", "--model", a, a}));
    EXPECT_NE(no_model.err.find("a.fa: is a file; a model is the folder"), std::string::npos) << no_model.err;
    EXPECT_NE(classify({a, "--channels", "each"}).err.find("--channels is for sound"), std::string::npos);
    EXPECT_EQ(classify({a, ""}).exit_code, 2) << "an empty name";
    EXPECT_EQ(classify({a, "--stride", "5"}).exit_code, 2);
    EXPECT_EQ(classify({a, "--window", "5s"}).exit_code, 2);
    EXPECT_EQ(classify({a, "--dtype", "f8"}).exit_code, 2);
    EXPECT_EQ(classify({a, "--threads", "0"}).exit_code, 2);
    EXPECT_EQ(classify({}).exit_code, 2) << "no input";
    model_ = folder_.path() / "nowhere";
    auto const run = classify({a});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("nowhere"), std::string::npos) << run.err;
    model_ = make_headless_model(folder_.path());
    auto const headless = classify({a});
    EXPECT_EQ(headless.exit_code, 2);
    EXPECT_NE(headless.err.find("probe"), std::string::npos) << headless.err;
}

TEST_F(ClassifyTest, RunsInBf16) {
    auto const a = file("a.fa", fasta("a", bases(100)));
    auto const run = classify({a, "--dtype", "bf16", "--device", "cpu"});
    if (!bf16_is_supported()) {
        EXPECT_EQ(run.exit_code, 2);
        EXPECT_NE(run.err.find("f32"), std::string::npos) << run.err;
        return;
    }
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("dtype bf16"), std::string::npos) << run.err;
}

TEST_F(ClassifyTest, AReaderThatLeavesEndsTheRunQuietly) {
    std::string many;
    for (int i = 0; i < 3000; ++i) {
        many += fasta("record_with_a_long_name_" + std::to_string(i), "ACGT");
    }
    auto const a = file("many.fa", many);
    auto const run = run_program(folder_.path(),
                                 {"-c", "\"$0\" classify -q --device cpu --chunk 64 --model \"$1\" \"$2\" | head -n 2",
                                  STRANDWAVE_PROGRAM, model_.string(), a},
                                 "", "/bin/sh");
    EXPECT_EQ(table(run.out).size(), 2U);
    EXPECT_EQ(run.err, "");
}

} // namespace
} // namespace strandwave

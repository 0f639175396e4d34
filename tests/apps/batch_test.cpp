#include "formats/npy.h"
#include "tests/apps/batch_support.h"

#include <algorithm>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class BatchTest : public BatchProgramTest {
protected:
    /// Folders and files of names and contents that give trouble, all below mix/.
    void make_mixed_folder() const {
        std::vector<std::string> const folders = {"", "sub/", "deep er/", "new\nline/", "\xc3\xbc/", "\xff\xfe/"};
        for (auto const& folder : folders) {
            fs::create_directories(path() / ("mix/" + folder));
        }
        for (std::size_t i = 0; i < 54; ++i) {
            auto const name = "mix/" + folders[i % folders.size()] + "a" + std::to_string(i);
            auto const seed = static_cast<std::uint32_t>(i + 1);
            auto const reads = fastq("one d", bases(40, seed)) + fastq("none", "") + fastq("last", bases(7, seed));
            switch (i % 9) {
            case 0: file(name + ".fq", reads); break;
            case 1: compressed_file(name + ".fastq.gz", reads); break;
            case 2:
                file(name + ".fa", fasta("long", bases(300, seed)) + fasta("none", "") + fasta("n", "NNnnacgt"));
                break;
            case 3: file(name + ".sam", alignments(5)); break;
            case 4: fs::copy_file(bam(), path() / (name + ".bam")); break;
            case 5: file(name + ".fa", ""); break;
            case 6: file(name + ".fa", fasta("evil", "ACJGT") + fasta("good", "ACGT")); break;
            case 7: cut(compressed_file(name + ".fq.gz", reads), 30); break;
            default: fs::copy_file(bam(), path() / (name + ".bam")); cut(path() / (name + ".bam"), 60);
            }
        }
        file("mix/big.fa", many_records());
    }
    Path bam() const {
        if (!has("bams/a.sam.tagged.bam")) {
            batch({file("a.sam", alignments(6)).string(), "-O", "bams", "--format", "bam"});
        }
        return path() / "bams" / "a.sam.tagged.bam";
    }
    /// The file below `folder` whose name ends so.
    Path only(Path const& folder, std::string const& ending) const {
        for (auto const& [name, bytes] : contents(folder)) {
            if (name.size() >= ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0) {
                return folder / name;
            }
        }
        return "none";
    }
};

TEST_F(BatchTest, AFileBehindTheListOfFormatsIsAnInput) {
    EXPECT_EQ(
        batch({"--format", "tsv,jsonl", "--format", "bed", file("a.fa", fasta("a", "ACGT")).string(), "-O", "out"})
            .exit_code,
        0);
    EXPECT_EQ(rows("out/a.fa.classes.tsv").size(), 1U);
    EXPECT_TRUE(has("out/a.fa.classes.jsonl") && has("out/a.fa.classes.bed"));
    EXPECT_NE(text("out/run.json").find("--format tsv,jsonl,bed "), std::string::npos) << text("out/run.json");
}

TEST_F(BatchTest, WhatBrokeIsCalledIncompleteAndTold) {
    make_mixed_folder();
    file("mix/torn.fq", fastq("whole", "ACGT") + "@torn\nACG");
    EXPECT_EQ(batch({"mix", "-O", "out"}).exit_code, 1);
    EXPECT_EQ(rows("out/torn.fq.classes.tsv.incomplete").size(), 1U);
    EXPECT_FALSE(has("out/torn.fq.classes.tsv"));
    EXPECT_FALSE(has("out/sub/a7.fq.gz.classes.tsv"));
    EXPECT_TRUE(has("out/deep er/a2.fa.classes.tsv")) << "a file beside the broken ones";
    EXPECT_NE(text("out/failures.tsv").find("a7.fq.gz\t\t\ttruncated_input\t"), std::string::npos);
    auto const letter = rows("out/a6.fa.classes.tsv");
    ASSERT_EQ(letter.size(), 1U);
    EXPECT_EQ(letter[0][0], "good");
    EXPECT_NE(text("out/failures.tsv").find("a6.fa\t0\tevil\t"), std::string::npos);
}

TEST_F(BatchTest, PairsHaveOneRowHoweverTheyAreGiven) {
    std::string both;
    std::string first;
    std::string second;
    for (std::uint32_t i = 1; i < 9; ++i) {
        auto const one = fastq("p" + std::to_string(i) + "/1", bases(30, i));
        auto const two = fastq("p" + std::to_string(i) + "/2", bases(20, 100 + i));
        both += one + two;
        first += one;
        second += two;
    }
    file("both.fq", both);
    file("p/x_R1.fq", first);
    file("p/x_R2.fq", second);
    file("sheet.tsv", "path\tmate\tsample\np/x_R1.fq\tp/x_R2.fq\tx\n");
    EXPECT_EQ(batch({"both.fq", "--interleaved", "-O", "a"}).exit_code, 0);
    EXPECT_EQ(batch({"p", "--paired", "-O", "b"}).exit_code, 0);
    EXPECT_EQ(batch({"--sheet", "sheet.tsv", "-O", "c"}).exit_code, 0);
    auto const table = rows(only("a", ".classes.tsv"));
    ASSERT_EQ(table.size(), 8U);
    EXPECT_EQ(table[0][2], "50") << "both mates";
    EXPECT_EQ(rows(only("b", ".classes.tsv")), table);
    EXPECT_EQ(rows("c/x.classes.tsv"), table);

    file("p/x_R2.fq", second.substr(0, second.rfind("@p8")));
    EXPECT_EQ(batch({"p", "--paired", "-O", "torn"}).exit_code, 1);
    EXPECT_EQ(rows(only("torn", ".classes.tsv.incomplete")), std::vector<Strings>(table.begin(), table.end() - 1));
    file("odd.fq", both + fastq("p9/1", "ACGT"));
    EXPECT_EQ(batch({"odd.fq", "--interleaved", "-O", "odd"}).exit_code, 1);
    EXPECT_EQ(rows(only("odd", ".classes.tsv.incomplete")), table);

    EXPECT_EQ(batch({"--sheet", "sheet.tsv", "--interleaved", "-O", "d"}).exit_code, 2);
    file("pairs.sam", alignments(2));
    EXPECT_EQ(batch({"pairs.sam", "--interleaved", "--format", "bam", "-O", "e"}).exit_code, 2);
}

TEST_F(BatchTest, ARecordTooLargeForMemoryLeavesItsNeighboursAlone) {
    model_ = make_caduceus_model(path());
    file("un/a.fa", fasta("s", "ACGT") + fasta("huge", bases(400'000)));
    file("un/b.fa", fasta("x", "ACGTA") + fasta("y", "CCGT"));
    file("un/c.fa", fasta("z", "TTTT"));
    EXPECT_EQ(batch({"un", "--max-memory", "20M", "-O", "out"}).exit_code, 1);
    EXPECT_EQ(rows("out/a.fa.classes.tsv").size(), 1U);
    EXPECT_NE(text("out/failures.tsv").find("a.fa\t1\thuge\ttoo_large\t"), std::string::npos)
        << text("out/failures.tsv");
    for (auto const& [name, count] : {std::pair{"b", 2U}, std::pair{"c", 1U}}) {
        auto const alone = std::string("alone_") + name;
        EXPECT_EQ(batch({std::string("un/") + name + ".fa", "-O", alone}).exit_code, 0);
        auto const table = rows(std::string("out/") + name + ".fa.classes.tsv");
        EXPECT_EQ(table.size(), count) << name;
        EXPECT_EQ(table, rows(only(alone, ".classes.tsv"))) << name;
    }
}

TEST_F(BatchTest, TagsKeepAlignmentsAsTheyAre) {
    file("in/a.sam", alignments(8));
    ASSERT_EQ(batch({"in", "--format", "bam,tsv", "-O", "out"}).exit_code, 0);
    ASSERT_EQ(batch({"out/a.sam.tagged.bam", "-O", "again"}).exit_code, 0) << "what is written can be read";
    EXPECT_EQ(rows(only("again", ".classes.tsv")), rows("out/a.sam.classes.tsv"));
    EXPECT_EQ(rows("out/a.sam.classes.tsv").size(), 6U);
    if (run_program(path(), {"--version"}, "", "samtools").exit_code != 0) { GTEST_SKIP() << "needs samtools"; }
    EXPECT_EQ(run_program(path(), {"quickcheck", "out/a.sam.tagged.bam"}, "", "samtools").exit_code, 0);
    auto const view = run_program(path(), {"view", "out/a.sam.tagged.bam"}, "", "samtools").out;
    std::size_t tagged = 0;
    std::string bare;
    std::istringstream lines(view);
    for (std::string line; std::getline(lines, line);) {
        auto const tags = line.find("\txl:Z:");
        tagged += tags != std::string::npos ? 1U : 0U;
        bare += line.substr(0, tags) + "\n";
    }
    EXPECT_EQ(tagged, 6U) << "two are secondary";
    EXPECT_NE(alignments(8).find(bare), std::string::npos) << bare;
}

TEST_F(BatchTest, SoundHasSecondsAndALabelTrack) {
    model_ = make_sound_model(path());
    auto sound = wav(16'000, 1, 8000);
    std::fill(sound.end() - 16'000, sound.end(), '\0');
    file("in/a.wav", sound);
    ASSERT_EQ(batch({"in", "--format", "audacity,tsv", "--window", "0.5s", "--hop", "0.25s", "-O", "all"}).exit_code,
              0);
    ASSERT_EQ(batch({"in", "--format", "audacity,tsv", "--window", "0.5s", "--hop", "0.25s", "--skip-silence", "-50",
                     "-O", "loud"})
                  .exit_code,
              0);
    auto const all = rows("all/a.wav.classes.tsv");
    auto const loud = rows("loud/a.wav.classes.tsv");
    EXPECT_EQ(all.size(), 7U);
    EXPECT_EQ(loud.size(), 4U) << "half a second at 0, 0.25, 0.5 and 0.75 s";
    EXPECT_TRUE(std::equal(loud.begin(), loud.end(), all.begin()));
    auto const track = text("loud/a.wav.labels.txt");
    EXPECT_EQ(std::count(track.begin(), track.end(), '\n'), 4);
    EXPECT_NE(("\n" + track).find("\n0.25"), std::string::npos) << track;
    EXPECT_EQ(batch({"in", "--format", "bam", "-O", "no"}).exit_code, 2);
}

TEST_F(BatchTest, EmbeddingsHaveARowARecord) {
    file("in/a.fa", fasta("x", bases(50)) + fasta("y", bases(9)));
    ASSERT_EQ(embed({"in", "--format", "npy", "-O", "npy"}).exit_code, 0);
    EXPECT_EQ(rows("npy/a.fa.embeddings.tsv").size(), 2U);
    NpyRowReader const reader(path() / "npy" / "a.fa.embeddings.npy");
    EXPECT_EQ(reader.rows(), 2);
    EXPECT_EQ(reader.row_size(), 8);
    for (auto const* format : {"h5", "npz", "h5ad"}) {
        ASSERT_EQ(embed({"in", "--format", format, "-O", format}).exit_code, 0);
        EXPECT_GT(fs::file_size(path() / format / ("a.fa.embeddings." + std::string(format))), 64U);
        EXPECT_FALSE(has(Path(format) / "a.fa.embeddings.npy"));
    }
    EXPECT_EQ(text("h5/a.fa.embeddings.h5").substr(1, 3), "HDF");
    EXPECT_EQ(text("npz/a.fa.embeddings.npz").substr(0, 2), "PK");
    EXPECT_EQ(embed({"in", "--format", "npy,npz", "-O", "two"}).exit_code, 2);
    EXPECT_EQ(embed({"in", "--probabilities", "-O", "none"}).exit_code, 2) << "of classes";
    EXPECT_EQ(embed({"in", "--bgzf", "-O", "none"}).exit_code, 2) << "of tables";
    EXPECT_EQ(batch({"in", "--layer", "1", "-O", "none"}).exit_code, 2) << "the classifier reads the last one";
}

TEST_F(BatchTest, VectorsOfAllInputsGoIntoOneFile) {
    file("in/a.fa", fasta("x", bases(50)) + fasta("y", bases(9)));
    file("in/b.fa", fasta("x", bases(70, 2)));
    ASSERT_EQ(embed({"in", "-O", "vectors"}).exit_code, 0);
    auto const join = [&](Strings const& more) { return run_program(path(), joined({"merge", "-q"}, more)); };
    ASSERT_EQ(join({"vectors", "-o", "all.npy"}).exit_code, 0);
    std::vector<Strings> const table{
        {"x", "0", "50", "in/a.fa"}, {"y", "0", "9", "in/a.fa"}, {"x", "0", "70", "in/b.fa"}};
    EXPECT_EQ(rows("all.tsv"), table);
    auto values = read_npy_f32(path() / "vectors" / "a.fa.embeddings.npy").value().values;
    auto const more = read_npy_f32(path() / "vectors" / "b.fa.embeddings.npy").value().values;
    values.insert(values.end(), more.begin(), more.end());
    auto const all = read_npy_f32(path() / "all.npy").value();
    EXPECT_EQ(all.shape, (std::vector<index_t>{3, 8}));
    EXPECT_EQ(all.values, values);

    EXPECT_EQ(join({"vectors", "-o", "all.npy"}).exit_code, 2) << "is there already";
    EXPECT_EQ(join({"vectors", "-o", "all.parquet"}).exit_code, 2);
    EXPECT_EQ(join({"vectors", "-o", "vectors/a.fa.embeddings.npy", "--force"}).exit_code, 2) << "of the batch";
    EXPECT_NE(join({"in", "-o", "no.npy"}).err.find("that `batch -O` wrote"), std::string::npos);
    EXPECT_EQ(join({"vectors", "vectors", "-o", "two.npy"}).exit_code, 2) << "one folder";
    EXPECT_EQ(join({"vectors"}).exit_code, 2) << "neither -o nor -O";
    ASSERT_EQ(embed({"in", "--format", "npz", "-O", "npz"}).exit_code, 0);
    EXPECT_NE(join({"npz", "-o", "no.npy"}).err.find("no .npy of each input"), std::string::npos);
    ASSERT_EQ(embed({"in", "--shard", "1/2", "-O", "half"}).exit_code, 0);
    EXPECT_NE(join({"half", "-o", "no.npy"}).err.find("shard 1 of 2"), std::string::npos);
    file("vectors/b.fa.embeddings.tsv", "name\tstart\tend\nz\t0\t70\n");
    EXPECT_NE(join({"vectors", "-o", "no.npy"}).err.find("b.fa.embeddings.tsv: is not as it was written"),
              std::string::npos);
    EXPECT_FALSE(has("no.npy") || has("no.tsv"));
}

TEST_F(BatchTest, OneFileKeepsWhatASheetSaysAndLeavesBrokenInputsOut) {
    file("a.fa", fasta("x", bases(50)) + fasta("bad", "ACJT"));
    file("cut.fq", fastq("y", "ACGT") + "@z\nAC");
    file("sheet.tsv", "path\tsample\tlabel\na.fa\tone\tred\ncut.fq\ttwo\tblue\n");
    ASSERT_EQ(embed({"--sheet", "sheet.tsv", "-O", "vectors"}).exit_code, 1);
    auto const run = run_program(path(), {"merge", "vectors", "-o", "all.npy"});
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_NE(run.err.find("1 rows of 1 inputs in all.npy"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("1 inputs left out"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("cut.fq is the first"), std::string::npos) << run.err;
    auto const table = text("all.tsv");
    EXPECT_EQ(table.substr(0, table.find('\n')), "name\tstart\tend\tinput\tsample\tlabel");
    EXPECT_EQ(rows("all.tsv").at(0).at(5), "red");
}

TEST_F(BatchTest, APipeIsReadByItsNameOnly) {
    auto const pipe = path() / "in" / "pipe.fa";
    file("in/a.fa", fasta("a", "ACGT"));
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    EXPECT_EQ(batch({"in", "-O", "folder"}).exit_code, 0) << "would wait for ever";
    EXPECT_EQ(rows("folder/summary.tsv").size(), 1U);
    std::thread writer([&] { write_text(pipe, fasta("piped", "ACGT")); });
    EXPECT_EQ(batch({"in/pipe.fa", "-O", "named"}).exit_code, 0);
    writer.join();
    EXPECT_EQ(rows(only("named", ".classes.tsv"))[0][0], "piped");
}

TEST_F(BatchTest, FoldersOfOddThingsAreSearched) {
    file("in/x.fa/inner.fa", fasta("inner", "ACGT"));
    file("in/good.fa", fasta("good", "ACGT"));
    fs::create_directory_symlink(path() / "in", path() / "in" / "loop");
    EXPECT_EQ(batch({"in", "-O", "out"}).exit_code, 0);
    EXPECT_TRUE(has("out/good.fa.classes.tsv"));
    EXPECT_TRUE(has("out/x.fa/inner.fa.classes.tsv"));
    EXPECT_EQ(rows("out/summary.tsv").size(), 2U);
    EXPECT_EQ(batch({"in", "-O", "in"}).exit_code, 2) << "the output folder";
    if (::geteuid() == 0) { GTEST_SKIP() << "root reads all files"; }
    fs::permissions(path() / "in" / "good.fa", fs::perms::none);
    EXPECT_EQ(batch({"in", "-O", "unreadable"}).exit_code, 1);
    EXPECT_NE(text("unreadable/failures.tsv").find("good.fa"), std::string::npos);
}

} // namespace
} // namespace strandwave

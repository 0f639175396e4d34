#include "tests/apps/batch_support.h"
#include "tests/formats/file_size_limit.h"
#include "tests/support/started_program.h"

#include <algorithm>
#include <chrono>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <random>
#include <sys/stat.h>
#include <thread>

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration;
using std::chrono::steady_clock;

/// The end of a pipe that a test writes to; made when the program has opened the other one.
class PipeFeeder {
public:
    explicit PipeFeeder(fs::path const& path) {
        std::signal(SIGPIPE, SIG_IGN);
        descriptor_ = ::open(path.c_str(), O_WRONLY);
    }
    ~PipeFeeder() { ::close(descriptor_); }
    PipeFeeder(PipeFeeder const&) = delete;
    PipeFeeder& operator=(PipeFeeder const&) = delete;

    /// False when nobody reads it any more.
    bool feed(std::string const& records) const {
        return ::write(descriptor_, records.data(), records.size()) == static_cast<ssize_t>(records.size());
    }

private:
    int descriptor_ = -1;
};

class BatchResumeTest : public BatchProgramTest {
protected:
    /// in/: three small files around a large one.
    void make_inputs() const {
        file("in/a.fa", fasta("a", bases(40)) + fasta("b", "ACGT"));
        file("in/big.fa", many_records());
        file("in/sub/c.fq", fastq("c", bases(30)));
        file("in/z.fa", fasta("z", bases(20)));
    }
    /// A batch of in/ into out/ and its reference in ref/.
    void make_small_batch() const {
        file("in/a.fa", fasta("a", bases(40)));
        file("in/b.fa", fasta("b", bases(50)));
        EXPECT_EQ(batch({"in", "-O", "ref"}).exit_code, 0);
        EXPECT_EQ(batch({"in", "-O", "out"}).exit_code, 0);
    }
    /// Resumes out/, which has to be like ref/ then; what it says.
    std::string resumed(int exit_code = 0) const {
        auto arguments = classify_arguments({"in", "-O", "out", "--resume"});
        arguments.erase(std::find(arguments.begin(), arguments.end(), "-q"));
        auto const run = run_program(path(), arguments);
        EXPECT_EQ(run.exit_code, exit_code) << run.err;
        if (exit_code == 0) { EXPECT_EQ(differences("ref", "out"), ""); }
        return run.err;
    }
};

TEST_F(BatchResumeTest, AKillAtAnyMomentCostsNoByte) {
    make_inputs();
    Strings const how = {"in", "--format", "tsv,jsonl", "--bgzf"};
    auto const begin = steady_clock::now();
    ASSERT_EQ(batch(joined(how, {"-O", "ref"})).exit_code, 0);
    duration<double> const whole = steady_clock::now() - begin;
    std::mt19937 random(7);
    int kills = 0;
    for (int i = 0; i < 20; ++i) {
        StartedProgram run(path(), classify_arguments(joined(how, {"-O", "out", "--resume"})));
        std::this_thread::sleep_for(whole * (static_cast<double>(random() % 1000) / 1000));
        if (!run.ended()) {
            run.send(SIGKILL);
            ++kills;
        }
        if (run.wait() != 128 + SIGKILL) {
            ASSERT_EQ(run.wait(), 0) << run.errors();
            ASSERT_EQ(differences("ref", "out"), "") << "after " << kills << " kills";
            fs::remove_all(path() / "out");
        }
    }
    EXPECT_GT(kills, 0);
    EXPECT_EQ(batch(joined(how, {"-O", "out", "--resume"})).exit_code, 0);
    EXPECT_EQ(differences("ref", "out"), "");
}

TEST_F(BatchResumeTest, SignalsStopItAndItGoesOn) {
    auto const pipe = path() / "in" / "pipe.fa";
    for (auto const& [signal, code] : {std::pair{SIGTERM, 143}, std::pair{SIGINT, 130}}) {
        for (bool const all_short : {false, true}) {
            Strings how = {"in/a.fa", "in/pipe.fa", "-O", "out", "--resume"};
            if (all_short) { how.insert(how.end(), {"--min-length", "1000"}); }
            file("in/a.fa", fasta("a", bases(40)));
            ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
            {
                StartedProgram run(path(), classify_arguments(how));
                PipeFeeder const feeder(pipe);
                auto const records = many_records();
                EXPECT_TRUE(feeder.feed(records));
                run.send(signal);
                for (int i = 0; i < 50 && feeder.feed(records); ++i) {}
                EXPECT_EQ(run.wait(), code) << run.errors();
            }
            fs::remove(pipe);
            file("in/pipe.fa", fasta("p", bases(30)));
            EXPECT_EQ(batch(how).exit_code, 0);
            how[3] = "ref";
            EXPECT_EQ(batch(how).exit_code, 0);
            EXPECT_EQ(differences("ref", "out"), "");
            for (auto const* done : {"ref", "out", "in"}) {
                fs::remove_all(path() / done);
            }
        }
    }
}

TEST_F(BatchResumeTest, ASignalEndsTheWaitForASilentPipe) {
    auto const pipe = path() / "in" / "pipe.fa";
    Strings const how = {"in/a.fa", "in/pipe.fa", "--resume"};
    for (bool const has_writer : {false, true}) {
        file("in/a.fa", fasta("a", bases(40)));
        ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
        StartedProgram run(path(), classify_arguments(joined(how, {"-O", "out"})));
        std::optional<PipeFeeder> feeder;
        if (has_writer) {
            feeder.emplace(pipe);
            EXPECT_TRUE(feeder->feed(fasta("first", "ACGT") + ">second\nAC"));
        }
        while (!has("out/journal.jsonl") && !run.ended()) {}
        run.send(SIGTERM);
        for (int i = 0; i < 3000 && !run.ended(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ASSERT_TRUE(run.ended());
        EXPECT_EQ(run.wait(), 143) << run.errors();
        fs::remove(pipe);
        file("in/pipe.fa", fasta("p", bases(30)));
        EXPECT_EQ(batch(joined(how, {"-O", "out"})).exit_code, 0);
        EXPECT_EQ(batch(joined(how, {"-O", "ref"})).exit_code, 0);
        EXPECT_EQ(differences("ref", "out"), "");
        for (auto const* done : {"ref", "out", "in"}) {
            fs::remove_all(path() / done);
        }
    }
}

/// What a power loss may leave of an input in the midst: a file that lacks what the journal vouches for.
TEST_F(BatchResumeTest, PartsThatAreNotAsWrittenAreMadeAgain) {
    file("in/big.fa", many_records());
    ASSERT_EQ(batch({"in", "-O", "ref"}).exit_code, 0);
    auto const journal = text("ref/journal.jsonl");
    auto const table = text("ref/big.fa.classes.tsv");
    for (auto const& [kept, word] :
         {std::pair{table.size(), ""}, std::pair{table.size() / 2, "the end of its outputs is not as it was written"},
          std::pair{table.size() / 5, "the parts of its outputs are not as they were written"}}) {
        fs::remove_all(path() / "out");
        file("out/journal.jsonl", journal.substr(0, journal.rfind("\n{") + 1)); // it has not ended
        file("out/big.fa.classes.tsv.part", table.substr(0, kept) + std::string(table.size() - kept, '\0'));
        auto const said = resumed();
        EXPECT_EQ(said.find("written") != std::string::npos, kept < table.size()) << said;
        EXPECT_NE(said.find(word), std::string::npos) << said;
    }
}

TEST_F(BatchResumeTest, OtherSettingsAreRefusedByName) {
    make_small_batch();
    EXPECT_EQ(batch({"in", "-O", "out"}).exit_code, 2) << "neither --resume nor --force";
    for (auto const& [other, name] :
         {std::pair{Strings{"--min-length", "3"}, "min-length"}, std::pair{Strings{"--format", "jsonl"}, "format"},
          std::pair{Strings{"--window", "30"}, "window"}, std::pair{Strings{"--shard", "1/2"}, "shard"}}) {
        auto const run = batch(joined({"in", "-O", "out", "--resume"}, other));
        EXPECT_EQ(run.exit_code, 2) << name;
        EXPECT_NE(run.err.find(name), std::string::npos) << run.err;
    }
    model_ = make_caduceus_model(path());
    auto const run = batch({"in", "-O", "out", "--resume"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("model"), std::string::npos) << run.err;
    EXPECT_EQ(differences("ref", "out"), "") << "a refusal changes nothing";
}

TEST_F(BatchResumeTest, WhatCannotBeGoneOnWithCanBeBegunAnew) {
    make_small_batch();
    EXPECT_EQ(batch({"in", "-O", "new", "--window", "1s"}).exit_code, 2) << "DNA has no seconds";
    EXPECT_EQ(batch({"in", "-O", "new"}).exit_code, 0) << "nothing was begun there";
    EXPECT_EQ(differences("ref", "new"), "");
    auto journal = text("out/journal.jsonl");
    file("out/journal.jsonl", journal.replace(journal.find(':') + 1, 1, "999"));
    auto const run = batch({"in", "-O", "out", "--resume"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_NE(run.err.find("another version of strandwave"), std::string::npos) << run.err;
    EXPECT_EQ(batch({"in", "-O", "out", "--force"}).exit_code, 0);
    EXPECT_EQ(differences("ref", "out"), "");
}

TEST_F(BatchResumeTest, WhatIsDamagedOrGoneIsMadeAgain) {
    make_small_batch();
    EXPECT_NE(resumed().find("2 more are complete"), std::string::npos);
    auto damaged = text("out/a.fa.classes.tsv");
    damaged[damaged.size() / 2] ^= 1;
    file("out/a.fa.classes.tsv", damaged);
    fs::remove(path() / "out" / "b.fa.classes.tsv");
    auto const said = resumed();
    EXPECT_NE(said.find("a.fa: its outputs are not as they were written"), std::string::npos) << said;
    EXPECT_NE(said.find("b.fa: its outputs are not as they were written"), std::string::npos) << said;
    file("in/b.fa", fasta("b2", bases(70, 3)));
    EXPECT_EQ(batch({"in", "-O", "ref", "--force"}).exit_code, 0);
    auto const changed = resumed();
    EXPECT_NE(changed.find("b.fa: has changed since"), std::string::npos) << changed;
    EXPECT_EQ(changed.find("a.fa: has changed"), std::string::npos) << changed;
}

TEST_F(BatchResumeTest, AnInputThatGrowsIsNotTakenForWhole) {
    auto const before = fs::file_size(file("in/slow.fa", many_records() + many_records() + many_records()));
    StartedProgram slow(path(), classify_arguments({"in/slow.fa", "-O", "grown", "--threads", "1"}));
    while (!has("grown/journal.jsonl") && !slow.ended()) {}
    while (!has("grown/slow.fa.classes.tsv.part") && !slow.ended()) {}
    std::ofstream(path() / "in" / "slow.fa", std::ios::app) << fasta("late", "ACGT");
    EXPECT_GT(fs::file_size(path() / "in" / "slow.fa"), before);
    if (slow.wait() == 0) { GTEST_SKIP() << "it was done before the file grew"; }
    EXPECT_EQ(slow.wait(), 1) << slow.errors();
    EXPECT_TRUE(has("grown/slow.fa.classes.tsv.incomplete"));
    EXPECT_NE(text("grown/failures.tsv").find("was changed while it was read"), std::string::npos);
    EXPECT_EQ(batch({"in/slow.fa", "-O", "grown", "--resume"}).exit_code, 0);
    EXPECT_FALSE(has("grown/slow.fa.classes.tsv.incomplete"));
}

TEST_F(BatchResumeTest, OneProcessAFolder) {
    auto const pipe = path() / "pipe.fa";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    StartedProgram first(path(), classify_arguments({"pipe.fa", "-O", "out"}));
    {
        PipeFeeder const feeder(pipe);
        EXPECT_TRUE(feeder.feed(fasta("a", "ACGT")));
        auto const second = batch({"pipe.fa", "-O", "out", "--resume"});
        EXPECT_EQ(second.exit_code, 2);
        EXPECT_NE(second.err.find("another process works on this folder"), std::string::npos) << second.err;
        EXPECT_EQ(batch({"pipe.fa", "-O", "out", "--force"}).exit_code, 2);
    }
    EXPECT_EQ(first.wait(), 0) << first.errors();
}

TEST_F(BatchResumeTest, LeftoversOfAKilledWriterGo) {
    make_small_batch();
    fs::remove(path() / "out" / "a.fa.classes.tsv");
    file("out/a.fa.classes.tsv.part", "left behind");
    file("out/summary.tsv.partial-1-2", "left behind");
    resumed();
}

TEST_F(BatchResumeTest, AFullDiskEndsItAndItGoesOn) {
    make_inputs();
    ASSERT_EQ(batch({"in", "-O", "ref"}).exit_code, 0);
    {
        FileSizeLimit const limit(200'000);
        auto const run = batch({"in", "-O", "out"});
        EXPECT_EQ(run.exit_code, 2) << run.err;
        EXPECT_NE(run.err.find("big.fa.classes.tsv"), std::string::npos) << run.err;
    }
    EXPECT_FALSE(has("out/big.fa.classes.tsv"));
    resumed();
}

TEST_F(BatchResumeTest, MergeRefusesWhatIsNotWhole) {
    make_inputs();
    auto const shard = [&](std::string const& folder, std::string const& which, Strings const& more = {}) {
        return batch(joined({"in", "--shard", which, "--shard-by", "records", "-O", folder}, more)).exit_code;
    };
    ASSERT_EQ(batch({"in", "-O", "ref"}).exit_code, 0);
    for (auto const* i : {"1", "2", "3"}) {
        ASSERT_EQ(shard(std::string("s") + i, i + std::string("/3")), 0);
    }
    ASSERT_EQ(shard("other", "3/3", {"--min-length", "2"}), 0);
    auto const refused = [&](Strings const& shards, std::string const& why) {
        auto const run = merge(joined({"merged"}, shards));
        EXPECT_EQ(run.exit_code, 2) << why;
        EXPECT_NE(run.err.find(why), std::string::npos) << run.err;
        EXPECT_TRUE(!has("merged") || fs::is_empty(path() / "merged")) << "it left something behind: " << why;
    };
    refused({"s1", "s3"}, "shard 2 is missing");
    refused({"s1", "s2"}, "2 are given");
    refused({"s1", "s2", "s2"}, "is missing or another one is given twice");
    refused({"s1", "s2", "other"}, "is of another job");

    fs::rename(path() / "s2", path() / "whole");
    auto const journal = text("whole/journal.jsonl");
    fs::copy(path() / "whole", path() / "s2");
    file("s2/journal.jsonl", journal.substr(0, journal.rfind("\n{") + 1));
    refused({"s1", "s2", "s3"}, "is not done");
    auto const part = text("s1/big.fa.classes.tsv.part");
    file("s1/big.fa.classes.tsv.part", part.substr(0, part.size() / 2) + std::string(part.size() / 2, '\0'));
    auto const damaged = merge({"merged", "s1", "whole", "s3"});
    EXPECT_EQ(damaged.exit_code, 2);
    EXPECT_NE(damaged.err.find("not as they were written"), std::string::npos) << damaged.err;
    EXPECT_EQ(shard("s1", "1/3", {"--resume"}), 0);
    EXPECT_EQ(merge({"merged", "s3", "whole", "s1"}).exit_code, 0) << "what was refused left no batch";
    EXPECT_EQ(differences("ref", "merged"), "");
    EXPECT_EQ(merge({"merged", "s1", "whole", "s3"}).exit_code, 2) << "holds a batch";
    EXPECT_EQ(merge({"s1", "s1", "whole", "s3", "--force"}).exit_code, 2) << "is a shard";
}

TEST_F(BatchResumeTest, AMergeThatWasKilledIsBegunAgain) {
    make_inputs();
    ASSERT_EQ(batch({"in", "-O", "ref"}).exit_code, 0);
    for (std::string const by : {"files", "records"}) {
        for (std::string const i : {"1", "2"}) {
            ASSERT_EQ(batch({"in", "--shard", i + "/2", "--shard-by", by, "-O", by + i}).exit_code, 0);
        }
    }
    // The merge waits for a reader of the pipe, with some of its outputs in place.
    fs::create_directories(path() / "merged");
    auto const pipe = part_path(path() / "merged" / "z.fa.classes.tsv");
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    {
        StartedProgram first(path(), {"merge", "-q", "-O", "merged", "records1", "records2"});
        while (!has("merged/big.fa.classes.tsv") && !first.ended()) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_EQ(merge({"merged", "records1", "records2"}).exit_code, 2) << "another process works on it";
        first.send(SIGKILL);
        EXPECT_EQ(first.wait(), 128 + SIGKILL);
    }
    fs::remove(pipe);
    EXPECT_EQ(merge({"merged", "records1", "records2"}).exit_code, 0);
    EXPECT_EQ(differences("ref", "merged"), "");

    auto const table = text("files1/a.fa.classes.tsv");
    file("files1/a.fa.classes.tsv", table + "more");
    EXPECT_EQ(merge({"copied", "files1", "files2"}).exit_code, 2);
    EXPECT_FALSE(has("copied/a.fa.classes.tsv")) << "what is wrong is never in place";
    file("files1/a.fa.classes.tsv", table);
    EXPECT_EQ(merge({"copied", "files1", "files2"}).exit_code, 0);
    EXPECT_EQ(differences("ref", "copied"), "");
}

} // namespace
} // namespace strandwave

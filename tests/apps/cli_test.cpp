#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

Strings const kCommands{"classify", "batch",    "merge", "report", "embed", "forward",    "init", "probe",
                        "train",    "evaluate", "info",  "verify", "bench", "completion", "man"};

class CliTest : public testing::Test {
protected:
    ProgramRun run(Strings const& arguments) { return run_program(folder_.path(), arguments); }

    TempDir folder_;
};

TEST_F(CliTest, UsageErrorsExitWithTwoAndWriteNothingToStdout) {
    for (auto const& arguments : {Strings{}, {"fly"}, {"classify"}, {"classify", "--what"}, {"completion", "tcsh"}}) {
        auto const result = run(arguments);
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(result.out, "");
        EXPECT_NE(result.err, "");
    }
}

TEST_F(CliTest, AMisspeltWordIsNamed) {
    for (auto const& [arguments, word] : {std::pair{Strings{"classfy", "x.fa"}, "classfy"},
                                          {{"classify", "--modle", "m", "x.fa"}, "--modle"},
                                          {{"forward", "model"}, "model"}}) {
        auto const result = run(arguments);
        EXPECT_EQ(result.exit_code, 2);
        EXPECT_EQ(result.err.rfind(word + std::string(" is no command"), 0), 0U) << result.err;
    }
}

TEST_F(CliTest, AFullOrClosedStdoutIsAnError) {
    std::string const script = "for a in man 'completion bash' --help; do for to in /dev/full '&-'; do "
                               "eval \"'$0' $a >$to\" 2> err; echo $?; grep -c 'could not be written' err; done; done";
    auto const result = run_program(folder_.path(), {"-c", script, STRANDWAVE_PROGRAM}, "", "/bin/bash");
    EXPECT_EQ(result.out, "2\n1\n2\n1\n2\n1\n2\n1\n2\n1\n2\n1\n") << result.err;
}

TEST_F(CliTest, AFullStdoutEndsARunWhoseInputDoesNotEnd) {
    auto const model = make_dna_model(folder_.path());
    std::string const script =
        "yes $'>a\\nACGT' | timeout 60 \"$0\" classify --device cpu --model \"$1\" --chunk 256 - "
        "> /dev/full; echo ${PIPESTATUS[1]}";
    auto const result =
        run_program(folder_.path(), {"-c", script, STRANDWAVE_PROGRAM, model.string()}, "", "/bin/bash");
    EXPECT_EQ(result.out, "2\n") << result.err;
    EXPECT_NE(result.err.find("stdout: could not be written whole"), std::string::npos) << result.err;
}

TEST_F(CliTest, NoFileGetsWhatIsWrittenToAClosedStderr) {
    auto const model = make_dna_model(folder_.path());
    write_text(folder_.path() / "a.fa", fasta("a", "ACGT") + fasta("bad", "ACJT"));
    std::string const script = "\"$0\" classify --device cpu --model \"$1\" a.fa -o open.tsv; echo $?; "
                               "\"$0\" classify --device cpu --model \"$1\" a.fa -o closed.tsv 2>&-; echo $?";
    auto const result =
        run_program(folder_.path(), {"-c", script, STRANDWAVE_PROGRAM, model.string()}, "", "/bin/bash");
    EXPECT_EQ(result.out, "1\n1\n") << result.err;
    EXPECT_EQ(read_text(folder_.path() / "closed.tsv"), read_text(folder_.path() / "open.tsv"));
}

TEST_F(CliTest, VersionTellsBackendsAndSimdTarget) {
    auto const result = run({"--version"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out.rfind("strandwave 0.", 0), 0U) << result.out;
    EXPECT_NE(result.out.find("backends: cpu"), std::string::npos);
    EXPECT_NE(result.out.find("SIMD target: "), std::string::npos);
}

TEST_F(CliTest, EveryCommandHasHelpWithAnExample) {
    EXPECT_EQ(run({"--help"}).exit_code, 0);
    for (auto const& command : kCommands) {
        auto const result = run({command, "--help"});
        EXPECT_EQ(result.exit_code, 0) << command;
        EXPECT_NE(result.out.find("Example"), std::string::npos) << command;
        EXPECT_NE(result.out.find("strandwave " + command), std::string::npos) << command;
    }
}

TEST_F(CliTest, TheManPageNamesEveryCommandAndOption) {
    auto const page = run({"man"});
    EXPECT_EQ(page.exit_code, 0);
    EXPECT_EQ(page.out.rfind(".TH STRANDWAVE 1", 0), 0U);
    for (auto const& command : kCommands) {
        EXPECT_NE(page.out.find(".SS strandwave " + command), std::string::npos) << command;
    }
    EXPECT_NE(page.out.find("\\-\\-min\\-probability"), std::string::npos);
    EXPECT_NE(page.out.find("{f32,bf16}"), std::string::npos);
}

TEST_F(CliTest, BashCompletesCommandsOptionsAndWords) {
    auto const complete = [&](Strings const& words) {
        std::string line = "eval \"$(\"$0\" completion bash)\"; COMP_WORDS=(strandwave";
        for (auto const& word : words) {
            line += " '" + word + "'";
        }
        line += "); COMP_CWORD=" + std::to_string(words.size()) + "; _strandwave; echo \"${COMPREPLY[*]}\"";
        return run_program(folder_.path(), {"-c", line, STRANDWAVE_PROGRAM}, "", "/bin/bash").out;
    };
    EXPECT_EQ(complete({"cl"}), "classify\n");
    EXPECT_EQ(complete({"classify", "--min-p"}), "--min-probability\n");
    EXPECT_EQ(complete({"classify", "--dtype", ""}), "f32 bf16\n");
    EXPECT_EQ(complete({"verify", "--device", ""}), "auto cpu cuda\n");
    EXPECT_EQ(complete({"embed", "--pool", "n"}), "none\n");
    EXPECT_EQ(complete({"completion", "f"}), "fish\n");
    write_text(folder_.path() / "reads.fa", "");
    EXPECT_EQ(complete({"classify", "rea"}), "reads.fa\n");
}

TEST_F(CliTest, OtherShellsGetTheirScript) {
    EXPECT_NE(run({"completion", "zsh"}).out.find("bashcompinit"), std::string::npos);
    auto const fish = run({"completion", "fish"}).out;
    EXPECT_NE(fish.find("-l dtype -x -a 'f32 bf16'"), std::string::npos) << fish;
}

TEST_F(CliTest, AnInterruptLeavesNothingHalfWritten) {
    auto const model = make_dna_model(folder_.path());
    auto const pipe = folder_.path() / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    // The program waits for the pipe's first bytes, is interrupted, reads a record and then sees the interrupt.
    std::string const script =
        "\"$0\" classify -q --device cpu --model \"$1\" - -o out.tsv < pipe & child=$!; exec 3> pipe; sleep 0.5; "
        "kill -INT $child; printf '>a\\nACGT\\n' >&3; exec 3>&-; wait $child; echo $?";
    auto const result =
        run_program(folder_.path(), {"-m", "-c", script, STRANDWAVE_PROGRAM, model.string()}, "", "/bin/bash");
    EXPECT_EQ(result.out, "130\n") << result.err;
    for (auto const& entry : std::filesystem::directory_iterator(folder_.path())) {
        EXPECT_EQ(entry.path().filename().string().find("out.tsv"), std::string::npos) << entry.path();
    }
}

TEST_F(CliTest, WithoutAThreadItSaysWhy) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the sanitizer itself does not start with such a stack";
#endif
    // More stack than there are addresses: the system makes no thread.
    auto const result = run_program(
        folder_.path(), {"-c", "ulimit -s 200000000000 || exit 77; exec \"$0\" --version", STRANDWAVE_PROGRAM}, "",
        "/bin/bash");
    if (result.exit_code == 77) { GTEST_SKIP() << "the stack is limited"; }
    EXPECT_EQ(result.exit_code, 2) << "and not a call of std::terminate";
    EXPECT_NE(result.err.find("temporarily unavailable"), std::string::npos) << result.err;
}

TEST_F(CliTest, AnInterruptEndsACommandThatDoesNotAskForIt) {
    auto const model = make_dna_model(folder_.path());
    std::string const script = "timeout -s KILL 60 \"$0\" bench -q --device cpu --lengths 67108864 \"$1\" & "
                               "child=$!; sleep 0.5; kill -TERM $child; wait $child; echo $?";
    auto const result =
        run_program(folder_.path(), {"-c", script, STRANDWAVE_PROGRAM, model.string()}, "", "/bin/bash");
    EXPECT_EQ(result.out, "143\n") << result.err;
}

TEST_F(CliTest, AnInterruptLeavesNoModelInTheMaking) {
    std::ofstream(folder_.path() / "c.json")
        << R"({"model_type": "mamba", "hidden_size": 1024, "num_hidden_layers": 3, "vocab_size": 16})";
    std::string const script = "\"$0\" init -q --config c.json -o new & child=$!; "
                               "until ls -d new.partial* > ls.out 2>&1; do sleep 0.01; done; "
                               "kill -TERM $child; wait $child; echo $?; ls -d new*";
    auto const result = run_program(folder_.path(), {"-c", script, STRANDWAVE_PROGRAM}, "", "/bin/bash");
    EXPECT_EQ(result.out, "143\n") << result.err;
}

TEST_F(CliTest, AnInterruptEndsTheWaitForASilentPipe) {
    auto const model = make_dna_model(folder_.path());
    auto const pipe = folder_.path() / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    std::string const script =
        "\"$0\" classify -q --device cpu --model \"$1\" - -o out.tsv < pipe & child=$!; exec 3> pipe; "
        "printf '>a\\nACGT\\n' >&3; until ls out.tsv.partial* > ls.out 2>&1; do sleep 0.02; done; "
        "kill -INT $child; wait $child; echo $?";
    auto const result =
        run_program(folder_.path(), {"-m", "-c", script, STRANDWAVE_PROGRAM, model.string()}, "", "/bin/bash");
    EXPECT_EQ(result.out, "130\n") << result.err;
    for (auto const& entry : std::filesystem::directory_iterator(folder_.path())) {
        EXPECT_EQ(entry.path().filename().string().find("out.tsv"), std::string::npos) << entry.path();
    }
}

} // namespace
} // namespace strandwave

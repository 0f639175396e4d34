#include "lib/checkpoint/tensor_store.h"
#include "lib/train/parameters.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

std::string sample(std::string const& name) {
    return (std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "data" / "samples" / name).string();
}

Strings lines_of(std::string const& text) {
    Strings lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

/// Runs the program until `file` is there, then kills it. Its exit code as ProgramRun has it.
int kill_once_written(std::filesystem::path const& folder, Strings arguments, std::filesystem::path const& file) {
    arguments.insert(arguments.begin(), STRANDWAVE_PROGRAM);
    std::vector<char*> argv;
    for (auto& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    auto const child = ::fork();
    if (child == 0) {
        if (::chdir(folder.c_str()) == 0) { ::execv(argv[0], argv.data()); }
        ::_exit(127);
    }
    int status = 0;
    pid_t ended = 0;
    while (ended == 0 && !std::filesystem::exists(file)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ended = ::waitpid(child, &status, WNOHANG);
    }
    if (ended == 0) {
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class TrainTest : public testing::Test {
protected:
    ProgramRun program(Strings const& arguments) { return run_program(folder(), on_cpu(arguments)); }
    ProgramRun train(Strings const& arguments) { return program(train_arguments(arguments)); }

    /// Short: what is trained does not matter.
    Strings train_arguments(Strings const& more) const {
        Strings all{"train", "--model", model_.string(), "--threads", "1", "--batch-size", "4"};
        bool const by_rule = std::find(more.begin(), more.end(), "--synthetic") != more.end();
        if (!by_rule) { all.insert(all.end(), {"--crop", "60"}); }
        all.insert(all.end(), more.begin(), more.end());
        return on_cpu(all);
    }
    static Strings genomes(Strings more) {
        more.insert(more.end(), {"--labels", sample("genomes.tsv"), sample("genomes.fa.gz")});
        return more;
    }
    void refused(Strings const& arguments, std::string const& word) {
        auto const run = program(arguments);
        EXPECT_EQ(run.exit_code, 2) << run.err;
        EXPECT_NE(run.err.find(word), std::string::npos) << run.err;
    }
    std::string weights(std::string const& directory) {
        auto bytes = read_text(folder() / directory / "model.safetensors");
        EXPECT_FALSE(bytes.empty()) << directory;
        return bytes;
    }
    std::filesystem::path const& folder() const { return temp_.path(); }
    std::string file(std::string const& name, std::string const& content) {
        return write_text(folder() / name, content).string();
    }
    nlohmann::json json(std::filesystem::path const& path) { return nlohmann::json::parse(read_text(path)); }

    /// A model directory without weights that `train` begins with.
    std::filesystem::path unborn(std::filesystem::path const& like, std::string const& architecture) {
        auto config = json(like / "config.json");
        config["architectures"] = {architecture};
        config.erase("id2label");
        auto directory = folder() / "unborn";
        std::filesystem::create_directories(directory);
        write_text(directory / "config.json", config.dump());
        std::filesystem::copy_file(like / "preprocessor_config.json", directory / "preprocessor_config.json");
        return directory;
    }

    TempDir temp_;
    std::filesystem::path model_ = make_dna_model(folder());
};

TEST_F(TrainTest, WritesAModelThatClassifiesAndATableOfItsTraining) {
    auto const run = train(genomes({"--steps", "6", "--report-every", "2", "--validate-every", "3", "--held-out", "0.3",
                                    "--reverse-complement", "--substitutions", "0.1", "-o", "new"}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("examples for training"), std::string::npos) << run.err;

    auto const classes = json(folder() / "new" / "config.json").at("id2label");
    EXPECT_EQ(classes.at("0"), "Escherichia_coli");
    auto const classified = program({"classify", "-q", "--model", "new", sample("genomes.fa.gz")});
    EXPECT_EQ(classified.exit_code, 0) << classified.err;
    EXPECT_EQ(lines_of(classified.out).size(), 31U);
    auto const evaluated = program(genomes({"evaluate", "-q", "--model", "new"}));
    EXPECT_EQ(evaluated.exit_code, 0) << evaluated.err;
    EXPECT_NE(evaluated.out.find("rows\t30\t"), std::string::npos) << evaluated.out;

    auto const table = lines_of(read_text(folder() / "new" / "training" / "metrics.tsv"));
    ASSERT_EQ(table.size(), 1U + 4 + 2) << "a report is also made before each validation";
    EXPECT_EQ(table[0], "step\tset\tloss\taccuracy\tscore\tlearning_rate\tgradient_norm\tpositions_per_s\tseconds");
    Strings sets;
    for (auto const& line : table) {
        EXPECT_EQ(std::count(line.begin(), line.end(), '\t'), 8) << line;
        sets.push_back(line.substr(0, line.find('\t', line.find('\t') + 1)));
    }
    EXPECT_EQ(sets, (Strings{"step\tset", "2\ttraining", "3\ttraining", "3\tvalidation", "4\ttraining", "6\ttraining",
                             "6\tvalidation"}));
    EXPECT_EQ(read_text(folder() / "new" / "training" / "curves.svg").rfind("<svg", 0), 0U);
}

TEST_F(TrainTest, AnAverageOfTheParametersIsWrittenInsteadOfThem) {
    ASSERT_EQ(train(genomes({"-q", "--steps", "5", "-o", "plain"})).exit_code, 0);
    ASSERT_EQ(train(genomes({"-q", "--steps", "5", "--ema", "0.5", "-o", "averaged"})).exit_code, 0);
    auto const checkpoint = [&](std::string const& directory) {
        return open_checkpoint(folder() / directory / "training" / "checkpoint.safetensors");
    };
    auto const averaged = checkpoint("averaged");
    EXPECT_EQ(read_f32(*averaged.find("values")), read_f32(*checkpoint("plain").find("values")));
    auto const written = open_checkpoint(folder() / "averaged");
    auto const parameters = find_parameters(read_model_config(folder() / "averaged", written), written);
    EXPECT_EQ(read_parameters(parameters, written), read_f32(*averaged.find("average")));
    EXPECT_NE(weights("averaged"), weights("plain"));
}

TEST_F(TrainTest, TheWrittenOptionsMakeTheSameModel) {
    ASSERT_EQ(train(genomes({"--steps", "5", "--held-out", "0.3", "--validate-every", "2", "--reverse-complement",
                             "--dropout", "0.2", "--learning-rate", "3e-3", "--seed", "7", "-o", "first"}))
                  .exit_code,
              0);
    auto const again = program({"train", "--config", "first/training/train.toml", "-o", "second"});
    ASSERT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(weights("first"), weights("second"));

    auto const threads = program({"train", "--config", "first/training/train.toml", "-o", "third", "--threads", "3"});
    ASSERT_EQ(threads.exit_code, 0) << threads.err;
    EXPECT_EQ(weights("first"), weights("third")) << "nor do threads matter";

    auto const other = program({"train", "--config", "first/training/train.toml", "-o", "fourth", "--seed", "8"});
    ASSERT_EQ(other.exit_code, 0) << other.err;
    EXPECT_NE(weights("first"), weights("fourth")) << "the command line goes first";
}

TEST_F(TrainTest, AKilledRunGoesOnToTheSameBytes) {
    Strings const options =
        genomes({"-q", "--steps", "600", "--validate-every", "30", "--checkpoint-every", "20", "--held-out", "0.2",
                 "--validation-examples", "2", "--dropout", "0.1", "--ema", "0.9"});
    auto const into = [&](std::string const& directory, Strings more = {}) {
        more.insert(more.end(), {"-o", directory});
        more.insert(more.begin(), options.begin(), options.end());
        return train_arguments(more);
    };
    ASSERT_EQ(program(into("whole")).exit_code, 0);
    auto const checkpoint = folder() / "cut" / "training" / "checkpoint.safetensors";
    ASSERT_EQ(kill_once_written(folder(), into("cut"), checkpoint), 128 + SIGKILL);
    EXPECT_NE(read_text(checkpoint), read_text(folder() / "whole" / "training" / "checkpoint.safetensors"));
    EXPECT_EQ(program({"classify", "-q", "--model", "cut", sample("genomes.fa.gz")}).exit_code, 0)
        << "a model that loads is there from the first step on";

    auto const resumed = program(into("cut", {"--resume"}));
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    EXPECT_EQ(weights("cut"), weights("whole"));
    EXPECT_EQ(read_text(checkpoint), read_text(folder() / "whole" / "training" / "checkpoint.safetensors"));
    auto const rows = [&](std::string const& directory) {
        return lines_of(read_text(folder() / directory / "training" / "metrics.tsv")).size();
    };
    EXPECT_EQ(rows("cut"), rows("whole"));
    EXPECT_EQ(read_text(folder() / "cut" / "training" / "metrics.tsv").find("\t0.000\n"), std::string::npos)
        << "rows of before keep their seconds";

    refused(into("cut", {"--resume", "--learning-rate", "0.002"}),
            "the run in cut had other options: learning-rate (0.002, was 0.001)");
    // Blank lines in place of an option that the version did not have which began the run.
    auto bytes = read_text(checkpoint);
    auto const line = bytes.find("\nlabel-smoothing=") + 1;
    auto const end = bytes.find('\n', line);
    write_text(checkpoint, bytes.replace(line, end - line, end - line, '\n'));
    refused(into("cut", {"--resume"}), "another version of strandwave, which differs in --label-smoothing;");
    std::filesystem::remove(checkpoint);
    refused(into("cut", {"--resume"}), "ended before its first; begin it again, by --force");
    refused(into("elsewhere", {"--resume"}), "no checkpoint to go on from");
    EXPECT_FALSE(std::filesystem::exists(folder() / "elsewhere"));
}

TEST_F(TrainTest, ARunGoesOnWithItsOwnDataOnly) {
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("b", bases(70)) + fasta("c", bases(60)));
    auto const arguments = [&](std::string const& labels, Strings more) {
        file("labels.tsv", labels);
        more.insert(more.end(), {"-q", "--labels", "labels.tsv", input, "--steps", "2", "-o", "new"});
        return train_arguments(more);
    };
    ASSERT_EQ(program(arguments("a\tred\nb\tblue\nc\tred\n", {})).exit_code, 0);
    refused(arguments("a\tred\nb\tgreen\nc\tred\n", {"--resume"}),
            "the run began with the classes blue, red, and the labels now have green, red");
    refused(arguments("a\tred\nb\tblue\nc\tgreen\n", {"--resume"}), "and the labels now have blue, green, red");
    std::string const other = "records or labels are other ones than those that the run in new began with";
    refused(arguments("a\tblue\nb\tred\nc\tred\n", {"--resume"}), other);
    EXPECT_EQ(program(arguments("c\tred\nb\tblue\na\tred\n", {"--resume"})).exit_code, 0); // in another order
    file("x.fa", fasta("a", bases(50)) + fasta("b", bases(70)) + fasta("c", bases(61)));
    refused(arguments("a\tred\nb\tblue\nc\tred\n", {"--resume"}), other);
}

TEST_F(TrainTest, ACheckpointComesAfterWhatBelongsToIt) {
    ASSERT_EQ(train(genomes({"-q", "--steps", "5", "-o", "new"})).exit_code, 0);
    auto const written = [&](std::string const& name) {
        return std::filesystem::last_write_time(folder() / "new" / name);
    };
    EXPECT_LE(written("training/metrics.tsv"), written("training/checkpoint.safetensors"));
    EXPECT_LE(written("model.safetensors"), written("training/checkpoint.safetensors"));
}

TEST_F(TrainTest, RefusesWhatItCannotDo) {
    auto const input = genomes({"--steps", "1"});
    auto const with = [&](Strings more) {
        more.insert(more.begin(), input.begin(), input.end());
        return train_arguments(more);
    };
    file("typo.toml", "[train]\nlearning-rat=0.1\n");
    refused(with({"--config", "typo.toml", "-o", "new"}), "the file of --config");
    refused(with({"--config", "typo.toml", "-o", "new"}), "learning-rat");
    refused(train_arguments({"--objective", "masked-token", "--steps", "1", sample("genomes.fa.gz"), "-o", "new"}),
            "this one has a classifier's");
    refused(with({"--gain", "3", "-o", "new"}), "for sound");
    refused(with({"--freeze-below", "9", "-o", "new"}), "trains the head alone");
    refused(with({"--dtype", "bf16", "-o", "new"}), "f32");
    refused(with({"--max-memory", "1K", "-o", "new"}), "raise --max-memory");
    refused(with({"--epochs", "1e30", "-o", "new"}), "--epochs");
    for (auto const* const option : {"--dropout", "--learning-rate", "--gain", "--warmup", "--target-score"}) {
        refused(with({option, "nan", "-o", "new"}), "nan: has to be a number from ");
    }
    refused(with({"--target-score", "0.9", "-o", "new"}), "of held-out records");
    refused(with({"--target-score", "0.9", "--score", "loss", "--held-out", "0.2", "-o", "new"}), "give --score");
    refused(with({"--validation-examples", "3", "-o", "new"}), "--validation-examples are of held-out records: give ");
    refused(with({"--mask-share", "0.3", "-o", "new"}), "--mask-share is for masked-token");
    refused(with({"--held-out", "0.2", "--fold", "0/5", "-o", "new"}), "one of");
    refused(with({"--fold", "0-5", "-o", "new"}), "0-5");
    refused(with({"--synthetic", "induction-heads", "-o", "new"}), "next-token");
    refused(train_arguments({"--steps", "1", sample("genomes.fa.gz"), "-o", "new"}), "--labels");
    refused(train_arguments({"--steps", "1", "--labels", sample("genomes.tsv"), "-o", "new"}), "INPUT");
    refused(train_arguments(genomes({"-o", "new"})), "--steps");
    EXPECT_FALSE(std::filesystem::exists(folder() / "new"));

    ASSERT_EQ(program(with({"-q", "-o", "new"})).exit_code, 0);
    refused(with({"-o", "new"}), "--force");
    refused(with({"-o", model_.string(), "--force"}), "is the folder of --model");
    refused(with({"-o", file("taken", ""), "--force"}), "taken: is a file");
    EXPECT_EQ(program(with({"-q", "-o", "new", "--force"})).exit_code, 0);

    model_ = make_caduceus_model(folder());
    refused(train_arguments({"--steps", "1", "--objective", "next-token", sample("genomes.fa.gz"), "-o", "both"}),
            "bidirectional");
    EXPECT_FALSE(std::filesystem::exists(folder() / "both"));
}

TEST_F(TrainTest, ABrokenRecordIsNamedAndTheRestIsUsed) {
    file("labels.tsv", "a\tred\nevil\tred\nb\tblue\n");
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("evil", "ACJT") + fasta("b", bases(70)));
    auto const run = train({"--labels", "labels.tsv", input, "--steps", "2", "-o", "new"});
    EXPECT_EQ(run.exit_code, 1) << run.err;
    EXPECT_NE(run.err.find("evil"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("2 examples for training"), std::string::npos) << run.err;
    EXPECT_EQ(program({"classify", "-q", "--model", "new", file("y.fa", fasta("a", bases(50)))}).exit_code, 0);

    file("labels.tsv", "a\tred\nevil\tblue\nb\tred\n");
    refused(train_arguments({"--labels", "labels.tsv", input, "--steps", "2", "-o", "other"}),
            "two classes or more; 1 found, and 1 records failed");
    refused(train_arguments({"--labels", "labels.tsv", file("empty.fa", ""), "--steps", "2", "-o", "other"}),
            "no record");
}

TEST_F(TrainTest, NothingIsTrainedOnAPartOfAFile) {
    file("labels.tsv", "a\tred\nb\tblue\n");
    auto const whole = file("whole.fa", fasta("a", bases(50)) + fasta("b", bases(70)));
    auto const cut = file("cut.fq", "@a\nACGT\n+\nIIII\n@b\nACGTAC\n+\nIII");
    refused(train_arguments({"--labels", "labels.tsv", whole, "missing.fa", "--steps", "2", "-o", "new"}),
            "1 of 2 files cannot be read whole (missing.fa is the first)");
    refused(train_arguments({"--labels", "labels.tsv", whole, "--validation-file", cut, "--steps", "2", "-o", "new"}),
            "cut.fq is the first");
    refused(train_arguments({"--labels", "labels.tsv", cut, "--steps", "2", "-o", "new"}), "[truncated_input]");
    EXPECT_FALSE(std::filesystem::exists(folder() / "new"));
}

TEST_F(TrainTest, LanguageModelsOfTokensThatComeNext) {
    model_ = unborn(make_headless_model(folder()), "MambaForCausalLM");
    auto const run = train({"--objective", "next-token", "--batch-positions", "240", "--steps", "3", "--held-out",
                            "0.2", sample("genomes.fa.gz"), "-o", "new"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("bits)"), std::string::npos) << run.err;
    auto const embedded = program({"embed", "-q", "--model", "new", sample("genomes.fa.gz"), "-o", "v.npy"});
    EXPECT_EQ(embedded.exit_code, 0) << embedded.err;
}

/// What a run made of the parameters that it began with, in order.
std::vector<double> way(std::filesystem::path const& begin, std::filesystem::path const& end) {
    auto const from = open_checkpoint(begin);
    auto const to = open_checkpoint(end);
    std::vector<double> way;
    for (auto const& [name, tensor] : from.tensors()) {
        auto const* other = to.find(name);
        if (other == nullptr || other->shape != tensor.shape) { continue; } // the head is fresh
        auto const a = read_f32(tensor);
        auto const b = read_f32(*other);
        std::transform(a.begin(), a.end(), b.begin(), std::back_inserter(way),
                       [](float x, float y) { return static_cast<double>(y) - static_cast<double>(x); });
    }
    return way;
}

TEST_F(TrainTest, ClassifiersInPiecesAreThoseOfWholeRecords) {
    auto const into = [&](std::string const& directory, Strings more) {
        more.insert(more.end(), {"-q", "--steps", "4", "--held-out", "0.2", "--validate-every", "4",
                                 "--label-smoothing", "0.1", "--balance", "-o", directory});
        auto const run = train(genomes(more));
        EXPECT_EQ(run.exit_code, 0) << run.err;
        return way(model_, folder() / directory);
    };
    auto const whole = into("whole", {});
    auto const pieces = into("pieces", {"--piece", "16"}); // of 60 positions
    ASSERT_EQ(pieces.size(), whole.size());
    double error = 0;
    double length = 0;
    for (std::size_t i = 0; i < whole.size(); ++i) {
        error += (pieces[i] - whole[i]) * (pieces[i] - whole[i]);
        length += whole[i] * whole[i];
    }
    EXPECT_GT(length, 0);
    // Gradients are sums over the 240 positions of a batch, in another order: rounding of 240 x 2^-24 at most. AdamW
    // divides two such sums, four times.
    EXPECT_LT(std::sqrt(error / length), 8 * 240 * std::ldexp(1.0, -24));

    refused(train_arguments(genomes({"--steps", "1", "--piece", "16", "--truncate", "-o", "new"})), "--truncate");
    refused(train_arguments(genomes({"--steps", "1", "--truncate", "-o", "new"})), "--truncate goes with --piece");
    model_ = make_caduceus_model(folder());
    refused(train_arguments(genomes({"--steps", "1", "--piece", "16", "-o", "new"})), "causal");
    EXPECT_FALSE(std::filesystem::exists(folder() / "new"));
}

TEST_F(TrainTest, RegressionInPieces) {
    file("labels.tsv", "a\t1.5\nb\t-2\nc\t0.5\n");
    auto const input = file("x.fa", fasta("a", bases(50)) + fasta("b", bases(90, 2)) + fasta("c", bases(7, 3)));
    auto const run = train(
        {"--objective", "regression", "--labels", "labels.tsv", input, "--steps", "2", "--piece", "20", "-o", "new"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("deviations"), std::string::npos) << run.err;
}

TEST_F(TrainTest, LanguageModelsOfTokensThatAreMasked) {
    model_ = unborn(make_caduceus_model(folder(), true), "CaduceusForMaskedLM");
    auto const run = train({"--objective", "masked-token", "--steps", "3", "--fold", "1/5", "--score", "accuracy",
                            sample("genomes.fa.gz"), "-o", "new"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    refused(train_arguments({"--objective", "masked-token", "--mask-share", "0", "--steps", "3",
                             sample("genomes.fa.gz"), "-o", "other"}),
            "--mask-share 0 leaves masked-token nothing to learn");
    refused(train_arguments({"--objective", "masked-token", "--mask-share", "0.3", "--steps", "3", "--synthetic",
                             "induction-heads:length=24,vocab=8", "-o", "other"}),
            "a task made by rule masks nothing");
    auto const verified = program({"verify", "new"});
    EXPECT_EQ(verified.exit_code, 0) << verified.out;
    auto const embedded = program({"embed", "-q", "--model", "new", sample("genomes.fa.gz"), "-o", "v.npy"});
    EXPECT_EQ(embedded.exit_code, 0) << embedded.err;
}

TEST_F(TrainTest, TasksMadeByRule) {
    model_ = unborn(make_headless_model(folder()), "MambaForCausalLM");
    std::string const task = "induction-heads:length=24,vocab=8";
    auto const run = train({"--objective", "next-token", "--synthetic", task, "--steps", "3", "-o", "new"});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    auto const asked = program({"evaluate", "--model", "new", "--synthetic", task, "--synthetic",
                                "mqar:length=32,vocab=16,items=2", "--examples", "5"});
    ASSERT_EQ(asked.exit_code, 0) << asked.err;
    auto const table = lines_of(asked.out);
    ASSERT_EQ(table.size(), 3U) << asked.out;
    EXPECT_EQ(table[0], "task\tlength\ttargets\tright\taccuracy");
    EXPECT_EQ(table[1].rfind("induction-heads\t24\t5\t", 0), 0U) << table[1];
    EXPECT_EQ(table[2].rfind("mqar\t32\t10\t", 0), 0U) << table[2];

    // What the task does not read is not passed over.
    refused(train_arguments(
                {"--objective", "next-token", "--synthetic", task, "--steps", "3", "--held-out", "0.2", "-o", "other"}),
            "leave INPUT, --validation-file, --held-out and --fold out");
    refused(train_arguments(genomes({"--objective", "next-token", "--steps", "3", "-o", "other"})),
            "--labels and --labels-from are for classification");
    refused({"evaluate", "--model", "new", "--synthetic", task, "-o", "report"}, "leave INPUT, labels and -o out");
}

TEST_F(TrainTest, ATaskIsValidatedAtAnotherLength) {
    model_ = unborn(make_headless_model(folder()), "MambaForCausalLM");
    std::string const brief = "induction-heads:length=24,vocab=8";
    std::string const lengthy = "induction-heads:length=90,vocab=8";
    auto const into = [&](std::string const& directory, Strings more) {
        // At this rate nothing is learned, so that validations differ by their task alone.
        more.insert(more.end(), {"--objective", "next-token", "--learning-rate", "1e-30", "--steps", "2",
                                 "--validation-examples", "6", "-o", directory});
        return train_arguments(more);
    };
    auto const validation = [&](std::string const& directory) {
        auto const row = lines_of(read_text(folder() / directory / "training" / "metrics.tsv")).back();
        EXPECT_EQ(row.rfind("2\tvalidation\t", 0), 0U) << row;
        return row.substr(0, row.rfind('\t')); // without the seconds
    };
    Strings const at_length{"--synthetic", brief, "--validation-synthetic", lengthy};
    ASSERT_EQ(program(into("brief", {"--synthetic", brief})).exit_code, 0);
    ASSERT_EQ(program(into("lengthy", {"--synthetic", lengthy})).exit_code, 0);
    auto const run = program(into("both", at_length));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.err.find("that of step 2, score -"), std::string::npos) << run.err; // minus the loss
    EXPECT_EQ(validation("both"), validation("lengthy"));
    EXPECT_NE(validation("both"), validation("brief"));
    EXPECT_EQ(weights("both"), weights("brief")) << "what is trained on stays the same";

    auto const options = read_text(folder() / "both" / "training" / "train.toml");
    EXPECT_NE(options.find("validation-synthetic=\"" + lengthy + "\""), std::string::npos) << options;
    auto const again = program({"train", "-q", "--config", "both/training/train.toml", "--score", "accuracy",
                                "--target-score", "1e-9", "-o", "again"});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    EXPECT_EQ(validation("again").find(validation("both").substr(0, 25)), 0U);
    EXPECT_EQ(program(into("both", {"--resume", "--synthetic", brief, "--validation-synthetic", lengthy})).exit_code,
              0);
    refused(into("both", {"--resume", "--synthetic", brief}), "validation-synthetic (none, was ");

    auto const refused_task = [&](Strings more, std::string const& word) { refused(into("other", more), word); };
    refused_task({"--synthetic", brief, "--validation-synthetic", "mqar:length=32,vocab=8,items=2"},
                 "the task of the validation is mqar with vocab=8, that of training induction-heads with vocab=8");
    refused_task({"--synthetic", brief, "--validation-synthetic", "induction-heads:length=90"}, "with vocab=16");
    refused_task({"--synthetic", brief, "--validation-synthetic", "induction-heads:items=90"}, "no key 'items'");
    refused_task({"--synthetic", brief, "--crop", "8"}, "leave them out with --synthetic");
    refused_task({"--synthetic", brief, "--noise", "0.5"}, "leave them out with --synthetic");
    refused_task({"--synthetic", "induction-heads:vocab=999"}, "the task has 999 tokens, the model ");
    refused_task({"--validation-synthetic", lengthy, sample("genomes.fa.gz")},
                 "--validation-synthetic goes with --synthetic");
    refused_task({"--synthetic", brief, "--seed", "18446744073709551615"}, "the examples of evaluate --synthetic");
    EXPECT_FALSE(std::filesystem::exists(folder() / "other"));
}

} // namespace
} // namespace strandwave

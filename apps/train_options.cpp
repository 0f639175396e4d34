#include "apps/train_options.h"

#include "apps/label_flags.h"

#include <CLI/CLI.hpp>
#include <limits>

namespace strandwave {
namespace {

constexpr double kLargest = 1e30;
constexpr index_t kAny = std::numeric_limits<index_t>::max();

auto at_least(index_t least) { return CLI::Range(least, kAny).description(""); }
auto share() { return number_in(0.0, 1.0); }

/// Adds options of one group with their defaults.
class Group {
public:
    Group(CLI::App& command, std::string name) : command_(command), name_(std::move(name)) {}

    template <class T>
    CLI::Option* add(std::string const& name, T& value, std::string const& help) {
        return command_.add_option(name, value, help)->group(name_)->capture_default_str();
    }
    void flag(std::string const& name, bool& value, std::string const& help) {
        command_.add_flag(name, value, help)->group(name_);
    }

private:
    CLI::App& command_;
    std::string name_;
};

void add_data_options(CLI::App& command, TrainFlags& flags) {
    Group data(command, "Data");
    data.add("--objective", flags.objective, "What is learnt")
        ->check(CLI::IsMember({"next-token", "masked-token", "classification", "regression"}));
    data.add("--synthetic", flags.synthetic,
             "Train on a task made by rule instead of files: selective-copying, induction-heads or mqar, with "
             ":length=N,vocab=N,items=N behind it")
        ->type_name("TASK");
    data.add("--validation-synthetic", flags.validation_synthetic,
             "Validate on this TASK, of the same kind and vocab, longer perhaps: the best model is the one that "
             "carries to it (default: that of --synthetic)")
        ->type_name("TASK");
    command.add_option("--validation-file", flags.validation_files, "Held-out records: files of their own")
        ->group("Data")
        ->type_name("FILE");
    data.add("--held-out", flags.held_out, "Hold out this share of the records of every class")->check(share());
    data.add("--fold", flags.fold, "Hold out fold I of K (from 0), as 2/5")->type_name("I/K");
    data.add("--validation-examples", flags.validation_examples,
             "Validate on so many held-out examples at most (default: all; 64 of a synthetic task)")
        ->check(at_least(0));
}

void add_batch_options(CLI::App& command, TrainFlags& flags) {
    Group batch(command, "Batches");
    batch.add("--batch-size", flags.batch.batch_size, "Records of a batch")
        ->check(CLI::Range(index_t{1}, index_t{1} << 20).description(""));
    batch
        .add("--batch-positions", flags.batch.batch_tokens,
             "Positions of a batch instead, drawn from all records by length (a multiple of --crop)")
        ->check(at_least(0));
    batch
        .add("--crop", flags.batch.crop, "Positions (tokens or frames) at most of a record, at a random place; 0: all")
        ->check(at_least(0));
    batch.add("--accumulate", flags.accumulate, "Batches whose gradients make one step")->check(at_least(1));
    batch.flag("--reverse-complement", flags.batch.reverse_complement,
               "Read every other DNA record, at random, from its other strand");
    batch
        .add("--substitutions", flags.batch.substitutions,
             "DNA: replace up to this share of a record's bases at random, as a noisy sequencer does")
        ->check(share());
    batch.add("--mask-share", flags.batch.mask_share, "Share of tokens that masked-token asks for")->check(share());
    batch.add("--label-smoothing", flags.batch.label_smoothing, "Share of a target that goes to all classes")
        ->check(share());
    batch.flag("--balance", flags.balance, "Weight classes by how rare they are");
    auto& audio = flags.batch.audio;
    batch.add("--gain", audio.gain_db, "Sound: random gain of up to so many dB, up or down")
        ->check(number_in(0.0, 1000.0));
    batch.add("--noise", audio.noise_probability, "Sound: share of records that get white noise (10 to 40 dB below)")
        ->check(share());
    batch.add("--shift", audio.shift_s, "Sound: moves records by up to so many seconds")->check(number_in(0.0, 1e9));
    batch.add("--speed", audio.speed, "Sound: plays records faster or slower by up to this share")
        ->check(number_in(0.0, 0.9));
    batch.add("--equalise", audio.equalise_db, "Sound: three random bands louder or softer by up to so many dB")
        ->check(number_in(0.0, kLargest));
    batch.add("--cutout", audio.cutout, "Sound: silences a stretch of up to this share of a record")->check(share());
    batch.add("--mix", audio.mix_probability, "Sound: share of records mixed with one of another class")
        ->check(share());
}

void add_optimiser_options(CLI::App& command, TrainFlags& flags) {
    Group optimiser(command, "Optimiser");
    auto& o = flags.optimizer;
    optimiser.add("--steps", flags.steps, "Steps of the whole run; 0: by --epochs")->check(at_least(0));
    optimiser.add("--epochs", flags.epochs, "How often every record is seen, instead of --steps")
        ->check(number_in(0.0, 1e9));
    optimiser.add("--learning-rate", o.learning_rate, "Of AdamW, at its peak")->check(number_in(1e-30, kLargest));
    optimiser.add("--warmup", flags.warmup, "Share of the steps in which it rises; then half a cosine down")
        ->check(share());
    optimiser.add("--final-rate", o.final_share, "Share of it that is left at the last step")->check(share());
    optimiser.add("--weight-decay", o.weight_decay, "Decoupled; none for A_log, D, biases and norms")
        ->check(number_in(0.0, kLargest));
    optimiser.add("--beta1", o.beta1, "Of the first moment")->check(share());
    optimiser.add("--beta2", o.beta2, "Of the second moment")->check(share());
    optimiser.add("--clip", o.max_norm, "Largest norm of all gradients together; 0: any")
        ->check(number_in(0.0, kLargest));
    optimiser
        .add("--ema", o.average_decay,
             "Decay of a moving average of the parameters, as 0.999, which is validated and written instead of them; "
             "0: none")
        ->check(number_in(0.0, 0.999999));
    optimiser.add("--dropout", flags.dropout, "In front of each block and of the head")->check(number_in(0.0, 0.9));
    optimiser
        .add("--freeze-below", flags.freeze_below,
             "Train from this layer up: 1 leaves the embedding as it is, n_layer + 1 trains the head alone")
        ->check(at_least(0));
    optimiser.flag("--recompute", flags.recompute, "Keep less in memory: make a layer's activations twice");
    optimiser
        .add("--piece", flags.piece,
             "Causal models: run records in pieces of so many positions with carried state, in the memory of one; "
             "gradients are exact. A multiple of 256 gives the bits of whole records in the scan")
        ->check(at_least(0));
    optimiser.flag("--truncate", flags.truncate,
                   "With --piece, token objectives: gradients end at the pieces' borders (truncated back-propagation "
                   "through time)");
    optimiser.add("--seed", flags.seed, "Of everything that is drawn")->check(unfit_seed);
}

void add_run_options(CLI::App& command, TrainFlags& flags) {
    Group run(command, "Run");
    run.add("--report-every", flags.loop.report_every, "Steps from line to line")->check(at_least(1));
    run.add("--validate-every", flags.loop.validate_every,
            "Steps; 0: an epoch of files, at the end of a synthetic task")
        ->check(at_least(0));
    run.add("--checkpoint-every", flags.loop.checkpoint_every, "Steps; 0: with every validation")->check(at_least(0));
    run.add("--score", flags.score, "What the best model is judged by (default: mcc of classifiers, else loss)")
        ->check(CLI::IsMember({"loss", "accuracy", "mcc"}));
    run.add("--target-score", flags.loop.target_score,
            "End at the first validation with this accuracy or mcc (0 to 1); 0: at the last step")
        ->check(number_in(0.0, 1.0));
    run.flag("--resume", flags.resume, "Go on from the checkpoint in the output directory");
}

} // namespace

void add_train_options(CLI::App& command, TrainFlags& flags) {
    add_model_options(command, flags.model);
    add_output_options(command, flags.output, true, "Model directory to write");
    add_label_flags(command, flags.labels);
    add_data_options(command, flags);
    add_batch_options(command, flags);
    add_optimiser_options(command, flags);
    add_run_options(command, flags);
    add_device_options(command, flags.compute, true);
    add_input_flags(command, flags.input);
    command.get_option("INPUT")->required(false);
    add_log_options(command, flags.log);
}

} // namespace strandwave

#include "apps/commands.h"
#include "apps/device_choice.h"
#include "apps/interrupt.h"
#include "apps/output_path.h"
#include "apps/run_identity.h"
#include "apps/starting_model.h"
#include "apps/train_data.h"
#include "apps/training_log.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <sstream>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

/// The model directory that a run writes. From the first step on it is one that loads; beside the model lies the folder
/// `training` with all that the run keeps.
class RunFolder {
public:
    explicit RunFolder(TrainFlags const& flags) : path_(flags.output.path) {
        if (flags.resume && !fs::exists(checkpoint())) {
            throw Error(
                ErrorCode::not_found,
                checkpoint().string() + ": no checkpoint to go on from" +
                    (fs::exists(options()) ? ": the run ended before its first; begin it again, by --force" : ""));
        }
        if (flags.resume) { return; }
        check_output_folder(path_, flags.output.force);
        check_not_the_model(path_, flags.model.directory);
    }

    void make(bool resume) const {
        std::error_code error;
        fs::create_directories(path_ / "training", error);
        // Of the run that --force replaces, nothing is left to go on from.
        if (!error && !resume) { fs::remove(checkpoint(), error); }
        if (error) { throw Error(ErrorCode::io, path_.string() + ": cannot be written: " + error.message()); }
    }

    fs::path const& path() const noexcept { return path_; }
    fs::path training() const { return path_ / "training"; }
    fs::path weights() const { return path_ / "model.safetensors"; }
    fs::path checkpoint() const { return training() / "checkpoint.safetensors"; }
    fs::path options() const { return training() / "train.toml"; }

private:
    fs::path path_;
};

Score score_of(TrainFlags const& flags) {
    bool const classifier = parse_objective(flags.objective) == Objective::classification;
    if (flags.score.empty()) { return classifier ? Score::matthews : Score::loss; }
    if (flags.score == "mcc" && !classifier) {
        throw Error(ErrorCode::invalid_argument, "--score mcc is for classifiers");
    }
    if (flags.score == "accuracy" && parse_objective(flags.objective) == Objective::regression) {
        throw Error(ErrorCode::invalid_argument, "--score accuracy is not for regression: numbers are never right");
    }
    return flags.score == "mcc" ? Score::matthews : flags.score == "accuracy" ? Score::accuracy : Score::loss;
}

/// --steps, or as many as --epochs ask for.
index_t step_count(TrainFlags const& flags, TrainingSource const& source) {
    if (flags.steps > 0) { return flags.steps; }
    return std::max<index_t>(1, std::llround(flags.epochs * static_cast<double>(source.steps_per_epoch())));
}

void check_pieces(TrainFlags const& flags, Objective objective, ModelConfig const& model) {
    if (flags.piece > 0 && model.bidirectional) {
        throw Error(ErrorCode::invalid_argument,
                    "--piece is for causal models: a bidirectional one reads whole records");
    }
    if (flags.piece > 0 && flags.dropout > 0) {
        throw Error(ErrorCode::invalid_argument, "--piece goes without --dropout");
    }
    if (flags.truncate && flags.piece == 0) {
        throw Error(ErrorCode::invalid_argument, "--truncate goes with --piece, at whose borders gradients end");
    }
    if (flags.piece > 0 && flags.truncate && is_pooled(objective)) {
        throw Error(ErrorCode::invalid_argument, "--truncate is for next-token: with --piece the gradients of " +
                                                     std::string(objective_name(objective)) +
                                                     " are exact at the same cost");
    }
}

void check_masking(TrainFlags const& flags, Objective objective) {
    double const share = flags.batch.mask_share;
    bool const masks = objective == Objective::masked_token && flags.synthetic.empty();
    if (masks && share == 0) {
        throw Error(ErrorCode::invalid_argument, "--mask-share 0 leaves masked-token nothing to learn: give more");
    }
    // The file of a run's options states the default, whatever the objective.
    if (!masks && share != BatchOptions().mask_share) {
        auto const what = flags.synthetic.empty() ? objective_name(objective) : "a task made by rule";
        throw Error(ErrorCode::invalid_argument,
                    "--mask-share is for masked-token; " + std::string(what) + " masks nothing");
    }
}

void check_synthetic(TrainFlags const& flags, Objective objective) {
    if (flags.synthetic.empty()) {
        if (flags.validation_synthetic.empty()) { return; }
        throw Error(ErrorCode::invalid_argument,
                    "--validation-synthetic goes with --synthetic: records are held out by --validation-file, "
                    "--held-out or --fold");
    }
    if (is_pooled(objective)) {
        throw Error(ErrorCode::invalid_argument, "--synthetic tasks have targets of tokens: take next-token");
    }
    bool const held_out = flags.held_out > 0 || !flags.fold.empty() || !flags.validation_files.empty();
    if (!flags.input.files.empty() || held_out) {
        throw Error(ErrorCode::invalid_argument,
                    "--synthetic tasks are made by rule, held-out examples too: leave INPUT, --validation-file, "
                    "--held-out and --fold out");
    }
    auto const& batch = flags.batch;
    bool const cuts = batch.batch_tokens > 0 || batch.crop > 0 || batch.reverse_complement || batch.substitutions > 0;
    if (cuts || batch.audio != AudioAugmentation()) {
        throw Error(ErrorCode::invalid_argument,
                    "--batch-positions, --crop, --reverse-complement, --substitutions and the options of sound are for "
                    "records of files: leave them out with --synthetic");
    }
}

void check_objective(TrainFlags const& flags, ModelConfig const& model) {
    auto const objective = parse_objective(flags.objective);
    if (objective == Objective::next_token && model.bidirectional) {
        throw Error(ErrorCode::invalid_argument, "a bidirectional model sees the next token: take masked-token");
    }
    if (!is_pooled(objective) && model.head != HeadKind::language_model) {
        throw Error(ErrorCode::unsupported, std::string(objective_name(objective)) + " needs a model with a language " +
                                                "model's head, which gives tokens; this one has " +
                                                (model.head == HeadKind::none ? "none" : "a classifier's"));
    }
    if (objective != Objective::classification && (flags.balance || flags.batch.label_smoothing > 0)) {
        throw Error(ErrorCode::invalid_argument, "--balance and --label-smoothing are for classification");
    }
    if (flags.freeze_below > model.n_layer + 1) {
        throw Error(ErrorCode::invalid_argument, "--freeze-below " + std::to_string(flags.freeze_below) +
                                                     ": the model has " + std::to_string(model.n_layer) +
                                                     " layers, so " + std::to_string(model.n_layer + 1) +
                                                     " trains the head alone");
    }
    if (!is_pooled(objective) && (!flags.labels.table.empty() || !flags.labels.from.empty())) {
        throw Error(ErrorCode::invalid_argument, "--labels and --labels-from are for classification and regression");
    }
    check_masking(flags, objective);
    check_pieces(flags, objective, model);
    check_synthetic(flags, objective);
}

class Listener final : public TrainingListener {
public:
    Listener(RunFolder const& folder, ModelParameters const& parameters, TensorStore const& store, TrainingLog& log,
             Trainer const& trainer, std::optional<LabelScale> const& label_scale)
        : folder_(folder), parameters_(parameters), store_(store), log_(log), trainer_(trainer),
          label_scale_(label_scale) {}

    void progress(TrainingProgress const& progress) override { log_.progress(progress, trainer_.bytes()); }
    void validated(Validation const& validation, Trainer& trainer) override {
        log_.validated(validation);
        if (validation.best) { write(trainer.state().learned()); }
    }
    /// The checkpoint comes last: a run that goes on from it finds everything of the steps before.
    void checkpoint(TrainingCheckpoint const& checkpoint) override {
        if (checkpoint.best_step == 0) { write(checkpoint.state.learned()); } // nothing is held out
        log_.write();
        write_checkpoint(folder_.checkpoint(), checkpoint);
    }
    bool stop() override { return interrupted(); }

private:
    void write(std::vector<float> values) {
        if (label_scale_) { restore_head(parameters_, *label_scale_, values); }
        write_parameters(parameters_, values, store_, folder_.weights());
    }

    RunFolder const& folder_;
    ModelParameters const& parameters_;
    TensorStore const& store_;
    TrainingLog& log_;
    Trainer const& trainer_;
    std::optional<LabelScale> label_scale_; ///< of numbers
};

/// Where the run stands at its beginning. The starting model is in the run's folder by then. `units`: of the numbers
/// that its head gives, if it gives numbers that mean something.
TrainingCheckpoint begin(TrainFlags const& flags, CLI::App const& command, RunFolder const& folder,
                         ModelParameters const& parameters, TensorStore const& store, TrainingSource const& source,
                         std::optional<LabelScale> const& units) {
    auto const run = run_identity(resolved_options(command));
    auto const data = static_cast<index_t>(source.hash());
    if (flags.resume) {
        auto checkpoint = read_checkpoint(folder.checkpoint(), parameters.size);
        check_same_run(command, run, run_identity(checkpoint.run), folder.path());
        if (checkpoint.data != 0 && checkpoint.data != data) {
            throw Error(ErrorCode::invalid_argument, "records or labels are other ones than those that the run in " +
                                                         folder.path().string() +
                                                         " began with; --resume goes on with the data of the run");
        }
        return checkpoint;
    }
    TrainingCheckpoint checkpoint;
    checkpoint.run = run;
    checkpoint.data = data;
    checkpoint.state.values = read_parameters(parameters, store);
    if (units) { standardise_head(parameters, *units, checkpoint.state.values); }
    checkpoint.state.moment1.assign(checkpoint.state.values.size(), 0.0F);
    checkpoint.state.moment2 = checkpoint.state.moment1;
    return checkpoint;
}

TrainerOptions trainer_options(TrainFlags const& flags, Device device, index_t steps, Pooling pooling) {
    TrainerOptions options;
    options.piece = flags.piece;
    options.truncate = flags.truncate;
    options.model.objective = parse_objective(flags.objective);
    options.model.pooling = pooling;
    options.model.dropout = static_cast<float>(flags.dropout);
    options.model.recompute = flags.recompute;
    options.model.first_layer = flags.freeze_below;
    options.optimizer = flags.optimizer;
    options.optimizer.warmup_steps = static_cast<index_t>(flags.warmup * static_cast<double>(steps));
    options.steps = steps;
    options.seed = flags.seed;
    options.device = device;
    options.dtype = compute_dtype(flags.compute.dtype, device);
    return options;
}

TrainingLoopOptions loop_options(TrainFlags const& flags, Score score, index_t steps, TrainingSource const& source) {
    auto loop = flags.loop;
    loop.steps = steps;
    loop.accumulate = flags.accumulate;
    loop.score = score;
    if (loop.validate_every == 0) { loop.validate_every = flags.synthetic.empty() ? source.steps_per_epoch() : steps; }
    if (loop.checkpoint_every == 0) { loop.checkpoint_every = loop.validate_every; }
    return loop;
}

/// Rows of the head would learn what they did not stand for when the run began.
void check_same_classes(ModelConfig const& model, std::vector<std::string> const& classes) {
    if (classes.empty() || classes == model.labels) { return; }
    auto const listed = [](std::vector<std::string> const& names) {
        std::string list;
        for (auto const& name : names) {
            list += (list.empty() ? "" : ", ") + name;
        }
        return list;
    };
    throw Error(ErrorCode::invalid_argument, "the run began with the classes " + listed(model.labels) +
                                                 ", and the labels now have " + listed(classes) +
                                                 "; --resume goes on with the data of the run");
}

/// What is asked of validations is not passed over where there are none.
void check_validation(TrainFlags const& flags, Score score, TrainingSource const& source) {
    bool const targeted = flags.loop.target_score > 0;
    if (targeted && score == Score::loss) {
        throw Error(ErrorCode::invalid_argument, "--target-score is an accuracy or mcc: give --score with it");
    }
    if (source.data().validation || (!targeted && flags.validation_examples == 0)) { return; }
    throw Error(ErrorCode::invalid_argument, std::string(targeted ? "--target-score is" : "--validation-examples are") +
                                                 " of held-out records: give --validation-file, --held-out or --fold");
}

ExitCode run(TrainFlags const& flags, CLI::App const& command) {
    Score const score = score_of(flags);
    RunFolder const folder(flags);
    if (flags.steps == 0 && (flags.epochs <= 0 || !flags.synthetic.empty())) {
        throw Error(ErrorCode::invalid_argument, "give --steps, or --epochs of files");
    }
    auto const devices = wanted_devices(flags.compute.device, flags.log);
    if (!devices.front().is_gpu() && compute_dtype(flags.compute.dtype, devices.front()) != DType::f32) {
        throw Error(ErrorCode::unsupported, "training on the processor is in f32: leave --dtype out");
    }
    auto const exchange = devices.size() > 1 ? make_nccl_exchange(devices) : nullptr;
    auto const shape = starting_config(flags.model.directory);
    check_objective(flags, shape);
    PreprocessorConfig preprocessor;
    if (flags.synthetic.empty()) { preprocessor = read_preprocessor_config(flags.model.directory, shape); }
    auto const source = flags.synthetic.empty() ? open_files(flags, preprocessor, shape) : open_synthetic(flags, shape);
    check_validation(flags, score, *source);
    index_t const steps = step_count(flags, *source);

    folder.make(flags.resume);
    auto const label_scale = source->label_scale();
    bool fresh_head = false;
    if (!flags.resume) {
        WantedHead const wanted{source->classes(), label_scale.has_value()};
        auto const start = write_starting_model(flags.model.directory, folder.path(), wanted, flags.seed);
        fresh_head = start.fresh_head;
        if (flags.synthetic.empty()) { write_preprocessor_config(folder.path(), preprocessor); }
        write_file_whole(folder.options(), resolved_options(command));
        log_line(flags.log, start.origin);
    }
    TensorStore const store = open_checkpoint(folder.path());
    auto const model = read_model_config(folder.path(), store);
    check_same_classes(model, source->classes());
    auto const parameters = find_parameters(model, store);
    auto checkpoint =
        begin(flags, command, folder, parameters, store, *source, fresh_head ? std::nullopt : label_scale);

    Threads const threads(flags.compute.threads);
    auto options = trainer_options(flags, devices.front(), steps, preprocessor.pooling);
    options.exchange = exchange;
    std::ostringstream line;
    line << parameters.count() << " parameters, " << objective_name(options.model.objective) << ", " << steps
         << " steps, device " << describe(devices) << (exchange ? ", gradients added by " + exchange->name() : "")
         << ", dtype " << dtype_name(options.dtype) << ", threads " << threads.count();
    log_line(flags.log, line.str());
    Trainer trainer(parameters, checkpoint.state, threads, options);
    auto const loop = loop_options(flags, score, steps, *source);
    TrainingLog log(flags.log, folder.training(), checkpoint.state.step, steps, options.model.objective);
    Listener listener(folder, parameters, store, log, trainer, label_scale);
    bool const done = run_training(trainer, threads, source->data(), loop, checkpoint, listener);
    if (!done) {
        log_line(flags.log, "stopped at step " + std::to_string(checkpoint.state.step) + "; --resume goes on");
        throw_if_interrupted();
    }
    log_line(flags.log, "model written to " + folder.path().string() +
                            (checkpoint.best_step > 0 ? ": that of step " + std::to_string(checkpoint.best_step) +
                                                            ", score " + std::to_string(checkpoint.best_score)
                                                      : ""));
    return source->failed() > 0 ? ExitCode::records_failed : ExitCode::done;
}

} // namespace

void add_train_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<TrainFlags>();
    CLI::App* command = program.add_subcommand("train", "Train a model on files of DNA or sound");
    command->fallthrough(); // --config is the program's
    add_train_options(*command, *flags);
    command->footer(
        "--model is a model directory to begin with; one without weights (config.json and preprocessor_config.json)\n"
        "begins with fresh parameters. The model written is the best of the validations, or the last one if nothing "
        "is\n"
        "held out. Its folder `training` has metrics.tsv, curves.svg, train.toml (all options, for --config) and the\n"
        "checkpoint that --resume goes on from, to the same bits on the same device. --config FILE reads options from\n"
        "the section [train] of a TOML file; the command line goes first. --device cuda:all trains on all GPUs that\n"
        "CUDA_VISIBLE_DEVICES shows, through NCCL (libnccl.so.2), each on a part of every batch.\n"
        "Exit code: 0 all done, 1 some records failed, 2 usage or set-up, or a file that cannot be read whole.\n"
        "\nExamples:\n"
        "  strandwave train --model data/configs/caduceus-ps --labels-from header train.fa --held-out 0.1 --epochs 10 "
        "-o model/\n"
        "  strandwave train --config train.toml --resume");
    command->callback([flags, command, &result] { result.exit_code = run(*flags, *command); });
}

} // namespace strandwave

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/model_directory.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/model/initialise.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace strandwave {
namespace {

struct InitFlags {
    std::filesystem::path config;
    std::uint64_t seed = 0;
    OutputOptions output;
    LogOptions log;
    PreprocessorFlags preprocessor;
    std::string input;      ///< "dna", "audio" or not given
    std::string vocabulary; ///< not given: what suggests itself
    double sampling_rate_hz = 0;
    index_t frame_hop = 0;
};

PreprocessorConfig audio_preprocessor(InitFlags const& flags, ModelConfig const& model) {
    PreprocessorConfig config;
    config.input = InputKind::audio;
    if (flags.sampling_rate_hz > 0) { config.audio.sampling_rate_hz = flags.sampling_rate_hz; }
    if (model.frame_length > 0) {
        config.audio.encoding = AudioEncoding::frames;
        config.audio.frame_length = model.frame_length;
        config.audio.frame_hop = flags.frame_hop > 0 ? flags.frame_hop : model.frame_length;
    } else if (flags.frame_hop > 0) {
        throw Error(ErrorCode::invalid_argument, "--frame-hop is for models that read frames; config.json of this one "
                                                 "has no frame_length");
    }
    return config;
}

PreprocessorConfig dna_preprocessor(InitFlags const& flags, ModelConfig const& model) {
    PreprocessorConfig config;
    if (model.frame_length > 0) {
        throw Error(ErrorCode::invalid_argument, "a model with a frame_length reads sound: give --input audio");
    }
    if (flags.vocabulary == "plantcaduceus") { config.nucleotide.vocabulary = Vocabulary::plantcaduceus; }
    if (flags.vocabulary == "nucleotide") { config.nucleotide.vocabulary = Vocabulary::nucleotide; }
    return config;
}

PreprocessorConfig make_preprocessor(InitFlags const& flags, ModelConfig const& model) {
    bool const sound_flags = flags.sampling_rate_hz > 0 || flags.frame_hop > 0;
    if (!flags.vocabulary.empty() && (flags.input == "audio" || sound_flags)) {
        throw Error(ErrorCode::invalid_argument, "--vocabulary is for DNA, --sampling-rate and --frame-hop for sound");
    }
    if (flags.input == "dna" && sound_flags) {
        throw Error(ErrorCode::invalid_argument, "--sampling-rate and --frame-hop are for sound, not for --input dna");
    }
    PreprocessorConfig config;
    if (flags.input == "audio" || sound_flags) {
        config = audio_preprocessor(flags, model);
    } else if (flags.input == "dna" || !flags.vocabulary.empty()) {
        config = dna_preprocessor(flags, model);
    } else {
        config = default_preprocessor_config(model);
    }
    apply(flags.preprocessor, config);
    return config;
}

void run(InitFlags const& flags) {
    NewModelDirectory directory(flags.output.path, flags.output.force);
    directory.fill([&](std::filesystem::path const& folder) {
        initialise_model(flags.config, flags.seed, folder, true);
        auto const model = read_model_config(folder, open_checkpoint(folder));
        auto const preprocessor = make_preprocessor(flags, model);
        check_against_model(flags.config.string(), preprocessor, model);
        write_preprocessor_config(folder, preprocessor);
    });
    directory.commit();
    log_line(flags.log, "model written to " + flags.output.path.string());
}

} // namespace

void add_init_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<InitFlags>();
    CLI::App* command =
        program.add_subcommand("init", "Make a model of fresh parameters, drawn as the published code does");
    command->add_option("--config", flags->config, "config.json of any published dialect")
        ->required()
        ->type_name("FILE");
    command->add_option("--seed", flags->seed, "The same seed gives the same model")
        ->check(unfit_seed)
        ->capture_default_str();
    add_output_options(*command, flags->output, true, "Model directory to write");
    auto const add = [&](char const* name, auto& value, char const* help) {
        return command->add_option(name, value, help)->group("Input policies");
    };
    add("--input", flags->input, "What the model reads (default: what its architecture and vocabulary suggest)")
        ->check(CLI::IsMember({"dna", "audio"}));
    add("--vocabulary", flags->vocabulary, "Of DNA tokens (default: caduceus)")
        ->check(CLI::IsMember({"caduceus", "plantcaduceus", "nucleotide"}));
    add("--sampling-rate", flags->sampling_rate_hz, "Of sound, in Hz; other rates are resampled (default: 16000)")
        ->check(number_in(1.0, 1e7));
    add("--frame-hop", flags->frame_hop, "Samples from one frame's start to the next's (default: frame_length)")
        ->check(CLI::Range(index_t{1}, index_t{1} << 30));
    add_preprocessor_flags(*command, flags->preprocessor);
    add_log_options(*command, flags->log);
    command->footer(
        "Writes config.json, model.safetensors and preprocessor_config.json. With \"frame_length\": N in the\n"
        "config the model reads frames of N samples, with \"n_bands\": K too as the log power of K learned bands;\n"
        "otherwise sound becomes 8-bit mu-law tokens.\n"
        "\nExample:\n"
        "  strandwave init --config config.json --seed 1 -o model/");
    command->callback([flags, &result] {
        run(*flags);
        result.exit_code = ExitCode::done;
    });
}

} // namespace strandwave

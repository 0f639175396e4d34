#include "apps/bench_measure.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "formats/open_input.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

constexpr index_t kSymbolsAtOnce = 1 << 20;

struct InfoFlags {
    ModelOptions model; ///< the path, whatever it is
    ComputeOptions compute;
    LogOptions log;
    std::string raw;
    SequenceReaderOptions sequence;
    bool json = false;
};

char const* head_name(HeadKind head) {
    switch (head) {
    case HeadKind::none: return "none";
    case HeadKind::language_model: return "language model";
    case HeadKind::classifier: return "classifier";
    }
    return "";
}

/// Which element types the weights have in the file, and how many bytes they take.
Json weights_on_disk(std::filesystem::path const& directory) {
    TensorStore const store = open_checkpoint(directory);
    Json dtypes = Json::array();
    index_t bytes = 0;
    std::map<std::string, index_t> counts;
    for (auto const& [name, tensor] : store.tensors()) {
        counts[std::string(dtype_name(tensor.dtype))] += 1;
        bytes += static_cast<index_t>(tensor.bytes.size());
    }
    for (auto const& [name, count] : counts) {
        dtypes.push_back(name + " (" + std::to_string(count) + " tensors)");
    }
    return {{"dtype_on_disk", dtypes}, {"bytes_on_disk", bytes}};
}

/// Doubles the record until a run takes long enough to be believed; a big model on a small machine stays quick.
double measured_tokens_per_s(OpenedModel const& opened) {
    constexpr double kLongEnough = 0.2;
    constexpr index_t kLongest = 1 << 16;
    for (index_t length = 64;; length *= 2) {
        Timing const timing = time_prefill(opened.model, *opened.threads, length, opened.chunk, 1);
        if (timing.wall_s >= kLongEnough || length >= kLongest) { return static_cast<double>(length) / timing.wall_s; }
    }
}

Json preprocessor_info(PreprocessorConfig const& config) {
    Json info;
    if (config.input == InputKind::dna) {
        info["reads"] = "dna";
        info["strand"] = strand_name(config.strand);
    } else {
        info["reads"] = "audio";
        info["sampling_rate_hz"] = config.audio.sampling_rate_hz;
        info["encoding"] = config.audio.encoding == AudioEncoding::mulaw ? "mulaw" : "frames";
        if (config.audio.encoding == AudioEncoding::frames) { info["frame_hop"] = config.audio.frame_hop; }
    }
    info["pooling"] = pooling_name(config.pooling);
    return info;
}

Json model_info(InfoFlags const& flags) {
    OpenedModel const opened = open_model(flags.model, flags.compute, flags.log);
    Model const& model = *opened.model;
    ModelConfig const& config = model.config();
    Json info = {{"model", flags.model.directory.string()},
                 {"architecture", architecture_name(config.architecture)},
                 {"direction", config.bidirectional ? "bidirectional" : "causal"},
                 {"reverse_complement_equivariant", config.rcps},
                 {"n_layer", config.n_layer},
                 {"d_model", config.d_model},
                 {"d_inner", config.d_inner},
                 {"d_state", config.d_state},
                 {"d_conv", config.d_conv},
                 {"dt_rank", config.dt_rank}};
    if (config.frame_length > 0) {
        info["frame_length"] = config.frame_length;
        if (config.n_bands > 0) { info["n_bands"] = config.n_bands; }
    } else {
        info["vocab_size"] = config.vocab_size;
    }
    info["head"] = head_name(config.head);
    if (config.regression) {
        info["problem_type"] = "regression";
    } else if (!config.labels.empty()) {
        info["labels"] = config.labels;
    }
    info["parameters"] = model.parameters();
    info.update(weights_on_disk(flags.model.directory));
    info["state_bytes_per_lane"] = config.bidirectional ? 0 : model.state_bytes(); // of a causal model only
    info.update(preprocessor_info(read_preprocessor_config(flags.model.directory, config)));
    info["threads"] = opened.threads->count();
    info["tokens_per_s_estimate"] = static_cast<index_t>(measured_tokens_per_s(opened));
    return info;
}

/// Lengths of records by how often they come: small for any number of reads.
class Lengths {
public:
    void add(index_t length) {
        ++counts_[length];
        ++records_;
        total_ += length;
    }

    Json info() const {
        Json info = {{"records", records_}, {"bases", total_}};
        if (records_ == 0) { return info; }
        info["shortest"] = counts_.begin()->first;
        info["median"] = median();
        info["longest"] = counts_.rbegin()->first;
        info["n50"] = n50();
        info["empty_records"] = counts_.count(0) != 0 ? counts_.at(0) : 0;
        return info;
    }

private:
    /// The lower one of the two middle lengths if their number is even.
    index_t median() const {
        index_t seen = 0;
        for (auto const& [length, count] : counts_) {
            seen += count;
            if (2 * seen >= records_) { return length; }
        }
        return 0;
    }

    /// Records of this length or more hold half of all bases.
    index_t n50() const {
        index_t seen = 0;
        for (auto entry = counts_.rbegin(); entry != counts_.rend(); ++entry) {
            seen += entry->first * entry->second;
            if (2 * seen >= total_) { return entry->first; }
        }
        return 0;
    }

    std::map<index_t, index_t> counts_;
    index_t records_ = 0;
    index_t total_ = 0;
};

Json sequence_info(SequenceReader& reader) {
    Lengths lengths;
    index_t length = 0;
    SequenceChunk chunk;
    while (reader.next(chunk, kSymbolsAtOnce).value() == ReadOutcome::chunk) {
        length = (chunk.first ? 0 : length) + static_cast<index_t>(chunk.symbols.size());
        if (chunk.last) { lengths.add(length); }
    }
    Json info = lengths.info();
    if (reader.skipped_records() > 0) { info["secondary_skipped"] = reader.skipped_records(); }
    return info;
}

Json audio_info(AudioReader& reader) {
    index_t frames = 0;
    AudioChunk chunk;
    while (reader.next(chunk, kSymbolsAtOnce).value() == ReadOutcome::chunk) {
        frames += static_cast<index_t>(chunk.samples.size()) / std::max<index_t>(chunk.channels, 1);
    }
    return {{"sampling_rate_hz", reader.sample_rate_hz()},
            {"channels", reader.channels()},
            {"samples_per_channel", frames},
            {"seconds", static_cast<double>(frames) / reader.sample_rate_hz()}};
}

/// Reads the file to its end, so that its figures hold and damage is found.
Json file_info(InfoFlags const& flags) {
    InputOptions options;
    options.sequence = flags.sequence;
    if (!flags.raw.empty()) { options.raw_audio = RawAudioFormat::parse(flags.raw).value(); }
    Input input = open_input(flags.model.directory, options).value();
    Json info = {{"file", flags.model.directory.string()}, {"format", input.format}};
    info.update(input.sequence ? sequence_info(*input.sequence) : audio_info(*input.audio));
    return info;
}

std::string as_text(Json const& value) {
    if (value.is_string()) { return value.get<std::string>(); }
    if (value.is_boolean()) { return value.get<bool>() ? "yes" : "no"; }
    if (!value.is_array()) { return value.dump(); }
    std::string text;
    for (auto const& item : value) {
        text += (text.empty() ? "" : ", ") + as_text(item);
    }
    return text;
}

void run(InfoFlags const& flags) {
    Json const info = std::filesystem::is_directory(flags.model.directory) ? model_info(flags) : file_info(flags);
    if (flags.json) {
        std::cout << info.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    } else {
        for (auto const& [key, value] : info.items()) {
            std::cout << key << '\t' << as_text(value) << '\n';
        }
    }
    if (!std::cout.flush()) { throw Error(ErrorCode::io, "stdout: could not be written whole"); }
}

} // namespace

void add_info_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<InfoFlags>();
    CLI::App* command = program.add_subcommand("info", "Tell what a model directory or a data file holds");
    command->add_option("PATH", flags->model.directory, "Model directory, or a DNA or sound file; - is stdin")
        ->required();
    command->add_flag("--json", flags->json, "As one JSON object, not as lines of key, tab, value");
    command->add_flag("--ignore-extra", flags->model.ignore_extra,
                      "Pass over tensors that the architecture does not know");
    command->add_option("--raw", flags->raw, "The file is sound without a header: encoding:rate:channels");
    command->add_option("--reference", flags->sequence.reference, "FASTA that a CRAM file was written against")
        ->type_name("FASTA");
    command->add_flag("--keep-secondary", flags->sequence.keep_secondary,
                      "Count secondary and supplementary alignments");
    add_compute_options(*command, flags->compute);
    add_log_options(*command, flags->log);
    command->footer("A data file is read to its end. tokens_per_s_estimate is one short run on this machine.\n"
                    "\nExample:\n"
                    "  strandwave info reads.fastq.gz");
    command->callback([flags, &result] {
        run(*flags);
        result.exit_code = ExitCode::done;
    });
}

} // namespace strandwave

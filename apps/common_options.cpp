#include "apps/common_options.h"

#include "apps/device_choice.h"
#include "kernels/linear/linear.h"
#include "lib/core/memory.h"
#include "lib/model/session.h"
#include "pipelines/unit_runner.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>
#include <sstream>

namespace strandwave {
namespace {

template <class Enum, std::size_t N>
using Words = std::array<std::pair<char const*, Enum>, N>;

constexpr Words<LowerCase, 3> kLowerCase{
    {{"upper", LowerCase::upper}, {"mask", LowerCase::mask}, {"error", LowerCase::error}}};
constexpr Words<AmbiguousBase, 3> kAmbiguousBase{
    {{"token", AmbiguousBase::token}, {"skip", AmbiguousBase::skip}, {"error", AmbiguousBase::error}}};
constexpr Words<IupacCode, 3> kIupac{
    {{"n", IupacCode::n}, {"unknown", IupacCode::unknown}, {"error", IupacCode::error}}};
constexpr Words<Uracil, 2> kUracil{{{"t", Uracil::t}, {"error", Uracil::error}}};
constexpr Words<ChannelPolicy, 3> kChannels{
    {{"mix", ChannelPolicy::mix}, {"first", ChannelPolicy::first}, {"each", ChannelPolicy::each}}};

/// The flag takes one of the words only; an empty value means that it was not given.
template <class Enum, std::size_t N>
void add_word_flag(CLI::App& command, std::string const& name, std::string& value, Words<Enum, N> const& words,
                   std::string const& help) {
    std::vector<std::string> known;
    for (auto const& word : words) {
        known.emplace_back(word.first);
    }
    command.add_option(name, value, help)->check(CLI::IsMember(known))->group("Input policies");
}

template <class Enum, std::size_t N>
void apply_word(std::string const& value, Words<Enum, N> const& words, Enum& to) {
    for (auto const& [word, meaning] : words) {
        if (value == word) { to = meaning; }
    }
}

index_t parse_bytes(std::string const& text) {
    std::size_t stop = 0;
    double amount = 0;
    try {
        amount = std::stod(text, &stop);
    } catch (std::exception const&) {}
    auto const unit = std::string("KMGT").find(stop < text.size() ? text[stop] : '\0');
    bool const whole = stop == text.size() || (stop + 1 == text.size() && unit != std::string::npos);
    if (stop == 0 || !whole || !(amount > 0) || amount > 1e15) {
        throw Error(ErrorCode::invalid_argument,
                    "--max-memory " + text + ": give bytes, or a number with K, M, G or T");
    }
    double const factor = stop == text.size() ? 1.0 : std::pow(1024.0, static_cast<double>(unit + 1));
    return static_cast<index_t>(std::min(amount * factor, 9e18));
}

/// Peak bytes that a symbol of a unit costs when the unit lies whole in memory: the symbol, its token or its share of
/// the frames in two places on their way to a feed and in all the feeds in flight, and for a bidirectional model the
/// activations of one layer.
double bytes_per_symbol(OpenedModel const& opened) {
    auto const& config = opened.model->config();
    auto const& audio = opened.preprocessor.audio;
    bool const frames = config.frame_length > 0;
    double const positions = frames ? 1.0 / static_cast<double>(std::max<index_t>(audio.frame_hop, 1)) : 1.0;
    double const input = frames ? 4.0 * static_cast<double>(config.frame_length) : 4.0;
    double const layer = config.bidirectional ? 4.0 * static_cast<double>(config.strands()) *
                                                    static_cast<double>(3 * config.d_model + 5 * config.d_inner)
                                              : 0.0;
    auto const places = static_cast<double>(2 + kFeedsPerModel * opened.replicas.size());
    return 4.0 + positions * (places * input + layer);
}

/// The words of --device; an unknown one is an error of usage.
CLI::Validator device_words(bool many) {
    auto const check = [many](std::string const& word) -> std::string {
        try {
            bool const all = DeviceChoice::parse(word).kind == DeviceChoice::Kind::all_gpus;
            return all && !many ? "this command computes on one device; give cuda:N" : "";
        } catch (Error const& error) { return error.message(); }
    };
    return {check, many ? "{auto,cpu,cuda,cuda:N,cuda:all}" : "{auto,cpu,cuda,cuda:N}"};
}

} // namespace

void add_log_options(CLI::App& command, LogOptions& options) {
    command.add_flag("-q,--quiet", options.quiet, "No log, progress or summary on stderr; errors are still written");
}

void log_line(LogOptions const& options, std::string const& line) {
    if (!options.quiet) { std::cerr << "strandwave: " << line << std::endl; }
}

void log_error(std::string const& line) { std::cerr << "strandwave: error: " << line << std::endl; }

DType compute_dtype(std::string const& word, Device device) {
    if (word.empty()) { return device.is_gpu() ? DType::bf16 : DType::f32; }
    return word == "bf16" ? DType::bf16 : DType::f32;
}

std::vector<Device> wanted_devices(std::string const& word, LogOptions const& log) {
    auto chosen = choose_devices(word);
    if (!chosen.why_no_gpu.empty()) { log_line(log, "cuda: " + chosen.why_no_gpu + "; computing on the cpu"); }
    return std::move(chosen.devices);
}

void add_compute_options(CLI::App& command, ComputeOptions& options, bool many) {
    add_device_options(command, options, many);
    command
        .add_option(
            "--chunk", options.chunk,
            "Positions (tokens or frames) fed at once (default: " + std::to_string(kDefaultChunk) + " on the cpu, " +
                std::to_string(kDefaultGpuChunk) +
                " on a GPU, fewer of long frames); bounds memory, never changes the result (below 256 on a GPU, by "
                "rounding)")
        ->type_name("N")
        ->check(CLI::Range(index_t{1}, index_t{1} << 30).description(""))
        ->group("Computing");
}

void add_device_options(CLI::App& command, ComputeOptions& options, bool many) {
    command
        .add_option(
            "--dtype", options.dtype,
            "Of the matrix products, and on a GPU of what lies between ops; sums, scan state and residual stream are "
            "always fp32 (default: bf16 on a GPU, f32 on the cpu)")
        ->check(CLI::IsMember({"f32", "bf16"}))
        ->group("Computing");
    command
        .add_option("--device", options.device,
                    "Where to compute; auto is the first GPU, or the cpu where there is none; cuda is cuda:0")
        ->check(device_words(many))
        ->capture_default_str()
        ->group("Computing");
    command.add_option("--threads", options.threads, "Threads (default: all that the process may use)")
        ->type_name("N")
        ->check(CLI::Range(1, 4096).description(""))
        ->group("Computing");
}

index_t default_chunk(ModelConfig const& config, Device device) {
    if (!device.is_gpu()) { return kDefaultChunk; }
    constexpr index_t kFrameBytes = 64 << 20;
    index_t const position_bytes = std::max<index_t>(config.frame_length, 1) * index_t{sizeof(float)};
    return std::clamp(kFrameBytes / position_bytes / kChunkUnit * kChunkUnit, kDefaultChunk, kDefaultGpuChunk);
}

void add_model_options(CLI::App& command, ModelOptions& options) {
    command.add_option("-m,--model", options.directory, "Model directory: config.json and the weights")
        ->required()
        ->check(empty_name)
        ->type_name("DIR");
    command.add_flag("--ignore-extra", options.ignore_extra, "Pass over tensors that the architecture does not know");
}

std::string empty_name(std::string const& value) { return value.empty() ? "an empty name" : ""; }

std::string unfit_seed(std::string const& value) {
    std::uint64_t seed = 0;
    auto const* const end = value.data() + value.size();
    auto const [stop, error] = std::from_chars(value.data(), end, seed);
    return error == std::errc() && stop == end ? "" : value + ": has to be a whole number, 0 to 2^64 - 1";
}

std::function<std::string(std::string const&)> number_in(double least, double most) {
    return [least, most](std::string const& value) -> std::string {
        double number = 0;
        if (CLI::detail::lexical_cast(value, number) && number >= least && number <= most) { return ""; }
        std::ostringstream text;
        text << value << ": has to be a number from " << least << " to " << most;
        return text.str();
    };
}

void add_output_options(CLI::App& command, OutputOptions& options, bool required, std::string const& what) {
    auto* const output = command.add_option("-o,--output", options.path, what)->type_name("PATH");
    output->check(empty_name);
    if (required) { output->required(); }
    command.add_flag("--force", options.force, "Replace an output that exists");
}

void add_preprocessor_flags(CLI::App& command, PreprocessorFlags& flags, bool unpooled) {
    auto const known = [&command](std::string const& name, std::string& value, std::vector<std::string> const& words,
                                  std::string const& help) {
        command.add_option(name, value, help)->check(CLI::IsMember(words))->group("Input policies");
    };
    std::vector<std::string> poolings{"mean", "max", "last", "first"};
    if (unpooled) { poolings.emplace_back("none"); }
    known("--pool", flags.pool, poolings, "How a record's vectors become one (default: the model's)");
    known("--strand", flags.strand, {"forward", "reverse", "both"},
          "DNA strand to read; both averages the two (default: the model's)");
    command
        .add_flag("--special-tokens", flags.special_tokens,
                  "Add the tokens that the published tokenizer adds (default: none)")
        ->group("Input policies");
    add_word_flag(command, "--lower-case", flags.lower_case, kLowerCase,
                  "Soft-masked letters: read as upper case, as N, or refuse (default: the model's, upper)");
    add_word_flag(command, "--n", flags.n, kAmbiguousBase,
                  "N: its token, left out, or refuse (default: the model's, token)");
    add_word_flag(command, "--iupac", flags.iupac, kIupac,
                  "R Y S W K M B D H V: as N, as the unknown token, or refuse (default: the model's, n)");
    add_word_flag(command, "--uracil", flags.uracil, kUracil, "U: as T, or refuse (default: the model's, t)");
    add_word_flag(command, "--channels", flags.channels, kChannels,
                  "Sound: mean of the channels, the first, or a row for each (default: the model's, mix)");
}

namespace {

/// A flag of the other kind of input would be passed over.
void check_kind(PreprocessorFlags const& flags, PreprocessorConfig const& config) {
    bool const dna = config.input == InputKind::dna;
    auto const refuse = [&](bool given, std::string const& name) {
        if (!given) { return; }
        throw Error(ErrorCode::invalid_argument, name + (dna ? " is for sound, and this model reads DNA"
                                                             : " is for DNA, and this model reads sound"));
    };
    refuse(dna && !flags.channels.empty(), "--channels");
    refuse(!dna && !flags.strand.empty(), "--strand");
    refuse(!dna && flags.special_tokens, "--special-tokens");
    refuse(!dna && !flags.lower_case.empty(), "--lower-case");
    refuse(!dna && !flags.n.empty(), "--n");
    refuse(!dna && !flags.iupac.empty(), "--iupac");
    refuse(!dna && !flags.uracil.empty(), "--uracil");
}

} // namespace

void apply(PreprocessorFlags const& flags, PreprocessorConfig& config) {
    check_kind(flags, config);
    if (!flags.pool.empty()) { config.pooling = parse_pooling(flags.pool); }
    if (!flags.strand.empty()) { config.strand = parse_strand(flags.strand); }
    if (flags.special_tokens) { config.special_tokens = true; }
    apply_word(flags.lower_case, kLowerCase, config.nucleotide.lower_case);
    apply_word(flags.n, kAmbiguousBase, config.nucleotide.n);
    apply_word(flags.iupac, kIupac, config.nucleotide.iupac);
    apply_word(flags.uracil, kUracil, config.nucleotide.uracil);
    apply_word(flags.channels, kChannels, config.audio.channels);
}

void add_input_flags(CLI::App& command, InputFlags& flags) {
    command
        .add_option(
            "INPUT", flags.files,
            "FASTA, FASTQ, SAM, BAM, CRAM, WAV, FLAC, OGG, MP3 or AIFF files, or tables of sequences (.csv, .tsv), "
            "compressed or not; - is stdin")
        ->required()
        ->check(empty_name)
        ->type_name("FILE");
    auto const add = [&command](std::string const& name, auto& value, std::string const& help) {
        return command.add_option(name, value, help)->group("Input");
    };
    add("--raw", flags.raw, "The input is sound without a header: encoding:rate:channels, as s16le:16000:1")
        ->type_name("FORMAT");
    add("--reference", flags.reference, "FASTA that a CRAM file was written against; never fetched from the network")
        ->type_name("FASTA");
    command
        .add_flag("--keep-secondary", flags.keep_secondary, "Also secondary and supplementary alignments, else skipped")
        ->group("Input");
    add("--bed", flags.bed, "Read the regions of this BED file (0-based, half-open) from the one indexed FASTA")
        ->type_name("FILE");
    add("--region", flags.regions, "Read this region, chr:from-to (1-based, both ends in), as samtools has it")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("REGION");
    add("--flank", flags.flank, "Bases to add to both ends of the regions (default: 0)")
        ->type_name("N")
        ->check(CLI::Range(index_t{0}, index_t{1} << 40).description(""));
    add("--trim-quality", flags.trim_quality,
        "Cut off the end of reads where the quality is below this, as bwa aln -q does (default: 0, nothing)")
        ->type_name("Q")
        ->check(CLI::Range(0, 93).description(""));
    command
        .add_flag("--interleaved", flags.interleaved,
                  "Reads 2i and 2i + 1 are mates: one row for both; to `train`, two examples of one side")
        ->group("Input");
    add("--window", flags.window,
        "Cut records into windows of N bases or samples, or of seconds as 2.5s; the last one is kept from half a "
        "window on (default: whole records)")
        ->type_name("LENGTH");
    add("--stride,--hop", flags.stride, "From one window's start to the next's (default: the window, no overlap)")
        ->type_name("LENGTH");
    add("--skip-silence", flags.silence_dbfs,
        "Of sound, pass over windows whose level (root mean square) is below this, as -50 (default: none)")
        ->type_name("DBFS")
        ->check(number_in(-200.0, 0.0));
    add("--min-length", flags.min_length, "Skip records with fewer bases or samples (default: 1, empty ones)")
        ->type_name("N")
        ->check(CLI::Range(index_t{1}, std::numeric_limits<index_t>::max()).description(""));
    add("--limit", flags.limit, "Stop after N records (default: all)")
        ->type_name("N")
        ->check(CLI::Range(index_t{1}, std::numeric_limits<index_t>::max()).description(""));
    add("--max-memory", flags.max_memory,
        "For records that must lie whole in memory (bidirectional models, --strand reverse and both), as 8G "
        "(default: half of what is available)")
        ->type_name("BYTES");
}

void log_repeated_inputs(LogOptions const& log, std::vector<std::filesystem::path> const& files) {
    std::set<std::filesystem::path> known;
    std::vector<std::filesystem::path> repeated;
    for (auto const& file : files) {
        std::error_code error;
        auto const whole = std::filesystem::canonical(file, error);
        if (!error && !known.insert(whole).second) { repeated.push_back(file); }
    }
    if (repeated.empty()) { return; }
    log_line(log, std::to_string(repeated.size()) + " of " + std::to_string(files.size()) +
                      " inputs repeat an earlier one (" + repeated.front().string() +
                      " is the first): their records count each time");
}

index_t max_memory_bytes(InputFlags const& flags) {
    return flags.max_memory.empty() ? 0 : parse_bytes(flags.max_memory);
}

OpenedModel open_model(ModelOptions const& model, ComputeOptions const& compute, LogOptions const& log) {
    std::error_code error;
    if (std::filesystem::is_regular_file(model.directory, error)) {
        throw Error(ErrorCode::invalid_argument,
                    model.directory.string() + ": is a file; a model is the folder of its config.json and weights");
    }
    OpenedModel opened;
    auto const devices = wanted_devices(compute.device, log);
    auto const device_text = describe(devices); // before the model takes memory
    for (Device const device : devices) {
        opened.replicas.push_back(
            Model::load(model.directory, {compute_dtype(compute.dtype, device), model.ignore_extra, device}));
    }
    opened.model = opened.replicas.front();
    opened.threads = std::make_unique<Threads>(compute.threads);
    opened.chunk = compute.chunk > 0 ? compute.chunk : default_chunk(opened.model->config(), opened.model->device());
    std::ostringstream line;
    line << "model " << model.directory.string() << " (" << architecture_name(opened.model->config().architecture)
         << ", " << opened.model->parameters() << " parameters), device " << device_text << ", dtype "
         << dtype_name(opened.model->dtype()) << ", threads " << opened.threads->count() << ", chunk " << opened.chunk;
    log_line(log, line.str());
    if (!opened.model->device().is_gpu() && opened.model->dtype() == DType::bf16 && !bf16_is_native()) {
        log_line(log, "this processor multiplies bf16 no faster than f32");
    }
    return opened;
}

OpenedModel open_model(ModelOptions const& model, ComputeOptions const& compute, PreprocessorFlags const& flags,
                       LogOptions const& log) {
    OpenedModel opened = open_model(model, compute, log);
    opened.preprocessor = read_preprocessor_config(model.directory, opened.model->config());
    apply(flags, opened.preprocessor);
    return opened;
}

RecordSourceOptions source_options(InputFlags const& flags, PreprocessorConfig const& preprocessor,
                                   ModelConfig const& model) {
    RecordSourceOptions options;
    options.preprocessor = preprocessor;
    options.input.sequence.keep_secondary = flags.keep_secondary;
    options.input.sequence.reference = flags.reference;
    if (!flags.raw.empty()) { options.input.raw_audio = RawAudioFormat::parse(flags.raw).value(); }
    options.frame_length = model.frame_length;
    options.whole_units = model.bidirectional;
    if (!flags.window.empty()) { options.window = Extent::parse(flags.window); }
    if (!flags.stride.empty()) { options.stride = Extent::parse(flags.stride); }
    options.min_length = flags.min_length;
    options.limit = flags.limit;
    options.bed = flags.bed;
    options.regions = flags.regions;
    options.flank = flags.flank;
    options.silence_dbfs = flags.silence_dbfs;
    options.interleaved = flags.interleaved;
    options.input.sequence.trim_quality = flags.trim_quality;
    return options;
}

RecordSourceOptions source_options(InputFlags const& flags, OpenedModel const& opened) {
    auto options = source_options(flags, opened.preprocessor, opened.model->config());
    options.input.sequence.decompression_threads = opened.threads->count() > 1 ? 1 : 0; // one outruns all models
    auto const given = max_memory_bytes(flags);
    auto const bytes = given > 0 ? given : available_memory_bytes() / 2;
    options.max_unit_symbols =
        std::max<index_t>(1, static_cast<index_t>(static_cast<double>(bytes) / bytes_per_symbol(opened)));
    return options;
}

} // namespace strandwave

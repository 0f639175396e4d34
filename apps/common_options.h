#pragma once

#include "lib/core/threads.h"
#include "lib/encode/preprocessor_config.h"
#include "lib/model/model.h"
#include "pipelines/record_source.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace strandwave {

/// --quiet and where messages go: results are on stdout, all else is a line on stderr.
struct LogOptions {
    bool quiet = false; ///< errors are still written
};
void add_log_options(CLI::App& command, LogOptions& options);
void log_line(LogOptions const& options, std::string const& line); ///< "strandwave: " + line
void log_error(std::string const& line);                           ///< "strandwave: error: " + line

/// --dtype --device --threads --chunk.
struct ComputeOptions {
    std::string dtype; ///< empty: bf16 on a GPU, f32 on the processor
    std::string device = "auto";
    int threads = 0;   ///< 0: what the process may use
    index_t chunk = 0; ///< positions a feed; 0: default_chunk
};
inline constexpr index_t kDefaultChunk = 16384;     ///< on the processor
inline constexpr index_t kDefaultGpuChunk = 262144; ///< on a GPU, which waits between two feeds: few large ones

/// Positions a feed unless asked otherwise. On a GPU fewer where frames are so long that a feed of them would take
/// more than 64 MiB, never fewer than kDefaultChunk; a multiple of kChunkUnit.
index_t default_chunk(ModelConfig const& config, Device device);

/// `many`: the command can spread its work over GPUs, so --device also takes cuda:all.
void add_compute_options(CLI::App& command, ComputeOptions& options, bool many = false);
void add_device_options(CLI::App& command, ComputeOptions& options, bool many = false); ///< all but --chunk

/// What --device means here; falling back to the processor is logged. Throws what choose_devices throws.
std::vector<Device> wanted_devices(std::string const& word, LogOptions const& log);
DType compute_dtype(std::string const& word, Device device); ///< what --dtype means there

/// --model (required) and --ignore-extra.
struct ModelOptions {
    std::filesystem::path directory;
    bool ignore_extra = false;
};
void add_model_options(CLI::App& command, ModelOptions& options);

/// -o/--output and --force.
struct OutputOptions {
    std::filesystem::path path; ///< empty or "-": stdout, where the command allows it
    bool force = false;
};
/// For options whose empty value is an unset variable of the shell, and nothing else: what CLI11's `check` takes.
std::string empty_name(std::string const& value);
/// The same for a seed, which the parser would wrap around or cut off at the ends of its 64 bits.
std::string unfit_seed(std::string const& value);
/// The same for numbers from `least` to `most`. CLI::Range lets "nan" pass.
std::function<std::string(std::string const&)> number_in(double least, double most);
void add_output_options(CLI::App& command, OutputOptions& options, bool required, std::string const& what);

/// Overrides of the model's preprocessor_config.json: --pool --strand --special-tokens --lower-case --n --iupac
/// --uracil --channels. A flag that was not given leaves the model's value.
struct PreprocessorFlags {
    std::string pool, strand, lower_case, n, iupac, uracil, channels; ///< empty: not given
    bool special_tokens = false;
};
/// `unpooled`: --pool also takes "none", which the command has to handle before `apply`.
void add_preprocessor_flags(CLI::App& command, PreprocessorFlags& flags, bool unpooled = false);
/// Throws invalid_argument for a flag of sound where the model reads DNA, and the other way round.
void apply(PreprocessorFlags const& flags, PreprocessorConfig& config);

/// INPUT... and what the group Input of the help lists.
struct InputFlags {
    std::vector<std::filesystem::path> files;
    std::string raw;
    std::filesystem::path reference;
    bool keep_secondary = false;
    std::filesystem::path bed;
    std::vector<std::string> regions;
    std::string window, stride;
    index_t min_length = 1;
    index_t limit = 0;
    index_t flank = 0;
    double silence_dbfs = 0; ///< 0: nothing is skipped
    int trim_quality = 0;
    bool interleaved = false;
    std::string max_memory; ///< "8G"; empty: half of what is available
};
void add_input_flags(CLI::App& command, InputFlags& flags);
/// Logs that a file is among the inputs twice, by whatever path: its records count each time.
void log_repeated_inputs(LogOptions const& log, std::vector<std::filesystem::path> const& files);
/// What --max-memory says; 0 if it was not given. Throws invalid_argument.
index_t max_memory_bytes(InputFlags const& flags);

/// A model that is ready to run.
struct OpenedModel {
    std::shared_ptr<Model const> model;
    std::vector<std::shared_ptr<Model const>>
        replicas;                    ///< the model on each device that computes; `model` is the first
    PreprocessorConfig preprocessor; ///< the model's, with the flags applied
    std::unique_ptr<Threads> threads;
    index_t chunk = 0;
};

/// Opens the model and the threads and logs what was chosen: devices (and why no GPU), dtype, threads, chunk, model.
OpenedModel open_model(ModelOptions const& model, ComputeOptions const& compute, PreprocessorFlags const& flags,
                       LogOptions const& log);
/// The same, without a preprocessor: for commands that read token ids or frames.
OpenedModel open_model(ModelOptions const& model, ComputeOptions const& compute, LogOptions const& log);

/// What a RecordSource of these flags and this model needs. Throws invalid_argument for flags that contradict one
/// another or the model.
RecordSourceOptions source_options(InputFlags const& flags, OpenedModel const& opened);
/// The same but for max_unit_symbols, which stays 0.
RecordSourceOptions source_options(InputFlags const& flags, PreprocessorConfig const& preprocessor,
                                   ModelConfig const& model);

} // namespace strandwave

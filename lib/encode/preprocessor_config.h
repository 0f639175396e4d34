#pragma once

#include "kernels/pooling/pooling.h"
#include "lib/core/view.h"
#include "lib/encode/audio_encoder.h"
#include "lib/encode/nucleotide_encoder.h"
#include "lib/model/config.h"

#include <filesystem>
#include <string>

namespace strandwave {

enum class InputKind : std::uint8_t { dna, audio };
enum class StrandPolicy : std::uint8_t { forward, reverse, both };

/// What a model expects of its input: `preprocessor_config.json` of the model directory (schema in docs/MODELS.md).
/// Each field is the default of a command-line flag. A directory without the file gets the defaults that its
/// architecture and vocabulary suggest.
struct PreprocessorConfig {
    InputKind input = InputKind::dna;
    NucleotidePolicy nucleotide;
    AudioPolicy audio;
    Pooling pooling = Pooling::mean;
    StrandPolicy strand = StrandPolicy::forward;
    bool special_tokens = false;
};

/// What a directory without the file gets. Throws malformed_checkpoint, asking for the file, where architecture and
/// vocabulary do not tell what the model reads.
PreprocessorConfig default_preprocessor_config(ModelConfig const& model);

/// Throws malformed_checkpoint naming file, key and the values that it may have; unknown keys are errors too.
PreprocessorConfig read_preprocessor_config(std::filesystem::path const& model_directory, ModelConfig const& model);

/// Throws malformed_checkpoint, beginning with `name`, for a config of frames where the model reads tokens or the other
/// way round, of frames of another length, or of more token ids than the model has.
void check_against_model(std::string const& name, PreprocessorConfig const& config, ModelConfig const& model);

/// All keys that the kind of input has, as JSON: in one line, or with `indent` blanks a level.
std::string preprocessor_json(PreprocessorConfig const& config, int indent = -1);

/// Writes all keys that the kind of input has, whole or not at all. Throws io.
void write_preprocessor_config(std::filesystem::path const& model_directory, PreprocessorConfig const& config);

/// Words of the flags and of the JSON file; parsing throws invalid_argument listing the words that are known.
Pooling parse_pooling(std::string const& word);
StrandPolicy parse_strand(std::string const& word);
std::string_view pooling_name(Pooling pooling) noexcept;
std::string_view strand_name(StrandPolicy strand) noexcept;

} // namespace strandwave

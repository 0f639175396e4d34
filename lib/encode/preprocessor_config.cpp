#include "lib/encode/preprocessor_config.h"

#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFileName = "preprocessor_config.json";
constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
constexpr index_t kMuLawTokens = 256;
constexpr index_t kFewestLetters = 5; // A C G T N
constexpr index_t kMostLetters = 16;  // the published alphabets, padded

bool suggests_alphabet(ModelConfig const& model) noexcept {
    return model.frame_length == 0 && model.vocab_size >= kFewestLetters && model.vocab_size <= kMostLetters;
}

/// A value of an option and its word in JSON and on the command line.
template <class T>
struct Word {
    T value;
    std::string_view text;
};

constexpr std::array<Word<InputKind>, 2> kInputs{{{InputKind::dna, "dna"}, {InputKind::audio, "audio"}}};
constexpr std::array<Word<Vocabulary>, 3> kVocabularies{{{Vocabulary::caduceus, "caduceus"},
                                                         {Vocabulary::plantcaduceus, "plantcaduceus"},
                                                         {Vocabulary::nucleotide, "nucleotide"}}};
constexpr std::array<Word<LowerCase>, 3> kLowerCases{
    {{LowerCase::upper, "upper"}, {LowerCase::mask, "mask"}, {LowerCase::error, "error"}}};
constexpr std::array<Word<AmbiguousBase>, 3> kAmbiguousBases{
    {{AmbiguousBase::token, "token"}, {AmbiguousBase::skip, "skip"}, {AmbiguousBase::error, "error"}}};
constexpr std::array<Word<IupacCode>, 3> kIupacCodes{
    {{IupacCode::n, "n"}, {IupacCode::unknown, "unknown"}, {IupacCode::error, "error"}}};
constexpr std::array<Word<Uracil>, 2> kUracils{{{Uracil::t, "t"}, {Uracil::error, "error"}}};
constexpr std::array<Word<StrandPolicy>, 3> kStrands{
    {{StrandPolicy::forward, "forward"}, {StrandPolicy::reverse, "reverse"}, {StrandPolicy::both, "both"}}};
constexpr std::array<Word<Pooling>, 4> kPoolings{
    {{Pooling::mean, "mean"}, {Pooling::max, "max"}, {Pooling::first, "first"}, {Pooling::last, "last"}}};
constexpr std::array<Word<AudioEncoding>, 2> kAudioEncodings{
    {{AudioEncoding::mulaw, "mulaw"}, {AudioEncoding::frames, "frames"}}};
constexpr std::array<Word<ChannelPolicy>, 3> kChannelPolicies{
    {{ChannelPolicy::mix, "mix"}, {ChannelPolicy::first, "first"}, {ChannelPolicy::each, "each"}}};

template <class T, std::size_t N>
std::string_view text_of(std::array<Word<T>, N> const& words, T value) noexcept {
    return std::find_if(words.begin(), words.end(), [&](Word<T> const& word) { return word.value == value; })->text;
}

template <class T, std::size_t N>
std::string known_words(std::array<Word<T>, N> const& words) {
    std::string list;
    for (auto const& word : words) {
        list += (list.empty() ? "" : ", ") + std::string(word.text);
    }
    return list;
}

template <class T, std::size_t N>
T parse_word(std::array<Word<T>, N> const& words, std::string const& text, std::string const& what, ErrorCode code) {
    for (auto const& word : words) {
        if (word.text == text) { return word.value; }
    }
    throw Error(code, what + " '" + text + "' is not one of " + known_words(words));
}

/// Takes the keys out of a JSON object one by one; what is left over at the end is unknown.
class Fields {
public:
    Fields(std::string name, Json object) : name_(std::move(name)), object_(std::move(object)) {}

    template <class T, std::size_t N>
    void word(std::string const& key, std::array<Word<T>, N> const& words, T& value) {
        Json const field = take(key);
        if (field.is_discarded()) { return; }
        if (!field.is_string()) { throw wrong(key, field, "one of " + known_words(words)); }
        value = parse_word(words, field.get<std::string>(), name_ + ": " + key, ErrorCode::malformed_checkpoint);
    }

    void flag(std::string const& key, bool& value) {
        Json const field = take(key);
        if (field.is_discarded()) { return; }
        if (!field.is_boolean()) { throw wrong(key, field, "true or false"); }
        value = field.get<bool>();
    }

    void rate(std::string const& key, double& value) {
        Json const field = take(key);
        if (field.is_discarded()) { return; }
        if (!field.is_number() || !(field.get<double>() >= 1 && field.get<double>() <= 1e7)) {
            throw wrong(key, field, "a number of Hz from 1 to 10000000");
        }
        value = field.get<double>();
    }

    void count(std::string const& key, index_t& value) {
        Json const field = take(key);
        if (field.is_discarded()) { return; }
        constexpr index_t kMost = 1 << 24;
        if (!field.is_number_integer() || field.get<double>() < 1 || field.get<double>() > kMost) {
            throw wrong(key, field, "a whole number of samples from 1 to " + std::to_string(kMost));
        }
        value = field.get<index_t>();
    }

    /// Throws if the file lacks a key that nothing else can tell.
    void require(std::string const& key, std::string const& allowed) const {
        if (object_.contains(key)) { return; }
        throw Error(ErrorCode::malformed_checkpoint, name_ + ": the key " + key + " is missing: " + allowed);
    }

    /// Keys that feature extractors of other tools leave in such a file and that say nothing to us.
    void ignore(std::string const& key) { object_.erase(key); }

    void end(std::string const& kind, std::string const& known) const {
        if (object_.empty()) { return; }
        throw Error(ErrorCode::malformed_checkpoint, name_ + ": '" + object_.begin().key() +
                                                         "' is not a key for input \"" + kind + "\"; those are " +
                                                         known);
    }

private:
    /// The value of a key, or a discarded one.
    Json take(std::string const& key) {
        auto const found = object_.find(key);
        if (found == object_.end()) { return Json(Json::value_t::discarded); }
        Json value = *found;
        object_.erase(key);
        return value;
    }

    Error wrong(std::string const& key, Json const& field, std::string const& allowed) const {
        return Error(ErrorCode::malformed_checkpoint,
                     name_ + ": " + key + " is " + field.dump().substr(0, 100) + ", but has to be " + allowed);
    }

    std::string name_;
    Json object_;
};

Json read_json(std::filesystem::path const& path) {
    auto const name = path.string();
    std::error_code failed;
    if (std::filesystem::file_size(path, failed) > kMaxFileBytes || failed) {
        throw Error(ErrorCode::malformed_checkpoint, name + ": " + (failed ? failed.message() : "larger than 1 MiB"));
    }
    std::ifstream stream(path, std::ios::binary);
    if (!stream) { throw Error(ErrorCode::io, name + ": cannot be opened: " + std::strerror(errno)); }
    try {
        auto json = Json::parse(stream);
        if (json.is_object()) { return json; }
    } catch (nlohmann::json::exception const& problem) {
        throw Error(ErrorCode::malformed_checkpoint, name + ": " + problem.what());
    }
    throw Error(ErrorCode::malformed_checkpoint, name + ": is not a JSON object");
}

/// The alphabet goes with the model; only where it suggests none does the file have to name it.
void read_dna(Fields& fields, ModelConfig const& model, PreprocessorConfig& config) {
    if (suggests_alphabet(model)) {
        config.nucleotide.vocabulary = default_preprocessor_config(model).nucleotide.vocabulary;
    } else {
        fields.require("vocabulary", known_words(kVocabularies));
    }
    fields.word("vocabulary", kVocabularies, config.nucleotide.vocabulary);
    fields.word("lower_case", kLowerCases, config.nucleotide.lower_case);
    fields.word("n", kAmbiguousBases, config.nucleotide.n);
    fields.word("iupac", kIupacCodes, config.nucleotide.iupac);
    fields.word("uracil", kUracils, config.nucleotide.uracil);
    fields.word("strand", kStrands, config.strand);
    fields.flag("special_tokens", config.special_tokens);
    fields.end("dna", "vocabulary, lower_case, n, iupac, uracil, strand, special_tokens, pooling");
}

/// Nothing in a model of frames tells rate and hop; guessing them would give wrong numbers in silence.
void read_audio(Fields& fields, ModelConfig const& model, PreprocessorConfig& config) {
    if (model.frame_length > 0) {
        config.audio.encoding = AudioEncoding::frames;
        config.audio.frame_length = model.frame_length;
        fields.require("sampling_rate", "the Hz that the model was trained on");
        fields.require("frame_hop", "samples from one frame's start to the next's");
    }
    fields.rate("sampling_rate", config.audio.sampling_rate_hz);
    fields.word("encoding", kAudioEncodings, config.audio.encoding);
    fields.count("frame_length", config.audio.frame_length);
    fields.count("frame_hop", config.audio.frame_hop);
    fields.word("channels", kChannelPolicies, config.audio.channels);
    fields.end("audio", "sampling_rate, encoding, frame_length, frame_hop, channels, pooling");
}

} // namespace

PreprocessorConfig default_preprocessor_config(ModelConfig const& model) {
    PreprocessorConfig config;
    bool const caduceus = model.architecture == Architecture::caduceus;
    if (model.frame_length > 0) {
        throw Error(ErrorCode::malformed_checkpoint, "the model reads frames of " + std::to_string(model.frame_length) +
                                                         " samples, but no " + std::string(kFileName) +
                                                         " gives its sampling_rate and frame_hop");
    }
    if (caduceus && (model.vocab_size == 12 || model.vocab_size == 16)) {
        config.nucleotide.vocabulary = Vocabulary::caduceus;
    } else if (caduceus && (model.vocab_size == 7 || model.vocab_size == 8)) {
        config.nucleotide.vocabulary = Vocabulary::plantcaduceus;
    } else if (!caduceus && model.vocab_size == kMuLawTokens) {
        config.input = InputKind::audio;
    } else if (suggests_alphabet(model)) {
        config.nucleotide.vocabulary = Vocabulary::nucleotide;
    } else {
        throw Error(ErrorCode::malformed_checkpoint,
                    "a " + std::string(architecture_name(model.architecture)) + " model of " +
                        std::to_string(model.vocab_size) + " token ids may read anything: say what it reads in a " +
                        std::string(kFileName) + " beside its config.json, as docs/MODELS.md explains");
    }
    return config;
}

PreprocessorConfig read_preprocessor_config(std::filesystem::path const& model_directory, ModelConfig const& model) {
    auto const path = model_directory / kFileName;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) {
        try {
            return default_preprocessor_config(model);
        } catch (Error const& error) { throw Error(error.code(), model_directory.string() + ": " + error.message()); }
    }
    Fields fields(path.string(), read_json(path));
    for (auto const* key : {"feature_extractor_type", "processor_class"}) {
        fields.ignore(key);
    }

    PreprocessorConfig config;
    if (model.frame_length > 0 || model.vocab_size == kMuLawTokens) { config.input = InputKind::audio; }
    fields.word("input", kInputs, config.input);
    fields.word("pooling", kPoolings, config.pooling);
    if (config.input == InputKind::dna) {
        read_dna(fields, model, config);
    } else {
        read_audio(fields, model, config);
    }
    check_against_model(path.string(), config, model);
    return config;
}

void check_against_model(std::string const& name, PreprocessorConfig const& config, ModelConfig const& model) {
    auto const refuse = [&](std::string const& reason) {
        throw Error(ErrorCode::malformed_checkpoint, name + ": " + reason);
    };
    bool const frames = config.input == InputKind::audio && config.audio.encoding == AudioEncoding::frames;
    if (frames != (model.frame_length > 0)) {
        refuse(frames ? "says that the model reads frames, but its tensors embed tokens"
                      : "says that the model reads tokens, but its tensors embed frames of " +
                            std::to_string(model.frame_length) +
                            " samples: \"input\" has to be \"audio\" and "
                            "\"encoding\" \"frames\"");
    }
    if (frames) {
        if (config.audio.frame_length != model.frame_length) {
            refuse("frame_length is " + std::to_string(config.audio.frame_length) + ", but the model's tensors say " +
                   std::to_string(model.frame_length));
        }
        return;
    }
    index_t const needed =
        config.input == InputKind::audio ? kMuLawTokens : NucleotideEncoder(config.nucleotide).vocabulary_size();
    if (model.vocab_size < needed) {
        refuse("needs " + std::to_string(needed) + " token ids, but the model has " + std::to_string(model.vocab_size));
    }
}

std::string preprocessor_json(PreprocessorConfig const& config, int indent) {
    Json json;
    json["input"] = text_of(kInputs, config.input);
    json["pooling"] = text_of(kPoolings, config.pooling);
    if (config.input == InputKind::dna) {
        json["vocabulary"] = text_of(kVocabularies, config.nucleotide.vocabulary);
        json["lower_case"] = text_of(kLowerCases, config.nucleotide.lower_case);
        json["n"] = text_of(kAmbiguousBases, config.nucleotide.n);
        json["iupac"] = text_of(kIupacCodes, config.nucleotide.iupac);
        json["uracil"] = text_of(kUracils, config.nucleotide.uracil);
        json["strand"] = text_of(kStrands, config.strand);
        json["special_tokens"] = config.special_tokens;
    } else {
        double const rate = config.audio.sampling_rate_hz;
        auto const whole = static_cast<index_t>(rate);
        json["sampling_rate"] = static_cast<double>(whole) == rate ? Json(whole) : Json(rate);
        json["encoding"] = text_of(kAudioEncodings, config.audio.encoding);
        if (config.audio.encoding == AudioEncoding::frames) {
            json["frame_length"] = config.audio.frame_length;
            json["frame_hop"] = config.audio.frame_hop;
        }
        json["channels"] = text_of(kChannelPolicies, config.audio.channels);
    }
    return json.dump(indent);
}

void write_preprocessor_config(std::filesystem::path const& model_directory, PreprocessorConfig const& config) {
    auto const path = model_directory / kFileName;
    auto partial = path;
    partial += ".partial";
    {
        std::ofstream stream(partial, std::ios::binary);
        stream << preprocessor_json(config, 2) << '\n';
        stream.close();
        if (!stream) { throw Error(ErrorCode::io, path.string() + ": cannot be written: " + std::strerror(errno)); }
    }
    std::error_code failed;
    std::filesystem::rename(partial, path, failed);
    if (failed) { throw Error(ErrorCode::io, path.string() + ": cannot be written: " + failed.message()); }
}

Pooling parse_pooling(std::string const& word) {
    return parse_word(kPoolings, word, "pooling", ErrorCode::invalid_argument);
}
StrandPolicy parse_strand(std::string const& word) {
    return parse_word(kStrands, word, "strand", ErrorCode::invalid_argument);
}
std::string_view pooling_name(Pooling pooling) noexcept { return text_of(kPoolings, pooling); }
std::string_view strand_name(StrandPolicy strand) noexcept { return text_of(kStrands, strand); }

} // namespace strandwave

#include "pipelines/record_source.h"

#include "formats/byte_source.h"
#include "formats/paired_reader.h"
#include "formats/region_reader.h"
#include "lib/encode/audio_encoder.h"
#include "lib/encode/nucleotide_encoder.h"
#include "pipelines/input_identity.h"
#include "pipelines/unit_stream.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace strandwave {
namespace {

constexpr index_t kReadSymbols = 1 << 16;

class DnaSource {
public:
    using Run = SequenceChunk;

    /// `regions` are what the records of `reader` are, or empty: then they are whole sequences.
    DnaSource(std::unique_ptr<SequenceReader> reader, std::vector<Region> regions,
              PreprocessorConfig const& preprocessor, NucleotideCounts& counts)
        : reader_(std::move(reader)), regions_(std::move(regions)), encoder_(preprocessor.nucleotide), counts_(counts) {
        if (preprocessor.special_tokens) {
            prefix_ = encoder_.prefix_tokens();
            suffix_ = encoder_.suffix_tokens();
        }
    }

    Result<ReadOutcome> read(Run& run) {
        auto outcome = reader_->next(run, kReadSymbols);
        if (outcome && *outcome == ReadOutcome::chunk && !regions_.empty()) {
            run.name = regions_[static_cast<std::size_t>(run.record)].sequence;
        }
        return outcome;
    }

    void begin(Encoded& out) { out.tokens = prefix_; }
    Result<void> encode(std::string const& letters, index_t count, Encoded& out) {
        return encoder_.encode(std::string_view(letters).substr(0, static_cast<std::size_t>(count)), out.tokens,
                               counts_);
    }
    void end(Encoded& out) { out.tokens.insert(out.tokens.end(), suffix_.begin(), suffix_.end()); }
    void reverse(Encoded& out) const {
        auto const begin = out.tokens.begin() + static_cast<index_t>(prefix_.size());
        auto const end = out.tokens.end() - static_cast<index_t>(suffix_.size());
        std::vector<std::int32_t> letters(begin, end);
        encoder_.reverse_complement(letters);
        std::copy(letters.begin(), letters.end(), begin);
    }
    index_t skipped_records() const { return reader_->skipped_records(); }
    double sample_rate_hz() const { return 0; }
    bool silent(std::string const&, index_t, double) const { return false; }

private:
    std::unique_ptr<SequenceReader> reader_;
    std::vector<Region> regions_;
    NucleotideEncoder encoder_;
    NucleotideCounts& counts_;
    std::vector<std::int32_t> prefix_, suffix_;
};

/// One channel of a recording, or their mix.
class AudioSource {
public:
    struct Run {
        std::string name;
        index_t start = 0;
        index_t offset = 0;
        bool last = false;
        std::vector<float> symbols;
    };

    AudioSource(std::unique_ptr<AudioReader> reader, AudioPolicy policy, std::string name, index_t channel)
        : reader_(std::move(reader)), policy_(policy), name_(std::move(name)), channel_(channel) {}

    Result<ReadOutcome> read(Run& run) {
        auto outcome = reader_->next(chunk_, kReadSymbols);
        if (outcome && *outcome == ReadOutcome::chunk) {
            run.name = name_;
            run.offset = chunk_.offset;
            run.last = chunk_.last;
            if (chunk_.channels == 1) {
                run.symbols.swap(chunk_.samples);
            } else {
                take_channel({chunk_.samples.data(), static_cast<index_t>(chunk_.samples.size())}, chunk_.channels,
                             policy_.channels, channel_, run.symbols);
            }
        }
        return outcome;
    }

    void begin(Encoded&) { encoder_ = std::make_unique<AudioEncoder>(policy_, reader_->sample_rate_hz()); }
    Result<void> encode(std::vector<float> const& samples, index_t count, Encoded& out) {
        encoder_->encode({samples.data(), count}, out.tokens, out.frames);
        return {};
    }
    void end(Encoded& out) { encoder_->finish(out.tokens, out.frames); }
    void reverse(Encoded&) const {} // the constructor of RecordSource refuses strands of sound
    index_t skipped_records() const { return 0; }
    double sample_rate_hz() const { return reader_->sample_rate_hz(); }
    bool silent(std::vector<float> const& samples, index_t count, double dbfs) const {
        double const power = std::accumulate(samples.begin(), samples.begin() + count, 0.0, [](double sum, float x) {
            return sum + static_cast<double>(x) * static_cast<double>(x);
        });
        return power < std::pow(10.0, dbfs / 10) * static_cast<double>(count);
    }

private:
    std::unique_ptr<AudioReader> reader_;
    AudioPolicy policy_;
    std::string name_;
    index_t channel_;
    AudioChunk chunk_;
    std::unique_ptr<AudioEncoder> encoder_;
};

} // namespace

struct RecordSource::Impl {
    Impl(std::vector<std::filesystem::path> files_, RecordSourceOptions options_)
        : files(std::move(files_)), options(std::move(options_)) {
        check_options();
        if (!options.bed.empty()) { regions = read_bed(options.bed); }
        for (auto const& text : options.regions) {
            regions.push_back(parse_region(text));
        }
        if (!options.bed.empty() && regions.empty()) {
            throw Error(ErrorCode::invalid_argument, options.bed.string() + ": holds no region");
        }
    }

    void check_options() const;
    Result<std::unique_ptr<UnitStream>> open();
    std::unique_ptr<UnitStream> open_dna(std::unique_ptr<SequenceReader> reader);
    std::unique_ptr<UnitStream> open_audio(Input input, std::string name);
    UnitShape shape(double sample_rate_hz) const;
    std::filesystem::path mates() const { return file < options.mates.size() ? options.mates[file] : ""; }
    bool has_mates() const { return options.interleaved || !mates().empty(); }
    bool close(UnitPiece& piece, bool opened);
    bool next(UnitPiece& piece, index_t max_positions);
    std::unique_ptr<SequenceReader> with_mates(std::unique_ptr<SequenceReader> reader);

    std::vector<std::filesystem::path> files;
    RecordSourceOptions options;
    std::vector<Region> regions;
    SourceCounts counts;
    std::size_t file = 0;
    index_t channel = 0;
    index_t channels = 1; ///< of the open file that become units of their own
    std::unique_ptr<UnitStream> stream;
    std::string identity;  ///< of the open file
    bool unopened = false; ///< the file's failure to open was told; its end was not
};

void RecordSource::Impl::check_options() const {
    auto const refuse = [](char const* reason) { throw Error(ErrorCode::invalid_argument, reason); };
    bool const dna = options.preprocessor.input == InputKind::dna;
    bool const frames = !dna && options.preprocessor.audio.encoding == AudioEncoding::frames;
    bool const by_region = !options.bed.empty() || !options.regions.empty();
    if (options.min_length < 1) { refuse("--min-length must be 1 or more"); }
    if (options.limit < 0) { refuse("--limit must be 0 (all) or more"); }
    if (options.stride && !options.window) { refuse("--stride needs --window"); }
    if (frames != (options.frame_length > 0)) {
        refuse("the model and its preprocessor_config.json disagree: one reads tokens, the other frames");
    }
    if (!dna && options.preprocessor.strand != StrandPolicy::forward) { refuse("sound has no strands: drop --strand"); }
    if (!dna && by_region) { refuse("--bed and --region are for DNA"); }
    if (dna && options.input.raw_audio) { refuse("--raw is for sound, and this model reads DNA"); }
    if (by_region && files.size() != 1) { refuse("--bed and --region need exactly one input, an indexed FASTA"); }
    if (dna) { shape(0); }
    if (by_region && options.input.sequence.trim_quality > 0) { refuse("--trim-quality is for reads"); }
    if (!dna && options.input.sequence.trim_quality > 0) { refuse("--trim-quality is for reads, not for sound"); }
    bool const pairs = options.interleaved || !options.mates.empty();
    if (pairs && (!dna || by_region)) { refuse("mates are for files of reads"); }
    bool const both = options.interleaved && std::any_of(options.mates.begin(), options.mates.end(),
                                                         [](auto const& mates) { return !mates.empty(); });
    if (both) { refuse("mates are interleaved, or have a file of their own; not both"); }
    if (pairs && options.window) { refuse("mates are read whole: drop --window"); }
    if (options.flank > 0 && !by_region) { refuse("--flank needs --bed or --region"); }
    if (options.silence_dbfs < 0 && (dna || !options.window)) {
        refuse("--skip-silence is for sound, and needs --window");
    }
    if (std::count(files.begin(), files.end(), "-") > 1) { refuse("stdin (-) can be read only once"); }
}

UnitShape RecordSource::Impl::shape(double sample_rate_hz) const {
    UnitShape shape;
    shape.window = options.window ? options.window->symbols(sample_rate_hz) : 0;
    shape.stride = options.stride ? options.stride->symbols(sample_rate_hz) : shape.window;
    shape.strand = options.preprocessor.strand;
    shape.whole_units = options.whole_units;
    shape.gather = options.in_memory || options.whole_units || shape.strand != StrandPolicy::forward;
    shape.min_length = options.min_length;
    shape.limit = options.limit;
    shape.max_unit_symbols = options.max_unit_symbols;
    shape.frame_length = options.frame_length;
    shape.mates = has_mates() ? 2 : 1;
    shape.silence_dbfs = options.silence_dbfs;
    shape.marks = options.marks;
    if (options.wanted) {
        shape.wanted = [this, place = static_cast<index_t>(file)](index_t block) {
            return options.wanted(place, block);
        };
    }
    return shape;
}

std::unique_ptr<UnitStream> RecordSource::Impl::open_dna(std::unique_ptr<SequenceReader> reader) {
    return std::make_unique<CuttingStream<DnaSource>>(
        input_name(files[file]), static_cast<index_t>(file), 0,
        DnaSource(std::move(reader), regions, options.preprocessor, counts.letters), shape(0), counts);
}

std::unique_ptr<UnitStream> RecordSource::Impl::open_audio(Input input, std::string name) {
    auto const& policy = options.preprocessor.audio;
    auto const rate = input.audio->sample_rate_hz();
    channels = policy.channels == ChannelPolicy::each ? input.audio->channels() : 1;
    if (channels > 1 && is_read_only_once(files[file])) {
        throw Error(ErrorCode::unsupported, name + ": --channels each reads a recording once a channel, which a pipe "
                                                   "does not allow; save it to a file first, or take mix or first");
    }
    std::string record = channels > 1 ? name + ":channel" + std::to_string(channel + 1) : name;
    return std::make_unique<CuttingStream<AudioSource>>(
        std::move(name), static_cast<index_t>(file), channel,
        AudioSource(std::move(input.audio), policy, std::move(record), channel), shape(rate), counts);
}

Result<std::unique_ptr<UnitStream>> RecordSource::Impl::open() {
    auto const name = input_name(files[file]);
    if (!regions.empty()) {
        return open_dna(open_regions(files[file], regions, options.flank));
    } // what it throws is set-up
    try {
        auto input = open_input(files[file], options.input).value();
        bool const dna = options.preprocessor.input == InputKind::dna;
        if (dna != (input.sequence != nullptr)) {
            return Error(ErrorCode::unsupported, name + ": is a " + std::string(input.format) +
                                                     " file, but the model " + (dna ? "reads DNA" : "reads sound"));
        }
        return dna ? open_dna(with_mates(std::move(input.sequence))) : open_audio(std::move(input), name);
    } catch (Error const& error) { return error; }
}

std::unique_ptr<SequenceReader> RecordSource::Impl::with_mates(std::unique_ptr<SequenceReader> reader) {
    auto name = input_name(files[file]);
    if (options.interleaved) { return check_interleaved(std::move(reader), std::move(name)); }
    if (!has_mates()) { return reader; }
    auto const path = mates();
    auto mates = open_input(path, options.input).value();
    if (mates.sequence == nullptr) { throw Error(ErrorCode::unsupported, input_name(path) + ": holds no reads"); }
    return pair_readers(std::move(reader), std::move(mates.sequence), std::move(name), input_name(path));
}

/// On to the next channel or file. Whether the piece is a mark of the end.
bool RecordSource::Impl::close(UnitPiece& piece, bool opened) {
    SourceMark mark;
    mark.file_index = static_cast<index_t>(file);
    mark.broken = true;
    if (opened) { mark = stream->file_end(); }
    mark.identity = identity;
    stream.reset();
    if (++channel < channels && !mark.broken) { return false; }
    channel = 0;
    channels = 1;
    ++file;
    ++counts.files_done;
    piece = {};
    piece.mark = mark;
    return options.marks;
}

bool RecordSource::Impl::next(UnitPiece& piece, index_t max_positions) {
    while (file < files.size()) {
        if (std::exchange(unopened, false)) {
            if (close(piece, false)) { return true; }
            continue;
        }
        if (!stream) {
            if (options.limit > 0 && counts.records >= options.limit) { return false; }
            counts.file = files[file];
            if (options.marks) { identity = input_identity(files[file], mates()); }
            auto opened = open();
            if (!opened) {
                piece = {};
                piece.unit.record = piece.unit.ordinal = -1;
                piece.unit.file = piece.unit.name = input_name(files[file]);
                piece.unit.file_index = static_cast<index_t>(file);
                piece.failure = opened.error();
                piece.file_broken = true;
                unopened = true;
                return true;
            }
            stream = std::move(*opened);
        }
        if (stream->next(piece, max_positions)) {
            if (piece.mark) { piece.mark->identity = identity; }
            return true;
        }
        if (close(piece, true)) { return true; }
    }
    return false;
}

RecordSource::RecordSource(std::vector<std::filesystem::path> files, RecordSourceOptions options)
    : impl_(std::make_unique<Impl>(std::move(files), std::move(options))) {}
RecordSource::~RecordSource() = default;

bool RecordSource::next(UnitPiece& piece, index_t max_positions) {
    if (max_positions < 1) { throw Error(ErrorCode::invalid_argument, "a piece needs room for a position"); }
    return impl_->next(piece, max_positions);
}

bool RecordSource::reads_sound() const noexcept { return impl_->options.preprocessor.input != InputKind::dna; }

SourceCounts const& RecordSource::counts() const noexcept { return impl_->counts; }

} // namespace strandwave

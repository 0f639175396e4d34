#include "formats/open_input.h"

#include "formats/alignment_reader.h"
#include "formats/byte_source.h"
#include "formats/fasta_reader.h"
#include "formats/fastq_reader.h"
#include "formats/raw_audio_reader.h"
#include "formats/sequence_table_reader.h"
#include "formats/sound_reader.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <htslib/hfile.h>
#include <htslib/hts.h>

namespace strandwave {
namespace {

using namespace std::string_view_literals;

/// The first bytes of a file, as many as the longest magic needs.
struct Magic {
    std::array<char, 16> bytes{};
    std::size_t size = 0;

    bool at(std::size_t position, std::string_view text) const {
        return position + text.size() <= size && std::string_view(bytes.data() + position, text.size()) == text;
    }
    unsigned byte(std::size_t position) const { return static_cast<unsigned char>(bytes[position]); }
};

Magic peek_magic(hFILE* file, std::string const& name) {
    Magic magic;
    auto const size = hpeek(file, magic.bytes.data(), magic.bytes.size());
    if (size < 0) { throw Error(ErrorCode::io, name + ": cannot be read"); }
    magic.size = static_cast<std::size_t>(size);
    return magic;
}

/// An MPEG-1/2 audio frame header (ISO 11172-3, 2.4.1.3): sync word, and none of the reserved values.
bool is_mpeg_frame(Magic const& magic) {
    return magic.size >= 4 && magic.byte(0) == 0xff && (magic.byte(1) & 0xe0U) == 0xe0 &&
           (magic.byte(1) & 0x18U) != 0x08 && (magic.byte(1) & 0x06U) != 0 && (magic.byte(2) & 0xf0U) != 0xf0 &&
           (magic.byte(2) & 0x0cU) != 0x0c;
}

/// The sound container that the magic belongs to; empty if none.
std::string_view sound_format(Magic const& magic) {
    if ((magic.at(0, "RIFF") || magic.at(0, "RIFX") || magic.at(0, "RF64")) && magic.at(8, "WAVE")) { return "wav"; }
    if (magic.at(0, "riff\x2e\x91\xcf\x11"sv)) { return "w64"; }
    if (magic.at(0, "fLaC")) { return "flac"; }
    if (magic.at(0, "OggS")) { return "ogg"; }
    if (magic.at(0, "FORM") && (magic.at(8, "AIFF") || magic.at(8, "AIFC"))) { return "aiff"; }
    if (magic.at(0, ".snd")) { return "au"; }
    if (magic.at(0, "caff")) { return "caf"; }
    if (magic.at(0, "ID3") || is_mpeg_frame(magic)) { return "mp3"; }
    return {};
}

std::string lower_extension(std::filesystem::path const& path) {
    auto text = path.extension().string();
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

/// The name without folders and without ".gz" or ".bgz" behind it.
std::filesystem::path unpacked_name(std::filesystem::path const& path) {
    auto const extension = lower_extension(path);
    return extension == ".gz" || extension == ".bgz" ? path.stem() : path.filename();
}

/// What a file name promises, for when the content does not say.
std::string_view format_by_extension(std::filesystem::path const& path) {
    static constexpr std::array<std::array<std::string_view, 2>, 24> kExtensions = {
        {{".fa", "fasta"},  {".fasta", "fasta"}, {".fna", "fasta"}, {".ffn", "fasta"}, {".fas", "fasta"},
         {".fq", "fastq"},  {".fastq", "fastq"}, {".sam", "sam"},   {".bam", "bam"},   {".cram", "cram"},
         {".wav", "wav"},   {".rf64", "wav"},    {".w64", "w64"},   {".flac", "flac"}, {".ogg", "ogg"},
         {".oga", "ogg"},   {".opus", "ogg"},    {".mp3", "mp3"},   {".aiff", "aiff"}, {".aif", "aiff"},
         {".aifc", "aiff"}, {".au", "au"},       {".csv", "csv"},   {".tsv", "tsv"}}};
    auto const extension = lower_extension(unpacked_name(path));
    auto const found = std::find_if(kExtensions.begin(), kExtensions.end(),
                                    [&extension](auto const& entry) { return entry[0] == extension; });
    return found == kExtensions.end() ? std::string_view() : (*found)[1];
}

bool is_sound(std::string_view format) {
    static constexpr std::array kSound = {"wav"sv, "w64"sv, "flac"sv, "ogg"sv, "mp3"sv, "aiff"sv, "au"sv, "caf"sv};
    return std::find(kSound.begin(), kSound.end(), format) != kSound.end();
}

/// Not a pipe or a device; stdin can be a file too.
bool is_file(std::filesystem::path const& path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path == "-" ? "/dev/stdin" : path, ignored);
}

/// A file is opened anew, to be read with seeks; a stream goes on from the bytes that were peeked at.
Input open_sound(FileBytes file, std::filesystem::path const& path, std::string_view format, int threads) {
    if (is_file(path)) {
        auto const real_path = path == "-" ? std::filesystem::path("/dev/stdin") : path;
        return {.format = format, .sequence = {}, .audio = open_sound_file(real_path, threads).value()};
    }
    ByteSource const stream = [bytes = std::shared_ptr<hFILE>(std::move(file))](char* to, index_t size) {
        return static_cast<index_t>(hread(bytes.get(), to, static_cast<std::size_t>(size)));
    };
    return {.format = format, .sequence = {}, .audio = open_sound_stream(input_name(path), stream).value()};
}

/// A file of no bytes: no records where the format has no other way to say so, otherwise an end before its time.
void check_not_empty(Magic const& magic, std::filesystem::path const& path, std::string_view promised) {
    if (magic.size > 0) { return; }
    bool const compressed = path.extension() == ".gz" || path.extension() == ".bgz";
    if ((promised == "fasta" || promised == "fastq") && !compressed) { return; }
    throw Error(ErrorCode::truncated_input, input_name(path) + ": is empty");
}

/// What htslib knows and we do not read, said so that the user knows what to do.
void refuse_other_kinds(htsFormat const& kind, std::string const& name) {
    if (kind.compression == bzip2_compression || kind.compression == xz_compression ||
        kind.compression == zstd_compression || kind.compression == razf_compression) {
        throw Error(ErrorCode::unsupported, name + ": is compressed in a way that is not read here; unpack it, or pack "
                                                   "it with gzip or bgzip");
    }
    bool const ours = kind.category == sequence_data || kind.category == unknown_category;
    if (ours && kind.format != htsget && kind.format != hts_crypt4gh_format) { return; }
    std::unique_ptr<char, void (*)(void*)> const description(hts_format_description(&kind), std::free);
    throw Error(ErrorCode::malformed_input, name + ": is " +
                                                (description ? description.get() : "another kind of file") +
                                                "; DNA comes as FASTA, FASTQ, SAM, BAM or CRAM");
}

std::string_view alignment_format(htsFormat const& kind) {
    switch (kind.format) {
    case sam: return "sam";
    case bam: return "bam";
    case cram: return "cram";
    default: return {};
    }
}

/// For the formats that have none: a model would see bases that the user asked to cut.
void refuse_trimming(SequenceReaderOptions const& options, std::string const& name, std::string_view format) {
    if (options.trim_quality <= 0) { return; }
    throw Error(ErrorCode::unsupported, name + ": cannot be trimmed by quality: " + std::string(format) +
                                            " has no qualities; FASTQ, SAM, BAM and CRAM have");
}

Input open_text(FileBytes file, std::filesystem::path const& path, std::string_view promised,
                SequenceReaderOptions const& options) {
    TextCursor text(BgzfSource(std::move(file), input_name(path), options.decompression_threads));
    text.skip_white_space();
    auto format = promised;
    if (!text.at_end() && text.peek() == '>') { format = "fasta"; }
    if (!text.at_end() && text.peek() == '@') { format = "fastq"; }
    if (format == "fasta" || format == "csv" || format == "tsv") { refuse_trimming(options, text.name(), format); }
    if (format == "fasta") { return {.format = format, .sequence = make_fasta_reader(std::move(text)), .audio = {}}; }
    if (format == "fastq") {
        return {.format = format, .sequence = make_fastq_reader(std::move(text), options.trim_quality), .audio = {}};
    }
    if (format == "csv" || format == "tsv") {
        auto const stem = unpacked_name(path).stem().string();
        return {.format = format,
                .sequence = make_sequence_table_reader(std::move(text), stem, format == "csv" ? ',' : '\t'),
                .audio = {}};
    }
    if (is_sound(promised)) { return open_sound({}, path, promised, 0); } // for its reader's words on what is wrong
    auto const expected = promised.empty() ? std::string("no kind of DNA or sound file that is known here")
                                           : "not " + std::string(promised) + " as its name says";
    throw Error(ErrorCode::malformed_input,
                text.name() + ": by its content " + expected + "; head-less samples are read with --raw");
}

Input open_known(std::filesystem::path const& path, InputOptions const& options) {
    if (options.raw_audio) {
        return {.format = "raw", .sequence = {}, .audio = open_raw_audio(path, *options.raw_audio).value()};
    }
    auto const name = input_name(path);
    auto const promised = format_by_extension(path);
    auto file = open_file_bytes(path);
    auto const magic = peek_magic(file.get(), name);
    check_not_empty(magic, path, promised);
    auto reading = options.sequence;
    if (!is_file(path)) { reading.decompression_threads = 0; } // a thread that waits for a pipe could not be ended
    if (auto const format = sound_format(magic); !format.empty()) {
        return open_sound(std::move(file), path, format, reading.decompression_threads);
    }

    htsFormat kind{};
    if (hts_detect_format2(file.get(), name.c_str(), &kind) != 0) {
        throw Error(ErrorCode::io, name + ": cannot be read");
    }
    refuse_other_kinds(kind, name);
    if (auto const format = alignment_format(kind); !format.empty()) {
        return {.format = format, .sequence = open_alignments(std::move(file), name, reading), .audio = {}};
    }
    return open_text(std::move(file), path, promised, reading);
}

} // namespace

Result<Input> open_input(std::filesystem::path const& path, InputOptions const& options) {
    try {
        return open_known(path, options);
    } catch (Error const& error) { return error; }
}

} // namespace strandwave

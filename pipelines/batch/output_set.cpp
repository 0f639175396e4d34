#include "pipelines/batch/output_set.h"

#include "formats/block_file.h"
#include "lib/core/error.h"
#include "lib/core/folder.h"
#include "pipelines/batch/embedding_output.h"
#include "pipelines/batch/split_output.h"
#include "pipelines/batch/table_output.h"
#include "pipelines/batch/tagged_output.h"

#include <algorithm>
#include <array>

namespace strandwave {
namespace {

using Path = std::filesystem::path;

struct FormatWord {
    std::string_view word;
    OutputFormat format;
    bool of_classes; ///< else of vectors
};

constexpr std::array<FormatWord, 11> kFormats = {{{"tsv", OutputFormat::tsv, true},
                                                  {"jsonl", OutputFormat::jsonl, true},
                                                  {"bed", OutputFormat::bed, true},
                                                  {"audacity", OutputFormat::audacity, true},
                                                  {"bam", OutputFormat::bam, true},
                                                  {"cram", OutputFormat::cram, true},
                                                  {"split", OutputFormat::split, true},
                                                  {"npy", OutputFormat::npy, false},
                                                  {"npz", OutputFormat::npz, false},
                                                  {"h5", OutputFormat::h5, false},
                                                  {"h5ad", OutputFormat::h5ad, false}}};

FormatWord const& word_of(OutputFormat format) { return kFormats[static_cast<std::size_t>(format)]; }

Path stem_of(OutputSpec const& spec, BatchInput const& input) { return spec.folder / input.output; }

BlockFile::Compression compression(OutputSpec const& spec) {
    return spec.bgzf ? BlockFile::Compression::bgzf : BlockFile::Compression::none;
}

Path table_path(OutputSpec const& spec, Path stem, OutputFormat format) {
    switch (format) {
    case OutputFormat::jsonl: stem += ".classes.jsonl"; break;
    case OutputFormat::bed: stem += ".classes.bed"; break;
    case OutputFormat::audacity: stem += ".labels.txt"; break;
    default: stem += ".classes.tsv"; break;
    }
    return spec.bgzf ? stem += ".gz" : stem;
}

TableFormat table_format(OutputFormat format) {
    switch (format) {
    case OutputFormat::jsonl: return TableFormat::jsonl;
    case OutputFormat::bed: return TableFormat::bed;
    case OutputFormat::audacity: return TableFormat::audacity;
    default: return TableFormat::tsv;
    }
}

/// Files that grow for one output.
std::size_t file_count(OutputSpec const& spec, BatchInput const& input, OutputFormat format) {
    if (format == OutputFormat::split) { return (spec.labels.size() + 1) * (input.mates.empty() ? 1 : 2); }
    return word_of(format).of_classes ? 1 : 2;
}

std::unique_ptr<BlockOutput> make_output(OutputSpec const& spec, BatchInput const& input, OutputFormat format,
                                         std::vector<index_t> const& keep) {
    auto const stem = stem_of(spec, input);
    index_t const first = keep.empty() ? 0 : keep.front();
    switch (format) {
    case OutputFormat::bam:
    case OutputFormat::cram:
        return std::make_unique<TaggedOutput>(
            input, stem, format == OutputFormat::cram,
            AlignmentTaggerOptions{spec.reading, spec.threads, spec.version, spec.command}, first);
    case OutputFormat::split:
        return std::make_unique<SplitOutput>(
            input, stem, SplitOutput::Options{spec.labels, compression(spec), spec.interleaved, spec.threads}, keep);
    case OutputFormat::npy:
    case OutputFormat::npz:
    case OutputFormat::h5:
    case OutputFormat::h5ad:
        return std::make_unique<EmbeddingOutput>(
            stem, "." + std::string(word_of(format).word), spec.d_model, spec.sound,
            EmbeddingOrigin{"strandwave " + spec.version, input.path.string()}, keep);
    default:
        return std::make_unique<TableOutput>(
            table_path(spec, stem, format), compression(spec),
            ClassTable(table_format(format), spec.labels, spec.probabilities, spec.sound), first);
    }
}

/// What `body` returns for each output, one behind the other.
template <class Value, class Outputs, class Body>
std::vector<Value> collect(Outputs const& outputs, Body const& body) {
    std::vector<Value> all;
    for (auto const& output : outputs) {
        auto const more = body(*output);
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}

} // namespace

std::string_view output_format_name(OutputFormat format) noexcept { return word_of(format).word; }

bool writes_tags(OutputFormat format) noexcept { return format == OutputFormat::bam || format == OutputFormat::cram; }

bool copies_records(OutputFormat format) noexcept { return writes_tags(format) || format == OutputFormat::split; }

OutputFormat parse_output_format(std::string_view word) {
    std::string known;
    for (auto const& format : kFormats) {
        if (format.word == word) { return format.format; }
        known += (known.empty() ? "" : ", ") + std::string(format.word);
    }
    throw Error(ErrorCode::invalid_argument, "--format " + std::string(word) + ": unknown; there are " + known);
}

void check(OutputSpec const& spec) {
    auto const refuse = [](std::string const& what) { throw Error(ErrorCode::invalid_argument, what); };
    bool const classes = !spec.labels.empty();
    index_t vectors = 0;
    for (auto const format : spec.formats) {
        auto const& word = word_of(format);
        bool const of_reads = format == OutputFormat::bed || copies_records(format);
        auto const untold = std::find_if_not(spec.labels.begin(), spec.labels.end(), is_tag_text);
        if (writes_tags(format) && untold != spec.labels.end()) {
            refuse("--format " + std::string(word.word) + ": the class '" + *untold +
                   "' cannot be a tag, which is printable ASCII");
        }
        if (word.of_classes != classes) {
            refuse("--format " + std::string(word.word) + " is for --task " + (word.of_classes ? "classify" : "embed"));
        }
        if (format == OutputFormat::audacity && !spec.sound) { refuse("--format audacity is for sound"); }
        if (of_reads && spec.sound) { refuse("--format " + std::string(word.word) + " is for DNA"); }
        if (std::count(spec.formats.begin(), spec.formats.end(), format) > 1) {
            refuse("--format " + std::string(word.word) + " is given twice");
        }
        vectors += word.of_classes ? 0 : 1;
    }
    if (vectors > 1) { refuse("--format: one of npy, npz, h5 and h5ad; the others can be made of .npy and .tsv"); }
    auto const tagged = std::count_if(spec.formats.begin(), spec.formats.end(), writes_tags);
    if (tagged > 0 && spec.interleaved) {
        refuse("--format bam and cram have no pairs: a label belongs to an alignment");
    }
    if (tagged > 1) { refuse("--format: bam or cram, not both"); }
}

OutputSet::OutputSet(OutputSpec const& spec, BatchInput const& input, std::vector<index_t> const& keep_bytes) {
    make_folder(stem_of(spec, input).parent_path());
    auto begin = keep_bytes.begin();
    try {
        for (auto const format : spec.formats) {
            auto const end = begin + (keep_bytes.empty() ? 0 : static_cast<index_t>(file_count(spec, input, format)));
            outputs_.push_back(make_output(spec, input, format, {begin, end}));
            begin = end;
        }
    } catch (...) {
        remove_parts(paths()); // nobody would know of them
        throw;
    }
}

void OutputSet::begin_block(index_t ordinal) {
    for (auto const& output : outputs_) {
        output->begin_block(ordinal);
    }
}

void OutputSet::write(UnitResult const& result, ClassRow const* row) {
    for (auto const& output : outputs_) {
        output->write(result, row);
    }
}

std::vector<index_t> OutputSet::end_block(index_t ordinal) {
    return collect<index_t>(outputs_, [ordinal](auto& output) { return output.end_block(ordinal); });
}

std::vector<index_t> OutputSet::end_blocks() {
    return collect<index_t>(outputs_, [](auto& output) { return output.end_blocks(); });
}

std::vector<index_t> OutputSet::end_broken() {
    return collect<index_t>(outputs_, [](auto& output) { return output.end_broken(); });
}

std::vector<Path> OutputSet::paths() const {
    return collect<Path>(outputs_, [](auto const& output) { return output.paths(); });
}

std::vector<Path> OutputSet::finish(std::string_view suffix) {
    return collect<Path>(outputs_, [suffix](auto& output) { return output.finish(suffix); });
}

} // namespace strandwave

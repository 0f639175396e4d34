#include "pipelines/batch/tagged_output.h"

#include "formats/cram_writer.h"
#include "formats/open_input.h"
#include "formats/second_read.h"
#include "lib/core/error.h"

#include <utility>

namespace strandwave {
namespace {

/// htslib would take FASTA and FASTQ for alignments too, and read them by rules of its own.
std::filesystem::path const& alignments(BatchInput const& input) {
    auto const name = input.path.string();
    if (!input.mates.empty()) { throw Error(ErrorCode::unsupported, name + ": pairs of reads cannot be given tags"); }
    (void)open_second_time(input.path);
    auto const format = open_input(input.path, {}).value().format;
    if (format != "sam" && format != "bam" && format != "cram") {
        throw Error(ErrorCode::unsupported,
                    name + ": is a " + std::string(format) + " file; only alignments can be given tags");
    }
    return input.path;
}

std::filesystem::path tagged_path(std::filesystem::path path) { return path += ".tagged.bam"; }

} // namespace

TaggedOutput::TaggedOutput(BatchInput const& input, std::filesystem::path const& stem, bool cram,
                           AlignmentTaggerOptions const& options, index_t keep_bytes)
    : path_(tagged_path(stem)), cram_(cram), options_(options),
      tagger_(std::make_unique<AlignmentTagger>(alignments(input), path_, keep_bytes, options)) {}

void TaggedOutput::begin_block(index_t ordinal) {
    tagger_->begin_block(ordinal);
    next_ = ordinal;
}

void TaggedOutput::write(UnitResult const& result, ClassRow const* row) {
    tagger_->tag(result.unit.ordinal, result.unit.name, row->label, row->probability);
    next_ = result.unit.ordinal + 1;
}

std::vector<index_t> TaggedOutput::end_block(index_t ordinal) { return {tagger_->end_block(ordinal)}; }

std::vector<index_t> TaggedOutput::end_broken() { return {tagger_->end_block(next_)}; }

std::vector<index_t> TaggedOutput::end_blocks() { return {tagger_->copy_rest()}; }

std::vector<std::filesystem::path> TaggedOutput::paths() const { return {path_}; }

std::vector<std::filesystem::path> TaggedOutput::finish(std::string_view suffix) {
    tagger_->commit(suffix);
    auto bam = path_;
    bam += suffix;
    if (!cram_) { return {bam}; }
    auto cram = path_;
    cram.replace_extension(".cram") += suffix;
    write_cram(bam, cram, options_.reading.reference, options_.threads);
    std::filesystem::remove(bam);
    return {cram};
}

} // namespace strandwave

#include "formats/alignment_reader.h"

#include "formats/alignment_file.h"
#include "formats/guarded_reader.h"
#include "formats/quality_trim.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <htslib/sam.h>
#include <string_view>

namespace strandwave {
namespace {

/// By 4-bit code; the complement swaps A-T, C-G, M-K, R-Y, V-B, H-D. Code 0 is '='.
constexpr std::string_view kForward = "=ACMGRSVTWYHKDBN";
constexpr std::string_view kComplement = "=TGKCYSBAWRDMHVN";

/// The letters of the two codes in a byte, as they are given: the first is in the high half, and in a reverse read it
/// comes last.
using Pairs = std::array<std::array<char, 2>, 256>;
constexpr Pairs letter_pairs(std::string_view letters, bool reverse) {
    Pairs pairs{};
    for (std::size_t byte = 0; byte < pairs.size(); ++byte) {
        pairs[byte][reverse ? 1 : 0] = letters[byte >> 4];
        pairs[byte][reverse ? 0 : 1] = letters[byte & 15];
    }
    return pairs;
}
constexpr Pairs kForwardPairs = letter_pairs(kForward, false);
constexpr Pairs kReversePairs = letter_pairs(kComplement, true);

bool is_reverse(bam1_t const& alignment) { return (alignment.core.flag & BAM_FREVERSE) != 0; }

/// Letters [offset, offset + symbols.size()) of a read as the instrument read it.
void decode(bam1_t const& alignment, index_t offset, std::string& symbols) {
    bool const reverse = is_reverse(alignment);
    auto const& pairs = reverse ? kReversePairs : kForwardPairs;
    index_t const step = reverse ? -1 : 1;
    index_t const first = reverse ? alignment.core.l_qseq - 1 - offset : offset;
    auto const* codes = bam_get_seq(&alignment) + first / 2;
    auto* out = symbols.data();
    auto const* const end = out + symbols.size();
    bool const inside_byte = (first % 2 == 0) == reverse;
    if (inside_byte && out < end) {
        *out++ = pairs[*codes][1];
        codes += step;
    }
    for (; end - out >= 2; out += 2, codes += step) {
        std::memcpy(out, pairs[*codes].data(), 2);
    }
    if (out < end) { *out = pairs[*codes][0]; }
}

class AlignmentReader final : public GuardedReader {
public:
    AlignmentReader(FileBytes bytes, std::string name, SequenceReaderOptions const& options)
        : trim_quality_(options.trim_quality),
          file_(std::move(bytes), std::move(name), options,
                SAM_QNAME | SAM_FLAG | SAM_SEQ | (trim_quality_ > 0 ? SAM_QUAL : 0)) {}

    index_t skipped_records() const override { return skipped_; }

private:
    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (!in_record_ && !next_alignment()) { return ReadOutcome::end_of_stream; }
        index_t const count = std::min(max_symbols, length_ - offset_);
        chunk.record = record_;
        chunk.name = bam_get_qname(file_.current());
        chunk.description = mate_number();
        chunk.offset = offset_;
        chunk.start = 0;
        chunk.first = offset_ == 0;
        chunk.last = offset_ + count == length_;
        chunk.symbols.resize(static_cast<std::size_t>(count));
        decode(*file_.current(), offset_, chunk.symbols);
        if (chunk.symbols.find('=') != std::string::npos) {
            throw Error(ErrorCode::unsupported, file_.name() + ": " + file_.where() +
                                                    " gives bases as '=' (equal to the reference); write them out "
                                                    "with `samtools calmd` without -e");
        }
        offset_ += count;
        in_record_ = !chunk.last;
        return ReadOutcome::chunk;
    }

    bool next_alignment() {
        do {
            if (!file_.next()) { return false; }
            skipped_ += file_.is_given() ? 0 : 1;
        } while (!file_.is_given());
        ++record_;
        offset_ = 0;
        length_ = given_length();
        in_record_ = true;
        return true;
    }

    /// Qualities that are not there are 0xff, higher than any to trim by.
    index_t given_length() const {
        index_t const length = file_.current()->core.l_qseq;
        if (trim_quality_ <= 0) { return length; }
        auto const* const quality = bam_get_qual(file_.current());
        bool const reverse = is_reverse(*file_.current());
        return trimmed_length(length, trim_quality_, [=](index_t i) { return quality[reverse ? length - 1 - i : i]; });
    }

    char const* mate_number() const {
        auto const flag = file_.current()->core.flag;
        if ((flag & BAM_FPAIRED) == 0) { return ""; }
        auto const number = flag & (BAM_FREAD1 | BAM_FREAD2);
        return number == BAM_FREAD1 ? "1" : number == BAM_FREAD2 ? "2" : "";
    }

    int trim_quality_;
    AlignmentFile file_;
    index_t record_ = -1;
    index_t skipped_ = 0;
    index_t offset_ = 0; ///< bases of the current record given so far
    index_t length_ = 0; ///< bases of the current record that are given in all
    bool in_record_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> open_alignments(FileBytes file, std::string name,
                                                SequenceReaderOptions const& options) {
    return std::make_unique<AlignmentReader>(std::move(file), std::move(name), options);
}

} // namespace strandwave

#include "formats/fastq_reader.h"

#include "formats/fastq_record.h"
#include "formats/guarded_reader.h"
#include "formats/header_line.h"
#include "formats/quality_trim.h"
#include "formats/sequence_letters.h"

#include <algorithm>

namespace strandwave {
namespace {

class FastqReader final : public GuardedReader {
public:
    FastqReader(TextCursor text, int trim_quality) : text_(std::move(text)), trim_quality_(trim_quality) {}

private:
    using LineEnd = TextCursor::LineEnd;

    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        bool const between_records = !in_record_ && !in_trimmed_;
        if (between_records && read_usual_record(chunk, max_symbols)) { return ReadOutcome::chunk; }
        return trim_quality_ > 0 ? read_trimmed(chunk, max_symbols) : read_streamed(chunk, max_symbols);
    }

    /// Nearly all records, at once. False where this cannot be, and then nothing has happened.
    bool read_usual_record(SequenceChunk& chunk, index_t max_symbols) {
        FastqRecord found;
        if (!find_usual_fastq_record(text_.at_hand(), found)) { return false; }
        auto kept = static_cast<index_t>(found.letters.size());
        if (kept > max_symbols) { return false; }
        begin_chunk(chunk, split_header(found.header), ++record_, 0);
        if (trim_quality_ > 0) {
            auto const phred = [&found](index_t i) { return found.qualities[static_cast<std::size_t>(i)] - '!'; };
            kept = trimmed_length(kept, trim_quality_, phred);
        }
        chunk.symbols = found.letters.substr(0, static_cast<std::size_t>(kept));
        chunk.last = true;
        text_.pass_lines(found.bytes, 4);
        return true;
    }

    ReadOutcome read_trimmed(SequenceChunk& chunk, index_t max_symbols) {
        if (!in_trimmed_ && !begin_trimmed()) { return ReadOutcome::end_of_stream; }
        begin_chunk(chunk, header_, record_, trimmed_offset_);
        chunk.symbols.append(trimmed_.symbols, static_cast<std::size_t>(trimmed_offset_),
                             static_cast<std::size_t>(max_symbols));
        trimmed_offset_ += static_cast<index_t>(chunk.symbols.size());
        chunk.last = trimmed_offset_ == static_cast<index_t>(trimmed_.symbols.size());
        in_trimmed_ = !chunk.last;
        return ReadOutcome::chunk;
    }

    bool begin_trimmed() {
        quality_.clear();
        if (read_streamed(trimmed_, kMaxTrimmedBases) == ReadOutcome::end_of_stream) { return false; }
        if (!trimmed_.last) {
            throw text_.error(ErrorCode::too_large, record() + " has more than " + std::to_string(kMaxTrimmedBases) +
                                                        " bases, too many to trim by quality; read it untrimmed");
        }
        auto const phred = [this](index_t i) { return quality_[static_cast<std::size_t>(i)] - '!'; };
        trimmed_.symbols.resize(static_cast<std::size_t>(trimmed_length(offset_, trim_quality_, phred)));
        trimmed_offset_ = 0;
        return true;
    }

    ReadOutcome read_streamed(SequenceChunk& chunk, index_t max_symbols) {
        if (!in_record_ && !begin_record()) { return ReadOutcome::end_of_stream; }
        begin_chunk(chunk, header_, record_, offset_);
        while (!at_plus_line() && static_cast<index_t>(chunk.symbols.size()) < max_symbols) {
            append_piece(chunk.symbols, static_cast<std::size_t>(max_symbols) - chunk.symbols.size());
        }
        offset_ += static_cast<index_t>(chunk.symbols.size());
        if (at_plus_line()) {
            pass_plus_line();
            pass_quality();
            chunk.last = true;
            in_record_ = false;
        }
        return ReadOutcome::chunk;
    }

    bool begin_record() {
        text_.skip_line_ends();
        if (text_.at_end()) { return false; }
        if (text_.peek() != '@') {
            throw text_.error(ErrorCode::malformed_input,
                              "a FASTQ record begins with '@', not with " + printable(text_.peek()));
        }
        header_ = read_header_line(text_);
        ++record_;
        offset_ = 0;
        in_record_ = true;
        return true;
    }

    bool at_plus_line() {
        text_.skip_line_ends();
        if (text_.at_end()) { throw text_.error(ErrorCode::truncated_input, record() + " ends in its sequence"); }
        return text_.at_line_start() && text_.peek() == '+';
    }

    void append_piece(std::string& symbols, std::size_t limit) {
        auto start = text_.position();
        auto const text = text_.next_piece(limit).text;
        auto const letters = count_sequence_letters(text);
        if (letters < text.size()) {
            start.offset += static_cast<index_t>(letters);
            throw text_.error_at(start, ErrorCode::malformed_input,
                                 record() + " has " + printable(text[letters]) + " in its sequence");
        }
        symbols.append(text);
    }

    void pass_plus_line() {
        auto const start = text_.position();
        text_.skip_byte();
        std::string repeated;
        auto const end = text_.next_line(repeated, std::max(header_.text.size(), kShortLine));
        if (end == LineEnd::end_of_text) {
            throw text_.error_at(start, ErrorCode::truncated_input, record() + " ends in its '+' line");
        }
        if (!repeated.empty() && repeated != header_.text && repeated != header_.name) {
            throw text_.error_at(start, ErrorCode::malformed_input, record() + " has another name in its '+' line");
        }
    }

    void pass_quality() {
        index_t length = 0;
        while (length < offset_) {
            if (text_.at_end()) {
                throw text_.error(ErrorCode::truncated_input, record() + " ends after " + std::to_string(length) +
                                                                  " of " + std::to_string(offset_) + " qualities");
            }
            length += pass_quality_piece(static_cast<std::size_t>(offset_ - length));
        }
        bool const more_in_line = !text_.at_line_start() && !text_.next_piece(1).text.empty();
        text_.skip_line_ends();
        if (more_in_line || (!text_.at_end() && text_.peek() != '@')) {
            throw text_.error(ErrorCode::malformed_input,
                              record() + " has not one quality for each of its " + std::to_string(offset_) + " bases");
        }
    }

    index_t pass_quality_piece(std::size_t limit) {
        auto start = text_.position();
        auto const text = text_.next_piece(limit).text;
        auto const good = count_qualities(text);
        if (good < text.size()) {
            start.offset += static_cast<index_t>(good);
            throw text_.error_at(start, ErrorCode::malformed_input,
                                 record() + " has " + printable(text[good]) + " in its quality");
        }
        if (trim_quality_ > 0) { quality_.append(text); }
        return static_cast<index_t>(good);
    }

    std::string record() const { return "record " + std::to_string(record_ + 1) + " (" + header_.name + ")"; }

    static constexpr index_t kMaxTrimmedBases = index_t{1} << 26;
    static constexpr std::size_t kShortLine = 1024; ///< bytes of a '+' line that are read even if the header is shorter

    TextCursor text_;
    HeaderLine header_;
    index_t record_ = -1;
    index_t offset_ = 0; ///< bases of the current record given so far; its length once the '+' line is reached
    bool in_record_ = false;

    int trim_quality_;           ///< 0: bases are streamed, and what follows is not used
    SequenceChunk trimmed_;      ///< the whole record, cut
    std::string quality_;        ///< of the whole record
    index_t trimmed_offset_ = 0; ///< bases of trimmed_ given so far
    bool in_trimmed_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> make_fastq_reader(TextCursor text, int trim_quality) {
    return std::make_unique<FastqReader>(std::move(text), trim_quality);
}

} // namespace strandwave

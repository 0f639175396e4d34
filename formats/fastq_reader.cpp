#include "formats/fastq_reader.h"

#include "formats/guarded_reader.h"
#include "formats/header_line.h"
#include "formats/sequence_letters.h"

#include <algorithm>

namespace strandwave {
namespace {

class FastqReader final : public GuardedReader {
public:
    explicit FastqReader(TextCursor text) : text_(std::move(text)) {}

private:
    using LineEnd = TextCursor::LineEnd;

    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
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
        return static_cast<index_t>(good);
    }

    std::string record() const { return "record " + std::to_string(record_ + 1) + " (" + header_.name + ")"; }

    static constexpr std::size_t kShortLine = 1024; ///< bytes of a '+' line that are read even if the header is shorter

    TextCursor text_;
    HeaderLine header_;
    index_t record_ = -1;
    index_t offset_ = 0; ///< bases of the current record given so far; its length once the '+' line is reached
    bool in_record_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> make_fastq_reader(TextCursor text) {
    return std::make_unique<FastqReader>(std::move(text));
}

} // namespace strandwave

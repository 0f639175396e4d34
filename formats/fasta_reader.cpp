#include "formats/fasta_reader.h"

#include "formats/guarded_reader.h"
#include "formats/header_line.h"
#include "formats/sequence_letters.h"

namespace strandwave {
namespace {

class FastaReader final : public GuardedReader {
public:
    explicit FastaReader(TextCursor text) : text_(std::move(text)) {}

private:
    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (!in_record_ && !begin_record()) { return ReadOutcome::end_of_stream; }
        begin_chunk(chunk, header_, record_, offset_);
        while (!at_record_end() && static_cast<index_t>(chunk.symbols.size()) < max_symbols) {
            append_piece(chunk.symbols, static_cast<std::size_t>(max_symbols) - chunk.symbols.size());
        }
        offset_ += static_cast<index_t>(chunk.symbols.size());
        chunk.last = at_record_end();
        in_record_ = !chunk.last;
        return ReadOutcome::chunk;
    }

    bool begin_record() {
        text_.skip_white_space();
        if (text_.at_end()) { return false; }
        if (text_.peek() != '>' || !text_.at_line_start()) {
            throw text_.error(ErrorCode::malformed_input,
                              "FASTA begins with a '>' line, not with " + printable(text_.peek()));
        }
        header_ = read_header_line(text_);
        ++record_;
        offset_ = 0;
        in_record_ = true;
        return true;
    }

    /// Looks past white space, so that the chunk with the last base can say that it is the last.
    bool at_record_end() {
        text_.skip_white_space();
        return text_.at_end() || (text_.at_line_start() && text_.peek() == '>');
    }

    void append_piece(std::string& symbols, std::size_t limit) {
        auto start = text_.position();
        auto text = text_.next_piece(limit).text;
        while (!text.empty()) {
            auto const letters = count_sequence_letters(text);
            symbols.append(text.substr(0, letters));
            if (letters == text.size()) { return; }
            start.offset += static_cast<index_t>(letters);
            if (text[letters] != ' ' && text[letters] != '\t') { refuse(start, text[letters]); }
            text.remove_prefix(letters + 1);
            ++start.offset;
        }
    }

    [[noreturn]] void refuse(TextCursor::Position where, char byte) const {
        throw text_.error_at(where, ErrorCode::malformed_input,
                             "record " + std::to_string(record_ + 1) + " (" + header_.name + ") has " +
                                 printable(byte) + " in its sequence; only letters, '*' and '-' may stand there");
    }

    TextCursor text_;
    HeaderLine header_;
    index_t record_ = -1;
    index_t offset_ = 0; ///< bases of the current record given so far
    bool in_record_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> make_fasta_reader(TextCursor text) {
    return std::make_unique<FastaReader>(std::move(text));
}

} // namespace strandwave

#include "formats/sequence_table_reader.h"

#include "formats/guarded_reader.h"
#include "formats/header_line.h"
#include "formats/sequence_letters.h"

#include <algorithm>
#include <string_view>

namespace strandwave {
namespace {

constexpr std::size_t kMaxLineBytes = std::size_t{16} << 20;

/// Bytes above 127 are parts of UTF-8 letters.
bool is_label_byte(char byte) {
    auto const code = static_cast<unsigned char>(byte);
    return code > ' ' && code != 0x7f && code != '"';
}

class SequenceTableReader final : public GuardedReader {
public:
    SequenceTableReader(TextCursor text, std::string stem, char separator)
        : text_(std::move(text)), stem_(std::move(stem)), separator_(separator) {
        pass_header();
    }

private:
    using LineEnd = TextCursor::LineEnd;

    void pass_header() {
        text_.skip_line_ends();
        auto const start = text_.position();
        auto const expected = std::string("sequence") + separator_ + "label";
        text_.next_line(line_, kMaxLineBytes);
        if (line_ == expected) { return; }
        throw text_.error_at(start, ErrorCode::malformed_input,
                             "a table of sequences begins with the line 'sequence" +
                                 std::string(separator_ == '\t' ? "<tab>" : ",") +
                                 "label'; tables of names and classes are read with --labels");
    }

    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (!in_record_ && !begin_record()) { return ReadOutcome::end_of_stream; }
        begin_chunk(chunk, header_, record_, offset_);
        index_t const count = std::min(max_symbols, length_ - offset_);
        chunk.symbols.assign(line_, static_cast<std::size_t>(offset_), static_cast<std::size_t>(count));
        offset_ += count;
        chunk.last = offset_ == length_;
        in_record_ = !chunk.last;
        return ReadOutcome::chunk;
    }

    bool begin_record() {
        text_.skip_line_ends();
        if (text_.at_end()) { return false; }
        ++record_;
        offset_ = 0;
        header_.name = stem_ + "_" + std::to_string(record_ + 1);
        auto const start = text_.position();
        bool const cut = text_.next_line(line_, kMaxLineBytes) == LineEnd::end_of_text;
        auto const fail = [&](std::size_t byte, ErrorCode code, std::string const& reason) {
            auto where = start;
            where.offset += static_cast<index_t>(byte);
            throw text_.error_at(where, code, "record " + std::to_string(record_ + 1) + " " + reason);
        };
        auto const letters = count_sequence_letters(line_);
        bool const ends = letters == line_.size() || (letters + 1 == line_.size() && line_[letters] == separator_);
        if (ends && cut) { fail(line_.size(), ErrorCode::truncated_input, "ends before its label"); }
        if (ends) { fail(line_.size(), ErrorCode::malformed_input, "has no label"); }
        if (line_[letters] != separator_) {
            fail(letters, ErrorCode::malformed_input,
                 "has " + printable(line_[letters]) + " in its sequence; only letters, '*' and '-' may stand there");
        }
        auto const label = std::string_view(line_).substr(letters + 1);
        auto const bad = std::find_if_not(label.begin(), label.end(),
                                          [this](char byte) { return byte != separator_ && is_label_byte(byte); });
        if (bad != label.end()) {
            fail(letters + 1 + static_cast<std::size_t>(bad - label.begin()), ErrorCode::malformed_input,
                 "has " + printable(*bad) + " in its label; a row is a sequence and one label, without quotes");
        }
        header_.description = "label=" + std::string(label);
        length_ = static_cast<index_t>(letters);
        in_record_ = true;
        return true;
    }

    TextCursor text_;
    std::string stem_;
    char separator_;
    std::string line_;
    HeaderLine header_;
    index_t record_ = -1;
    index_t length_ = 0; ///< bases of the current record
    index_t offset_ = 0; ///< how many of them were given
    bool in_record_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> make_sequence_table_reader(TextCursor text, std::string stem, char separator) {
    return std::make_unique<SequenceTableReader>(std::move(text), std::move(stem), separator);
}

} // namespace strandwave

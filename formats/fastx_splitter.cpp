#include "formats/fastx_splitter.h"

#include "formats/byte_source.h"
#include "formats/header_line.h"
#include "formats/second_read.h"

#include <algorithm>

namespace strandwave {
namespace {

constexpr std::size_t kPieceBytes = 256UL * 1024;

TextCursor open_text(std::filesystem::path const& path, std::string_view format, int threads) {
    if (format != "fasta" && format != "fastq") {
        throw Error(ErrorCode::unsupported,
                    input_name(path) + ": only FASTA and FASTQ can be split by class, not " + std::string(format));
    }
    TextCursor text(BgzfSource(open_second_time(path), input_name(path), threads));
    text.skip_white_space(); // as open_input does
    return text;
}

/// Mates are called by their pair's name, without the ending of their own.
bool is_named(std::string_view header, std::string_view name) {
    if (header.size() == name.size() + 2 && (header.ends_with("/1") || header.ends_with("/2"))) {
        header.remove_suffix(2);
    }
    return header == name;
}

} // namespace

FastxSplitter::FastxSplitter(std::filesystem::path const& path, std::string_view format, int threads)
    : fastq_(format == "fastq"), text_(open_text(path, format, threads)) {}

void FastxSplitter::begin_block(index_t first_ordinal) {
    if (first_ordinal < next_) {
        throw Error(ErrorCode::invalid_argument, text_.name() + ": records are split in their order only");
    }
    while (next_ < first_ordinal) {
        pass_record(next_, {}, nullptr);
    }
}

void FastxSplitter::copy(index_t ordinal, std::string_view name, Sink const& sink) {
    begin_block(ordinal);
    pass_record(ordinal, name, &sink);
}

void FastxSplitter::pass_record(index_t ordinal, std::string_view name, Sink const* sink) {
    sink_ = sink;
    if (!begin_record()) { throw ended_meanwhile(text_.name(), ordinal, name); }
    pass_header(ordinal, name);
    if (fastq_) {
        pass_fastq();
    } else {
        pass_fasta();
    }
    if (last_byte_ != '\n') { put("\n"); }
    hand_out();
    ++next_;
}

/// False at the end of the text.
bool FastxSplitter::begin_record() {
    if (fastq_) { text_.skip_line_ends(); }
    if (text_.at_end()) { return false; }
    char const marker = fastq_ ? '@' : '>';
    if (text_.peek() == marker && (fastq_ || text_.at_line_start())) { return true; }
    throw text_.error(ErrorCode::malformed_input, "record " + std::to_string(next_ + 1) + " should begin here with '" +
                                                      marker + "', not with " + printable(text_.peek()));
}

void FastxSplitter::pass_header(index_t ordinal, std::string_view name) {
    auto const start = text_.position().offset;
    auto const header = read_header_line(text_);
    if (sink_ == nullptr) { return; }
    if (!name.empty() && !is_named(header.name, name)) {
        throw changed_meanwhile(text_.name(), ordinal, name, header.name);
    }
    auto const bytes = text_.position().offset - start;
    bool const carriage_return = bytes == static_cast<index_t>(header.text.size()) + 3;
    put(fastq_ ? "@" : ">");
    put(header.text);
    put(carriage_return ? "\r\n" : "\n");
}

void FastxSplitter::pass_fasta() {
    while (!text_.at_end() && !(text_.at_line_start() && text_.peek() == '>')) {
        pass_piece(kPieceBytes);
    }
}

void FastxSplitter::pass_fastq() {
    auto const length = pass_sequence();
    while (pass_piece(kPieceBytes).end == TextCursor::LineEnd::none) {} // the '+' line
    pass_quality(length);
}

/// The lines up to the '+' line; how many bases they have.
index_t FastxSplitter::pass_sequence() {
    index_t length = 0;
    while (true) {
        if (text_.at_end()) { throw cut_in_record(); }
        if (text_.at_line_start() && text_.peek() == '+') { return length; }
        length += static_cast<index_t>(pass_piece(kPieceBytes).text.size());
    }
}

/// As many qualities as bases, and the end of their last line. An empty record has an empty line of them, or none.
void FastxSplitter::pass_quality(index_t length) {
    index_t passed = 0;
    while (passed < length) {
        if (text_.at_end()) { throw cut_in_record(); }
        auto const limit = std::min(static_cast<index_t>(kPieceBytes), length - passed);
        passed += static_cast<index_t>(pass_piece(static_cast<std::size_t>(limit)).text.size());
    }
    bool const empty_line = length == 0 && !text_.at_end() && (text_.peek() == '\n' || text_.peek() == '\r');
    if (!empty_line && (length == 0 || text_.at_line_start())) { return; }
    if (!pass_piece(1).text.empty()) {
        throw text_.error(ErrorCode::malformed_input,
                          "record " + std::to_string(next_ + 1) + " has not one quality for each of its bases");
    }
}

/// The end of a line is put as it was: its bytes are those that were passed and are not text.
TextCursor::Piece FastxSplitter::pass_piece(std::size_t limit) {
    auto const start = text_.position().offset;
    auto const piece = text_.next_piece(limit);
    auto const end_bytes = text_.position().offset - start - static_cast<index_t>(piece.text.size());
    put(piece.text);
    if (piece.end == TextCursor::LineEnd::newline) { put(end_bytes == 2 ? "\r\n" : "\n"); }
    if (piece.end == TextCursor::LineEnd::end_of_text && end_bytes == 1) { put("\r"); }
    return piece;
}

void FastxSplitter::put(std::string_view text) {
    if (sink_ == nullptr || text.empty()) { return; }
    pending_.append(text);
    last_byte_ = text.back();
    if (pending_.size() >= kPieceBytes) { hand_out(); }
}

void FastxSplitter::hand_out() {
    if (sink_ != nullptr && !pending_.empty()) { (*sink_)(pending_); }
    pending_.clear();
}

Error FastxSplitter::cut_in_record() const {
    return text_.error(ErrorCode::truncated_input, "record " + std::to_string(next_ + 1) + " ends too early");
}

} // namespace strandwave

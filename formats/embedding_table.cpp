#include "formats/embedding_table.h"

#include "formats/byte_source.h"
#include "formats/npy.h"
#include "formats/text_cursor.h"
#include "formats/utf8.h"
#include "lib/core/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

constexpr std::size_t kMaxLine = 1 << 20;
constexpr std::size_t kPieceRows = 4096;
constexpr index_t kPieceBytes = 1 << 20;

bool is_control(char letter) {
    auto const byte = static_cast<unsigned char>(letter);
    return byte < 0x20 || byte == 0x7f;
}

std::vector<std::string_view> columns_of(std::string_view line) {
    std::vector<std::string_view> columns;
    for (;;) {
        auto const end = line.find('\t');
        columns.push_back(line.substr(0, end));
        if (end == std::string_view::npos) { return columns; }
        line.remove_prefix(end + 1);
    }
}

template <class Number>
bool parse(std::string_view text, Number& number) {
    auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failure == std::errc() && end == text.data() + text.size();
}

bool parse_seconds(std::string_view text, double& number) { return parse(text, number) && std::isfinite(number); }

/// The lines of one pass over the table.
class Lines {
public:
    explicit Lines(std::filesystem::path const& path) : text_(BgzfSource(open_file_bytes(path), input_name(path), 0)) {
        if (!next_line()) { throw text_.error(ErrorCode::truncated_input, "ends before its header line"); }
        in_seconds_ = line_ == "name\tstart\tend\tstart_s\tend_s";
        if (!in_seconds_ && line_ != "name\tstart\tend") {
            throw text_.error(ErrorCode::malformed_input,
                              "not the table of an embedding: its header is not 'name start end', nor that with "
                              "'start_s end_s' behind it, parted by tabs");
        }
    }

    bool in_seconds() const noexcept { return in_seconds_; }

    bool next(EmbeddingRow& row) {
        auto const place = text_.position();
        if (!next_line()) { return false; }
        auto const columns = columns_of(line_);
        bool const understood =
            columns.size() == (in_seconds_ ? 5U : 3U) && parse(columns[1], row.start) && parse(columns[2], row.end) &&
            (!in_seconds_ || (parse_seconds(columns[3], row.start_s) && parse_seconds(columns[4], row.end_s)));
        if (!understood || std::any_of(columns[0].begin(), columns[0].end(), is_control)) {
            throw text_.error_at(place, ErrorCode::malformed_input,
                                 std::string("a line is a name without control characters, a start and an end") +
                                     (in_seconds_ ? ", both again in seconds" : "") + ", parted by tabs");
        }
        row.name = repair_utf8(columns[0]);
        return true;
    }

private:
    bool next_line() {
        if (text_.at_end()) { return false; }
        if (text_.next_line(line_, kMaxLine) == TextCursor::LineEnd::end_of_text) {
            throw text_.error(ErrorCode::truncated_input, "ends inside a line");
        }
        return true;
    }

    TextCursor text_;
    std::string line_;
    bool in_seconds_ = false;
};

/// All rows of a pass, piece by piece; their number.
index_t read_rows(Lines& lines, std::function<void(std::span<EmbeddingRow>)> const& take) {
    std::vector<EmbeddingRow> piece(kPieceRows);
    index_t count = 0;
    for (bool more = true; more;) {
        std::size_t filled = 0;
        while (filled < piece.size() && (more = lines.next(piece[filled]))) {
            ++filled;
        }
        if (filled > 0) { take({piece.data(), filled}); }
        count += static_cast<index_t>(filled);
    }
    return count;
}

Error mismatch(std::filesystem::path const& npy, index_t vectors, std::filesystem::path const& tsv, index_t lines) {
    return Error(ErrorCode::malformed_input, tsv.string() + ": " + std::to_string(lines) + " rows, but " +
                                                 npy.string() + " holds " + std::to_string(vectors) +
                                                 " vectors; they are not of one run, or one is not finished");
}

} // namespace

EmbeddingTable::EmbeddingTable(std::filesystem::path npy, std::filesystem::path tsv)
    : EmbeddingTable({{std::move(npy), std::move(tsv), {}}}, {}) {}

EmbeddingTable::EmbeddingTable(std::vector<EmbeddingPart> parts, std::vector<std::string> text_columns)
    : text_columns_(std::move(text_columns)) {
    if (parts.empty()) { throw Error(ErrorCode::invalid_argument, "a table of no embeddings has no width"); }
    parts_.reserve(parts.size());
    for (auto& part : parts) {
        parts_.push_back({std::move(part), 0});
        open(parts_.back());
        rows_ += parts_.back().rows;
    }
}

void EmbeddingTable::open(Part& part) {
    if (part.texts.size() != text_columns_.size()) {
        throw Error(ErrorCode::invalid_argument, part.tsv.string() + ": a text for each column is needed");
    }
    for (auto& text : part.texts) {
        text = repair_utf8(text);
    }
    NpyRowReader const vectors(part.npy);
    if (vectors.row_size() < 1) {
        throw Error(ErrorCode::malformed_input, part.npy.string() + ": vectors of no numbers");
    }
    Lines lines(part.tsv);
    if (&part == &parts_.front()) {
        width_ = vectors.row_size();
        in_seconds_ = lines.in_seconds();
    } else if (vectors.row_size() != width_ || lines.in_seconds() != in_seconds_) {
        throw Error(ErrorCode::malformed_input, part.npy.string() + ": is of another kind than " +
                                                    parts_.front().npy.string() + "; they are not of one run");
    }
    part.rows = read_rows(lines, [&](std::span<EmbeddingRow const> rows) {
        for (auto const& row : rows) {
            longest_name_ = std::max(longest_name_, static_cast<index_t>(decode_utf8(row.name).size()));
        }
    });
    if (part.rows != vectors.rows()) { throw mismatch(part.npy, vectors.rows(), part.tsv, part.rows); }
}

index_t EmbeddingTable::longest_text(std::size_t column) const {
    index_t longest = 0;
    for (auto const& part : parts_) {
        longest = std::max(longest, static_cast<index_t>(decode_utf8(part.texts[column]).size()));
    }
    return longest;
}

void EmbeddingTable::for_each_rows(std::function<void(std::span<EmbeddingRow const>)> const& take) const {
    for (auto const& part : parts_) {
        give_rows(part, take);
    }
}

void EmbeddingTable::for_each_vectors(std::function<void(View<float const, 2>)> const& take) const {
    for (auto const& part : parts_) {
        give_vectors(part, take);
    }
}

void EmbeddingTable::give_rows(Part const& part, std::function<void(std::span<EmbeddingRow const>)> const& take) const {
    Lines lines(part.tsv);
    index_t given = 0;
    auto const count = read_rows(lines, [&](std::span<EmbeddingRow> rows) {
        for (auto& row : rows) {
            row.texts = part.texts;
        }
        given += static_cast<index_t>(rows.size());
        if (given <= part.rows) { take(rows); }
    });
    if (count != part.rows || lines.in_seconds() != in_seconds_) {
        throw mismatch(part.npy, part.rows, part.tsv, count);
    }
}

void EmbeddingTable::give_vectors(Part const& part, std::function<void(View<float const, 2>)> const& take) const {
    NpyRowReader vectors(part.npy);
    if (vectors.rows() != part.rows || vectors.row_size() != width_) {
        throw mismatch(part.npy, vectors.rows(), part.tsv, part.rows);
    }
    if (part.rows == 0) { return; }
    auto const bytes = width_ * static_cast<index_t>(sizeof(float));
    auto const piece_rows = std::clamp<index_t>(kPieceBytes / bytes, 1, part.rows);
    std::vector<float> piece(static_cast<std::size_t>(piece_rows * width_));
    View<float, 2> const view(piece.data(), piece_rows, width_);
    for (index_t left = part.rows; left > 0;) {
        auto const count = vectors.read(view);
        take(view.rows_from(0, count));
        left -= count;
    }
}

} // namespace strandwave

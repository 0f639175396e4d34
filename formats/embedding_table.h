#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// What made an embedding, and of what: other formats have room to say it.
struct EmbeddingOrigin {
    std::string program; ///< with its version
    std::string input;   ///< name of the file that was read
};

/// What a vector stands for: a line of the .tsv, whose control characters have become `_`.
struct EmbeddingRow {
    std::string name;  ///< valid UTF-8: bytes of the line that are not have become U+FFFD
    index_t start = 0; ///< 0-based, half-open, in bases or source frames
    index_t end = 0;
    double start_s = 0; ///< in seconds; of sound only
    double end_s = 0;
    std::span<std::string const> texts; ///< of its part, one for each of the table's text columns
};

/// A finished embedding: `X.embeddings.npy`, fp32 `[rows, width]`, and `X.embeddings.tsv`, a header line `name start
/// end` (for sound also `start_s end_s`), then a line a row.
struct EmbeddingPart {
    std::filesystem::path npy, tsv;
    std::vector<std::string> texts; ///< what all its rows have in the text columns
};

/// One finished embedding, or several of one kind, one behind the other. Read as often as is asked for, in bounded
/// memory.
class EmbeddingTable {
public:
    /// Reads the lines once, so that what is wrong with a file is known before anything is written.
    /// Throws what read_npy_f32 and BgzfSource throw; malformed_input too for an array that has not two dimensions, a
    /// line that cannot be understood, another number of lines than of vectors, and parts of different kinds;
    /// truncated_input for a last line that does not end; invalid_argument for no part, or texts without their column.
    EmbeddingTable(std::vector<EmbeddingPart> parts, std::vector<std::string> text_columns);
    EmbeddingTable(std::filesystem::path npy, std::filesystem::path tsv);

    index_t rows() const noexcept { return rows_; }
    index_t width() const noexcept { return width_; } ///< >= 1
    bool in_seconds() const noexcept { return in_seconds_; }
    index_t longest_name() const noexcept { return longest_name_; } ///< in code points; 0 without rows
    std::vector<std::string> const& text_columns() const noexcept { return text_columns_; }
    index_t longest_text(std::size_t column) const; ///< in code points

    /// Give all rows in order, some thousands at a time, or about a megabyte of vectors; nothing of no rows. What is
    /// given is valid until the call returns. Throw as the constructor does, also when the files are others by now.
    void for_each_rows(std::function<void(std::span<EmbeddingRow const>)> const& take) const;
    void for_each_vectors(std::function<void(View<float const, 2>)> const& take) const;

private:
    struct Part : EmbeddingPart {
        index_t rows = 0;
    };

    void open(Part& part);
    void give_rows(Part const& part, std::function<void(std::span<EmbeddingRow const>)> const& take) const;
    void give_vectors(Part const& part, std::function<void(View<float const, 2>)> const& take) const;

    std::vector<Part> parts_;
    std::vector<std::string> text_columns_;
    index_t rows_ = 0;
    index_t width_ = 0;
    bool in_seconds_ = false;
    index_t longest_name_ = 0;
};

} // namespace strandwave

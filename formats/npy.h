#pragma once

#include "lib/core/partial_file.h"
#include "lib/core/result.h"
#include "lib/core/view.h"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

// NumPy's .npy files (format versions 1 to 3), as numpy.load and numpy.save have them.
// Source: numpy.lib.format, "NEP 1: a simple file format for NumPy arrays".

namespace strandwave {

/// An array in C order: the last index runs fastest.
template <class T>
struct NpyArray {
    std::vector<index_t> shape; ///< empty for a single number
    std::vector<T> values;
};

/// Read a whole little-endian C-order array of exactly that element type.
/// Errors: not_found, io, malformed_input, truncated_input, unsupported (another dtype or Fortran order; the message
/// names it and the numpy call that converts), too_large (more bytes than the machine has memory).
Result<NpyArray<std::int64_t>> read_npy_i64(std::filesystem::path const& path);
Result<NpyArray<float>> read_npy_f32(std::filesystem::path const& path);

/// What stands before the values of an fp32 array: 128 bytes for arrays of rows, so that it can be replaced once
/// the rows are counted.
std::string npy_header(std::vector<index_t> const& shape);

/// Gives the rows of an fp32 array `[rows, row_size]` in order, in bounded memory. Not thread-safe.
class NpyRowReader {
public:
    /// Throws what read_npy_f32 returns, and malformed_input for another number of dimensions.
    explicit NpyRowReader(std::filesystem::path const& path);

    index_t rows() const noexcept { return rows_; }
    index_t row_size() const noexcept { return row_size_; }

    /// Fills the next rows of the array into the first ones of `to`, which is dense, and returns how many: fewer than
    /// it has only at the end. Throws shape_mismatch, truncated_input (the file has shrunk since it was opened).
    index_t read(View<float, 2> to);

private:
    std::string name_;
    std::ifstream stream_;
    index_t rows_ = 0;
    index_t row_size_ = 0;
    index_t left_ = 0;
};

/// Writes fp32 rows `[rows, row_size]` whose count is not known in advance: the header is completed by `close()`.
/// Whole or not at all. Not thread-safe.
class NpyWriter {
public:
    NpyWriter(std::filesystem::path const& path, index_t row_size); ///< throws io
    void append(View<float const, 2> rows);                         ///< throws shape_mismatch, io
    void close();                                                   ///< puts the file in place; throws io
    index_t rows() const noexcept { return rows_; }

private:
    PartialFile file_;
    index_t row_size_;
    index_t rows_ = 0;
};

/// Writes an fp32 array of known shape whose parts come in any order and from several threads. Whole or not at all.
class NpyFile {
public:
    /// Takes the disk space first. Throws io, too_large (an element count past 2^63).
    NpyFile(std::filesystem::path const& path, std::vector<index_t> const& shape);

    /// Stores consecutive elements from the flat C-order position `offset`. Each element once. Thread-safe.
    /// Throws invalid_argument (outside the array), io.
    void write(index_t offset, View<float const, 1> values);

    /// Puts the file in place. Throws io, and invalid_argument if elements were left out.
    void close();

private:
    PartialFile file_;
    index_t header_bytes_ = 0;
    index_t size_ = 0;
    std::atomic<index_t> written_{0};
};

} // namespace strandwave

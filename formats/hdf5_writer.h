#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <memory>
#include <string>

namespace strandwave {

/// Writes vectors of every position of many records to one HDF5 file, in bounded memory whatever their length:
///   /embeddings/<n>   fp32 [positions, width], chunked; n = 0, 1, ... in the order of begin_record; attributes `name`,
///                     `start`, `end`
///   /names, /starts, /ends, /lengths   one entry a record, in the same order (UTF-8 strings and 64-bit integers)
/// Whole or not at all. Not thread-safe, nor may two threads use two writers: the HDF5 library has global state.
class Hdf5Writer {
public:
    /// Throws io, invalid_argument (a width below 1).
    Hdf5Writer(std::filesystem::path const& path, index_t width);
    ~Hdf5Writer();

    /// Ends the record before, if any. `start` and `end` are its coordinates in the input, in bases or source frames.
    /// Throws io.
    void begin_record(std::string const& name, index_t start, index_t end);

    /// The next positions of the record, `[n, width]`. Throws shape_mismatch, io, invalid_argument (no record begun).
    void append(View<float const, 2> rows);

    /// Puts the file in place. Throws io.
    void close();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace strandwave

#pragma once

#include "lib/core/partial_file.h"
#include "lib/core/view.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// The HDF5 library's objects, as far as the writers of this room need them.

namespace strandwave {

/// An open object of the HDF5 library, by the library's number for it, and the function that closes its kind.
class Hdf5Object {
public:
    Hdf5Object() = default;
    Hdf5Object(std::int64_t id, int (*close_function)(std::int64_t)) : id_(id), close_(close_function) {}
    Hdf5Object(Hdf5Object&& other) noexcept;
    Hdf5Object& operator=(Hdf5Object&& other) noexcept;
    ~Hdf5Object() { close(); }

    std::int64_t id() const noexcept { return id_; }
    bool close() noexcept; ///< false if the library says that it failed

private:
    std::int64_t id_ = -1;
    int (*close_)(std::int64_t) = nullptr;
};

/// What one element of a dataset is, in the file and in the memory that it is written from: `text` is UTF-8 of any
/// length, from `char const*`.
enum class Hdf5Type : std::uint8_t { f32, f64, i8, i64, text };

/// A dataset that rows are put behind.
struct Hdf5Dataset {
    Hdf5Object object;
    Hdf5Type type = Hdf5Type::f32;
    index_t columns = 0; ///< 0: one-dimensional
    index_t rows = 0;    ///< written so far
};

/// A new HDF5 file (readable since version 1.8 of the library), whole or not at all. It keeps no times, so that the
/// same calls give the same bytes. Not thread-safe, nor may two threads use two files: the HDF5 library has global
/// state. All members throw io.
class Hdf5File {
public:
    explicit Hdf5File(std::filesystem::path const& path);

    std::filesystem::path const& path() const noexcept { return partial_.path(); }
    Hdf5Object const& root() const noexcept { return file_; }

    Hdf5Object create_group(Hdf5Object const& parent, std::string const& name) const;
    /// Empty, to be extended; `columns` 0 makes it one-dimensional.
    Hdf5Dataset create_dataset(Hdf5Object const& parent, std::string const& name, Hdf5Type type, index_t columns,
                               index_t chunk_rows) const;
    /// Puts `rows` rows behind those that are there.
    void append(Hdf5Dataset& data, void const* values, index_t rows) const;
    void append(Hdf5Dataset& data, std::vector<std::string> const& texts) const;
    /// A dataset without dimensions.
    Hdf5Object create_text(Hdf5Object const& parent, std::string const& name, std::string const& value) const;

    void set_attribute(Hdf5Object const& object, char const* key, std::string const& value) const;
    void set_attribute(Hdf5Object const& object, char const* key, std::vector<std::string> const& values) const;
    void set_attribute(Hdf5Object const& object, char const* key, index_t value) const;
    void set_flag(Hdf5Object const& object, char const* key, bool value) const; ///< as h5py stores a bool

    void close(Hdf5Object& object) const; ///< what destructors do, but it reports what fails
    void commit();                        ///< puts the file in place, once all objects of it are closed

private:
    Hdf5Object open(std::int64_t id, int (*close_function)(std::int64_t)) const;
    Hdf5Object creation(std::int64_t kind) const;
    void check(int status) const;
    std::int64_t stored_type(Hdf5Type type) const;
    std::int64_t memory_type(Hdf5Type type) const;
    void write_attribute(Hdf5Object const& object, char const* key, std::int64_t type, Hdf5Object const& space,
                         void const* value) const;

    PartialFile partial_;
    Hdf5Object text_; ///< the type
    Hdf5Object file_;
};

/// How many rows of `row_bytes` bytes make a chunk of about 256 KiB.
index_t hdf5_chunk_rows(index_t row_bytes);

} // namespace strandwave

#include "formats/hdf5_file.h"

#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <hdf5.h>
#include <type_traits>
#include <utility>

namespace strandwave {

static_assert(std::is_same_v<hid_t, std::int64_t> && std::is_same_v<herr_t, int>);

Hdf5Object::Hdf5Object(Hdf5Object&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}

Hdf5Object& Hdf5Object::operator=(Hdf5Object&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
}

bool Hdf5Object::close() noexcept {
    auto const id = std::exchange(id_, H5I_INVALID_HID);
    return id < 0 || close_(id) >= 0;
}

Hdf5File::Hdf5File(std::filesystem::path const& path) : partial_(path) {
    // A file that could not be written is never quite closed, and what the library would do about it at the process's
    // end is a segmentation fault (1.10.8). Ours are closed by then. Has an effect in the first file only.
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); // errors come back as values; the library would print them
    text_ = open(H5Tcopy(H5T_C_S1), H5Tclose);
    check(H5Tset_size(text_.id(), H5T_VARIABLE));
    check(H5Tset_cset(text_.id(), H5T_CSET_UTF8));
    auto const access = open(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    check(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_LATEST));
    // To close the file while an object of it is open fails; else it would be finished only after its renaming.
    check(H5Pset_fclose_degree(access.id(), H5F_CLOSE_SEMI));
    auto const made = creation(H5P_FILE_CREATE);
    file_ = open(H5Fcreate(partial_.partial_path().c_str(), H5F_ACC_TRUNC, made.id(), access.id()), H5Fclose);
}

Hdf5Object Hdf5File::open(std::int64_t id, int (*close_function)(std::int64_t)) const {
    check(id < 0 ? -1 : 0);
    return {id, close_function};
}

/// Properties of a kind of object to create, without its times.
Hdf5Object Hdf5File::creation(std::int64_t kind) const {
    auto properties = open(H5Pcreate(kind), H5Pclose);
    check(H5Pset_obj_track_times(properties.id(), 0));
    return properties;
}

void Hdf5File::check(int status) const {
    if (status >= 0) { return; }
    throw Error(ErrorCode::io, path().string() + ": cannot be written by the HDF5 library; is the disk full?");
}

std::int64_t Hdf5File::stored_type(Hdf5Type type) const {
    switch (type) {
    case Hdf5Type::f32: return H5T_IEEE_F32LE;
    case Hdf5Type::f64: return H5T_IEEE_F64LE;
    case Hdf5Type::i8: return H5T_STD_I8LE;
    case Hdf5Type::i64: return H5T_STD_I64LE;
    case Hdf5Type::text: break;
    }
    return text_.id();
}

std::int64_t Hdf5File::memory_type(Hdf5Type type) const {
    switch (type) {
    case Hdf5Type::f32: return H5T_NATIVE_FLOAT;
    case Hdf5Type::f64: return H5T_NATIVE_DOUBLE;
    case Hdf5Type::i8: return H5T_NATIVE_INT8;
    case Hdf5Type::i64: return H5T_NATIVE_INT64;
    case Hdf5Type::text: break;
    }
    return text_.id();
}

Hdf5Object Hdf5File::create_group(Hdf5Object const& parent, std::string const& name) const {
    auto const made = creation(H5P_GROUP_CREATE);
    return open(H5Gcreate2(parent.id(), name.c_str(), H5P_DEFAULT, made.id(), H5P_DEFAULT), H5Gclose);
}

Hdf5Dataset Hdf5File::create_dataset(Hdf5Object const& parent, std::string const& name, Hdf5Type type, index_t columns,
                                     index_t chunk_rows) const {
    int const rank = columns > 0 ? 2 : 1;
    std::array<hsize_t, 2> const none{0, static_cast<hsize_t>(columns)};
    std::array<hsize_t, 2> const most{H5S_UNLIMITED, static_cast<hsize_t>(columns)};
    std::array<hsize_t, 2> const chunk{static_cast<hsize_t>(chunk_rows), static_cast<hsize_t>(columns)};
    auto const space = open(H5Screate_simple(rank, none.data(), most.data()), H5Sclose);
    auto const layout = creation(H5P_DATASET_CREATE);
    check(H5Pset_chunk(layout.id(), rank, chunk.data()));
    return {open(H5Dcreate2(parent.id(), name.c_str(), stored_type(type), space.id(), H5P_DEFAULT, layout.id(),
                            H5P_DEFAULT),
                 H5Dclose),
            type, columns, 0};
}

void Hdf5File::append(Hdf5Dataset& data, void const* values, index_t rows) const {
    if (rows == 0) { return; }
    int const rank = data.columns > 0 ? 2 : 1;
    auto const columns = static_cast<hsize_t>(data.columns);
    std::array<hsize_t, 2> const start{static_cast<hsize_t>(data.rows), 0};
    std::array<hsize_t, 2> const count{static_cast<hsize_t>(rows), columns};
    std::array<hsize_t, 2> const size{static_cast<hsize_t>(data.rows + rows), columns};
    check(H5Dset_extent(data.object.id(), size.data()));
    auto const target = open(H5Dget_space(data.object.id()), H5Sclose);
    check(H5Sselect_hyperslab(target.id(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr));
    auto const source = open(H5Screate_simple(rank, count.data(), nullptr), H5Sclose);
    check(H5Dwrite(data.object.id(), memory_type(data.type), source.id(), target.id(), H5P_DEFAULT, values));
    data.rows += rows;
}

void Hdf5File::append(Hdf5Dataset& data, std::vector<std::string> const& texts) const {
    std::vector<char const*> values;
    values.reserve(texts.size());
    for (auto const& text : texts) {
        values.push_back(text.c_str());
    }
    append(data, values.data(), static_cast<index_t>(values.size()));
}

Hdf5Object Hdf5File::create_text(Hdf5Object const& parent, std::string const& name, std::string const& value) const {
    auto const scalar = open(H5Screate(H5S_SCALAR), H5Sclose);
    auto const layout = creation(H5P_DATASET_CREATE);
    auto made =
        open(H5Dcreate2(parent.id(), name.c_str(), text_.id(), scalar.id(), H5P_DEFAULT, layout.id(), H5P_DEFAULT),
             H5Dclose);
    char const* const text = value.c_str();
    check(H5Dwrite(made.id(), text_.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, &text));
    return made;
}

void Hdf5File::write_attribute(Hdf5Object const& object, char const* key, std::int64_t type, Hdf5Object const& space,
                               void const* value) const {
    auto const made = open(H5Acreate2(object.id(), key, type, space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(H5Awrite(made.id(), type, value));
}

void Hdf5File::set_attribute(Hdf5Object const& object, char const* key, std::string const& value) const {
    char const* const text = value.c_str();
    write_attribute(object, key, text_.id(), open(H5Screate(H5S_SCALAR), H5Sclose), &text);
}

void Hdf5File::set_attribute(Hdf5Object const& object, char const* key, std::vector<std::string> const& values) const {
    std::vector<char const*> texts;
    texts.reserve(values.size());
    for (auto const& value : values) {
        texts.push_back(value.c_str());
    }
    auto const count = static_cast<hsize_t>(texts.size());
    char const* const none = nullptr; // what is written of no texts; the library refuses a null pointer
    write_attribute(object, key, text_.id(), open(H5Screate_simple(1, &count, nullptr), H5Sclose),
                    texts.empty() ? &none : texts.data());
}

void Hdf5File::set_attribute(Hdf5Object const& object, char const* key, index_t value) const {
    write_attribute(object, key, H5T_NATIVE_INT64, open(H5Screate(H5S_SCALAR), H5Sclose), &value);
}

void Hdf5File::set_flag(Hdf5Object const& object, char const* key, bool value) const {
    auto const type = open(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose);
    std::int8_t const no = 0;
    std::int8_t const yes = 1;
    check(H5Tenum_insert(type.id(), "FALSE", &no));
    check(H5Tenum_insert(type.id(), "TRUE", &yes));
    write_attribute(object, key, type.id(), open(H5Screate(H5S_SCALAR), H5Sclose), value ? &yes : &no);
}

void Hdf5File::close(Hdf5Object& object) const { check(object.close() ? 0 : -1); }

void Hdf5File::commit() {
    close(text_);
    close(file_);
    partial_.commit();
}

index_t hdf5_chunk_rows(index_t row_bytes) {
    constexpr index_t kChunkBytes = 1 << 18;
    return std::clamp<index_t>(kChunkBytes / row_bytes, 1, 1 << 16);
}

} // namespace strandwave

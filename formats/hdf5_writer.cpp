#include "formats/hdf5_writer.h"

#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <algorithm>
#include <array>
#include <hdf5.h>
#include <optional>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

/// An HDF5 identifier and the function that closes its kind.
class Handle {
public:
    Handle() = default;
    Handle(hid_t id, herr_t (*close_function)(hid_t)) : id_(id), close_(close_function) {}
    Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(id_, other.id_);
        std::swap(close_, other.close_);
        return *this;
    }
    ~Handle() { close(); }

    hid_t get() const noexcept { return id_; }
    bool close() noexcept {
        hid_t const id = std::exchange(id_, H5I_INVALID_HID);
        return id < 0 || close_(id) >= 0;
    }

private:
    hid_t id_ = H5I_INVALID_HID;
    herr_t (*close_)(hid_t) = nullptr;
};

} // namespace

struct Hdf5Writer::Impl {
    Impl(std::filesystem::path const& path, index_t width_)
        : partial(path), width(width_), file(H5I_INVALID_HID, H5Fclose) {
        H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); // errors come back as values; the library would print them
        Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
        check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V18, H5F_LIBVER_LATEST), "set up");
        file = open(H5Fcreate(partial.partial_path().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose,
                    "created");
        group = open(H5Gcreate2(file.get(), "embeddings", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose, "written");
        text = open(H5Tcopy(H5T_C_S1), H5Tclose, "set up");
        check(H5Tset_size(text.get(), H5T_VARIABLE), "set up");
        check(H5Tset_cset(text.get(), H5T_CSET_UTF8), "set up");
        // As many rows a chunk as make about 256 KiB. A record of fewer rows gets smaller chunks, see flush().
        most_chunk_rows = std::clamp<index_t>((1 << 18) / (width * index_t{sizeof(float)}), 1, 1 << 16);
        waiting.reserve(static_cast<std::size_t>(most_chunk_rows * width));
    }

    Error failure(std::string const& what) const {
        return Error(ErrorCode::io,
                     partial.path().string() + ": cannot be " + what + " by the HDF5 library; is the disk full?");
    }
    void check(herr_t status, std::string const& what) const {
        if (status < 0) { throw failure(what); }
    }
    Handle open(hid_t id, herr_t (*close_function)(hid_t), std::string const& what) const {
        if (id < 0) { throw failure(what); }
        return {id, close_function};
    }

    /// A dataset `[0 .. unlimited, columns]`; `columns` 0 makes it one-dimensional.
    Handle create(hid_t where, std::string const& name, hid_t type, index_t chunk_rows, index_t columns) const {
        int const rank = columns > 0 ? 2 : 1;
        std::array<hsize_t, 2> const none{0, static_cast<hsize_t>(columns)};
        std::array<hsize_t, 2> const most{H5S_UNLIMITED, static_cast<hsize_t>(columns)};
        std::array<hsize_t, 2> const chunk{static_cast<hsize_t>(chunk_rows), static_cast<hsize_t>(columns)};
        auto const space = open(H5Screate_simple(rank, none.data(), most.data()), H5Sclose, "written");
        auto const layout = open(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "written");
        check(H5Pset_chunk(layout.get(), rank, chunk.data()), "written");
        return open(H5Dcreate2(where, name.c_str(), type, space.get(), H5P_DEFAULT, layout.get(), H5P_DEFAULT),
                    H5Dclose, "written");
    }

    /// Appends `rows` rows behind the `begin` that are there.
    void extend(Handle const& data, hid_t type, index_t begin, index_t rows, index_t columns, void const* values) {
        if (rows == 0) { return; }
        int const rank = columns > 0 ? 2 : 1;
        std::array<hsize_t, 2> const start{static_cast<hsize_t>(begin), 0};
        std::array<hsize_t, 2> const count{static_cast<hsize_t>(rows), static_cast<hsize_t>(columns)};
        std::array<hsize_t, 2> const size{static_cast<hsize_t>(begin + rows), static_cast<hsize_t>(columns)};
        check(H5Dset_extent(data.get(), size.data()), "written");
        auto const target = open(H5Dget_space(data.get()), H5Sclose, "written");
        check(H5Sselect_hyperslab(target.get(), H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
              "written");
        auto const source = open(H5Screate_simple(rank, count.data(), nullptr), H5Sclose, "written");
        check(H5Dwrite(data.get(), type, source.get(), target.get(), H5P_DEFAULT, values), "written");
    }

    void attribute(char const* key, hid_t type, void const* value) {
        auto const scalar = open(H5Screate(H5S_SCALAR), H5Sclose, "written");
        auto const made =
            open(H5Acreate2(record.get(), key, type, scalar.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "written");
        check(H5Awrite(made.get(), type, value), "written");
    }

    /// Creates the record's dataset when its first rows leave memory: by then it is known whether it is a short one.
    void flush() {
        auto const rows = static_cast<index_t>(waiting.size()) / width;
        if (!record_created) {
            record = create(group.get(), std::to_string(names.size() - 1), H5T_IEEE_F32LE, std::max<index_t>(rows, 1),
                            width);
            record_created = true;
            char const* const name = names.back().c_str();
            attribute("name", text.get(), &name);
            attribute("start", H5T_NATIVE_INT64, &starts.back());
            attribute("end", H5T_NATIVE_INT64, &ends.back());
        }
        extend(record, H5T_NATIVE_FLOAT, lengths.back(), rows, width, waiting.data());
        lengths.back() += rows;
        waiting.clear();
    }

    void end_record() {
        if (names.empty()) { return; }
        flush();
        if (!record.close()) { throw failure("written"); }
        record_created = false;
    }

    void write_column(char const* name, hid_t stored, hid_t type, void const* values) {
        constexpr index_t kChunkRows = 1024;
        auto const column = create(file.get(), name, stored, kChunkRows, 0);
        extend(column, type, 0, static_cast<index_t>(names.size()), 0, values);
    }

    PartialFile partial;
    index_t width;
    Handle file;
    Handle group;
    Handle text; ///< type of names
    Handle record;
    bool record_created = false;
    index_t most_chunk_rows = 0;
    std::vector<float> waiting; ///< rows of the record that are not in the file yet, less than a chunk
    std::vector<std::string> names;
    std::vector<std::int64_t> starts, ends, lengths;
};

Hdf5Writer::Hdf5Writer(std::filesystem::path const& path, index_t width) {
    if (width < 1) { throw Error(ErrorCode::invalid_argument, "vectors of " + std::to_string(width) + " numbers"); }
    impl_ = std::make_unique<Impl>(path, width);
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::begin_record(std::string const& name, index_t start, index_t end) {
    impl_->end_record();
    impl_->names.push_back(name);
    impl_->starts.push_back(start);
    impl_->ends.push_back(end);
    impl_->lengths.push_back(0);
}

void Hdf5Writer::append(View<float const, 2> rows) {
    if (impl_->names.empty()) { throw Error(ErrorCode::invalid_argument, "no record was begun"); }
    if (rows.cols != impl_->width) {
        throw Error(ErrorCode::shape_mismatch, impl_->partial.path().string() + ": vectors of " +
                                                   std::to_string(rows.cols) + " numbers where " +
                                                   std::to_string(impl_->width) + " belong");
    }
    auto const full = static_cast<std::size_t>(impl_->most_chunk_rows * impl_->width);
    for (index_t row = 0; row < rows.rows; ++row) {
        impl_->waiting.insert(impl_->waiting.end(), rows.row(row), rows.row(row) + rows.cols);
        if (impl_->waiting.size() == full) { impl_->flush(); }
    }
}

void Hdf5Writer::close() {
    impl_->end_record();
    std::vector<char const*> names;
    names.reserve(impl_->names.size());
    for (auto const& name : impl_->names) {
        names.push_back(name.c_str());
    }
    impl_->write_column("names", impl_->text.get(), impl_->text.get(), names.data());
    impl_->write_column("starts", H5T_STD_I64LE, H5T_NATIVE_INT64, impl_->starts.data());
    impl_->write_column("ends", H5T_STD_I64LE, H5T_NATIVE_INT64, impl_->ends.data());
    impl_->write_column("lengths", H5T_STD_I64LE, H5T_NATIVE_INT64, impl_->lengths.data());
    bool const closed = impl_->text.close() && impl_->group.close() && impl_->file.close();
    if (!closed) { throw impl_->failure("written"); }
    impl_->partial.commit();
}

} // namespace strandwave

#include "formats/hdf5_writer.h"

#include "formats/hdf5_file.h"
#include "lib/core/error.h"

#include <algorithm>
#include <vector>

namespace strandwave {

struct Hdf5Writer::Impl {
    Impl(std::filesystem::path const& path, index_t width_)
        : file(path), width(width_), group(file.create_group(file.root(), "embeddings")),
          most_chunk_rows(hdf5_chunk_rows(width * index_t{sizeof(float)})) {
        waiting.reserve(static_cast<std::size_t>(most_chunk_rows * width));
    }

    /// Creates the record's dataset when its first rows leave memory: by then it is known whether it is a short one.
    void flush() {
        auto const rows = static_cast<index_t>(waiting.size()) / width;
        if (!record_created) {
            record = file.create_dataset(group, std::to_string(names.size() - 1), Hdf5Type::f32, width,
                                         std::max<index_t>(rows, 1));
            record_created = true;
            file.set_attribute(record.object, "name", names.back());
            file.set_attribute(record.object, "start", starts.back());
            file.set_attribute(record.object, "end", ends.back());
        }
        file.append(record, waiting.data(), rows);
        waiting.clear();
    }

    void end_record() {
        if (names.empty()) { return; }
        flush();
        lengths.back() = record.rows;
        file.close(record.object);
        record_created = false;
    }

    Hdf5Dataset column(char const* name, Hdf5Type type) const {
        constexpr index_t kChunkRows = 1024;
        return file.create_dataset(file.root(), name, type, 0, kChunkRows);
    }

    void write_column(char const* name, std::vector<index_t> const& values) const {
        auto made = column(name, Hdf5Type::i64);
        file.append(made, values.data(), static_cast<index_t>(values.size()));
        file.close(made.object);
    }

    Hdf5File file;
    index_t width;
    Hdf5Object group;
    Hdf5Dataset record;
    bool record_created = false;
    index_t most_chunk_rows;
    std::vector<float> waiting; ///< rows of the record that are not in the file yet, less than a chunk
    std::vector<std::string> names;
    std::vector<index_t> starts, ends, lengths;
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
        throw Error(ErrorCode::shape_mismatch, impl_->file.path().string() + ": vectors of " +
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
    auto names = impl_->column("names", Hdf5Type::text);
    impl_->file.append(names, impl_->names);
    impl_->file.close(names.object);
    impl_->write_column("starts", impl_->starts);
    impl_->write_column("ends", impl_->ends);
    impl_->write_column("lengths", impl_->lengths);
    impl_->file.close(impl_->group);
    impl_->file.commit();
}

} // namespace strandwave

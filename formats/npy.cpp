#include "formats/npy.h"

#include "formats/npy_header.h"
#include "lib/core/error.h"

#include <algorithm>
#include <bit>
#include <new>
#include <string_view>
#include <utility>

namespace strandwave {
namespace {

static_assert(std::endian::native == std::endian::little, ".npy values are written as they lie in memory");

constexpr std::string_view kFloats = "<f4";
constexpr index_t kWriterHeaderBytes = 128; ///< what npy_header gives a matrix

template <class T>
Result<NpyArray<T>> read_npy(std::filesystem::path const& path, std::string_view descr, std::string_view numpy_type) {
    constexpr auto kBytes = static_cast<index_t>(sizeof(T));
    auto opened = open_npy(path, descr, numpy_type, kBytes);
    if (!opened) { return opened.error(); }
    NpyArray<T> array{std::move(opened->shape), {}};
    index_t const bytes = opened->size * kBytes;
    try {
        array.values.resize(static_cast<std::size_t>(opened->size));
    } catch (std::bad_alloc const&) {
        return Error(ErrorCode::too_large,
                     path.string() + ": its " + std::to_string(bytes) + " bytes do not fit in memory");
    }
    opened->stream.read(reinterpret_cast<char*>(array.values.data()), bytes);
    if (opened->stream.gcount() < bytes) { return Error(ErrorCode::io, path.string() + ": cannot be read"); }
    return array;
}

} // namespace

Result<NpyArray<std::int64_t>> read_npy_i64(std::filesystem::path const& path) {
    return read_npy<std::int64_t>(path, "<i8", "<i8");
}

Result<NpyArray<float>> read_npy_f32(std::filesystem::path const& path) {
    return read_npy<float>(path, kFloats, kFloats);
}

std::string npy_header(std::vector<index_t> const& shape) { return npy_header(kFloats, shape); }

NpyRowReader::NpyRowReader(std::filesystem::path const& path) : name_(path.string()) {
    auto opened = open_npy(path, kFloats, kFloats, sizeof(float));
    if (!opened) { throw opened.error(); }
    if (opened->shape.size() != 2) {
        throw Error(ErrorCode::malformed_input,
                    name_ + ": an array of " + std::to_string(opened->shape.size()) + " dimensions where 2 are needed");
    }
    stream_ = std::move(opened->stream);
    rows_ = left_ = opened->shape[0];
    row_size_ = opened->shape[1];
}

index_t NpyRowReader::read(View<float, 2> to) {
    if (to.cols != row_size_ || to.row_stride != to.cols) {
        throw Error(ErrorCode::shape_mismatch, name_ + ": rows of " + std::to_string(row_size_) +
                                                   " values do not fit in rows of " + std::to_string(to.cols));
    }
    index_t const count = std::min(left_, to.rows);
    auto const bytes = count * row_size_ * static_cast<index_t>(sizeof(float));
    stream_.read(reinterpret_cast<char*>(to.data), bytes);
    if (stream_.gcount() < bytes) {
        throw Error(ErrorCode::truncated_input, name_ + ": shorter than when it was opened, or cannot be read");
    }
    left_ -= count;
    return count;
}

NpyWriter::NpyWriter(std::filesystem::path const& path, index_t row_size) : file_(path), row_size_(row_size) {
    auto const header = npy_header({0, row_size});
    file_.write_at(header.data(), static_cast<index_t>(header.size()), 0);
}

void NpyWriter::append(View<float const, 2> rows) {
    if (rows.cols != row_size_) {
        throw Error(ErrorCode::shape_mismatch, file_.path().string() + ": rows of " + std::to_string(rows.cols) +
                                                   " values for an array of " + std::to_string(row_size_));
    }
    constexpr auto kBytes = static_cast<index_t>(sizeof(float));
    bool const dense = rows.row_stride == rows.cols;
    for (index_t row = 0; row < rows.rows; row += dense ? rows.rows : 1) {
        index_t const count = dense ? rows.rows : 1;
        file_.write_at(rows.row(row), count * row_size_ * kBytes, kWriterHeaderBytes + rows_ * row_size_ * kBytes);
        rows_ += count;
    }
}

void NpyWriter::close() {
    auto const header = npy_header({rows_, row_size_});
    file_.write_at(header.data(), static_cast<index_t>(header.size()), 0);
    file_.commit();
}

NpyFile::NpyFile(std::filesystem::path const& path, std::vector<index_t> const& shape) : file_(path) {
    auto const name = path.string();
    size_ = npy_element_count(shape, sizeof(float));
    if (size_ < 0) { throw Error(ErrorCode::too_large, name + ": an array of more than 2^63 bytes"); }
    auto const header = npy_header(shape);
    header_bytes_ = static_cast<index_t>(header.size());
    file_.reserve(header_bytes_ + size_ * static_cast<index_t>(sizeof(float)));
    file_.write_at(header.data(), header_bytes_, 0);
}

void NpyFile::write(index_t offset, View<float const, 1> values) {
    auto const name = file_.path().string();
    if (offset < 0 || offset > size_ || values.size > size_ - offset) {
        throw Error(ErrorCode::invalid_argument, name + ": elements " + std::to_string(offset) + " to " +
                                                     std::to_string(offset + values.size) +
                                                     " lie outside an array of " + std::to_string(size_));
    }
    constexpr auto kBytes = static_cast<index_t>(sizeof(float));
    file_.write_at(values.data, values.size * kBytes, header_bytes_ + offset * kBytes);
    written_ += values.size;
}

void NpyFile::close() {
    auto const name = file_.path().string();
    if (written_ != size_) {
        throw Error(ErrorCode::invalid_argument, name + ": only " + std::to_string(written_) + " of " +
                                                     std::to_string(size_) + " elements were written");
    }
    file_.commit();
}

} // namespace strandwave

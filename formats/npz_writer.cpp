#include "formats/npz_writer.h"

#include "formats/npy_header.h"
#include "formats/utf8.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {
namespace {

struct FreeArchive {
    void operator()(archive* made) const noexcept { archive_write_free(made); }
};
struct FreeEntry {
    void operator()(archive_entry* made) const noexcept { archive_entry_free(made); }
};

/// A ZIP of .npy files, written front to back by libarchive.
class NpzFile {
public:
    explicit NpzFile(std::filesystem::path const& path) : partial_(path), archive_(archive_write_new()) {
        if (!archive_) { throw std::bad_alloc(); }
        check(archive_write_set_format_zip(archive_.get()));
        check(archive_write_zip_set_compression_store(archive_.get())); // floats hardly get smaller
        check(archive_write_set_bytes_per_block(archive_.get(), 1 << 18));
        check(archive_write_set_bytes_in_last_block(archive_.get(), 1)); // no padding, as for a tape
        check(archive_write_open(archive_.get(), this, nullptr, write_bytes, nullptr));
    }
    NpzFile(NpzFile const&) = delete;
    NpzFile& operator=(NpzFile const&) = delete;

    void begin_array(std::string const& name, std::string_view descr, std::vector<index_t> const& shape,
                     index_t element_bytes) {
        auto const count = npy_element_count(shape, element_bytes);
        if (count < 0) { throw Error(ErrorCode::too_large, path() + ": " + name + " would take more than 2^63 bytes"); }
        auto const header = npy_header(descr, shape);
        std::unique_ptr<archive_entry, FreeEntry> const entry(archive_entry_new());
        if (!entry) { throw std::bad_alloc(); }
        archive_entry_set_pathname(entry.get(), (name + ".npy").c_str());
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0644);
        archive_entry_set_size(entry.get(), static_cast<index_t>(header.size()) + count * element_bytes);
        check(archive_write_header(archive_.get(), entry.get()));
        write(header.data(), static_cast<index_t>(header.size()));
    }

    /// Bytes of the array that was begun last.
    void write(void const* from, index_t bytes) {
        auto const done = archive_write_data(archive_.get(), from, static_cast<std::size_t>(bytes));
        check(done == bytes ? ARCHIVE_OK : ARCHIVE_FATAL);
    }

    void commit() {
        check(archive_write_close(archive_.get()));
        partial_.commit();
    }

private:
    std::string path() const { return partial_.path().string(); }

    /// A failure waits for check(): libarchive is C, which no exception may cross, and forgets memory after an error.
    static la_ssize_t write_bytes(archive*, void* self, void const* from, std::size_t bytes) {
        auto& file = *static_cast<NpzFile*>(self);
        try {
            if (!file.failure_) { file.partial_.write_at(from, static_cast<index_t>(bytes), file.size_); }
        } catch (...) { file.failure_ = std::current_exception(); }
        file.size_ += static_cast<index_t>(bytes);
        return static_cast<la_ssize_t>(bytes);
    }

    void check(int status) {
        if (failure_) { std::rethrow_exception(failure_); }
        if (status == ARCHIVE_OK) { return; }
        char const* const reason = archive_error_string(archive_.get());
        throw Error(ErrorCode::io,
                    path() + ": cannot be written: " + (reason != nullptr ? reason : "libarchive gives no reason"));
    }

    PartialFile partial_;
    index_t size_ = 0;
    std::exception_ptr failure_;
    std::unique_ptr<archive, FreeArchive> archive_; ///< goes first: to free it writes what is left
};

index_t text_width(index_t longest) { return std::max<index_t>(longest, 1); } // NumPy has no text of width 0

/// `longest`: of the texts of array `name`, in code points.
void check_texts(EmbeddingTable const& table, std::filesystem::path const& path, std::string const& name,
                 index_t longest, index_t most_bytes) {
    auto const vectors = table.rows() * table.width() * index_t{sizeof(float)};
    index_t const most = std::max(most_bytes, vectors);
    if (table.rows() == 0 || text_width(longest) * index_t{sizeof(char32_t)} <= most / table.rows()) { return; }
    throw Error(ErrorCode::too_large, path.string() + ": NumPy makes every text of \"" + name +
                                          "\" as wide as the longest, of " + std::to_string(longest) +
                                          " letters, so that " + std::to_string(table.rows()) +
                                          " of them would take more than " + std::to_string(most) +
                                          " bytes; take .h5 or .h5ad, where each has its own length, or shorten it");
}

void write_vectors(NpzFile& file, EmbeddingTable const& table) {
    file.begin_array("embeddings", "<f4", {table.rows(), table.width()}, sizeof(float));
    table.for_each_vectors([&](View<float const, 2> vectors) {
        file.write(vectors.data, vectors.rows * vectors.cols * static_cast<index_t>(sizeof(float)));
    });
}

/// `longest`: of the texts, in code points.
void write_texts(NpzFile& file, EmbeddingTable const& table, std::string const& name, index_t longest,
                 std::function<std::string const&(EmbeddingRow const&)> const& text) {
    auto const width = text_width(longest);
    file.begin_array(name, "<U" + std::to_string(width), {table.rows()},
                     width * static_cast<index_t>(sizeof(char32_t)));
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        for (auto const& row : rows) {
            auto points = decode_utf8(text(row));
            if (static_cast<index_t>(points.size()) > width) {
                throw Error(ErrorCode::malformed_input, "row " + row.name + " was not there when the table was opened");
            }
            points.resize(static_cast<std::size_t>(width)); // zeros are what NumPy pads with
            file.write(points.data(), width * static_cast<index_t>(sizeof(char32_t)));
        }
    });
}

template <class Number>
void write_column(NpzFile& file, EmbeddingTable const& table, std::string const& name, std::string_view descr,
                  Number EmbeddingRow::*member) {
    file.begin_array(name, descr, {table.rows()}, sizeof(Number));
    std::vector<Number> values;
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        values.clear();
        for (auto const& row : rows) {
            values.push_back(row.*member);
        }
        file.write(values.data(), static_cast<index_t>(values.size() * sizeof(Number)));
    });
}

} // namespace

void write_npz(EmbeddingTable const& table, std::filesystem::path const& path, index_t most_text_bytes) {
    check_texts(table, path, "names", table.longest_name(), most_text_bytes);
    for (std::size_t i = 0; i < table.text_columns().size(); ++i) {
        check_texts(table, path, table.text_columns()[i] + "s", table.longest_text(i), most_text_bytes);
    }
    NpzFile file(path);
    write_vectors(file, table);
    write_texts(
        file, table, "names", table.longest_name(), [](auto const& row) -> auto const& { return row.name; });
    write_column(file, table, "starts", "<i8", &EmbeddingRow::start);
    write_column(file, table, "ends", "<i8", &EmbeddingRow::end);
    if (table.in_seconds()) {
        write_column(file, table, "starts_s", "<f8", &EmbeddingRow::start_s);
        write_column(file, table, "ends_s", "<f8", &EmbeddingRow::end_s);
    }
    for (std::size_t i = 0; i < table.text_columns().size(); ++i) {
        write_texts(
            file, table, table.text_columns()[i] + "s",
            table.longest_text(i), [i](auto const& row) -> auto const& { return row.texts[i]; });
    }
    file.commit();
}

} // namespace strandwave

#include "pipelines/embed_files.h"

#include "formats/hdf5_writer.h"
#include "formats/npy.h"
#include "pipelines/output_file.h"
#include "pipelines/table_writer.h"

#include <algorithm>
#include <limits>
#include <system_error>
#include <utility>

namespace strandwave {
namespace {

class PooledWriter final : public UnitListener {
public:
    PooledWriter(NpyWriter& array, std::ostream& table, UnitListener& listener)
        : array_(array), table_(table), listener_(listener) {}

    void result(UnitResult const& result) override {
        array_.append({result.vector.data(), 1, static_cast<index_t>(result.vector.size())});
        row_.clear();
        append_unit_row(result.unit, row_);
        table_ << row_;
    }
    void failure(UnitFailure const& failure) override { listener_.failure(failure); }
    void progress(RunReport const& run) override { listener_.progress(run); }

private:
    NpyWriter& array_;
    std::ostream& table_;
    UnitListener& listener_;
    std::string row_;
};

class PositionWriter final : public UnitListener {
public:
    PositionWriter(std::filesystem::path file, index_t width, UnitListener& listener)
        : file_(std::move(file)), writer_(file_, width), listener_(listener) {}

    void positions(Unit const& unit, View<float const, 2> rows, bool last) override {
        if (rows.rows * rows.cols * index_t{sizeof(float)} > free_disk_bytes(file_)) {
            throw Error(ErrorCode::too_large, file_.string() + ": the disk is full at record " + unit.name);
        }
        if (!open_) { writer_.begin_record(unit.name, unit.start, unit.end); }
        writer_.append(rows);
        open_ = !last;
    }
    void failure(UnitFailure const& failure) override { listener_.failure(failure); }
    void progress(RunReport const& run) override { listener_.progress(run); }
    void close() { writer_.close(); }

private:
    std::filesystem::path file_;
    Hdf5Writer writer_;
    UnitListener& listener_;
    bool open_ = false;
};

} // namespace

RunReport embed_pooled(RecordSource& source, Models models, Threads& threads, UnitRunOptions const& options,
                       std::filesystem::path const& array, std::filesystem::path const& table, UnitListener& listener) {
    NpyWriter vectors(array, models.front()->config().d_model);
    OutputFile file(table);
    file.stream() << unit_table_header(source.reads_sound());
    PooledWriter writer(vectors, file.stream(), listener);
    auto report = run_units(source, models, threads, options, writer);
    vectors.close();
    file.commit();
    return report;
}

RunReport embed_positions(RecordSource& source, Models models, Threads& threads, UnitRunOptions options,
                          std::filesystem::path const& file, UnitListener& listener) {
    options.positions = true;
    PositionWriter writer(file, models.front()->hidden_width(), listener);
    auto report = run_units(source, models, threads, options, writer);
    writer.close();
    return report;
}

index_t count_positions(RecordSource& source) {
    constexpr index_t kPiece = 1 << 16;
    index_t positions = 0;
    for (UnitPiece piece; source.next(piece, kPiece);) {
        positions += piece.positions;
    }
    return positions;
}

index_t free_disk_bytes(std::filesystem::path const& file) {
    std::error_code error;
    auto const space = std::filesystem::space(std::filesystem::absolute(file).parent_path(), error);
    if (error) { throw Error(ErrorCode::io, file.string() + ": " + error.message()); }
    return static_cast<index_t>(std::min<std::uintmax_t>(space.available, std::numeric_limits<index_t>::max()));
}

} // namespace strandwave

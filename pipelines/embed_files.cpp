#include "pipelines/embed_files.h"

#include "formats/npy.h"
#include "pipelines/output_file.h"
#include "pipelines/table_writer.h"

namespace strandwave {
namespace {

class PooledWriter final : public UnitListener {
public:
    PooledWriter(NpyWriter& array, UnitTable& table, UnitListener& listener)
        : array_(array), table_(table), listener_(listener) {}

    void result(UnitResult const& result) override {
        array_.append({result.vector.data(), 1, static_cast<index_t>(result.vector.size())});
        table_.write(result.unit);
    }
    void failure(UnitFailure const& failure) override { listener_.failure(failure); }
    void progress(RunReport const& run) override { listener_.progress(run); }

private:
    NpyWriter& array_;
    UnitTable& table_;
    UnitListener& listener_;
};

} // namespace

RunReport embed_pooled(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
                       UnitRunOptions const& options, std::filesystem::path const& array,
                       std::filesystem::path const& table, UnitListener& listener) {
    NpyWriter vectors(array, model->config().d_model);
    OutputFile file(table);
    UnitTable rows(file.stream());
    PooledWriter writer(vectors, rows, listener);
    auto const report = run_units(source, model, threads, options, writer);
    vectors.close();
    file.commit();
    return report;
}

} // namespace strandwave

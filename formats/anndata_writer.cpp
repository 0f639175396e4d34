#include "formats/anndata_writer.h"

#include "formats/embedding_datasets.h"
#include "formats/hdf5_file.h"
#include "formats/unique_names.h"
#include "formats/utf8.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

constexpr index_t kChunkRows = 4096;

/// The parts of a file; each carries the name and version of its own encoding.
class AnnDataFile {
public:
    AnnDataFile(EmbeddingTable const& table, std::filesystem::path const& path) : table_(table), file_(path) {
        encode(file_.root(), "anndata", "0.1.0");
    }

    void write_matrix() { finish(write_vectors(file_, file_.root(), "X", table_), "array"); }

    void write_observations(std::string const& input) {
        std::vector<std::string> columns{"name", "start", "end"};
        if (table_.in_seconds()) { columns.insert(columns.end(), {"start_s", "end_s"}); }
        auto const& texts = table_.text_columns();
        columns.insert(columns.end(), texts.begin(), texts.end());
        if (texts.empty()) { columns.emplace_back("input"); }
        auto group = begin_frame("obs", columns);
        write_index(group);
        finish(write_column(file_, group, "name", table_, [](EmbeddingRow const& row) { return row.name; }),
               "string-array");
        finish(write_column(file_, group, "start", table_, &EmbeddingRow::start), "array");
        finish(write_column(file_, group, "end", table_, &EmbeddingRow::end), "array");
        if (table_.in_seconds()) {
            finish(write_column(file_, group, "start_s", table_, &EmbeddingRow::start_s), "array");
            finish(write_column(file_, group, "end_s", table_, &EmbeddingRow::end_s), "array");
        }
        for (std::size_t i = 0; i < texts.size(); ++i) {
            finish(write_column(file_, group, texts[i], table_, [i](auto const& row) { return row.texts[i]; }),
                   "string-array");
        }
        if (texts.empty()) { write_category(group, "input", input); }
        file_.close(group);
    }

    void write_variables() {
        auto group = begin_frame("var", {});
        auto names = file_.create_dataset(group, "_index", Hdf5Type::text, 0, std::min(kChunkRows, table_.width()));
        std::vector<std::string> some;
        for (index_t i = 0; i < table_.width(); ++i) {
            some.push_back("dim_" + std::to_string(i));
            if (static_cast<index_t>(some.size()) < kChunkRows && i + 1 < table_.width()) { continue; }
            file_.append(names, some);
            some.clear();
        }
        finish(std::move(names), "string-array");
        file_.close(group);
    }

    void write_rest(std::string const& program) {
        for (auto const* const name : {"layers", "obsm", "obsp", "varm", "varp"}) {
            auto group = begin_dictionary(name);
            file_.close(group);
        }
        auto group = begin_dictionary("uns");
        auto text = file_.create_text(group, "program", program);
        encode(text, "string", "0.2.0");
        file_.close(text);
        file_.close(group);
    }

    void commit() { file_.commit(); }

private:
    void encode(Hdf5Object const& object, std::string const& type, std::string const& version) {
        file_.set_attribute(object, "encoding-type", type);
        file_.set_attribute(object, "encoding-version", version);
    }

    void finish(Hdf5Dataset data, std::string const& type) {
        encode(data.object, type, "0.2.0");
        file_.close(data.object);
    }

    Hdf5Object begin_frame(std::string const& name, std::vector<std::string> const& columns) {
        auto group = file_.create_group(file_.root(), name);
        encode(group, "dataframe", "0.2.0");
        file_.set_attribute(group, "_index", "_index");
        file_.set_attribute(group, "column-order", columns);
        return group;
    }

    Hdf5Object begin_dictionary(std::string const& name) {
        auto group = file_.create_group(file_.root(), name);
        encode(group, "dict", "0.1.0");
        return group;
    }

    void write_index(Hdf5Object const& group) {
        UniqueNames names;
        table_.for_each_rows([&](std::span<EmbeddingRow const> rows) {
            for (auto const& row : rows) {
                names.note(row.name);
            }
        });
        names.settle();
        finish(
            write_column(file_, group, "_index", table_, [&](EmbeddingRow const& row) { return names.next(row.name); }),
            "string-array");
    }

    /// A column in which every row is of the one category `value`.
    void write_category(Hdf5Object const& parent, std::string const& name, std::string const& value) {
        auto group = file_.create_group(parent, name);
        encode(group, "categorical", "0.2.0");
        file_.set_flag(group, "ordered", false);
        auto categories = file_.create_dataset(group, "categories", Hdf5Type::text, 0, 1);
        file_.append(categories, std::vector<std::string>{value});
        finish(std::move(categories), "string-array");
        auto codes =
            file_.create_dataset(group, "codes", Hdf5Type::i8, 0, std::clamp<index_t>(table_.rows(), 1, kChunkRows));
        std::vector<std::int8_t> const zeros(static_cast<std::size_t>(kChunkRows), 0);
        while (codes.rows < table_.rows()) {
            file_.append(codes, zeros.data(), std::min(kChunkRows, table_.rows() - codes.rows));
        }
        finish(std::move(codes), "array");
        file_.close(group);
    }

    EmbeddingTable const& table_;
    Hdf5File file_;
};

} // namespace

void write_anndata(EmbeddingTable const& table, EmbeddingOrigin const& origin, std::filesystem::path const& path) {
    AnnDataFile file(table, path);
    file.write_matrix();
    file.write_observations(repair_utf8(origin.input));
    file.write_variables();
    file.write_rest(repair_utf8(origin.program));
    file.commit();
}

} // namespace strandwave

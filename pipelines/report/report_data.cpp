#include "pipelines/report/report_data.h"

#include "formats/npy.h"
#include "lib/core/error.h"
#include "pipelines/report/class_rows.h"
#include "pipelines/report/tab_table.h"

#include <algorithm>

namespace strandwave {
namespace {

constexpr index_t kRowsAtOnce = 256;
constexpr std::string_view kEmbeddings = ".embeddings.npy";
constexpr char const* kNames = ".embeddings.tsv"; // of its rows

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

/// The class that a row really is of; empty where nobody knows.
class RowTruths {
public:
    RowTruths(LabelOptions const& options, BatchSummary const& summary) {
        if (options.table.empty() && options.from.empty()) { return; }
        std::vector<std::filesystem::path> files;
        for (auto const& input : summary.inputs) {
            if (input.complete()) { files.emplace_back(input.input); }
        }
        source_.emplace(options, files, InputOptions{});
    }

    bool need_names() const { return source_.has_value(); }

    bool any(BatchSummary const& summary) const {
        return source_ || std::any_of(summary.inputs.begin(), summary.inputs.end(),
                                      [](InputSummary const& input) { return !input.label.empty(); });
    }

    std::string of(InputSummary const& input, std::string const& name) const {
        if (!source_) { return input.label; }
        Unit unit;
        unit.file = input.input;
        unit.name = name;
        return source_->label(unit).value_or("");
    }

private:
    std::optional<LabelSource> source_;
};

class Reading {
public:
    Reading(std::filesystem::path folder, RowTruths const& truths, ReportData& data)
        : folder_(std::move(folder)), truths_(truths), data_(data) {}

    void check_outputs() {
        for (auto const& input : data_.summary.inputs) {
            for (auto const& output : input.outputs) {
                std::error_code ignored;
                if (input.ended() && !std::filesystem::exists(folder_ / output, ignored)) {
                    data_.problems.add(output + ": summary.tsv lists it, but it is not there");
                }
            }
        }
    }

    void read_failures_table() {
        auto const& summary = data_.summary;
        bool const some = summary.failed > 0 || summary.complete() < static_cast<index_t>(summary.inputs.size());
        std::error_code ignored;
        if (!some && !std::filesystem::exists(folder_ / "failures.tsv", ignored)) { return; }
        guarded([&] { data_.failures = read_failures(folder_ / "failures.tsv"); });
    }

    void read_classes() {
        for (auto const& input : data_.summary.inputs) {
            auto const* const table = output(input, [](std::string const& name) { return is_class_table(name); });
            if (table == nullptr) { continue; }
            index_t rows = 0;
            bool const whole = guarded([&] {
                read_class_rows(folder_ / *table, [&](ClassifiedRow const& row) {
                    ++rows;
                    add(input, row);
                });
            });
            if (whole) { check_rows(input, *table, rows); }
        }
    }

    void read_embeddings() {
        auto const arrays = find_arrays();
        if (arrays.empty()) { return; }
        auto& picture = data_.embeddings.emplace();
        picture.by_label = truths_.any(data_.summary);
        picture.width = arrays.front().width;
        if (picture.width > PrincipalAxes::kWidest) { return; }
        index_t rows = 0;
        for (auto const& array : arrays) {
            rows += array.rows;
        }
        PrincipalAxes axes(picture.width, rows);
        for (auto const& array : arrays) {
            guarded([&] { add(array, axes, picture); });
        }
        picture.projection = axes.finish();
    }

private:
    struct Array {
        InputSummary const* input = nullptr;
        std::string const* name = nullptr;
        index_t rows = 0, width = 0;
    };

    /// The arrays of embeddings that can be read and are as wide as the first of them.
    std::vector<Array> find_arrays() {
        std::vector<Array> arrays;
        for (auto const& input : data_.summary.inputs) {
            auto const* const name =
                output(input, [](std::string const& file) { return ends_with(file, kEmbeddings); });
            if (name == nullptr) { continue; }
            guarded([&] {
                NpyRowReader const file(folder_ / *name);
                check_rows(input, *name, file.rows());
                index_t const width = arrays.empty() ? file.row_size() : arrays.front().width;
                if (file.row_size() != width) {
                    throw Error(ErrorCode::shape_mismatch, *name + ": rows of " + std::to_string(file.row_size()) +
                                                               " values where others have " + std::to_string(width));
                }
                arrays.push_back({&input, name, file.rows(), width});
            });
        }
        return arrays;
    }

    /// Whether `work` came to its end; a problem if not.
    template <class Work>
    bool guarded(Work const& work) {
        try {
            work();
            return true;
        } catch (Error const& error) { data_.problems.add(error.message()); }
        return false;
    }

    template <class Wanted>
    std::string const* output(InputSummary const& input, Wanted const& wanted) const {
        if (!input.complete()) { return nullptr; }
        auto const found = std::find_if(input.outputs.begin(), input.outputs.end(), wanted);
        return found != input.outputs.end() ? &*found : nullptr;
    }

    void check_rows(InputSummary const& input, std::string const& file, index_t rows) {
        if (rows == input.rows) { return; }
        data_.problems.add(file + ": has " + std::to_string(rows) + " rows, but summary.tsv says " +
                           std::to_string(input.rows));
    }

    void add(InputSummary const& input, ClassifiedRow const& row) {
        auto const truth = truths_.of(input, row.name);
        auto const verdict = truth.empty() ? Verdict::unlabelled : data_.truths.add(truth, row.label);
        data_.confidence.add(row.probability, verdict);
        data_.lengths.add(row.length, row.probability, verdict);
        data_.seconds = row.seconds;
    }

    void add(Array const& array, PrincipalAxes& axes, EmbeddingPicture& picture) {
        NpyRowReader file(folder_ / *array.name);
        std::optional<TabTable> names;
        std::size_t name_column = 0;
        if (truths_.need_names()) {
            names.emplace(folder_ / (array.name->substr(0, array.name->size() - kEmbeddings.size()) + kNames));
            name_column = names->column("name");
        }
        std::vector<float> values(static_cast<std::size_t>(kRowsAtOnce * picture.width));
        View<float, 2> const rows(values.data(), kRowsAtOnce, picture.width);
        index_t group = -1;
        for (index_t count = file.read(rows); count > 0; count = file.read(rows)) {
            for (index_t i = 0; i < count; ++i) {
                if (names || group < 0) {
                    bool const named = names && names->next();
                    auto const name = named ? std::string(names->cell(name_column)) : std::string();
                    group = group_number(picture,
                                         picture.by_label ? truths_.of(*array.input, name) : shown_name(*array.input));
                }
                axes.add({rows.row(i), rows.cols}, group);
                ++picture.groups[static_cast<std::size_t>(group)].count;
                ++picture.rows;
            }
        }
    }

    static std::string const& shown_name(InputSummary const& input) {
        return input.sample.empty() ? input.input : input.sample;
    }

    index_t group_number(EmbeddingPicture& picture, std::string const& name) {
        auto const [entry, fresh] = groups_.emplace(name, static_cast<index_t>(picture.groups.size()));
        if (fresh) { picture.groups.push_back({name, 0}); }
        return entry->second;
    }

    std::filesystem::path folder_;
    RowTruths const& truths_;
    ReportData& data_;
    std::map<std::string, index_t> groups_;
};

/// The folder's own name, also of "." and "out/".
std::string last_name(std::filesystem::path const& folder) {
    auto path = std::filesystem::absolute(folder).lexically_normal();
    if (!path.has_filename()) { path = path.parent_path(); }
    return path.filename().string();
}

void check_is_batch(std::filesystem::path const& folder) {
    std::error_code ignored;
    if (!std::filesystem::is_directory(folder, ignored)) {
        throw Error(ErrorCode::not_found,
                    folder.string() + ": no such folder; give the one that `strandwave batch -O` wrote");
    }
    for (auto const* name : {"run.json", "summary.tsv"}) {
        if (!std::filesystem::exists(folder / name, ignored)) {
            throw Error(ErrorCode::not_found, folder.string() + ": holds no " + name +
                                                  ", so it is no folder of `strandwave batch`, or the batch did not "
                                                  "come to its end; batch --resume finishes it");
        }
    }
}

} // namespace

void Problems::add(std::string text) {
    ++total;
    if (first.size() < kShown) { first.push_back(std::move(text)); }
}

ReportData read_report_data(std::filesystem::path const& folder, LabelOptions const& labels) {
    check_is_batch(folder);
    ReportData data;
    data.folder = last_name(folder);
    data.run = read_run_facts(folder / "run.json");
    data.summary = read_batch_summary(folder);
    RowTruths const truths(labels, data.summary);
    Reading reading(folder, truths, data);
    reading.check_outputs();
    reading.read_failures_table();
    reading.read_classes();
    reading.read_embeddings();
    return data;
}

} // namespace strandwave

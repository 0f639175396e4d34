#pragma once

#include "pipelines/record_labels.h"
#include "pipelines/report/batch_tables.h"
#include "pipelines/report/principal_axes.h"
#include "pipelines/report/row_figures.h"
#include "pipelines/report/run_facts.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// Embeddings in two dimensions, in groups: of rows with one label where labels are known, else of one input.
struct EmbeddingPicture {
    Projection projection;
    std::vector<NamedCount> groups; ///< with their rows, in order of first appearance; "" are rows without a label
    bool by_label = false;
    index_t rows = 0;
    index_t width = 0;
};

/// Files that are missing or damaged.
struct Problems {
    static constexpr std::size_t kShown = 50;

    void add(std::string text);
    std::vector<std::string> first; ///< kShown at most
    index_t total = 0;
};

/// All that a report shows. Figures of rows are of the inputs that are complete.
struct ReportData {
    std::string folder; ///< its last name
    RunFacts run;
    BatchSummary summary;
    FailureDigest failures;
    ConfidenceCounts confidence;
    LengthConfidence lengths;
    bool seconds = false; ///< lengths are seconds of sound, not bases
    TruthCounts truths;
    std::optional<EmbeddingPicture> embeddings;
    Problems problems;
};

/// Reads the folder of a `batch`: each table of rows once, streaming, and each .npy once. The class of a row is known
/// from `labels` if it names a source, else from the column `label` of summary.tsv. Files that are listed but missing
/// or damaged are `problems`, and what could be read of them counts.
/// Throws not_found (no folder, or not a batch's), what LabelSource throws, and malformed_input, truncated_input, io
/// for a damaged run.json or summary.tsv.
ReportData read_report_data(std::filesystem::path const& folder, LabelOptions const& labels);

} // namespace strandwave

#pragma once

#include "pipelines/record_source.h"
#include "pipelines/table_cells.h"

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace strandwave {

enum class TableFormat : std::uint8_t {
    tsv,     ///< a header line, then name, start, end, (sound: start_s, end_s,) label, probability
    jsonl,   ///< one object a line with `file` and the same keys; bytes that are not UTF-8 become U+FFFD
    bed,     ///< name, start, end, label, 1000 times the probability, "." (the strand)
    audacity ///< start and end in seconds and the label: a label track of Audacity
};

/// One row of classify's output.
struct ClassRow {
    Unit unit;
    std::string label;
    std::size_t label_index = 0; ///< among the labels, or as many as there are: unclassified
    double probability = 0;
    std::vector<double> probabilities; ///< of all classes, in the order of the labels
};

/// Rows as text. start and end are 0-based and half-open, in bases or samples of the source record; of sound, seconds
/// come too. With `all_classes` TSV has one column `p_<label>` a class behind the others, and JSON an object
/// `probabilities`. Probabilities have six significant digits. Control characters inside cells become `_`.
class ClassTable {
public:
    ClassTable(TableFormat format, std::vector<std::string> labels, bool all_classes, bool sound);

    std::string header() const; ///< with its newline; empty for formats without one
    void append(ClassRow const& row, std::string& text) const;

private:
    void append_tsv(ClassRow const& row, std::string& text) const;
    void append_json(ClassRow const& row, std::string& text) const;

    TableFormat format_;
    std::vector<std::string> labels_;
    bool all_classes_;
    bool sound_;
};

/// Rows of a regression, as those of ClassTable (TSV or JSON) with `value` in place of label and probability: six
/// significant digits; one that is not finite is `nan` or `inf` in TSV and null in JSON.
class ValueTable {
public:
    ValueTable(TableFormat format, bool sound) : format_(format), sound_(sound) {}

    std::string header() const; ///< with its newline; empty for JSON
    void append(Unit const& unit, double value, std::string& text) const;

private:
    TableFormat format_;
    bool sound_;
};

/// `name start end`, and of sound `start_s end_s`: the rows of embed, as TSV.
std::string unit_table_header(bool sound);
void append_unit_row(Unit const& unit, std::string& text);

} // namespace strandwave

#pragma once

#include "pipelines/record_source.h"

#include <ostream>
#include <string>
#include <vector>

namespace strandwave {

enum class TableFormat : std::uint8_t { tsv, jsonl };

/// One row of classify's output.
struct ClassRow {
    Unit unit;
    std::string label;
    double probability = 0;
    std::vector<double> probabilities; ///< of all classes, in the order of the labels
};

/// Rows as they come. tsv: a header line, then `name start end label probability`, and with `all_classes` one column
/// `p_<label>` a class; control characters inside names become `_`. jsonl: one object a line with `file` and the same
/// keys, and with `all_classes` an object `probabilities`; bytes that are not UTF-8 become U+FFFD.
/// Probabilities have six significant digits.
class ClassTable {
public:
    /// Writes the header. The stream must outlive the table; errors stay in its state, for the owner to check.
    ClassTable(std::ostream& out, TableFormat format, std::vector<std::string> labels, bool all_classes);
    void write(ClassRow const& row);
    void flush() { out_.flush(); }

private:
    std::ostream& out_;
    TableFormat format_;
    std::vector<std::string> labels_;
    bool all_classes_;
};

/// `name start end`, the rows of embed.
class UnitTable {
public:
    explicit UnitTable(std::ostream& out);
    void write(Unit const& unit);

private:
    std::ostream& out_;
};

} // namespace strandwave

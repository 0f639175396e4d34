#include "pipelines/table_writer.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

namespace strandwave {
namespace {

std::string cell(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '_');
    return text;
}

std::string six_digits(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", value);
    return text;
}

/// So that JSON carries the digits that TSV does.
double rounded(double value) { return std::strtod(six_digits(value).c_str(), nullptr); }

void write_place(std::ostream& out, Unit const& unit) {
    out << cell(unit.name) << '\t' << unit.start << '\t' << unit.end;
}

} // namespace

ClassTable::ClassTable(std::ostream& out, TableFormat format, std::vector<std::string> labels, bool all_classes)
    : out_(out), format_(format), labels_(std::move(labels)), all_classes_(all_classes) {
    if (format_ == TableFormat::jsonl) { return; }
    out_ << "name\tstart\tend\tlabel\tprobability";
    if (all_classes_) {
        for (auto const& label : labels_) {
            out_ << "\tp_" << cell(label);
        }
    }
    out_ << '\n';
}

void ClassTable::write(ClassRow const& row) {
    if (format_ == TableFormat::tsv) {
        write_place(out_, row.unit);
        out_ << '\t' << cell(row.label) << '\t' << six_digits(row.probability);
        if (all_classes_) {
            for (double const probability : row.probabilities) {
                out_ << '\t' << six_digits(probability);
            }
        }
        out_ << '\n';
        return;
    }
    nlohmann::ordered_json line;
    line["file"] = row.unit.file;
    line["name"] = row.unit.name;
    line["start"] = row.unit.start;
    line["end"] = row.unit.end;
    line["label"] = row.label;
    line["probability"] = rounded(row.probability);
    if (all_classes_) {
        auto& all = line["probabilities"] = nlohmann::ordered_json::object();
        for (std::size_t i = 0; i < labels_.size(); ++i) {
            all[labels_[i]] = rounded(row.probabilities[i]);
        }
    }
    out_ << line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

UnitTable::UnitTable(std::ostream& out) : out_(out) { out_ << "name\tstart\tend\n"; }

void UnitTable::write(Unit const& unit) {
    write_place(out_, unit);
    out_ << '\n';
}

} // namespace strandwave

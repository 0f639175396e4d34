#include "pipelines/table_writer.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

namespace strandwave {
namespace {

void append_integer(index_t value, std::string& text) {
    char digits[24];
    auto const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    text.append(digits, end);
}

/// As printf's %.6g.
void append_six_digits(double value, std::string& text) {
    char digits[32];
    auto const end = std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 6).ptr;
    text.append(digits, end);
}

/// So that JSON carries the digits that TSV does.
double rounded(double value) {
    std::string text;
    append_six_digits(value, text);
    return std::strtod(text.c_str(), nullptr);
}

double seconds(index_t samples, Unit const& unit) { return static_cast<double>(samples) / unit.sample_rate_hz; }

/// To the microsecond: finer than a sample up to 1 MHz.
void append_seconds(index_t samples, Unit const& unit, std::string& text) {
    char digits[64];
    auto const end =
        std::to_chars(digits, digits + sizeof digits, seconds(samples, unit), std::chars_format::fixed, 6).ptr;
    text.append(digits, end);
}

void append_place(Unit const& unit, std::string& text) {
    append_cell(unit.name, text);
    text += '\t';
    append_integer(unit.start, text);
    text += '\t';
    append_integer(unit.end, text);
}

void append_place_in_seconds(Unit const& unit, std::string& text) {
    append_seconds(unit.start, unit, text);
    text += '\t';
    append_seconds(unit.end, unit, text);
}

nlohmann::ordered_json place_json(Unit const& unit, bool sound) {
    nlohmann::ordered_json line;
    line["file"] = unit.file;
    line["name"] = unit.name;
    line["start"] = unit.start;
    line["end"] = unit.end;
    if (sound) {
        line["start_s"] = seconds(unit.start, unit);
        line["end_s"] = seconds(unit.end, unit);
    }
    return line;
}

void append_line(nlohmann::ordered_json const& line, std::string& text) {
    text += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    text += '\n';
}

void append_bed(ClassRow const& row, std::string& text) {
    append_place(row.unit, text);
    text += '\t';
    append_cell(row.label, text);
    text += '\t';
    append_integer(std::isfinite(row.probability) ? std::llround(1000 * row.probability) : 0, text);
    text += "\t.\n";
}

void append_audacity(ClassRow const& row, std::string& text) {
    append_place_in_seconds(row.unit, text);
    text += '\t';
    append_cell(row.label, text);
    text += '\n';
}

} // namespace

ClassTable::ClassTable(TableFormat format, std::vector<std::string> labels, bool all_classes, bool sound)
    : format_(format), labels_(std::move(labels)), all_classes_(all_classes), sound_(sound) {}

std::string ClassTable::header() const {
    if (format_ != TableFormat::tsv) { return {}; }
    std::string text = sound_ ? "name\tstart\tend\tstart_s\tend_s\tlabel\tprobability" : //
                           "name\tstart\tend\tlabel\tprobability";
    for (auto const& label : labels_) {
        if (!all_classes_) { break; }
        text += "\tp_";
        append_cell(label, text);
    }
    return text + '\n';
}

void ClassTable::append(ClassRow const& row, std::string& text) const {
    switch (format_) {
    case TableFormat::tsv: append_tsv(row, text); break;
    case TableFormat::jsonl: append_json(row, text); break;
    case TableFormat::bed: append_bed(row, text); break;
    case TableFormat::audacity: append_audacity(row, text); break;
    }
}

void ClassTable::append_tsv(ClassRow const& row, std::string& text) const {
    append_place(row.unit, text);
    text += '\t';
    if (sound_) {
        append_place_in_seconds(row.unit, text);
        text += '\t';
    }
    append_cell(row.label, text);
    text += '\t';
    append_six_digits(row.probability, text);
    for (double const probability : row.probabilities) {
        if (!all_classes_) { break; }
        text += '\t';
        append_six_digits(probability, text);
    }
    text += '\n';
}

void ClassTable::append_json(ClassRow const& row, std::string& text) const {
    auto line = place_json(row.unit, sound_);
    line["label"] = row.label;
    line["probability"] = rounded(row.probability);
    if (all_classes_) {
        auto& all = line["probabilities"] = nlohmann::ordered_json::object();
        for (std::size_t i = 0; i < labels_.size(); ++i) {
            all[labels_[i]] = rounded(row.probabilities[i]);
        }
    }
    append_line(line, text);
}

std::string ValueTable::header() const {
    if (format_ != TableFormat::tsv) { return {}; }
    return sound_ ? "name\tstart\tend\tstart_s\tend_s\tvalue\n" : "name\tstart\tend\tvalue\n";
}

void ValueTable::append(Unit const& unit, double value, std::string& text) const {
    if (format_ == TableFormat::jsonl) {
        auto line = place_json(unit, sound_);
        line["value"] = rounded(value);
        return append_line(line, text);
    }
    append_place(unit, text);
    text += '\t';
    if (sound_) {
        append_place_in_seconds(unit, text);
        text += '\t';
    }
    append_six_digits(value, text);
    text += '\n';
}

std::string unit_table_header(bool sound) {
    return sound ? "name\tstart\tend\tstart_s\tend_s\n" : "name\tstart\tend\n";
}

void append_unit_row(Unit const& unit, std::string& text) {
    append_place(unit, text);
    if (unit.sample_rate_hz > 0) {
        text += '\t';
        append_place_in_seconds(unit, text);
    }
    text += '\n';
}

} // namespace strandwave

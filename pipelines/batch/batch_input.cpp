#include "pipelines/batch/batch_input.h"

#include "formats/utf8.h"
#include "lib/core/error.h"
#include "pipelines/table_cells.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <glob.h>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kDnaEndings = {".fa",    ".fasta", ".fna", ".ffn", ".fq",
                                                         ".fastq", ".sam",   ".bam", ".cram"};
constexpr std::array<std::string_view, 13> kSoundEndings = {".wav", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus",
                                                            ".mp3", ".aif", ".aiff", ".aifc", ".au",  ".caf"};
constexpr std::array<std::string_view, 3> kCompressed = {".gz", ".bgz", ".bgzf"};

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return text;
}

template <class Endings>
bool is_among(Endings const& endings, std::string const& ending) {
    return std::find(endings.begin(), endings.end(), ending) != endings.end();
}

/// "reads.fq.gz" is "reads" and ".fq.gz".
std::pair<std::string, std::string> split_ending(std::string const& name) {
    fs::path stem = name;
    std::string ending;
    if (is_among(kCompressed, lower(stem.extension().string()))) {
        ending = stem.extension().string();
        stem = stem.stem();
    }
    ending = stem.extension().string() + ending;
    return {name.substr(0, name.size() - ending.size()), ending};
}

bool has_ending(fs::path const& file, bool sound) {
    auto const ending = lower(split_ending(file.filename().string()).second);
    auto const plain = ending.substr(0, ending.find('.', 1));
    return sound ? is_among(kSoundEndings, ending) : is_among(kDnaEndings, plain);
}

/// Files that can be read again and again, and links that lead nowhere: those are reported when they are opened.
bool is_file(fs::path const& path) {
    std::error_code error;
    auto const status = fs::status(path, error);
    return !fs::exists(status) || fs::is_regular_file(status);
}

std::vector<fs::path> search_folder(fs::path const& folder, InputSearch const& search) {
    std::vector<fs::path> found;
    std::error_code error_of_same;
    if (!search.leave_out.empty() && fs::equivalent(folder, search.leave_out, error_of_same)) {
        throw Error(ErrorCode::invalid_argument,
                    folder.string() + ": is the output folder, whose files would be inputs the next time");
    }
    try {
        for (auto entry = fs::recursive_directory_iterator(folder); entry != fs::recursive_directory_iterator();
             ++entry) {
            auto const& path = entry->path();
            bool const hidden = path.filename().string().starts_with(".");
            std::error_code ignored;
            bool const left_out = !search.leave_out.empty() && fs::equivalent(path, search.leave_out, ignored);
            if (entry->is_directory(ignored) && (hidden || left_out)) { entry.disable_recursion_pending(); }
            if (!hidden && !entry->is_directory(ignored) && has_ending(path, search.sound) && is_file(path)) {
                found.push_back(path);
            }
        }
    } catch (fs::filesystem_error const& error) {
        throw Error(ErrorCode::io, error.path1().string() + ": cannot be searched: " + error.code().message());
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::vector<fs::path> expand_pattern(std::string const& pattern) {
    glob_t matches{};
    int const failed = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &matches);
    std::vector<fs::path> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    ::globfree(&matches);
    if (failed == GLOB_NOMATCH) {
        bool const is_pattern = pattern.find_first_of("*?[") != pattern.npos;
        throw Error(ErrorCode::not_found,
                    pattern + (is_pattern ? ": matches no file or folder" : ": no such file or folder"));
    }
    if (failed != 0) { throw Error(ErrorCode::io, pattern + ": cannot be searched"); }
    return found;
}

/// The folder that all files lie below, as their paths are spelt.
fs::path common_folder(std::vector<BatchInput> const& inputs) {
    fs::path common;
    bool first = true;
    for (auto const& input : inputs) {
        if (!input.output.empty() || input.path == "-") { continue; }
        auto const folder = fs::absolute(input.path).lexically_normal().parent_path();
        if (first) { common = folder; }
        first = false;
        fs::path shared;
        for (auto a = common.begin(), b = folder.begin(); a != common.end() && b != folder.end() && *a == *b;
             ++a, ++b) {
            shared /= *a;
        }
        common = shared;
    }
    return common;
}

void name_outputs(std::vector<BatchInput>& inputs) {
    auto const common = common_folder(inputs);
    for (auto& input : inputs) {
        if (!input.output.empty()) { continue; }
        input.output = input.path == "-" ? fs::path("stdin")
                                         : fs::absolute(input.path).lexically_normal().lexically_relative(common);
    }
}

void check_unique(std::vector<BatchInput> const& inputs) {
    std::set<fs::path> outputs;
    for (auto const& input : inputs) {
        if (!outputs.insert(input.output).second) {
            throw Error(ErrorCode::invalid_argument,
                        input.path.string() + ": its outputs would be named like another's (" + input.output.string() +
                            "); is a file given twice? A sheet with a column `sample` names them");
        }
    }
}

/// The name of the second file of a pair whose first is `name`; empty if it is no first one.
std::string mate_name(std::string const& name) {
    auto const [stem, ending] = split_ending(name);
    for (auto const& [first, second] : {std::pair{"_R1", "_R2"}, std::pair{"_1", "_2"}}) {
        if (stem.ends_with(first)) {
            return stem.substr(0, stem.size() - std::string_view(first).size()) + second + ending;
        }
        auto const inside = stem.rfind(std::string(first) + "_001"); // Illumina's bcl2fastq
        if (inside != std::string::npos && stem.ends_with("_001")) {
            return stem.substr(0, inside) + second + "_001" + ending;
        }
    }
    return {};
}

std::vector<BatchInput> pair_up(std::vector<BatchInput> const& files) {
    std::set<fs::path> left;
    for (auto const& file : files) {
        left.insert(file.path);
    }
    std::vector<BatchInput> pairs;
    for (auto const& file : files) {
        auto const mate = mate_name(file.path.filename().string());
        auto const second = file.path.parent_path() / mate;
        if (mate.empty() || left.erase(second) == 0) { continue; }
        left.erase(file.path);
        pairs.push_back(file);
        pairs.back().mates = second;
    }
    if (!left.empty()) {
        throw Error(ErrorCode::invalid_argument,
                    left.begin()->string() + ": has no mate among the inputs; --paired pairs names that end in _R1 and "
                                             "_R2, or _1 and _2, and a sheet with a column `mate` any others");
    }
    return pairs;
}

std::vector<std::string> split_line(std::string_view line, char separator) {
    if (line.ends_with('\r')) { line.remove_suffix(1); }
    std::vector<std::string_view> cells;
    split_cells(line, separator, cells);
    return {cells.begin(), cells.end()};
}

/// The rows of a sheet, by name of column.
class Sheet {
public:
    Sheet(fs::path const& path, std::string const& first_line) : path_(path) {
        std::string const line(behind_byte_order_mark(first_line));
        separator_ = first_line.find('\t') == std::string::npos ? ',' : '\t';
        names_ = split_line(line, separator_);
        for (auto const& name : names_) {
            if (name != "path" && name != "mate" && name != "sample" && name != "label") {
                fail(1, "unknown column '" + name + "'; known are path, mate, sample and label");
            }
        }
        if (std::count(names_.begin(), names_.end(), "path") != 1) { fail(1, "needs one column `path`"); }
    }

    BatchInput row(std::string const& line, long number) const {
        auto const cells = split_line(line, separator_);
        if (cells.size() != names_.size()) {
            fail(number,
                 "has " + std::to_string(cells.size()) + " cells, the first line " + std::to_string(names_.size()));
        }
        BatchInput input;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            if (names_[i] == "path") { input.path = place(cells[i]); }
            if (names_[i] == "mate" && !cells[i].empty()) { input.mates = place(cells[i]); }
            if (names_[i] == "sample") { input.sample = cells[i]; }
            if (names_[i] == "label") { input.label = cells[i]; }
        }
        if (input.path.empty()) { fail(number, "has no path"); }
        input.output = fs::path(input.sample).lexically_normal();
        bool const leads_out = input.output.is_absolute() || (!input.output.empty() && *input.output.begin() == "..");
        if (leads_out) { fail(number, "the sample's name leads out of the output folder"); }
        if (!input.sample.empty() && (!input.output.has_filename() || input.output == ".")) {
            fail(number, "the sample's name is that of a folder");
        }
        return input;
    }

    [[noreturn]] void fail(long number, std::string const& what) const {
        throw Error(ErrorCode::malformed_input, path_.string() + ": line " + std::to_string(number) + ": " + what);
    }

private:
    fs::path place(std::string const& cell) const { return cell.empty() ? fs::path() : path_.parent_path() / cell; }

    fs::path path_;
    char separator_ = '\t';
    std::vector<std::string> names_;
};

} // namespace

std::vector<BatchInput> find_inputs(std::vector<fs::path> const& arguments, InputSearch const& search) {
    std::vector<BatchInput> inputs;
    auto const add = [&inputs](fs::path const& file, fs::path const& output) {
        inputs.emplace_back();
        inputs.back().path = file;
        inputs.back().output = output;
    };
    for (auto const& argument : arguments) {
        std::error_code error;
        auto const type = fs::symlink_status(argument, error).type();
        if (fs::is_directory(argument, error)) {
            for (auto const& file : search_folder(argument, search)) {
                add(file, arguments.size() == 1 ? file.lexically_relative(argument) : fs::path());
            }
        } else if (argument == "-" || type != fs::file_type::not_found) {
            add(argument, {});
        } else {
            for (auto const& file : expand_pattern(argument.string())) {
                add(file, {});
            }
        }
    }
    if (search.paired) { inputs = pair_up(inputs); }
    name_outputs(inputs);
    check_unique(inputs);
    return inputs;
}

std::vector<BatchInput> read_sample_sheet(fs::path const& path) {
    std::ifstream file(path);
    std::string line;
    if (!file) { throw Error(ErrorCode::not_found, path.string() + ": cannot be read: " + std::strerror(errno)); }
    if (!std::getline(file, line)) {
        if (file.bad()) { throw Error(ErrorCode::io, path.string() + ": cannot be read: " + std::strerror(errno)); }
        throw Error(ErrorCode::malformed_input, path.string() + ": is empty");
    }
    Sheet const sheet(path, line);
    std::vector<BatchInput> inputs;
    for (long number = 2; std::getline(file, line); ++number) {
        if (!line.empty() && line != "\r") { inputs.push_back(sheet.row(line, number)); }
    }
    if (file.bad()) { throw Error(ErrorCode::io, path.string() + ": cannot be read"); }
    if (inputs.empty()) { throw Error(ErrorCode::malformed_input, path.string() + ": names no input"); }
    name_outputs(inputs);
    check_unique(inputs);
    return inputs;
}

} // namespace strandwave

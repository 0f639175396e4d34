#include "pipelines/batch/split_output.h"

#include "formats/open_input.h"
#include "formats/second_read.h"
#include "lib/core/error.h"
#include "pipelines/classify_files.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace strandwave {
namespace {

/// Labels, and behind them `unclassified`, as parts of a file's name.
std::vector<std::string> file_words(std::vector<std::string> words) {
    words.emplace_back(kUnclassified);
    for (auto& word : words) {
        std::replace_if(
            word.begin(), word.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f || c == '/'; }, '_');
    }
    if (std::set<std::string>(words.begin(), words.end()).size() < words.size()) {
        throw Error(ErrorCode::invalid_argument, "two classes of the model would share a file: --format split needs "
                                                 "labels that differ as names of files");
    }
    return words;
}

} // namespace

SplitOutput::SplitOutput(BatchInput const& input, std::filesystem::path const& stem, Options const& options,
                         std::vector<index_t> const& keep_bytes)
    : options_(options) {
    auto const words = file_words(options.labels);
    auto keep = keep_bytes.begin();
    for (auto const& [file, of_mates] : {std::pair{input.path, ""}, std::pair{input.mates, ".mates"}}) {
        if (file.empty()) { continue; }
        (void)open_second_time(file);
        auto const format = open_input(file, {}).value().format;
        parts_.push_back({FastxSplitter(file, format, options.threads), {}});
        for (auto const& word : words) {
            auto path = stem;
            path += "." + word + of_mates + "." + std::string(format);
            if (options.compression == BlockFile::Compression::bgzf) { path += ".gz"; }
            auto const bytes = keep == keep_bytes.end() ? 0 : *keep++;
            parts_.back().files.push_back(std::make_unique<BlockFile>(path, options.compression, bytes));
        }
    }
}

void SplitOutput::begin_block(index_t ordinal) {
    next_ = ordinal;
    for (auto& part : parts_) {
        part.splitter.begin_block(options_.interleaved ? 2 * ordinal : ordinal);
    }
}

void SplitOutput::write(UnitResult const& result, ClassRow const* row) {
    copy_unclassified(result.unit.ordinal);
    copy(result.unit.name, row->label_index);
}

void SplitOutput::copy_unclassified(index_t end_ordinal) {
    while (next_ < end_ordinal) {
        copy("", options_.labels.size());
    }
}

void SplitOutput::copy(std::string const& name, std::size_t label) {
    for (auto& part : parts_) {
        auto const sink = [&file = *part.files[label]](std::string_view text) { file.write(text); };
        part.splitter.copy(options_.interleaved ? 2 * next_ : next_, name, sink);
        if (options_.interleaved) { part.splitter.copy(2 * next_ + 1, name, sink); }
    }
    ++next_;
}

std::vector<index_t> SplitOutput::end_block(index_t ordinal) {
    copy_unclassified(ordinal);
    return end_blocks();
}

std::vector<index_t> SplitOutput::end_blocks() {
    std::vector<index_t> bytes;
    for (auto const& part : parts_) {
        std::transform(part.files.begin(), part.files.end(), std::back_inserter(bytes),
                       [](auto const& file) { return file->end_block(); });
    }
    return bytes;
}

std::vector<std::filesystem::path> SplitOutput::paths() const {
    std::vector<std::filesystem::path> paths;
    for (auto const& part : parts_) {
        std::transform(part.files.begin(), part.files.end(), std::back_inserter(paths),
                       [](auto const& file) { return file->path(); });
    }
    return paths;
}

std::vector<std::filesystem::path> SplitOutput::finish(std::string_view suffix) {
    std::vector<std::filesystem::path> paths;
    for (auto const& part : parts_) {
        for (auto const& file : part.files) {
            if (file->end_block() == 0) {
                std::filesystem::remove(part_path(file->path()));
                continue;
            }
            file->commit(suffix);
            paths.push_back(file->path());
            paths.back() += suffix;
        }
    }
    return paths;
}

} // namespace strandwave

#pragma once

#include "formats/sequence_reader.h"
#include "pipelines/batch/batch_input.h"
#include "pipelines/batch/block_output.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

enum class OutputFormat : std::uint8_t { tsv, jsonl, bed, audacity, bam, cram, split, npy, npz, h5, h5ad };

std::string_view output_format_name(OutputFormat format) noexcept;
/// Throws invalid_argument, naming those that there are.
OutputFormat parse_output_format(std::string_view word);

bool writes_tags(OutputFormat format) noexcept; ///< copies alignments, with tags
/// Copies the records of the input, so that each has one label.
bool copies_records(OutputFormat format) noexcept;

/// What the outputs of all inputs of a batch have in common.
struct OutputSpec {
    std::filesystem::path folder;
    std::vector<OutputFormat> formats;
    bool bgzf = false;          ///< text outputs are compressed
    bool probabilities = false; ///< of all classes, in tables
    bool sound = false;
    bool interleaved = false;
    std::vector<std::string> labels; ///< of the classifier; empty: vectors are written
    index_t d_model = 0;
    SequenceReaderOptions reading;
    int threads = 0;     ///< that many more to compress and decompress
    std::string version; ///< for the header of alignments
    std::string command;
};

/// Throws invalid_argument for formats that do not go with the task or the kind of input.
void check(OutputSpec const& spec);

/// All that one input becomes: a BlockOutput for each format. Sizes are those of all its files, one behind the other.
class OutputSet {
public:
    /// `keep_bytes`: what end_block of an earlier process returned; empty to start anew. Makes folders as needed.
    /// Throws io, and what the outputs throw of an input that they cannot read.
    OutputSet(OutputSpec const& spec, BatchInput const& input, std::vector<index_t> const& keep_bytes);

    void begin_block(index_t ordinal);
    void write(UnitResult const& result, ClassRow const* row);
    std::vector<index_t> end_block(index_t ordinal);
    std::vector<index_t> end_blocks();
    std::vector<index_t> end_broken();
    std::vector<std::filesystem::path> paths() const; ///< of the files that grow, in the order of the sizes
    std::vector<std::filesystem::path> finish(std::string_view suffix);

private:
    std::vector<std::unique_ptr<BlockOutput>> outputs_;
};

} // namespace strandwave

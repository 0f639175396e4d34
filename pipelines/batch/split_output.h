#pragma once

#include "formats/block_file.h"
#include "formats/fastx_splitter.h"
#include "pipelines/batch/batch_input.h"
#include "pipelines/batch/block_output.h"

#include <memory>
#include <string>
#include <vector>

namespace strandwave {

/// The records of a FASTA or FASTQ file, as they stand in it, in a file a class: `<stem>.<class>.fastq`, those of a
/// file of mates in `<stem>.<class>.mates.fastq`. What has no row (too short, failed) goes where the unclassified ones
/// go, so that no record is lost. A class without a record has no file.
class SplitOutput final : public BlockOutput {
public:
    struct Options {
        std::vector<std::string> labels;
        BlockFile::Compression compression = BlockFile::Compression::none;
        bool interleaved = false; ///< a row is of two records of the file
        int threads = 0;          ///< to decompress
    };

    /// `keep_bytes`: of the file of each label and of the unclassified, then those of the mates; or empty.
    /// Throws unsupported (no FASTA or FASTQ), invalid_argument (two classes that would share a file).
    SplitOutput(BatchInput const& input, std::filesystem::path const& stem, Options const& options,
                std::vector<index_t> const& keep_bytes);

    void begin_block(index_t ordinal) override;
    void write(UnitResult const& result, ClassRow const* row) override;
    std::vector<index_t> end_block(index_t ordinal) override;
    std::vector<index_t> end_blocks() override;
    std::vector<index_t> end_broken() override { return end_blocks(); }
    std::vector<std::filesystem::path> paths() const override;
    std::vector<std::filesystem::path> finish(std::string_view suffix) override;

private:
    /// A file of the input, and what it becomes.
    struct Part {
        FastxSplitter splitter;
        std::vector<std::unique_ptr<BlockFile>> files; ///< of each label, then of the unclassified
    };

    void copy(std::string const& name, std::size_t label);
    void copy_unclassified(index_t end_ordinal);

    Options options_;
    index_t next_ = 0;
    std::vector<Part> parts_;
};

} // namespace strandwave

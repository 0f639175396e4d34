#pragma once

#include "formats/alignment_tagger.h"
#include "pipelines/batch/batch_input.h"
#include "pipelines/batch/block_output.h"

#include <memory>

namespace strandwave {

/// The alignments of the input, each that was classified with its label and probability in tags
/// (formats/alignment_tagger.h). As CRAM, which cannot grow, it is made of the BAM at the end.
class TaggedOutput final : public BlockOutput {
public:
    /// `keep_bytes`: of the BAM, 0 to start anew. Throws unsupported for pairs and for files of no alignments.
    TaggedOutput(BatchInput const& input, std::filesystem::path const& stem, bool cram,
                 AlignmentTaggerOptions const& options, index_t keep_bytes);

    void begin_block(index_t ordinal) override;
    void write(UnitResult const& result, ClassRow const* row) override;
    std::vector<index_t> end_block(index_t ordinal) override;
    std::vector<index_t> end_blocks() override;
    std::vector<index_t> end_broken() override;
    std::vector<std::filesystem::path> paths() const override;
    std::vector<std::filesystem::path> finish(std::string_view suffix) override;

private:
    std::filesystem::path path_;
    bool cram_;
    AlignmentTaggerOptions options_;
    std::unique_ptr<AlignmentTagger> tagger_;
    index_t next_ = 0; ///< ordinal behind the last one that was tagged
};

} // namespace strandwave

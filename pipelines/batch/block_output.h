#pragma once

#include "pipelines/table_writer.h"
#include "pipelines/unit_runner.h"

#include <filesystem>
#include <string_view>
#include <vector>

namespace strandwave {

/// What one input becomes: a file, or a few, each of which grows block by block (SourceMark) as `<name>.part`. Its
/// bytes are a start, those of each block, and an end; what a block becomes does not know what came before it. So a
/// later process can go on behind a block, and blocks of several processes can be put together.
/// Calls come in order: begin_block, write..., end_block, begin_block, ..., end_blocks, finish. All throw io.
class BlockOutput {
public:
    virtual ~BlockOutput() = default;

    /// `ordinal`: number of the block's first record in its file (Unit::ordinal).
    virtual void begin_block(index_t /*ordinal*/) {}

    /// `row` is null where nothing is classified.
    virtual void write(UnitResult const& result, ClassRow const* row) = 0;

    /// All of the block is in the files; their sizes. `ordinal`: of the first record behind the block.
    virtual std::vector<index_t> end_block(index_t ordinal) = 0;

    /// Behind the last block, where that one was written by this process. Sizes as of end_block.
    virtual std::vector<index_t> end_blocks() { return end_block(0); }

    /// The same where the input broke off inside the block.
    virtual std::vector<index_t> end_broken() { return end_block(0); }

    /// What the files will be called, in the order of the sizes; those that only serve to make another one too.
    virtual std::vector<std::filesystem::path> paths() const = 0;

    /// Puts the files in place, with `suffix` behind their names, and returns what they are called.
    virtual std::vector<std::filesystem::path> finish(std::string_view suffix) = 0;
};

} // namespace strandwave

#pragma once

#include "formats/text_block.h"
#include "lib/core/view.h"

#include <string>
#include <vector>

struct BGZF;
struct libdeflate_decompressor;

namespace strandwave {

/// Some BGZF blocks: as they stand in the file, and their text.
struct BgzfRun : TextBlock {
    struct Block {
        std::size_t begin, size; ///< of `compressed`: all of the gzip member
        std::size_t text_size;   ///< that it claims
    };
    struct FreeDecompressor {
        void operator()(libdeflate_decompressor* used) const noexcept;
    };

    std::unique_ptr<unsigned char[]> compressed; ///< made by the first fetch
    std::vector<Block> blocks;
    index_t text_offset = 0; ///< of the first block, in the text
    std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor;
};

/// BGZF (SAM specification, section 4.1), a series of gzip members of at most 64 KiB each: read in order, decompressed
/// in any, so that several threads can. Damage is told behind the text in front of it.
class BgzfBlocks {
public:
    /// Reads from `stream`, which stands at a block's begin and has to outlive this; `name` is what messages call it.
    /// `one_by_one`: a run is a single block, so that nobody waits for more of them.
    BgzfBlocks(BGZF* stream, std::string name, bool one_by_one)
        : stream_(stream), name_(std::move(name)), one_by_one_(one_by_one) {}

    /// Reads the next blocks, as many as fit; false at the end. What cannot be read, and an end without the empty block
    /// that has to be the last, is a failure of the run (truncated_input, malformed_input, io), the last one then.
    bool fetch(BgzfRun& run);

    /// Makes the text of a run that was fetched. A block that does not give what its check sum and its size say is a
    /// failure (malformed_input). May be called from several threads at a time, each with a run of its own.
    void decompress(BgzfRun& run) const;

private:
    bool fetch_block(BgzfRun& run);
    std::size_t read_member(unsigned char* to);
    std::size_t read(unsigned char* to, std::size_t bytes);
    Error damaged(index_t offset) const;
    Error cut_short() const;

    BGZF* stream_;
    std::string name_;
    bool one_by_one_;
    index_t text_offset_ = 0; ///< of the next block
    bool last_was_empty_ = false;
    bool ended_ = false;
};

} // namespace strandwave

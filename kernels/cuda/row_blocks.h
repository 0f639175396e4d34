#pragma once

#include "lib/core/view.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

/// Rows of a block: what one thread of a scan or convolution walks.
inline constexpr index_t kBlockRows = 16;

/// A run of packed rows of one record, with the slots of carried state that it comes from and leaves behind.
struct PackedSegment {
    index_t begin = 0;         ///< first row
    index_t length = 0;        ///< rows
    std::int32_t initial = -1; ///< slot of the state before the first row; negative: zeros
    std::int32_t final = -1;   ///< slot that takes the state after the last row; negative: not wanted
};

/// Up to kBlockRows consecutive rows of a segment, counted from the segment's start: so where a block begins, and with
/// it the order of arithmetic, does not depend on the company that a record has.
struct RowBlock {
    index_t begin = 0;         ///< first row in the order of time
    index_t offset = 0;        ///< rows of the segment before it; 0: the segment starts here
    std::int32_t count = 0;    ///< rows, 1..kBlockRows
    std::int32_t step = 1;     ///< from a row to the next in time: 1, or -1 where time runs backwards
    std::int32_t initial = -1; ///< of the segment
    std::int32_t final = -1;   ///< of the segment, in its last block; else negative
};

/// The blocks of the segments, in order; a segment's blocks in the order of time. Empty segments have none.
inline std::vector<RowBlock> cut_into_blocks(std::span<PackedSegment const> segments, bool reverse) {
    std::vector<RowBlock> blocks;
    for (auto const& segment : segments) {
        for (index_t offset = 0; offset < segment.length; offset += kBlockRows) {
            index_t const left = segment.length - offset;
            bool const last = left <= kBlockRows;
            index_t const begin = reverse ? segment.begin + segment.length - 1 - offset : segment.begin + offset;
            blocks.push_back({begin, offset, static_cast<std::int32_t>(last ? left : kBlockRows), reverse ? -1 : 1,
                              segment.initial, last ? segment.final : -1});
        }
    }
    return blocks;
}

/// So many rows of a segment in whole blocks.
inline index_t whole_blocks(index_t rows) { return (rows + kBlockRows - 1) / kBlockRows * kBlockRows; }

/// Rows of the longest segment that the blocks belong to; 0 of none.
inline index_t longest_segment(std::span<RowBlock const> blocks) {
    index_t longest = 0;
    for (auto const& block : blocks) {
        longest = std::max(longest, block.offset + block.count);
    }
    return longest;
}

} // namespace strandwave

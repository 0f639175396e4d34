#pragma once

#include "lib/core/view.h"
#include "lib/model/session.h"

#include <span>
#include <vector>

namespace strandwave {

/// One strand of one record, as rows of a run.
struct StrandRows {
    index_t piece = 0; ///< which piece of the feed
    index_t input = 0; ///< its first position in the feed
    int strand = 0;    ///< 0 as given, 1 reverse complement
    index_t begin = 0; ///< first row in the run
    index_t length = 0;
};

/// Consecutive strands that start on a block border, so that both directions can walk them on their own.
struct Section {
    index_t begin_block = 0;
    index_t end_block = 0;
    std::vector<StrandRows> strands;
};

/// Records that go through the model together. Runs are independent of one another.
struct Run {
    std::vector<Section> sections;
    index_t blocks = 0; ///< of token_block rows, the last one of each section padded
};

/// Packs whole records into runs: short ones side by side into sections of about `kSectionRows`, each strand of a long
/// one into a section of its own.
std::vector<Run> plan_whole_records(std::span<Piece const> pieces, int strands, index_t token_block);

inline constexpr index_t kSectionRows = 1024;

} // namespace strandwave

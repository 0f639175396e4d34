#pragma once

#include "lib/core/view.h"

namespace strandwave {

/// Bases of a read that stay when its 3' end is cut by the rule of BWA (Li & Durbin 2009; `bwa aln -q`, and `cutadapt
/// -q` does the same): from the last base on, `threshold` - quality is summed up towards the first; the cut is where
/// this sum is largest, the shortest such cut, and the search ends where the sum falls below 0, so a good last base
/// keeps the read whole. BWA's lower bound of 35 bases is left out: 0 is a possible answer.
/// `quality_at(i)` is the Phred quality of base i of `length`, counted as the instrument read them.
template <class QualityAt>
index_t trimmed_length(index_t length, int threshold, QualityAt quality_at) {
    index_t kept = length;
    index_t sum = 0;
    index_t largest = 0;
    for (index_t i = length - 1; i >= 0; --i) {
        sum += threshold - static_cast<int>(quality_at(i));
        if (sum < 0) { break; }
        if (sum > largest) {
            largest = sum;
            kept = i;
        }
    }
    return kept;
}

} // namespace strandwave

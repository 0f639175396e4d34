#include "lib/train/batch_pieces.h"

#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {

std::vector<BatchPiece> cut_batch(TrainBatch const& batch, index_t piece) {
    if (piece < 1) { throw Error(ErrorCode::invalid_argument, "a piece of a record has a position or more"); }
    if (!batch.pooled_targets.empty() || !batch.frames.empty()) {
        throw Error(ErrorCode::unsupported, "records are trained in pieces on tokens, for objectives of tokens");
    }
    index_t const longest = *std::max_element(batch.lengths.begin(), batch.lengths.end());
    std::vector<BatchPiece> pieces(static_cast<std::size_t>((longest + piece - 1) / piece));
    std::int32_t slot = 0;
    index_t record_begin = 0;
    for (std::size_t r = 0; r < batch.lengths.size(); ++r) {
        index_t const length = batch.lengths[r];
        std::int32_t before = -1;
        for (index_t begin = 0; begin < length; begin += piece) {
            index_t const count = std::min(piece, length - begin);
            auto& part = pieces[static_cast<std::size_t>(begin / piece)];
            auto const copy = [&](auto const& from, auto& to) {
                to.insert(to.end(), from.begin() + record_begin + begin, from.begin() + record_begin + begin + count);
            };
            copy(batch.tokens, part.batch.tokens);
            copy(batch.token_targets, part.batch.token_targets);
            part.batch.lengths.push_back(count);
            if (!batch.examples.empty()) { part.batch.examples.push_back(batch.examples[r]); }
            std::int32_t const behind = begin + count < length ? slot++ : -1;
            part.slots.push_back({before, behind});
            before = behind;
        }
        record_begin += length;
    }
    return pieces;
}

} // namespace strandwave

#include "lib/train/batch_pieces.h"

#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {
namespace {

/// Rows `begin`, .. of `width` numbers each; nothing of what the batch does not have.
template <class T>
void append_rows(std::vector<T> const& from, index_t begin, index_t count, index_t width, std::vector<T>& to) {
    if (from.empty()) { return; }
    auto const first = from.begin() + begin * width;
    to.insert(to.end(), first, first + count * width);
}

} // namespace

CutBatch cut_batch(TrainBatch const& batch, index_t piece) {
    if (piece < 1) { throw Error(ErrorCode::invalid_argument, "a piece of a record has a position or more"); }
    auto const pieces_of = [&](index_t length) { return (length + piece - 1) / piece; };
    index_t const longest = *std::max_element(batch.lengths.begin(), batch.lengths.end());
    index_t const frame_length = static_cast<index_t>(batch.frames.size()) / batch.positions();
    CutBatch cut;
    cut.pieces.resize(static_cast<std::size_t>(pieces_of(longest)));
    cut.records.pooled_targets = batch.pooled_targets;
    cut.records.examples = batch.examples;
    std::int32_t part = 0;
    index_t record_begin = 0;
    for (std::size_t r = 0; r < batch.lengths.size(); ++r) {
        index_t const length = batch.lengths[r];
        index_t const parts = pieces_of(length);
        for (index_t k = 0; k < parts; ++k) {
            index_t const begin = k * piece;
            index_t const count = std::min(piece, length - begin);
            auto& [to, slots] = cut.pieces[static_cast<std::size_t>(k)];
            append_rows(batch.tokens, record_begin + begin, count, 1, to.tokens);
            append_rows(batch.frames, record_begin + begin, count, frame_length, to.frames);
            append_rows(batch.token_targets, record_begin + begin, count, 1, to.token_targets);
            append_rows(batch.examples, static_cast<index_t>(r), 1, 1, to.examples);
            to.lengths.push_back(count);
            RecordSlots slot;
            slot.initial = k > 0 ? static_cast<std::int32_t>(cut.slots++) : -1;
            slot.final = k + 1 < parts ? static_cast<std::int32_t>(cut.slots) : -1;
            slot.part = part++;
            slot.share = static_cast<float>(static_cast<double>(count) * static_cast<double>(parts) /
                                            static_cast<double>(length));
            slots.push_back(slot);
        }
        cut.records.lengths.push_back(parts);
        record_begin += length;
    }
    return cut;
}

} // namespace strandwave

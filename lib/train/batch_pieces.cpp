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

CutBatch::CutBatch(TrainBatch const& batch, index_t piece) : batch_(batch), piece_(piece) {
    if (piece < 1) { throw Error(ErrorCode::invalid_argument, "a piece of a record has a position or more"); }
    for (index_t const length : batch.lengths) {
        index_t const parts = (length + piece - 1) / piece;
        pieces_ = std::max(pieces_, parts);
        records_.lengths.push_back(parts);
    }
    records_.pooled_targets = batch.pooled_targets;
    records_.examples = batch.examples;
}

BatchPiece CutBatch::piece(index_t number) const {
    index_t const frame_length = static_cast<index_t>(batch_.frames.size()) / batch_.positions();
    index_t const begin = number * piece_;
    BatchPiece piece;
    auto& to = piece.batch;
    index_t record_begin = 0;
    index_t part = number; // a piece of the record
    for (index_t r = 0; r < batch_.records(); ++r) {
        index_t const length = batch_.lengths[static_cast<std::size_t>(r)];
        index_t const parts = records_.lengths[static_cast<std::size_t>(r)];
        if (number < parts) {
            index_t const count = std::min(piece_, length - begin);
            append_rows(batch_.tokens, record_begin + begin, count, 1, to.tokens);
            append_rows(batch_.frames, record_begin + begin, count, frame_length, to.frames);
            append_rows(batch_.token_targets, record_begin + begin, count, 1, to.token_targets);
            append_rows(batch_.examples, r, 1, 1, to.examples);
            to.lengths.push_back(count);
            auto const border =
                static_cast<std::int32_t>(part - r); // each record before has one border less than parts
            RecordSlots slots;
            slots.initial = number > 0 ? border - 1 : -1;
            slots.final = number + 1 < parts ? border : -1;
            slots.part = static_cast<std::int32_t>(part);
            slots.share = static_cast<float>(static_cast<double>(count) * static_cast<double>(parts) /
                                             static_cast<double>(length));
            piece.slots.push_back(slots);
        }
        record_begin += length;
        part += parts;
    }
    return piece;
}

std::vector<TrainBatch> split_batch(TrainBatch const& batch, index_t parts, index_t frame_length) {
    std::vector<TrainBatch> result(static_cast<std::size_t>(parts));
    index_t const total = batch.positions();
    index_t const values =
        batch.records() == 0 ? 0 : static_cast<index_t>(batch.pooled_targets.size()) / batch.records();
    index_t done = 0;
    for (index_t i = 0; i < batch.records(); ++i) {
        index_t const length = batch.lengths[static_cast<std::size_t>(i)];
        // The part in which the middle of the record lies.
        auto& part = result[static_cast<std::size_t>((2 * done + length) * parts / (2 * std::max<index_t>(1, total)))];
        append_rows(batch.tokens, done, length, 1, part.tokens);
        append_rows(batch.frames, done, length, frame_length, part.frames);
        append_rows(batch.token_targets, done, length, 1, part.token_targets);
        append_rows(batch.pooled_targets, i, 1, values, part.pooled_targets);
        append_rows(batch.examples, i, 1, 1, part.examples);
        part.lengths.push_back(length);
        done += length;
    }
    return result;
}

} // namespace strandwave

#include "pipelines/batch/batch_writer.h"

#include "formats/block_file.h"
#include "pipelines/batch/part_check.h"
#include "pipelines/classify_files.h"
#include "pipelines/input_identity.h"

#include <utility>

namespace strandwave {
namespace {

FailedRecord failed_record(UnitFailure const& failure) {
    bool const file = failure.unit.ordinal < 0;
    return {failure.unit.ordinal, file ? std::string() : failure.unit.name,
            std::string(error_code_name(failure.error.code())), failure.error.message()};
}

} // namespace

BatchWriter::BatchWriter(BatchJob const& job, BatchJournal& journal, std::vector<index_t> const& todo,
                         std::vector<InputBegin> const& begins, UnitListener& listener)
    : job_(job), journal_(journal), todo_(todo), begins_(begins), listener_(listener) {}

BatchInput const& BatchWriter::input(index_t place) const {
    return job_.inputs[static_cast<std::size_t>(todo_[static_cast<std::size_t>(place)])];
}

/// Runs what concerns the outputs of the input that is read. What they cannot do with this input (another format, a
/// file that has changed since it was first read) is its failure; what concerns the disk ends the run.
template <class Body>
void BatchWriter::guard(index_t place, Body const& body) {
    if (refused_) { return; }
    try {
        body();
    } catch (Error const& error) {
        if (error.code() == ErrorCode::io) { throw; }
        refused_ = true;
        if (outputs_) { remove_parts(outputs_->paths()); }
        fail_file(place, error);
    }
}

void BatchWriter::fail_file(index_t place, Error const& error) {
    UnitFailure failure{{}, error};
    failure.unit.file = failure.unit.name = input(place).path.string();
    failure.unit.file_index = place;
    failure.unit.record = failure.unit.ordinal = -1;
    ++file_failures_;
    this->failure(failure);
}

/// Once for each input, at the first that comes of it.
void BatchWriter::open(SourceMark const& mark) {
    if (outputs_) { return; }
    auto const& begin = begins_[static_cast<std::size_t>(mark.file_index)];
    auto const& what = input(mark.file_index);
    begun_ = false;
    sizes_ = begin.keep_bytes;
    outputs_.emplace(job_.outputs, what, begin.keep_bytes);
    if (!begin.keep_bytes.empty()) { return; }
    std::vector<std::string> parts;
    for (auto const& path : outputs_->paths()) {
        parts.push_back(path.lexically_relative(job_.outputs.folder).string());
    }
    journal_.begin_input(what.output.string(), mark.identity, parts);
}

void BatchWriter::block_begin(SourceMark const& mark) {
    guard(mark.file_index, [&] {
        open(mark);
        outputs_->begin_block(mark.ordinal);
        begun_ = true;
    });
}

void BatchWriter::result(UnitResult const& result) {
    guard(result.unit.file_index, [&] { write(result); });
}

void BatchWriter::write(UnitResult const& result) {
    auto const& labels = job_.outputs.labels;
    if (labels.empty()) {
        outputs_->write(result, nullptr);
        return;
    }
    auto const row = classify_unit(result, labels, job_.min_probability);
    class_rows_.resize(labels.size() + 1);
    ++class_rows_[row.label_index];
    outputs_->write(result, &row);
}

void BatchWriter::failure(UnitFailure const& failure) {
    failures_.push_back(failed_record(failure));
    listener_.failure(failure);
    if (job_.fail_fast) { throw FailedFast{}; }
}

InputTally BatchWriter::take_tally(SourceMark const& mark, BlockTally const& tally) {
    InputTally more;
    more.records = mark.records;
    more.rows = tally.rows;
    more.failed = tally.failed + std::exchange(file_failures_, 0);
    more.too_short = mark.too_short;
    more.secondary = mark.secondary;
    more.silent = mark.silent;
    more.no_position = tally.no_position;
    more.symbols = mark.symbols;
    more.positions = tally.positions;
    more.class_rows = std::exchange(class_rows_, {});
    return more;
}

void BatchWriter::block_end(SourceMark const& mark, BlockTally const& tally) {
    DoneBlock done;
    done.block = mark.block;
    guard(mark.file_index, [&] {
        done.sizes = outputs_->end_block(mark.ordinal);
        done.md5 = md5_of_growth(outputs_->paths(), sizes_, done.sizes);
    });
    if (refused_) { return; }
    sizes_ = done.sizes;
    done.tally = take_tally(mark, tally);
    done.failures = std::exchange(failures_, {});
    journal_.end_block(input(mark.file_index).output.string(), done);
}

void BatchWriter::file_end(SourceMark const& mark, BlockTally const& tally) {
    auto const& what = input(mark.file_index);
    InputJournal last;
    last.broken = mark.broken;
    if (!mark.broken && mark.identity != input_identity(what.path, what.mates)) {
        last.broken = true;
        fail_file(mark.file_index,
                  Error(ErrorCode::malformed_input, what.path.string() + ": was changed while it was read; run again "
                                                                         "with --resume when nothing writes to it"));
    }
    last.has_last_block = job_.shard.has_block(todo_[static_cast<std::size_t>(mark.file_index)], mark.block);
    bool const opened = outputs_ || refused_ || !mark.broken || mark.block >= 0;
    if (opened) {
        guard(mark.file_index, [&] {
            open(mark);
            finish(mark, last);
        });
    }
    if (!opened || refused_) { journal_.begin_input(what.output.string(), mark.identity, {}); }
    last.broken = last.broken || refused_;
    last.tally = take_tally(mark, tally);
    last.failures = std::exchange(failures_, {});
    if (refused_) {
        last.tally = {};
        last.tally.failed = static_cast<index_t>(last.failures.size());
    }
    journal_.end_input(what.output.string(), last);
    outputs_.reset();
    refused_ = false;
}

void BatchWriter::finish(SourceMark const& mark, InputJournal& last) {
    if (last.has_last_block) {
        if (!begun_) { outputs_->begin_block(mark.ordinal); }
        last.sizes = mark.broken ? outputs_->end_broken() : outputs_->end_blocks();
    }
    if (job_.shard.leaves_parts()) {
        last.md5 = md5_of_growth(outputs_->paths(), sizes_, last.sizes);
        return;
    }
    last.files = written_files(outputs_->finish(last.broken ? ".incomplete" : ""), job_.outputs.folder);
}

} // namespace strandwave

#include "pipelines/batch/batch_run.h"

#include "formats/block_file.h"
#include "formats/checksum.h"
#include "lib/core/folder.h"
#include "lib/core/partial_file.h"
#include "pipelines/batch/batch_writer.h"
#include "pipelines/batch/part_check.h"
#include "pipelines/differences.h"
#include "pipelines/input_identity.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

/// A fingerprint, and JSON.
constexpr std::array<std::string_view, 2> kUnreadable{"model", "preprocessor"};

} // namespace

BatchRun::BatchRun(BatchJob job, bool resume) : job_(std::move(job)) {
    check(job_.outputs);
    if (job_.source.limit > 0) { throw Error(ErrorCode::invalid_argument, "a batch has no --limit"); }
    open_journal(resume);
    for (index_t i = 0; i < static_cast<index_t>(job_.inputs.size()); ++i) {
        if (!job_.shard.has_input(i)) { continue; }
        if (auto begin = begin_of(i)) {
            todo_.push_back(i);
            begins_.push_back(std::move(*begin));
        } else {
            ++complete_;
        }
    }
}

void BatchRun::open_journal(bool resume) {
    auto const& folder = job_.outputs.folder;
    make_folder(folder);
    auto const file = folder / kJournalName;
    auto const& shard = job_.shard;
    JournalHeader const header{job_.outputs.version, job_.settings, job_.outputs,    job_.inputs,
                               shard.number,         shard.count,   shard.by_records};
    if (resume && BatchJournal::is_at(file)) {
        journal_ = std::make_unique<BatchJournal>(file);
        remove_partial_files(folder);
        check_same_job(header);
        if (journal_->damaged_line() > 0 && job_.notice) {
            job_.notice(file.string() + ": line " + std::to_string(journal_->damaged_line()) +
                        " is damaged; what it and later ones told of is made again");
        }
        return;
    }
    if (BatchJournal::is_at(file)) { remove_old_batch(file); }
    journal_ = std::make_unique<BatchJournal>(file, header);
}

/// What another version of the program has written stays, and is written over.
void BatchRun::remove_old_batch(fs::path const& journal) const {
    try {
        auto const old = BatchJournal::opened_to_read(journal);
        for (auto const& [output, known] : old->inputs()) {
            remove_files(known);
        }
    } catch (Error const& error) {
        if (job_.notice) { job_.notice(std::string(error.message()) + "; its outputs are left where they are"); }
    }
}

void BatchRun::check_same_job(JournalHeader const& now) {
    auto const then = journal_->header();
    auto const refuse = [this](std::string const& what) {
        throw Error(ErrorCode::invalid_argument, job_.outputs.folder.string() +
                                                     ": holds another job, which differs in " + what +
                                                     "; give the same again, another folder, or --force");
    };
    auto const different = differences(now.settings, then.settings, kUnreadable);
    if (!different.empty()) { refuse(different); }
    if (now.shard != then.shard || now.shards != then.shards || now.shards_records != then.shards_records) {
        refuse("its shard, " + std::to_string(then.shard + 1) + "/" + std::to_string(then.shards) + " by " +
               (then.shards_records ? "records" : "files"));
    }
    if (then.inputs == now.inputs) { return; }
    if (now.shards > 1) { refuse("its inputs, so that they would be shared out in another way"); }
    journal_->replace_header(now);
}

void BatchRun::tell(BatchInput const& input, std::string const& what) const {
    if (job_.notice) { job_.notice(input.path.string() + ": " + what); }
}

void BatchRun::remove_files(InputJournal const& known) const {
    std::error_code ignored;
    for (auto const& file : known.files) {
        fs::remove(job_.outputs.folder / file.name, ignored);
    }
    std::vector<fs::path> parts;
    for (auto const& part : known.parts) {
        parts.push_back(job_.outputs.folder / part);
        fs::remove(parts.back(), ignored); // it may have been put in place just before the process ended
    }
    remove_parts(parts);
}

bool BatchRun::is_whole(InputJournal const& known) const {
    if (job_.shard.leaves_parts()) { return parts_as_written(known, job_.outputs.folder); }
    return std::all_of(known.files.begin(), known.files.end(),
                       [this](auto const& file) { return file_as_written(file, job_.outputs.folder); });
}

std::optional<InputBegin> BatchRun::begin_of(index_t index) {
    auto const& input = job_.inputs[static_cast<std::size_t>(index)];
    auto const* const known = journal_->find(input.output.string());
    if (known == nullptr) { return InputBegin{}; }
    auto const anew = [&](std::string const& why) {
        if (!why.empty()) { tell(input, why); }
        remove_files(*known);
        return InputBegin{};
    };
    if (known->broken) { return anew(""); } // it may be mended
    auto const identity = input_identity(input.path, input.mates);
    if (identity.empty() && known->identity.empty()) { return anew("is no regular file, and is read again"); }
    if (identity != known->identity) { return anew("has changed since, and is read again"); }
    if (known->ended) {
        if (is_whole(*known)) { return std::nullopt; }
        return anew("its outputs are not as they were written, and are made again");
    }
    if (known->blocks.empty()) { return anew(""); }
    auto const blocks = blocks_as_written(*known, job_.outputs.folder);
    if (blocks == 0) { return anew("the parts of its outputs are not as they were written, and are made again"); }
    if (blocks < known->blocks.size()) {
        tell(input, "the end of its outputs is not as it was written, and is made again");
        journal_->keep_blocks(input.output.string(), blocks);
    }
    auto const& last = known->blocks.back();
    return InputBegin{last.block + 1, last.sizes};
}

RunReport BatchRun::run(Models models, Threads& threads, UnitListener& listener) {
    if (todo_.empty()) { return {}; }
    auto source = job_.source;
    source.marks = true;
    std::vector<fs::path> files;
    bool pairs = false;
    for (index_t const index : todo_) {
        auto const& input = job_.inputs[static_cast<std::size_t>(index)];
        files.push_back(input.path);
        source.mates.push_back(input.mates);
        pairs = pairs || !input.mates.empty();
    }
    if (!pairs) { source.mates.clear(); }
    source.wanted = [this](index_t file, index_t block) {
        auto const place = static_cast<std::size_t>(file);
        return block >= begins_[place].first_block && job_.shard.has_block(todo_[place], block);
    };
    RecordSource records(std::move(files), source);
    BatchWriter writer(job_, *journal_, todo_, begins_, listener);
    return run_units(records, models, threads, job_.run, writer);
}

} // namespace strandwave

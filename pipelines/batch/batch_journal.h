#pragma once

#include "lib/core/view.h"
#include "pipelines/batch/batch_input.h"
#include "pipelines/batch/output_set.h"

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// What came of an input, or of the blocks of it that were done.
struct InputTally {
    index_t records = 0;             ///< read and not skipped
    index_t rows = 0;                ///< written
    index_t failed = 0;              ///< records, and the file itself
    index_t too_short = 0;           ///< records skipped
    index_t secondary = 0;           ///< alignments skipped
    index_t silent = 0;              ///< windows skipped
    index_t no_position = 0;         ///< units without a token
    index_t symbols = 0;             ///< bases or samples read
    index_t positions = 0;           ///< tokens or frames of the rows, strands and windows added up
    std::vector<index_t> class_rows; ///< of each label, then unclassified; empty where nothing is classified

    InputTally& operator+=(InputTally const& more);
    bool operator==(InputTally const&) const = default;
};

/// A record or file that failed.
struct FailedRecord {
    index_t ordinal = -1; ///< of the record in its file; -1: the file
    std::string name;     ///< of the record
    std::string code;     ///< error_code_name
    std::string message;

    bool operator==(FailedRecord const&) const = default;
};

/// A file that is complete.
struct WrittenFile {
    std::string name; ///< below the output folder
    index_t bytes = 0;
    std::string md5;

    bool operator==(WrittenFile const&) const = default;
};

struct DoneBlock {
    index_t block = 0;
    std::vector<index_t> sizes;   ///< of the files that grow, behind the block
    std::vector<std::string> md5; ///< of what they have grown by since the block before, their start with the first one
    InputTally tally;
    std::vector<FailedRecord> failures;
};

/// What the journal knows of an input.
struct InputJournal {
    std::string identity;           ///< of the input when it was read (input_identity)
    std::vector<std::string> parts; ///< the files that grow: what they will be called, below the output folder
    InputTally tally;               ///< of all its blocks that are done, and of what stands behind them
    std::vector<FailedRecord> failures;
    std::vector<DoneBlock> blocks;
    bool ended = false;
    // Of an input that ended:
    bool broken = false;
    bool has_last_block = true;   ///< this process had the last block, and what stands behind it
    std::vector<index_t> sizes;   ///< of the files that grow, where they were left for `merge`
    std::vector<std::string> md5; ///< of what they have grown by behind the last block
    std::vector<WrittenFile> files;
};

/// What a batch is, for --resume to be sure that it goes on with the same: names and values.
using JobSettings = std::map<std::string, std::string>;

struct JournalHeader {
    std::string version;
    JobSettings settings;
    OutputSpec outputs;             ///< but for the folder and threads
    std::vector<BatchInput> inputs; ///< all, those of other shards too
    index_t shard = 0;              ///< 0-based
    index_t shards = 1;
    bool shards_records = false;
};

/// journal.jsonl of an output folder: what is complete, a line each, as it becomes so. Inputs are known by the name of
/// their outputs. Lines are appended, and a last one that is not whole was never there. After a power loss the disk
/// may lack what was written last, of the journal or of a file that it vouches for. So a line that cannot be read was
/// never there either, nor what stands behind it; and lines give the MD5 of what they vouch for, to be compared
/// (part_check.h) before anybody relies on it.
class BatchJournal {
public:
    /// Begins a journal, which no other process may have open for writing. Throws io.
    BatchJournal(std::filesystem::path const& file, JournalHeader const& header);
    /// Goes on with one. Throws io, malformed_input.
    explicit BatchJournal(std::filesystem::path const& file);
    /// Only to be asked, never added to. Throws not_found, malformed_input.
    static std::unique_ptr<BatchJournal const> opened_to_read(std::filesystem::path const& file);
    BatchJournal(BatchJournal const&) = delete;
    BatchJournal& operator=(BatchJournal const&) = delete;

    /// And an input was begun: a run that ended before that, for want of a good option, has left nothing to go on with.
    static bool is_at(std::filesystem::path const& file);
    JournalHeader const& header() const noexcept { return header_; }
    void replace_header(JournalHeader const& header);
    index_t damaged_line() const noexcept { return damaged_line_; } ///< from 1: the first that is void; 0: none
    std::map<std::string, InputJournal> const& inputs() const noexcept { return inputs_; }
    /// Null for an input that the journal does not know.
    InputJournal const* find(std::string const& output) const;

    /// From here on what is added to a journal that holds its header only is kept in memory until `release` puts it
    /// into the file as a whole: a process that ends before that has left no batch. Throws io.
    void hold_back() noexcept { held_back_ = true; }
    void release();

    // Appended at once, unless they are held back; throw io.
    /// Forgets what was known of it.
    void begin_input(std::string const& output, std::string const& identity, std::vector<std::string> const& parts);
    void end_block(std::string const& output, DoneBlock const& block);
    /// Forgets the blocks of an input that has not ended, but for the first `count`.
    void keep_blocks(std::string const& output, std::size_t count);
    /// `last` has what `end_block` does not: failures outside of blocks, ended and what is below it.
    void end_input(std::string const& output, InputJournal const& last);

private:
    BatchJournal() = default;
    [[noreturn]] void fail(std::string const& what) const;
    void lock(int flags);
    index_t read();
    void take(std::string const& line);
    void append(std::string const& line);

    std::filesystem::path path_;
    /// Closes, and so unlocks, where a constructor throws too.
    struct Descriptor {
        int value = -1;
        ~Descriptor();
    };
    Descriptor descriptor_;
    JournalHeader header_;
    std::map<std::string, InputJournal> inputs_;
    index_t damaged_line_ = 0;
    bool held_back_ = false;
    std::string held_lines_;
};

/// Of files below `folder`. Throws io.
std::vector<WrittenFile> written_files(std::span<std::filesystem::path const> files,
                                       std::filesystem::path const& folder);

} // namespace strandwave

#include "pipelines/batch/merge_shards.h"

#include "formats/block_file.h"
#include "formats/checksum.h"
#include "lib/core/error.h"
#include "lib/core/folder.h"
#include "lib/core/partial_file.h"
#include "pipelines/batch/batch_run.h"
#include "pipelines/batch/part_check.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <system_error>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

/// The output folder of a shard.
struct ShardFolder {
    fs::path path;
    std::unique_ptr<BatchJournal const> journal;
};

/// In the order of their numbers, all of one job.
std::vector<ShardFolder> open_shards(std::vector<fs::path> const& paths) {
    std::vector<ShardFolder> shards;
    shards.reserve(paths.size());
    for (auto const& path : paths) {
        shards.push_back({path, BatchJournal::opened_to_read(path / kJournalName)});
    }
    std::sort(shards.begin(), shards.end(),
              [](auto const& a, auto const& b) { return a.journal->header().shard < b.journal->header().shard; });
    auto const& first = shards.front().journal->header();
    auto const refuse = [](fs::path const& folder, std::string const& what) {
        throw Error(ErrorCode::invalid_argument, folder.string() + ": " + what);
    };
    for (std::size_t i = 0; i < shards.size(); ++i) {
        auto const& header = shards[i].journal->header();
        bool const same = header.settings == first.settings && header.inputs == first.inputs &&
                          header.shards == first.shards && header.shards_records == first.shards_records;
        if (!same) { refuse(shards[i].path, "is of another job than " + shards.front().path.string()); }
        if (header.shard != static_cast<index_t>(i)) {
            refuse(shards[i].path, "is shard " + std::to_string(header.shard + 1) + " of " +
                                       std::to_string(header.shards) + ", and shard " + std::to_string(i + 1) +
                                       " is missing or another one is given twice");
        }
    }
    if (first.shards != static_cast<index_t>(shards.size())) {
        refuse(shards.front().path, "is one of " + std::to_string(first.shards) + " shards, and " +
                                        std::to_string(shards.size()) + " are given");
    }
    return shards;
}

InputJournal const& done_input(ShardFolder const& shard, BatchInput const& input) {
    auto const* const known = shard.journal->find(input.output.string());
    if (known == nullptr || !known->ended) {
        throw Error(ErrorCode::not_found, shard.path.string() + ": " + input.path.string() +
                                              " is not done; go on with that shard by --resume");
    }
    return *known;
}

void copy_file(WrittenFile const& file, fs::path const& from, fs::path const& to) {
    std::error_code error;
    auto const part = part_path(to / file.name);
    fs::create_directories(part.parent_path(), error);
    fs::copy_file(from / file.name, part, fs::copy_options::overwrite_existing, error);
    if (error) { throw Error(ErrorCode::io, (from / file.name).string() + ": cannot be copied: " + error.message()); }
    if (md5_of_file(part) != file.md5) {
        throw Error(ErrorCode::malformed_input,
                    (from / file.name).string() + ": is not as it was written; run the shard with --resume");
    }
    put_part_in_place(to / file.name, "");
}

/// Bytes begin to end of a file behind the end of another.
void append_bytes(fs::path const& from, index_t begin, index_t end, fs::path const& to) {
    std::ifstream source(from, std::ios::binary);
    std::ofstream target(to, std::ios::binary | std::ios::app);
    auto const require_written = [&] {
        if (!target) { throw Error(ErrorCode::io, to.string() + ": cannot be written: " + std::strerror(errno)); }
    };
    source.seekg(begin);
    std::vector<char> buffer(std::size_t{1} << 18);
    while (begin < end) {
        auto const now = std::min(end - begin, static_cast<index_t>(buffer.size()));
        if (!source.read(buffer.data(), now)) {
            throw Error(ErrorCode::malformed_input, from.string() + ": is shorter than it was written");
        }
        target.write(buffer.data(), now);
        require_written();
        begin += now;
    }
    target.close();
    require_written();
}

/// The bytes of a block, or of what stands behind the last one, in each file of a shard.
struct Stretch {
    index_t block = 0;
    std::size_t shard = 0;
    std::vector<index_t> begin, end;
};

/// Of all shards, in the order of the input. `start`: sizes of the files before the first block.
std::vector<Stretch> stretches_of(std::vector<ShardFolder> const& shards, BatchInput const& input,
                                  std::vector<index_t> const& start) {
    constexpr index_t kBehindAll = std::numeric_limits<index_t>::max();
    std::vector<Stretch> stretches;
    for (std::size_t i = 0; i < shards.size(); ++i) {
        auto const& known = done_input(shards[i], input);
        auto begin = start;
        for (auto const& block : known.blocks) {
            stretches.push_back({block.block, i, begin, block.sizes});
            begin = block.sizes;
        }
        if (known.has_last_block && !known.sizes.empty()) { stretches.push_back({kBehindAll, i, begin, known.sizes}); }
    }
    std::sort(stretches.begin(), stretches.end(), [](auto const& a, auto const& b) { return a.block < b.block; });
    return stretches;
}

/// That every shard is done with its inputs, and with the same files; before anything is written.
void check_done(std::vector<ShardFolder> const& shards, JournalHeader const& header) {
    for (std::size_t i = 0; i < header.inputs.size(); ++i) {
        auto const& input = header.inputs[i];
        if (!header.shards_records) {
            (void)done_input(shards[i % shards.size()], input);
            continue;
        }
        for (auto const& shard : shards) {
            if (done_input(shard, input).identity == done_input(shards.front(), input).identity) { continue; }
            throw Error(ErrorCode::invalid_argument, shard.path.string() + ": " + input.path.string() +
                                                         " was another file when this shard read it; run it again");
        }
    }
}

/// What all shards know of an input. Each has met the end of a file that broke, and has told of it.
InputJournal add_up(std::vector<ShardFolder> const& shards, BatchInput const& input) {
    InputJournal all;
    all.ended = true;
    for (auto const& shard : shards) {
        auto const& known = done_input(shard, input);
        all.broken = all.broken || known.broken;
        all.tally += known.tally;
        for (auto const& failure : known.failures) {
            if (failure.ordinal >= 0 || known.has_last_block) {
                all.failures.push_back(failure);
            } else {
                --all.tally.failed;
            }
        }
    }
    auto const place = [](FailedRecord const& failure) {
        return failure.ordinal < 0 ? std::numeric_limits<index_t>::max() : failure.ordinal;
    };
    std::stable_sort(all.failures.begin(), all.failures.end(),
                     [&place](auto const& a, auto const& b) { return place(a) < place(b); });
    return all;
}

/// Puts the blocks of an input together. Shards whose parts are not as they were written are refused.
std::vector<WrittenFile> join_blocks(std::vector<ShardFolder> const& shards, BatchInput const& input,
                                     OutputSpec const& spec, bool broken) {
    for (auto const& shard : shards) {
        if (!parts_as_written(done_input(shard, input), shard.path)) {
            throw Error(ErrorCode::malformed_input, shard.path.string() + ": the outputs of " + input.path.string() +
                                                        " are not as they were written; run the shard with --resume");
        }
    }
    std::vector<fs::path> paths;
    std::vector<index_t> sizes;
    {
        OutputSet fresh(spec, input, {});
        paths = fresh.paths();
        sizes = fresh.end_broken();
    }
    for (auto const& stretch : stretches_of(shards, input, sizes)) {
        for (std::size_t i = 0; i < paths.size(); ++i) {
            auto const& folder = shards[stretch.shard].path;
            auto const from = part_path(folder / paths[i].lexically_relative(spec.folder));
            append_bytes(from, stretch.begin[i], stretch.end[i], part_path(paths[i]));
            sizes[i] += stretch.end[i] - stretch.begin[i];
        }
    }
    return written_files(OutputSet(spec, input, sizes).finish(broken ? ".incomplete" : ""), spec.folder);
}

} // namespace

std::unique_ptr<BatchJournal> merge_shards(std::vector<fs::path> const& paths, fs::path const& out) {
    auto const shards = open_shards(paths);
    auto header = shards.front().journal->header();
    check_done(shards, header);
    for (auto const& shard : shards) {
        std::error_code ignored;
        if (fs::equivalent(shard.path, out, ignored)) {
            throw Error(ErrorCode::invalid_argument, out.string() + ": is a shard; merge into another folder");
        }
    }
    bool const by_records = header.shards_records;
    header.shard = 0;
    header.shards = 1;
    header.shards_records = false;
    make_folder(out);
    auto spec = header.outputs;
    spec.folder = out;

    auto journal = std::make_unique<BatchJournal>(out / kJournalName, header);
    journal->hold_back();
    remove_partial_files(out);
    for (std::size_t i = 0; i < header.inputs.size(); ++i) {
        auto const& input = header.inputs[i];
        auto const& shard = shards[i % shards.size()];
        auto const& known = done_input(shard, input);
        InputJournal done = known;
        if (by_records && shards.size() > 1) {
            done = add_up(shards, input);
            if (!known.parts.empty()) { done.files = join_blocks(shards, input, spec, done.broken); }
        } else {
            for (auto const& file : known.files) {
                copy_file(file, shard.path, out);
            }
        }
        journal->begin_input(input.output.string(), known.identity, known.parts);
        journal->end_input(input.output.string(), done);
    }
    return journal;
}

} // namespace strandwave

#include "formats/paired_reader.h"

#include "formats/guarded_reader.h"

#include <string_view>
#include <utility>

namespace strandwave {
namespace {

struct MateFile {
    std::unique_ptr<SequenceReader> reader;
    std::string name;
};

bool has_mate_ending(std::string_view name) {
    return name.size() >= 2 && name[name.size() - 2] == '/' && (name.back() == '1' || name.back() == '2');
}

void remove_mate_ending(std::string& name) {
    if (has_mate_ending(name)) { name.resize(name.size() - 2); }
}

/// '1' or '2' if the record says which mate it is, by "name/1" or as Casava 1.8 does by "1:N:" or "1:Y:"; else 0.
char mate_number(SequenceChunk const& chunk) {
    if (has_mate_ending(chunk.name)) { return chunk.name.back(); }
    std::string_view const text = chunk.description;
    bool const casava = text.size() >= 4 && (text[0] == '1' || text[0] == '2') && text[1] == ':' &&
                        (text[2] == 'N' || text[2] == 'Y') && text[3] == ':';
    return casava ? text[0] : '\0';
}

class PairedReader final : public GuardedReader {
public:
    /// Two files, or one with the mates in turn.
    explicit PairedReader(std::vector<MateFile> files) : files_(std::move(files)) {}

    index_t skipped_records() const override {
        index_t skipped = 0;
        for (auto const& file : files_) {
            skipped += file.reader->skipped_records();
        }
        return skipped;
    }

private:
    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (next_of(mate_, chunk, max_symbols) == ReadOutcome::end_of_stream) {
            check_both_end(chunk, max_symbols);
            return ReadOutcome::end_of_stream;
        }
        auto const number = mate_number(chunk);
        remove_mate_ending(chunk.name);
        if (chunk.first && mate_ == 0) {
            first_name_ = chunk.name;
            first_number_ = number;
        }
        if (chunk.first && mate_ == 1) { check_mates(chunk.name, number); }
        chunk.record = pair_;
        if (chunk.last) {
            pair_ += mate_;
            mate_ = 1 - mate_;
        }
        return ReadOutcome::chunk;
    }

    ReadOutcome next_of(index_t mate, SequenceChunk& chunk, index_t max_symbols) {
        auto outcome = file_of(mate).reader->next(chunk, max_symbols);
        if (!outcome) { throw outcome.error(); }
        return *outcome;
    }

    /// One of the files has ended, where mate_ was to come.
    void check_both_end(SequenceChunk& chunk, index_t max_symbols) {
        if (mate_ == 1) { throw without_mate(0, first_name_); }
        if (two_files() && next_of(1, chunk, max_symbols) == ReadOutcome::chunk) {
            remove_mate_ending(chunk.name);
            throw without_mate(1, chunk.name);
        }
    }

    Error without_mate(index_t mate, std::string const& name) const {
        auto const reason = two_files() ? file_of(1 - mate).name + " has no record " + std::to_string(pair_ + 1) +
                                              ", so it is cut short or not the file of the mates"
                                        : "the file ends behind it, so it is cut short or not interleaved";
        return {ErrorCode::truncated_input, file_of(mate).name + ": " + record(mate, name) + " has no mate: " + reason};
    }

    void check_mates(std::string const& name, char number) const {
        if (name != first_name_) {
            throw not_mates(name, "is not the mate of ", "; mates have one name and stand in one order");
        }
        if (number != '\0' && number == first_number_) {
            throw not_mates(name, std::string("says that it is mate ") + number + ", and so does ",
                            "; a pair is mate 1 and mate 2");
        }
    }

    Error not_mates(std::string const& name, std::string const& relation, std::string const& rule) const {
        return {ErrorCode::malformed_input, file_of(1).name + ": " + record(1, name) + " " + relation +
                                                record(0, first_name_) + (two_files() ? " of " + file_of(0).name : "") +
                                                rule};
    }

    std::string record(index_t mate, std::string const& name) const {
        auto const number = two_files() ? pair_ + 1 : 2 * pair_ + mate + 1;
        return "record " + std::to_string(number) + " (" + name + ")";
    }

    bool two_files() const { return files_.size() == 2; }
    MateFile const& file_of(index_t mate) const { return files_[two_files() ? static_cast<std::size_t>(mate) : 0]; }

    std::vector<MateFile> files_;
    index_t pair_ = 0;
    index_t mate_ = 0;       ///< of the pair: the one that the next chunk belongs to
    std::string first_name_; ///< of the pair's first record
    char first_number_ = '\0';
};

} // namespace

std::unique_ptr<SequenceReader> pair_readers(std::unique_ptr<SequenceReader> first,
                                             std::unique_ptr<SequenceReader> second, std::string first_name,
                                             std::string second_name) {
    std::vector<MateFile> files;
    files.push_back({std::move(first), std::move(first_name)});
    files.push_back({std::move(second), std::move(second_name)});
    return std::make_unique<PairedReader>(std::move(files));
}

std::unique_ptr<SequenceReader> check_interleaved(std::unique_ptr<SequenceReader> reader, std::string name) {
    std::vector<MateFile> files;
    files.push_back({std::move(reader), std::move(name)});
    return std::make_unique<PairedReader>(std::move(files));
}

} // namespace strandwave

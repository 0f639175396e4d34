#include "formats/region_reader.h"

#include "formats/byte_source.h"
#include "formats/guarded_reader.h"
#include "formats/sequence_letters.h"
#include "formats/text_cursor.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <htslib/faidx.h>
#include <unistd.h>
#include <unordered_map>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

constexpr index_t kFetchBases = index_t{1} << 20; // at a time, whatever the chunk: bounds what htslib allocates

struct DestroyIndex {
    void operator()(faidx_t* index) const noexcept { fai_destroy(index); }
};
using Index = std::unique_ptr<faidx_t, DestroyIndex>;

struct Free {
    void operator()(char* text) const noexcept { std::free(text); }
};

/// Builds `<fasta>.fai` (and `.gzi`) under other names first: an interrupted build leaves no half index.
void build_index(std::string const& fasta) {
    auto const folder = fs::path(fasta).parent_path();
    if (access(folder.c_str(), W_OK) != 0) {
        throw Error(ErrorCode::io, fasta + ": has no index, and none can be written to " + folder.string() +
                                       "; copy the file to a folder of yours");
    }
    auto const unfinished = "." + std::to_string(getpid()) + ".unfinished";
    auto const fai = fasta + ".fai";
    auto const gzi = fasta + ".gzi";
    bool const built = fai_build3(fasta.c_str(), (fai + unfinished).c_str(), (gzi + unfinished).c_str()) == 0;
    std::error_code error;
    if (built && fs::exists(gzi + unfinished)) { fs::rename(gzi + unfinished, gzi, error); }
    if (built && !error) { fs::rename(fai + unfinished, fai, error); }
    if (built && !error) { return; }
    std::error_code ignored;
    fs::remove(fai + unfinished, ignored);
    fs::remove(gzi + unfinished, ignored);
    if (error) { throw Error(ErrorCode::io, fasta + ": its index cannot be written: " + error.message()); }
    throw Error(ErrorCode::malformed_input, fasta + ": cannot be indexed; it must be FASTA with lines of one length a "
                                                    "record, plain or compressed by bgzip (not gzip)");
}

Index load_index(std::string const& fasta) {
    if (!fs::exists(fasta + ".fai")) { build_index(fasta); }
    Index index(fai_load3(fasta.c_str(), nullptr, nullptr, 0));
    if (!index) {
        throw Error(ErrorCode::io, fasta + ": its index " + fasta +
                                       ".fai (with .gzi, if compressed by bgzip) cannot be " +
                                       "read; delete it to have it built anew");
    }
    return index;
}

/// Sequence lengths by name, from the index itself: htslib 1.16 tells them as 32-bit numbers only.
std::unordered_map<std::string, index_t> read_lengths(std::string const& fai) {
    constexpr std::size_t kMaxLine = std::size_t{1} << 20;
    TextCursor text(BgzfSource(open_file_bytes(fai), fai, 0));
    std::unordered_map<std::string, index_t> lengths;
    std::string line;
    while (!text.at_end()) {
        auto const position = text.position();
        text.next_line(line, kMaxLine);
        auto const tab = std::min(line.find('\t'), line.size());
        index_t length = -1;
        if (tab < line.size()) { std::from_chars(line.data() + tab + 1, line.data() + line.size(), length); }
        if (length < 0) { throw text.error_at(position, ErrorCode::malformed_input, "not a line of a FASTA index"); }
        lengths.emplace(line.substr(0, tab), length);
    }
    return lengths;
}

/// Fills in the end and checks the region against the sequence it is in.
void resolve(Region& region, std::unordered_map<std::string, index_t> const& lengths, std::string const& fasta) {
    auto found = lengths.find(region.sequence);
    if (found == lengths.end() && (found = lengths.find(region.text)) != lengths.end()) {
        region.sequence = region.text; // a name that ends like a range: "HLA:01"
        region.start = 0;
        region.end = Region::kToEnd;
    }
    if (found == lengths.end()) {
        throw Error(ErrorCode::not_found,
                    "region " + region.text + ": " + fasta + " has no sequence named " + region.sequence);
    }
    auto const length = found->second;
    bool const to_end = region.end == Region::kToEnd;
    if (to_end) { region.end = length; }
    if (region.end > length || region.start > region.end || (to_end && region.start == length && length > 0)) {
        throw Error(ErrorCode::invalid_argument, "region " + region.text + ": reaches past the end of " +
                                                     region.sequence + ", which has " + std::to_string(length) +
                                                     " bases");
    }
}

class RegionReader final : public GuardedReader {
public:
    RegionReader(std::string fasta, Index index, std::vector<Region> regions)
        : fasta_(std::move(fasta)), index_(std::move(index)), regions_(std::move(regions)) {}

private:
    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (record_ == regions_.size()) { return ReadOutcome::end_of_stream; }
        auto const& region = regions_[record_];
        index_t const begin = region.start + offset_;
        index_t const count = std::min(max_symbols, region.end - begin);
        chunk = {.record = static_cast<index_t>(record_),
                 .name = region.sequence + ":" + std::to_string(region.start + 1) + "-" + std::to_string(region.end),
                 .description = region.description,
                 .offset = offset_,
                 .start = region.start,
                 .first = offset_ == 0,
                 .last = begin + count == region.end,
                 .symbols = std::move(chunk.symbols)};
        chunk.symbols.clear();
        for (index_t done = 0; done < count; done += kFetchBases) {
            append_bases(chunk.symbols, region, begin + done, std::min(kFetchBases, count - done));
        }
        offset_ += count;
        if (chunk.last) {
            ++record_;
            offset_ = 0;
        }
        return ReadOutcome::chunk;
    }

    void append_bases(std::string& symbols, Region const& region, index_t begin, index_t count) const {
        hts_pos_t got = 0;
        std::unique_ptr<char, Free> const bases(
            faidx_fetch_seq64(index_.get(), region.sequence.c_str(), begin, begin + count - 1, &got));
        std::string_view const text = bases ? std::string_view(bases.get(), static_cast<std::size_t>(got)) : "";
        if (got != count || count_sequence_letters(text) != text.size()) {
            throw Error(ErrorCode::malformed_input, fasta_ + ": base " + std::to_string(begin + 1) + " and on of " +
                                                        region.sequence + " are not where the index " + fasta_ +
                                                        ".fai says; delete the index to have it built anew");
        }
        symbols.append(text);
    }

    std::string fasta_;
    Index index_;
    std::vector<Region> regions_;
    std::size_t record_ = 0;
    index_t offset_ = 0; ///< bases of the current region given so far
};

} // namespace

std::unique_ptr<SequenceReader> open_regions(fs::path const& fasta, std::vector<Region> regions, index_t flank) {
    if (flank < 0) {
        throw Error(ErrorCode::invalid_argument,
                    "regions cannot be widened by " + std::to_string(flank) + " bases; 0 or more can be added");
    }
    if (is_read_only_once(fasta)) {
        throw Error(ErrorCode::unsupported, input_name(fasta) + ": regions need a file with an index, not a stream");
    }
    open_file_bytes(fasta);                             // throws when it is missing, a directory or not ours to read
    auto const absolute = fs::absolute(fasta).string(); // htslib never takes it for a URL
    auto index = load_index(absolute);
    auto const lengths = read_lengths(absolute + ".fai");
    for (auto& region : regions) {
        resolve(region, lengths, fasta.string());
        region = widened(region, flank, lengths.at(region.sequence));
    }
    return std::make_unique<RegionReader>(fasta.string(), std::move(index), std::move(regions));
}

} // namespace strandwave

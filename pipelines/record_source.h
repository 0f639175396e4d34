#pragma once

#include "formats/open_input.h"
#include "lib/encode/preprocessor_config.h"
#include "pipelines/extent.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// What becomes one row: a record, a window of a record, a region, or one channel of a recording.
struct Unit {
    index_t record = 0;   ///< 0-based over the whole run; windows of a record, and its strands, share it
    std::string file;     ///< as given by the caller
    std::string name;     ///< of the record; a recording's is its file as given, `:channel1` behind it for `each`
    index_t start = 0;    ///< 0-based, half-open, in bases or samples of the source record
    index_t end = 0;      ///< known at the unit's last piece
    bool reverse = false; ///< read as its reverse complement
    bool paired = false;  ///< one of the two units of a pair
    int mate = 0;         ///< of a pair: 0 or 1
    index_t file_index = 0;
    index_t ordinal = 0;       ///< 0-based in its file, among all records (or pairs) that the reader gives
    double sample_rate_hz = 0; ///< of a recording; 0 for DNA
};

/// The records of a file are cut into blocks by what is read alone: a block ends before the record (or pair) that would
/// come after so many records or symbols. What a run wrote of whole blocks need not be done again.
inline constexpr index_t kBlockRecords = 8192;
inline constexpr index_t kBlockSymbols = index_t{1} << 22;

/// A place between two records, where something begins or ends.
struct SourceMark {
    enum class Kind : std::uint8_t {
        block_begin,
        block_end,
        block_passed, ///< the begin of a block that is not wanted
        file_end      ///< every file has one, whether it could be opened or not
    };
    Kind kind = Kind::file_end;
    index_t file_index = 0;
    index_t block = -1;  ///< 0-based in its file; file_end: the last one, -1 if there is none
    index_t ordinal = 0; ///< of the next record
    // block_end: what the block held; file_end: what the last one did, where it broke off.
    index_t records = 0;   ///< not skipped
    index_t too_short = 0; ///< skipped
    index_t secondary = 0; ///< skipped
    index_t silent = 0;    ///< windows skipped
    index_t symbols = 0;
    bool broken = false;  ///< file_end: the file did not open, or ended in an error
    std::string identity; ///< block_begin, file_end: of the input when it was opened (input_identity)
};

/// A run of consecutive positions of one unit, ready for a Session. Units come one after another, in input order;
/// with StrandPolicy::both a unit comes twice, forward and then reverse.
struct UnitPiece {
    Unit unit;
    bool first = false;
    bool last = false;
    index_t positions = 0;
    std::vector<std::int32_t> tokens; ///< [positions], or
    std::vector<float> frames;        ///< [positions, frame_length]
    /// Set: the unit cannot be read; the piece is empty. If pieces of the unit came before, drop them. An error that
    /// concerns a whole file (it does not open, it is truncated) comes as a unit too, named like the last record and
    /// with record -1 unless it tore that record.
    std::optional<Error> failure;
    bool file_broken = false;       ///< with `failure`: nothing more of its file is read
    std::optional<SourceMark> mark; ///< set: the piece is no unit but this
};

struct RecordSourceOptions {
    PreprocessorConfig preprocessor;
    InputOptions input;
    index_t frame_length = 0; ///< of the model, 0 for one that reads tokens
    bool whole_units = false; ///< a unit is one piece (bidirectional models)
    bool in_memory = false; ///< a unit lies in memory even where it could stream, so that its first piece knows its end
    std::optional<Extent> window, stride; ///< stride defaults to window
    index_t min_length = 1;               ///< shorter records are skipped; >= 1, so that empty ones always are
    index_t limit = 0;                    ///< records; 0 = all
    index_t max_unit_symbols = 0;         ///< of a unit that has to lie whole in memory; 0 = no limit
    std::filesystem::path bed;            ///< regions of an indexed FASTA instead of its records,
    std::vector<std::string> regions;     ///< and "chr:a-b", 1-based and closed as samtools has it
    index_t flank = 0;                    ///< bases to add to both ends of a region
    double silence_dbfs = 0;  ///< below 0: windows whose root mean square is below this (0 dB: amplitude 1) are skipped
    bool interleaved = false; ///< records 2i and 2i + 1 of a file are mates
    std::vector<std::filesystem::path> mates; ///< of each file, the file with its mates; empty: there is none
    bool marks = false;                       ///< also give SourceMarks, as pieces
    /// Whether a block (file index, number) is read; the others are passed over. Empty: all are.
    std::function<bool(index_t, index_t)> wanted = {};
};

/// What was read so far.
struct SourceCounts {
    index_t records = 0;        ///< begun and not skipped
    index_t too_short = 0;      ///< skipped: under min_length
    index_t secondary = 0;      ///< skipped: secondary and supplementary alignments
    index_t silent = 0;         ///< windows skipped: under silence_dbfs
    index_t source_symbols = 0; ///< bases or samples read
    NucleotideCounts letters;   ///< of what was encoded
    std::filesystem::path file; ///< the one being read
    index_t files_done = 0;
};

/// Turns files into encoded units. Streams in bounded memory where it can: a record without a window, forward, of a
/// causal model. Elsewhere a unit lies in memory; one that exceeds `max_unit_symbols` fails as too_large.
///
/// Windows start at 0, stride, 2 stride, ...; a window is cut from the source symbols and encoded on its own, so it
/// equals the same piece in a file of its own. The last one may be short: it is kept if it holds half a window or
/// more, or is the record's only one; none starts once a window has reached the end of the record.
///
/// Mates of a pair share the number of their record and are units of their own, one behind the other.
///
/// A record that fails (a letter refused by policy) is passed over and the file goes on, a pair with both its mates; a
/// file that breaks is left and the next one is read. Not thread-safe.
class RecordSource {
public:
    /// Throws invalid_argument for options that contradict one another, and what read_bed throws. Opens no input yet.
    RecordSource(std::vector<std::filesystem::path> files, RecordSourceOptions options);
    ~RecordSource();

    /// Fills `piece` with at most `max_positions` (>= 1) positions, more only if whole_units. False at the end.
    /// Throws what open_regions throws: a region that is not there is an error of set-up.
    bool next(UnitPiece& piece, index_t max_positions);

    SourceCounts const& counts() const noexcept;
    bool reads_sound() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace strandwave

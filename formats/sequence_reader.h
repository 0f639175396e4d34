#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// What a call to a reader gave. An error is neither of these: it travels in the `Result`.
enum class ReadOutcome : std::uint8_t { chunk, end_of_stream };

/// A run of consecutive bases of one record. Owns its data.
struct SequenceChunk {
    index_t record = 0;      ///< 0-based number of the record among those that the reader gives
    std::string name;        ///< up to the first white space of the header; the region for `name:start-end` reads
    std::string description; ///< the rest of the header line, may be empty
    index_t offset = 0;      ///< 0-based position of `symbols[0]` in the record, in bases
    index_t start = 0;       ///< 0-based position of the record in its source sequence; not 0 only for regions
    bool first = false;      ///< the record starts with this chunk
    bool last = false;       ///< the record ends with it; a record without symbols is one chunk, first and last
    std::string symbols;     ///< letters as the file has them (case kept), no white space
};

/// Streams the records of one DNA file in bounded memory: a chromosome never lies whole in memory.
/// After an error or `end_of_stream` the reader is spent. Not thread-safe.
class SequenceReader {
public:
    virtual ~SequenceReader() = default;

    /// Fills `chunk` with at most `max_symbols` (>= 1) bases. How a file is cut into chunks never changes the records.
    /// Errors: truncated_input, malformed_input, io; the message names file, record, offset and reason.
    virtual Result<ReadOutcome> next(SequenceChunk& chunk, index_t max_symbols) = 0;

    /// Records passed over by policy so far (secondary and supplementary alignments).
    virtual index_t skipped_records() const { return 0; }
};

/// Choices that concern only some formats; the defaults suit all of them.
struct SequenceReaderOptions {
    bool keep_secondary = false;     ///< SAM/BAM/CRAM: also secondary and supplementary records
    std::filesystem::path reference; ///< CRAM: FASTA to decode with; never fetched from the network
    int decompression_threads = 0; ///< that decompress beside the caller: BGZF, BAM and CRAM use all, gzip and FLAC one
    int trim_quality = 0;          ///< FASTQ, SAM, BAM, CRAM: cut 3' ends by this Phred quality, 1 to 93; 0: do not
};

} // namespace strandwave

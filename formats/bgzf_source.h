#pragma once

#include "formats/file_bytes.h"
#include "lib/core/error.h"
#include "lib/core/view.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace strandwave {

/// The text of a plain, gzip (one or more members) or BGZF stream, through htslib and libdeflate. What is cut or
/// damaged is an error and never an early end: a gzip stream that stops inside a member, bytes after the last member, a
/// bad checksum, and a BGZF stream without its empty last block. Only a cut between two gzip members, and any cut of
/// plain text, leaves no trace.
class BgzfSource {
public:
    /// `name` is what messages call the input. With `threads` > 0 threads of their own decompress ahead, in bounded
    /// memory: as many as that for BGZF, one for gzip. 0: the caller does it, as has to be where the stream may have to
    /// wait (a pipe): a thread that waits could not be ended.
    /// Throws truncated_input when a seekable BGZF file lacks its last block, malformed_input.
    BgzfSource(FileBytes file, std::string name, int threads);
    ~BgzfSource();
    BgzfSource(BgzfSource&& other) noexcept;
    BgzfSource& operator=(BgzfSource&&) = delete;

    /// The next bytes, to be used and changed until the next call, and with them the byte in front; none only at the
    /// end of the stream. Where they have to be waited for (a pipe), as few as come: who writes two pipes may wait at
    /// the other one. (Of gzip htslib wants 64 KiB at a time.) Throws truncated_input, malformed_input, io, telling how
    /// far the text was good.
    std::span<char> next();

    std::string const& name() const noexcept;

private:
    class Stream;
    class Runs;

    std::unique_ptr<Stream> stream_;
    std::unique_ptr<Runs> runs_;
    std::optional<Error> failure_; ///< behind what was given last
};

} // namespace strandwave

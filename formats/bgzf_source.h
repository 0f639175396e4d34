#pragma once

#include "formats/file_bytes.h"
#include "lib/core/view.h"

#include <memory>
#include <span>
#include <string>

struct BGZF;

namespace strandwave {

/// The text of a plain, gzip (one or more members) or BGZF stream, through htslib. What is cut or damaged is an error
/// and never an early end: a gzip stream that stops inside a member, bytes after the last member, a bad checksum, and a
/// BGZF stream without its empty last block. Only a cut between two gzip members, and any cut of plain text, leaves no
/// trace.
class BgzfSource {
public:
    /// `name` is what messages call the input. `threads` > 0 adds that many to decompress BGZF (gzip has no use for
    /// them). Throws truncated_input when a seekable BGZF file lacks its last block, malformed_input.
    BgzfSource(FileBytes file, std::string name, int threads);

    /// Fills `out` from its start and returns how many bytes; 0 only at the end of the stream.
    /// Throws truncated_input, malformed_input, io, telling how far the text was good.
    std::size_t read(std::span<char> out);

    std::string const& name() const noexcept { return name_; }

private:
    struct Close {
        void operator()(BGZF* stream) const noexcept;
    };
    [[noreturn]] void fail() const;

    std::string name_;
    std::unique_ptr<BGZF, Close> stream_;
    index_t bytes_read_ = 0;
};

} // namespace strandwave

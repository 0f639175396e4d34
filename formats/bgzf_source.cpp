#include "formats/bgzf_source.h"

#include "lib/core/error.h"

#include <array>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>

namespace strandwave {
namespace {

constexpr int kBgzf = 2;         // what bgzf_compression() says of it
constexpr int kBlocksAhead = 64; // per thread

/// htslib takes a gzip stream too short for a whole header (18 bytes) for plain text.
bool is_gzip_stub(hFILE* file) {
    std::array<unsigned char, 18> magic{};
    auto const size = hpeek(file, magic.data(), magic.size());
    return size >= 2 && size < 18 && magic[0] == 0x1f && magic[1] == 0x8b;
}

} // namespace

void BgzfSource::Close::operator()(BGZF* stream) const noexcept { bgzf_close(stream); }

BgzfSource::BgzfSource(FileBytes file, std::string name, int threads) : name_(std::move(name)) {
    if (is_gzip_stub(file.get())) {
        throw Error(ErrorCode::truncated_input, name_ + ": ends inside its gzip header; copy or download it again");
    }
    stream_.reset(bgzf_hopen(file.get(), "r"));
    if (!stream_) { throw Error(ErrorCode::malformed_input, name_ + ": its compressed data cannot be read"); }
    static_cast<void>(file.release()); // the stream closes it
    if (bgzf_compression(stream_.get()) != kBgzf) { return; }
    if (bgzf_check_EOF(stream_.get()) == 0) {
        throw Error(ErrorCode::truncated_input,
                    name_ + ": has no BGZF end marker, so it is cut short; copy or download it again");
    }
    if (threads > 0) { bgzf_mt(stream_.get(), threads, kBlocksAhead); }
}

std::size_t BgzfSource::read(std::span<char> out) {
    auto const size = bgzf_read(stream_.get(), out.data(), out.size());
    if (size < 0) { fail(); }
    // A pipe cannot be asked for its end marker in advance.
    if (size == 0 && stream_->no_eof_block) {
        throw Error(ErrorCode::truncated_input, name_ + ": ends after " + std::to_string(bytes_read_) +
                                                    " bytes of text without a BGZF end marker, so it is cut short");
    }
    bytes_read_ += size;
    return static_cast<std::size_t>(size);
}

void BgzfSource::fail() const {
    auto const where = " after " + std::to_string(bytes_read_) + " bytes of text";
    if (stream_->is_compressed && (stream_->errcode & BGZF_ERR_IO) != 0) {
        throw Error(ErrorCode::truncated_input, name_ + ": compressed data ends early," + where);
    }
    if (stream_->is_compressed) {
        throw Error(ErrorCode::malformed_input, name_ + ": compressed data is damaged or cut short," + where);
    }
    throw Error(ErrorCode::io, name_ + ": cannot be read further," + where);
}

} // namespace strandwave

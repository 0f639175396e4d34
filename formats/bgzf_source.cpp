#include "formats/bgzf_source.h"

#include "formats/read_ahead.h"
#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>

namespace strandwave {
namespace {

constexpr int kPlain = 0; // what bgzf_compression() says of it
constexpr int kBgzf = 2;
constexpr std::size_t kAheadBytes = 256UL * 1024;

/// htslib takes a gzip stream too short for a whole header (18 bytes) for plain text.
bool is_gzip_stub(hFILE* file) {
    std::array<unsigned char, 18> magic{};
    auto const size = hpeek(file, magic.data(), magic.size());
    return size >= 2 && size < 18 && magic[0] == 0x1f && magic[1] == 0x8b;
}

} // namespace

class BgzfSource::Stream {
public:
    Stream(FileBytes file, std::string name) : name_(std::move(name)) {
        if (is_gzip_stub(file.get())) {
            throw Error(ErrorCode::truncated_input, name_ + ": ends inside its gzip header; copy or download it again");
        }
        stream_.reset(bgzf_hopen(file.get(), "r"));
        if (!stream_) { throw Error(ErrorCode::malformed_input, name_ + ": its compressed data cannot be read"); }
        static_cast<void>(file.release()); // the stream closes it
        if (compression() == kBgzf && bgzf_check_EOF(stream_.get()) == 0) {
            throw Error(ErrorCode::truncated_input,
                        name_ + ": has no BGZF end marker, so it is cut short; copy or download it again");
        }
    }

    int compression() const { return bgzf_compression(stream_.get()); }
    std::string const& name() const noexcept { return name_; }

    std::size_t read(std::span<char> out) {
        if (failed_) { fail(); }
        std::size_t size = 0;
        while (size < out.size()) {
            auto const piece = read_piece(out.subspan(size));
            failed_ = piece < 0;
            if (failed_ && size == 0) { fail(); }
            if (piece <= 0) { break; } // what stands before the damage is good
            size += static_cast<std::size_t>(piece);
        }
        // A pipe cannot be asked for its end marker in advance.
        if (size == 0 && stream_->no_eof_block) {
            throw Error(ErrorCode::truncated_input, name_ + ": ends after " + std::to_string(bytes_read_) +
                                                        " bytes of text without a BGZF end marker, so it is cut short");
        }
        bytes_read_ += static_cast<index_t>(size);
        return size;
    }

private:
    struct Close {
        void operator()(BGZF* stream) const noexcept { bgzf_close(stream); }
    };

    /// Of one block: bgzf_read forgets what it has read when the next one is damaged.
    ssize_t read_piece(std::span<char> out) {
        auto const ready = stream_->block_length - stream_->block_offset;
        return bgzf_read(stream_.get(), out.data(),
                         ready > 0 ? std::min(out.size(), static_cast<std::size_t>(ready)) : 1);
    }

    [[noreturn]] void fail() const {
        auto const where = " after " + std::to_string(bytes_read_) + " bytes of text";
        if (stream_->is_compressed && (stream_->errcode & BGZF_ERR_IO) != 0) {
            throw Error(ErrorCode::truncated_input, name_ + ": compressed data ends early," + where);
        }
        if (stream_->is_compressed) {
            throw Error(ErrorCode::malformed_input, name_ + ": compressed data is damaged or cut short," + where);
        }
        throw Error(ErrorCode::io, name_ + ": cannot be read further," + where);
    }

    std::string name_;
    std::unique_ptr<BGZF, Close> stream_;
    index_t bytes_read_ = 0;
    bool failed_ = false; ///< behind what was given last
};

/// The stream decompressed by a thread of its own.
class BgzfSource::Ahead {
public:
    explicit Ahead(Stream& stream) : blocks_([&stream](Block& block) { return fill(stream, block); }) {}

    std::size_t read(std::span<char> out) {
        if (rest_.empty()) {
            auto const* const block = blocks_.next();
            if (block == nullptr) { return 0; }
            rest_ = {block->bytes.get(), block->size};
        }
        auto const size = std::min(out.size(), rest_.size());
        std::memcpy(out.data(), rest_.data(), size);
        rest_ = rest_.subspan(size);
        return size;
    }

private:
    struct Block {
        std::unique_ptr<char[]> bytes = std::make_unique_for_overwrite<char[]>(kAheadBytes);
        std::size_t size = 0;
    };

    static bool fill(Stream& stream, Block& block) {
        block.size = stream.read({block.bytes.get(), kAheadBytes});
        return block.size > 0;
    }

    ReadAhead<Block> blocks_;
    std::span<char const> rest_; ///< of the block in use
};

BgzfSource::BgzfSource(FileBytes file, std::string name, int threads)
    : stream_(std::make_unique<Stream>(std::move(file), std::move(name))) {
    // Not htslib's threads for BGZF: they take twice the time, and one is faster than all that reads the text.
    if (threads > 0 && stream_->compression() != kPlain) { ahead_ = std::make_unique<Ahead>(*stream_); }
}

BgzfSource::~BgzfSource() = default;
BgzfSource::BgzfSource(BgzfSource&& other) noexcept = default;

std::size_t BgzfSource::read(std::span<char> out) { return ahead_ ? ahead_->read(out) : stream_->read(out); }

std::string const& BgzfSource::name() const noexcept { return stream_->name(); }

} // namespace strandwave

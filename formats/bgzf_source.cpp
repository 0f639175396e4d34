#include "formats/bgzf_source.h"

#include "formats/bgzf_blocks.h"
#include "formats/read_ahead.h"
#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

namespace strandwave {
namespace {

constexpr int kPlain = 0; // what bgzf_compression() says of it
constexpr int kBgzf = 2;

/// htslib takes a gzip stream too short for a whole header (18 bytes) for plain text.
bool is_gzip_stub(hFILE* file) {
    std::array<unsigned char, 18> magic{};
    auto const size = hpeek(file, magic.data(), magic.size());
    return size >= 2 && size < 18 && magic[0] == 0x1f && magic[1] == 0x8b;
}

bool is_file(int descriptor) {
    struct stat status {};
    return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

} // namespace

class BgzfSource::Stream {
public:
    Stream(FileBytes file, std::string name)
        : name_(std::move(name)), descriptor_(file.get_deleter().descriptor), waits_(!is_file(descriptor_)) {
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
        if (compression() == kBgzf) { blocks_.emplace(stream_.get(), name_, waits_); }
    }

    int compression() const { return bgzf_compression(stream_.get()); }
    std::string const& name() const noexcept { return name_; }

    /// BGZF is only read here, everything else decompressed too; false at the end.
    bool fetch(BgzfRun& run) {
        if (blocks_) { return blocks_->fetch(run); }
        run.size = read({run.text(), TextBlock::kBytes});
        return run.size > 0;
    }

    void decompress(BgzfRun& run) const {
        if (blocks_) { blocks_->decompress(run); }
    }

private:
    struct Close {
        void operator()(BGZF* stream) const noexcept { bgzf_close(stream); }
    };

    std::size_t read(std::span<char> out) {
        if (failed_) { fail(); }
        std::size_t size = 0;
        while (size < out.size()) {
            auto const piece = read_piece(out.subspan(size));
            failed_ = piece < 0;
            if (failed_ && size == 0) { fail(); }
            if (piece <= 0) { break; } // what stands before the damage is good
            size += static_cast<std::size_t>(piece);
            if (waits_) { break; }
        }
        bytes_read_ += static_cast<index_t>(size);
        return size;
    }

    /// How many bytes are there, at most `most`; waits for the first one. At the end, `most`.
    std::size_t ready(std::size_t most) const {
        auto* const file = stream_->fp;
        char first = 0;
        if (hpeek(file, &first, 1) != 1) { return most; }
        int waiting = 0;
        if (ioctl(descriptor_, FIONREAD, &waiting) != 0) { waiting = 0; }
        return std::min(most, static_cast<std::size_t>(file->end - file->begin + waiting));
    }

    /// Of one block: bgzf_read forgets what it has read when the next one is damaged.
    ssize_t read_piece(std::span<char> out) {
        if (compression() == kPlain) {
            return bgzf_raw_read(stream_.get(), out.data(), waits_ ? ready(out.size()) : out.size());
        }
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
    int descriptor_; ///< of stream_
    bool waits_;     ///< for whoever writes a pipe
    std::unique_ptr<BGZF, Close> stream_;
    std::optional<BgzfBlocks> blocks_; ///< of stream_, if it is BGZF
    index_t bytes_read_ = 0;
    bool failed_ = false; ///< behind what was given last
};

/// Where the runs come from: threads of their own, or the caller.
class BgzfSource::Runs {
public:
    explicit Runs(Stream& stream, int threads) : stream_(stream) {
        if (threads == 0) { return; }
        ahead_.emplace([&stream](BgzfRun& run) { return stream.fetch(run); },
                       [&stream](BgzfRun& run) { stream.decompress(run); }, threads);
    }

    /// Null at the end.
    BgzfRun* next() {
        if (ahead_) { return ahead_->next(); }
        if (!stream_.fetch(run_)) { return nullptr; }
        stream_.decompress(run_);
        return &run_;
    }

private:
    Stream& stream_;
    BgzfRun run_; ///< where the caller decompresses
    std::optional<ReadAhead<BgzfRun>> ahead_;
};

BgzfSource::BgzfSource(FileBytes file, std::string name, int threads)
    : stream_(std::make_unique<Stream>(std::move(file), std::move(name))) {
    auto const compression = stream_->compression();
    int const useful = compression == kPlain ? 0 : compression == kBgzf ? threads : std::min(threads, 1);
    runs_ = std::make_unique<Runs>(*stream_, useful);
}

BgzfSource::~BgzfSource() = default;
BgzfSource::BgzfSource(BgzfSource&& other) noexcept = default;

std::span<char> BgzfSource::next() {
    if (failure_) { throw Error(*failure_); }
    while (auto* const run = runs_->next()) {
        failure_ = run->failure;
        if (run->size > 0) { return {run->text(), run->size}; }
        if (failure_) { throw Error(*failure_); }
    }
    return {};
}

std::string const& BgzfSource::name() const noexcept { return stream_->name(); }

} // namespace strandwave

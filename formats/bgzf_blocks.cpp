#include "formats/bgzf_blocks.h"

#include <algorithm>
#include <array>
#include <htslib/bgzf.h>
#include <libdeflate.h>
#include <new>

namespace strandwave {
namespace {

constexpr std::size_t kMaxBytes = 64UL * 1024; // of a block, and of its text
constexpr std::size_t kHeaderBytes = 18;
constexpr std::size_t kFooterBytes = 8;
constexpr std::size_t kCompressedBytes = TextBlock::kBytes + kMaxBytes;

std::uint32_t little_endian(unsigned char const* bytes, int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
        value |= std::uint32_t{bytes[i]} << (8 * i);
    }
    return value;
}

/// gzip, deflate, with an extra field of 6 bytes: "BC", of 2 bytes, which are the size.
bool is_header(unsigned char const* bytes) {
    constexpr std::array<unsigned char, 6> kExtra = {6, 0, 'B', 'C', 2, 0};
    return bytes[0] == 0x1f && bytes[1] == 0x8b && bytes[2] == 8 && (bytes[3] & 4) != 0 &&
           std::equal(kExtra.begin(), kExtra.end(), bytes + 10);
}

std::string after(index_t offset) { return " after " + std::to_string(offset) + " bytes of text"; }

bool decompress_block(libdeflate_decompressor* decompressor, unsigned char const* member, BgzfRun::Block const& block,
                      char* text) {
    auto const* const footer = member + block.size - kFooterBytes;
    auto const done = libdeflate_deflate_decompress(
        decompressor, member + kHeaderBytes, block.size - kHeaderBytes - kFooterBytes, text, block.text_size, nullptr);
    return done == LIBDEFLATE_SUCCESS && libdeflate_crc32(0, text, block.text_size) == little_endian(footer, 4);
}

} // namespace

void BgzfRun::FreeDecompressor::operator()(libdeflate_decompressor* used) const noexcept {
    libdeflate_free_decompressor(used);
}

bool BgzfBlocks::fetch(BgzfRun& run) {
    if (!run.compressed) { run.compressed = std::make_unique_for_overwrite<unsigned char[]>(kCompressedBytes); }
    run.blocks.clear();
    run.failure.reset();
    run.text_offset = text_offset_;
    try {
        while (!ended_ && fetch_block(run) && !one_by_one_) {}
    } catch (Error const& error) {
        ended_ = true;
        run.failure = error;
    }
    return !run.blocks.empty() || run.failure;
}

/// False at the end, and where the run has no room for another block.
bool BgzfBlocks::fetch_block(BgzfRun& run) {
    auto const begin = run.blocks.empty() ? 0 : run.blocks.back().begin + run.blocks.back().size;
    auto const text_size = static_cast<std::size_t>(text_offset_ - run.text_offset);
    if (begin + kMaxBytes > kCompressedBytes || text_size + kMaxBytes > TextBlock::kBytes) { return false; }

    auto* const member = run.compressed.get() + begin;
    auto const size = read_member(member);
    ended_ = size == 0;
    if (ended_) { return false; }
    auto const claimed = little_endian(member + size - 4, 4);
    if (claimed > kMaxBytes) { throw damaged(text_offset_); }
    run.blocks.push_back({begin, size, claimed});
    text_offset_ += static_cast<index_t>(claimed);
    last_was_empty_ = claimed == 0;
    return true;
}

/// Returns its size; 0 at the end.
std::size_t BgzfBlocks::read_member(unsigned char* to) {
    auto const header = read(to, kHeaderBytes);
    if (header == 0 && last_was_empty_) { return 0; }
    if (header == 0) {
        throw Error(ErrorCode::truncated_input, name_ + ": ends after " + std::to_string(text_offset_) +
                                                    " bytes of text without a BGZF end marker, so it is cut short");
    }
    if (header < kHeaderBytes) { throw cut_short(); }
    auto const size = std::size_t{little_endian(to + 16, 2)} + 1;
    if (!is_header(to) || size < kHeaderBytes + kFooterBytes) { throw damaged(text_offset_); }
    auto const rest = size - kHeaderBytes;
    if (read(to + kHeaderBytes, rest) < rest) { throw cut_short(); }
    return size;
}

std::size_t BgzfBlocks::read(unsigned char* to, std::size_t bytes) {
    auto const got = bgzf_raw_read(stream_, to, bytes);
    if (got < 0) { throw Error(ErrorCode::io, name_ + ": cannot be read further," + after(text_offset_)); }
    return static_cast<std::size_t>(got);
}

void BgzfBlocks::decompress(BgzfRun& run) const {
    if (!run.decompressor) { run.decompressor.reset(libdeflate_alloc_decompressor()); }
    if (!run.decompressor) { throw std::bad_alloc(); }
    run.size = 0;
    for (auto const& block : run.blocks) {
        auto const* const member = run.compressed.get() + block.begin;
        if (!decompress_block(run.decompressor.get(), member, block, run.text() + run.size)) {
            run.failure = damaged(run.text_offset + static_cast<index_t>(run.size));
            return;
        }
        run.size += block.text_size;
    }
}

Error BgzfBlocks::damaged(index_t offset) const {
    return {ErrorCode::malformed_input, name_ + ": compressed data is damaged or cut short," + after(offset)};
}

Error BgzfBlocks::cut_short() const {
    return {ErrorCode::truncated_input, name_ + ": compressed data ends early," + after(text_offset_)};
}

} // namespace strandwave

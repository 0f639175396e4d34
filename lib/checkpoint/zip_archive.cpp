#include "lib/checkpoint/zip_archive.h"

#include "lib/core/error.h"

#include <cstdint>
#include <cstring>

namespace strandwave {
namespace {

using Bytes = std::span<std::byte const>;
using Members = std::map<std::string, Bytes>;

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kCentralHeader = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint64_t kLocalHeaderBytes = 30;
constexpr std::uint64_t kCentralHeaderBytes = 46;
constexpr std::uint64_t kEndBytes = 22;
constexpr std::uint64_t kEnd64Bytes = 56;
constexpr std::uint64_t kEnd64LocatorBytes = 20;
constexpr std::uint64_t kMaxComment = 0xffff;
constexpr std::uint32_t kIn64 = 0xffffffff; ///< a 32-bit field that says: see the ZIP64 record
constexpr std::uint16_t kZip64Extra = 0x0001;

[[noreturn]] void malformed(std::string const& what) {
    throw Error(ErrorCode::malformed_checkpoint, "zip archive: " + what);
}

Bytes slice(Bytes bytes, std::uint64_t offset, std::uint64_t size, char const* what) {
    if (offset > bytes.size() || size > bytes.size() - offset) {
        malformed(std::string(what) + " at byte " + std::to_string(offset) + " passes the end");
    }
    return bytes.subspan(offset, size);
}

/// A little-endian number at `offset`, which the caller's slice is known to hold.
template <class T>
T number(Bytes bytes, std::uint64_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof(T));
    return value;
}

struct Directory {
    std::uint64_t entries = 0;
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
};

/// The end record is the last thing in the file but for a comment, whose length it states.
std::uint64_t find_end(Bytes file) {
    for (std::uint64_t comment = 0; comment <= kMaxComment && comment + kEndBytes <= file.size(); ++comment) {
        std::uint64_t const at = file.size() - kEndBytes - comment;
        if (number<std::uint32_t>(file, at) == kEnd && number<std::uint16_t>(file, at + 20) == comment) { return at; }
    }
    throw Error(ErrorCode::truncated_input, "zip archive: no end record; the file is cut, or not a zip archive");
}

Directory read_end64(Bytes file, std::uint64_t end) {
    if (end < kEnd64LocatorBytes) { malformed("no room for the ZIP64 locator"); }
    auto const locator = file.subspan(end - kEnd64LocatorBytes, kEnd64LocatorBytes);
    if (number<std::uint32_t>(locator, 0) != kEnd64Locator) { malformed("the ZIP64 locator is missing"); }
    auto const record = slice(file, number<std::uint64_t>(locator, 8), kEnd64Bytes, "the ZIP64 end record");
    if (number<std::uint32_t>(record, 0) != kEnd64) { malformed("the ZIP64 end record is missing"); }
    return {number<std::uint64_t>(record, 32), number<std::uint64_t>(record, 48), number<std::uint64_t>(record, 40)};
}

Directory read_end(Bytes file) {
    auto const at = find_end(file);
    Directory const directory = {number<std::uint16_t>(file, at + 10), number<std::uint32_t>(file, at + 16),
                                 number<std::uint32_t>(file, at + 12)};
    bool const in64 = directory.entries == 0xffff || directory.offset == kIn64 || directory.size == kIn64;
    return in64 ? read_end64(file, at) : directory;
}

/// Sizes and offset of one member; those that the entry leaves to its ZIP64 field are filled in from there, in order.
struct Extent {
    std::uint64_t stored = 0;
    std::uint64_t offset = 0;

    Extent(Bytes header, Bytes extra, std::string const& name)
        : stored(number<std::uint32_t>(header, 20)), offset(number<std::uint32_t>(header, 42)) {
        std::uint64_t unpacked = number<std::uint32_t>(header, 24);
        if (unpacked == kIn64 || stored == kIn64 || offset == kIn64) {
            auto field = zip64_field(extra, name);
            for (auto* value : {&unpacked, &stored, &offset}) {
                if (*value != kIn64) { continue; }
                if (field.size() < 8) { malformed("the ZIP64 field of '" + name + "' is too short"); }
                *value = number<std::uint64_t>(field, 0);
                field = field.subspan(8);
            }
        }
        if (unpacked != stored) { malformed("member '" + name + "' has two different sizes"); }
    }

private:
    static Bytes zip64_field(Bytes extra, std::string const& name) {
        while (extra.size() >= 4) {
            auto const size = number<std::uint16_t>(extra, 2);
            auto const content = slice(extra, 4, size, "an extra field");
            if (number<std::uint16_t>(extra, 0) == kZip64Extra) { return content; }
            extra = extra.subspan(4U + size);
        }
        malformed("member '" + name + "' lacks its ZIP64 field");
    }
};

Bytes member_bytes(Bytes file, Extent const& extent) {
    auto const local = slice(file, extent.offset, kLocalHeaderBytes, "a member's header");
    if (number<std::uint32_t>(local, 0) != kLocalHeader) {
        malformed("no member header at byte " + std::to_string(extent.offset));
    }
    std::uint64_t const skip = kLocalHeaderBytes + number<std::uint16_t>(local, 26) + number<std::uint16_t>(local, 28);
    return slice(file, extent.offset + skip, extent.stored, "a member");
}

} // namespace

Members read_zip_directory(Bytes file) {
    auto const where = read_end(file);
    auto directory = slice(file, where.offset, where.size, "the directory");
    Members members;
    for (std::uint64_t entry = 0; entry < where.entries; ++entry) {
        auto const header = slice(directory, 0, kCentralHeaderBytes, "a directory entry");
        if (number<std::uint32_t>(header, 0) != kCentralHeader) {
            malformed("directory entry " + std::to_string(entry) + " is broken");
        }
        auto const name_size = number<std::uint16_t>(header, 28);
        auto const extra_size = number<std::uint16_t>(header, 30);
        auto const comment_size = number<std::uint16_t>(header, 32);
        auto const name_bytes = slice(directory, kCentralHeaderBytes, name_size, "a member name");
        std::string const name(reinterpret_cast<char const*>(name_bytes.data()), name_bytes.size());
        auto const extra = slice(directory, kCentralHeaderBytes + name_size, extra_size, "an extra field");

        if ((number<std::uint16_t>(header, 8) & 1U) != 0 || number<std::uint16_t>(header, 10) != 0) {
            throw Error(ErrorCode::unsupported, "zip archive: member '" + name +
                                                    "' is compressed or encrypted; torch.save stores members as is");
        }
        if (!members.emplace(name, member_bytes(file, Extent(header, extra, name))).second) {
            malformed("member '" + name + "' is there twice");
        }
        auto const used = kCentralHeaderBytes + name_size + extra_size + comment_size;
        directory = directory.subspan(slice(directory, 0, used, "a directory entry").size());
    }
    if (!directory.empty()) { malformed("the directory holds more than its end record counts"); }
    return members;
}

} // namespace strandwave

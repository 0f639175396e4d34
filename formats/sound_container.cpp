#include "formats/sound_container.h"

#include "lib/core/view.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace strandwave {
namespace {

using namespace std::string_view_literals;

enum class Endian : std::uint8_t { little, big };

/// A file of chunks: an id, a size, then that many bytes, padded to `alignment`.
struct ChunkLayout {
    index_t first;            ///< where the first chunk starts
    index_t id_bytes;         ///< at least 4; the first 4 tell
    index_t size_bytes;       ///< 4 or 8
    Endian endian;            ///< of the sizes
    index_t alignment;        ///< of chunk starts
    bool size_covers_header;  ///< the size counts id and size too
    std::string_view data_id; ///< the chunk that holds the samples
};

constexpr ChunkLayout kRiff{12, 4, 4, Endian::little, 2, false, "data"};
constexpr ChunkLayout kRifx{12, 4, 4, Endian::big, 2, false, "data"};
constexpr ChunkLayout kW64{40, 16, 8, Endian::little, 8, true, "data"};
constexpr ChunkLayout kAiff{12, 4, 4, Endian::big, 2, false, "SSND"};
constexpr ChunkLayout kCaf{8, 4, 8, Endian::big, 1, false, "data"};

class File {
public:
    explicit File(std::filesystem::path const& path) : stream_(path, std::ios::binary), name_(path.string()) {
        std::error_code failed;
        auto const size = std::filesystem::file_size(path, failed);
        if (!failed) { size_ = static_cast<index_t>(size); }
    }
    bool is_open() const { return stream_.is_open(); }
    index_t size() const { return size_; }
    std::string const& name() const { return name_; }

    /// Bytes `at .. at + bytes`, or as many of them as the file holds.
    std::string bytes(index_t at, index_t bytes) {
        std::string content(static_cast<std::size_t>(std::clamp<index_t>(size_ - at, 0, bytes)), '\0');
        stream_.clear();
        stream_.seekg(at);
        stream_.read(content.data(), static_cast<std::streamsize>(content.size()));
        content.resize(static_cast<std::size_t>(stream_.gcount()));
        return content;
    }

private:
    std::ifstream stream_;
    std::string name_;
    index_t size_ = 0;
};

std::uint64_t number(std::string_view bytes, Endian endian) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        auto const at = endian == Endian::big ? i : bytes.size() - 1 - i;
        value = value << 8 | static_cast<unsigned char>(bytes[at]);
    }
    return value;
}

Error cut(File const& file, std::string const& reason) {
    return Error(ErrorCode::truncated_input,
                 file.name() + ": " + reason + "; the file is cut off: copy or record it again");
}

Result<ContainerLength> check_promise(File const& file, std::uint64_t promised, index_t data_at) {
    auto const present = static_cast<std::uint64_t>(std::max<index_t>(0, file.size() - data_at));
    if (promised <= present) { return ContainerLength::fits; }
    return cut(file, "the header promises " + std::to_string(promised) + " bytes of samples, but the file ends after " +
                         std::to_string(present) + " of them");
}

/// Goes from chunk to chunk up to the samples.
Result<ContainerLength> check_chunks(File& file, ChunkLayout const& layout) {
    std::optional<std::uint64_t> long_size; // RF64 keeps the true size of its data chunk in a chunk before it
    auto const riff_size = static_cast<std::uint32_t>(number(file.bytes(4, 4), Endian::little));
    index_t at = layout.first;
    for (;;) {
        auto const header_bytes = layout.id_bytes + layout.size_bytes;
        auto const header = file.bytes(at, header_bytes);
        if (static_cast<index_t>(header.size()) < header_bytes) { return cut(file, "ends before its samples begin"); }
        auto const id = std::string_view(header).substr(0, 4);
        auto size = number(std::string_view(header).substr(static_cast<std::size_t>(layout.id_bytes)), layout.endian);
        bool const all_ones = size == (layout.size_bytes == 8 ? std::numeric_limits<std::uint64_t>::max()
                                                              : std::numeric_limits<std::uint32_t>::max());
        if (layout.size_covers_header) {
            size -= std::min<std::uint64_t>(size, static_cast<std::uint64_t>(header_bytes));
        }
        at += header_bytes;
        if (id == layout.data_id) {
            if (long_size && all_ones) { return check_promise(file, *long_size, at); }
            if (layout.first == kRiff.first && layout.data_id == kRiff.data_id && layout.endian == Endian::little &&
                wav_length_unknown(riff_size, static_cast<std::uint32_t>(size))) {
                return ContainerLength::unknown;
            }
            if (all_ones) { return ContainerLength::fits; } // CAF: "up to the end of the file"
            return check_promise(file, size, at);
        }
        if (id == "ds64") { long_size = number(file.bytes(at + 8, 8), Endian::little); }
        auto const rest = static_cast<std::uint64_t>(file.size() - at);
        if (size > rest) { return cut(file, "ends inside the header chunk '" + std::string(id) + "'"); }
        at += static_cast<index_t>(size);
        at = (at + layout.alignment - 1) / layout.alignment * layout.alignment;
    }
}

Result<ContainerLength> check_au(File const& file, std::string_view head) {
    auto const endian = head.substr(0, 4) == ".snd"sv ? Endian::big : Endian::little;
    auto const data_at = number(head.substr(4, 4), endian);
    auto const size = number(head.substr(8, 4), endian);
    if (size == std::numeric_limits<std::uint32_t>::max()) { return ContainerLength::fits; }
    return check_promise(file, size, static_cast<index_t>(data_at));
}

/// The last page of an Ogg stream carries a mark, and nothing of it may be missing.
Result<ContainerLength> check_ogg(File& file) {
    constexpr index_t kLongestPage = 27 + 255 + 255 * 255;
    constexpr std::size_t kPageHeader = 27;
    auto const tail = file.bytes(std::max<index_t>(0, file.size() - 2 * kLongestPage), 2 * kLongestPage);
    auto const page = tail.rfind("OggS\0"sv);
    if (page == std::string::npos || tail.size() - page < kPageHeader) { return cut(file, "ends inside an Ogg page"); }
    auto const byte = [&](std::size_t at) { return static_cast<unsigned char>(tail[at]); };
    auto const segments = page + kPageHeader;
    std::size_t end = segments + byte(page + 26);
    for (std::size_t i = segments; i < segments + byte(page + 26) && i < tail.size(); ++i) {
        end += byte(i);
    }
    if (end > tail.size()) { return cut(file, "ends inside an Ogg page"); }
    bool const last_page = (byte(page + 5) & 4U) != 0;
    if (!last_page) { return cut(file, "the last Ogg page is not marked as the end of the stream"); }
    return ContainerLength::fits;
}

} // namespace

bool wav_length_unknown(std::uint32_t riff_size, std::uint32_t data_size) noexcept {
    constexpr std::uint32_t kSox = 0x7ffff000;
    constexpr std::uint32_t kLongestFrame = 64;
    if (data_size == 0) { return riff_size == 0 || riff_size == 0xffffffffU; }
    return data_size == 0xffffffffU || data_size == 0x80000000U ||
           (data_size <= kSox && data_size > kSox - kLongestFrame);
}

Result<ContainerLength> check_container_length(std::filesystem::path const& path) {
    File file(path);
    if (!file.is_open()) { return Error(ErrorCode::io, path.string() + ": cannot be opened: " + std::strerror(errno)); }
    auto const head = file.bytes(0, 12);
    if (head.size() < 12) { return ContainerLength::fits; } // libsndfile will say what it is not
    auto const id = std::string_view(head).substr(0, 4);
    if (id == "RIFF"sv || id == "RF64"sv) { return check_chunks(file, kRiff); }
    if (id == "RIFX"sv) { return check_chunks(file, kRifx); }
    if (id == "riff"sv) { return check_chunks(file, kW64); }
    if (id == "FORM"sv) { return check_chunks(file, kAiff); }
    if (id == "caff"sv) { return check_chunks(file, kCaf); }
    if (id == ".snd"sv || id == "dns."sv) { return check_au(file, head); }
    if (id == "OggS"sv) { return check_ogg(file); }
    return ContainerLength::fits;
}

} // namespace strandwave

#include "formats/npy_header.h"

#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

namespace strandwave {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kMagic = "\x93NUMPY"sv;
constexpr index_t kMaxHeaderBytes = 1 << 16;
constexpr std::size_t kMaxRank = 32; // NumPy's own limit
constexpr std::size_t kLeastHeaderBytes = 128;

/// The header is a Python dict literal with three known keys, written by numpy.save:
/// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
public:
    explicit HeaderParser(std::string_view text) : rest_(text) {}

    struct Header {
        std::optional<std::string> descr; ///< a structured dtype (a list) is given as its text
        std::optional<bool> fortran_order;
        std::optional<std::vector<index_t>> shape;
    };

    std::optional<Header> parse() {
        Header header;
        if (!take("{")) { return std::nullopt; }
        while (!take("}")) {
            auto const key = string();
            if (!key || !take(":")) { return std::nullopt; }
            bool read = false;
            if (*key == "descr" && !header.descr) { read = (header.descr = descr()).has_value(); }
            if (*key == "fortran_order" && !header.fortran_order) {
                read = (header.fortran_order = boolean()).has_value();
            }
            if (*key == "shape" && !header.shape) { read = (header.shape = shape()).has_value(); }
            if (!read) { return std::nullopt; }
            take(",");
        }
        skip_space();
        if (!rest_.empty() || !header.descr || !header.fortran_order || !header.shape) { return std::nullopt; }
        return header;
    }

private:
    void skip_space() {
        auto const first = rest_.find_first_not_of(" \t\r\n"sv);
        rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
    }
    bool take(std::string_view token) {
        skip_space();
        if (rest_.substr(0, token.size()) != token) { return false; }
        rest_.remove_prefix(token.size());
        return true;
    }
    std::optional<std::string> string() {
        skip_space();
        if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) { return std::nullopt; }
        auto const end = rest_.find(rest_[0], 1);
        if (end == std::string_view::npos) { return std::nullopt; }
        std::string value(rest_.substr(1, end - 1));
        rest_.remove_prefix(end + 1);
        return value;
    }
    std::optional<std::string> descr() {
        if (auto simple = string()) { return simple; }
        auto const end = rest_.find(']');
        if (rest_.empty() || rest_[0] != '[' || end == std::string_view::npos) { return std::nullopt; }
        std::string value(rest_.substr(0, end + 1));
        rest_.remove_prefix(end + 1);
        return value;
    }
    std::optional<bool> boolean() {
        if (take("True")) { return true; }
        if (take("False")) { return false; }
        return std::nullopt;
    }
    std::optional<std::vector<index_t>> shape() {
        std::vector<index_t> extents;
        if (!take("(")) { return std::nullopt; }
        while (!take(")")) {
            skip_space();
            index_t extent = -1;
            auto const [end, failure] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
            if (failure != std::errc() || extent < 0 || extents.size() == kMaxRank) { return std::nullopt; }
            rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
            extents.push_back(extent);
            if (!take(",")) {
                if (!take(")")) { return std::nullopt; }
                break;
            }
        }
        return extents;
    }

    std::string_view rest_;
};

Error malformed(std::string const& name, std::string const& reason) {
    return Error(ErrorCode::malformed_input, name + ": not a .npy file: " + reason);
}

/// Reads magic, version, length and the header text; leaves the stream at the first value.
Result<std::string> read_header_text(std::istream& stream, std::string const& name) {
    std::array<char, 8> start{};
    stream.read(start.data(), start.size());
    if (stream.gcount() < static_cast<std::streamsize>(start.size())) {
        return Error(ErrorCode::truncated_input, name + ": ends before the header of a .npy file is complete");
    }
    if (std::string_view(start.data(), kMagic.size()) != kMagic) {
        return malformed(name, "it does not start with \\x93NUMPY");
    }
    int const version = static_cast<unsigned char>(start[6]);
    if (version < 1 || version > 3) { return malformed(name, "format version " + std::to_string(version)); }
    std::array<unsigned char, 4> length{};
    std::streamsize const length_bytes = version == 1 ? 2 : 4;
    stream.read(reinterpret_cast<char*>(length.data()), length_bytes);
    index_t const bytes =
        index_t{length[0]} | index_t{length[1]} << 8 | index_t{length[2]} << 16 | index_t{length[3]} << 24;
    if (stream.gcount() == length_bytes && bytes > kMaxHeaderBytes) {
        return malformed(name, "a header of " + std::to_string(bytes) + " bytes");
    }
    std::string text(static_cast<std::size_t>(bytes), '\0');
    stream.read(text.data(), bytes);
    if (!stream) {
        return Error(ErrorCode::truncated_input, name + ": ends before the header of a .npy file is complete");
    }
    return text;
}

} // namespace

index_t npy_element_count(std::vector<index_t> const& shape, index_t element_bytes) {
    index_t count = 1;
    for (index_t const extent : shape) {
        if (extent == 0) { return 0; }
    }
    for (index_t const extent : shape) {
        if (count > std::numeric_limits<index_t>::max() / element_bytes / extent) { return -1; }
        count *= extent;
    }
    return count;
}

Result<OpenedNpy> open_npy(std::filesystem::path const& path, std::string_view descr, std::string_view numpy_type,
                           index_t element_bytes) {
    auto const name = path.string();
    std::error_code failed;
    auto const status = std::filesystem::status(path, failed);
    if (status.type() == std::filesystem::file_type::not_found) {
        return Error(ErrorCode::not_found, name + ": no such file");
    }
    if (!std::filesystem::is_regular_file(status)) {
        return Error(ErrorCode::io, name + ": not a regular file, which a .npy input has to be");
    }
    OpenedNpy opened;
    opened.stream.open(path, std::ios::binary);
    if (!opened.stream) { return Error(ErrorCode::io, name + ": cannot be opened: " + std::strerror(errno)); }
    auto text = read_header_text(opened.stream, name);
    if (!text) { return text.error(); }
    auto header = HeaderParser(*text).parse();
    if (!header) { return malformed(name, "its header cannot be understood: " + text->substr(0, 200)); }
    if (*header->descr != descr) {
        return Error(ErrorCode::unsupported, name + ": holds '" + *header->descr + "' values where '" +
                                                 std::string(descr) + "' are needed; convert with x.astype(\"" +
                                                 std::string(numpy_type) + "\")");
    }
    if (*header->fortran_order && header->shape->size() > 1) {
        return Error(ErrorCode::unsupported, name + ": is in Fortran order; convert with numpy.ascontiguousarray(x)");
    }
    opened.shape = *header->shape;
    opened.size = npy_element_count(opened.shape, element_bytes);
    auto const present = static_cast<index_t>(std::filesystem::file_size(path, failed)) - opened.stream.tellg();
    if (failed) { return Error(ErrorCode::io, name + ": " + failed.message()); }
    // What the file holds bounds every allocation, whatever the shape says.
    if (opened.size < 0 || opened.size * element_bytes > present) {
        return Error(ErrorCode::truncated_input, name + ": the shape promises " +
                                                     (opened.size < 0 ? std::string("more than 2^63")
                                                                      : std::to_string(opened.size * element_bytes)) +
                                                     " bytes of values, but the file holds " + std::to_string(present));
    }
    if (opened.size * element_bytes < present) {
        return malformed(name, std::to_string(present - opened.size * element_bytes) + " bytes stand behind the array");
    }
    return opened;
}

std::string npy_header(std::string_view descr, std::vector<index_t> const& shape) {
    std::string dict = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
    for (index_t const extent : shape) {
        dict += std::to_string(extent) + ", ";
    }
    if (shape.size() > 1) { dict.resize(dict.size() - 2); }
    dict += "), }";
    std::size_t const prefix = kMagic.size() + 4;
    std::size_t const total = std::max<std::size_t>(kLeastHeaderBytes, (prefix + dict.size() + 1 + 63) / 64 * 64);
    dict.resize(total - prefix - 1, ' ');
    auto const length = static_cast<std::uint16_t>(dict.size() + 1);
    std::string header(kMagic);
    header += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
    return header + dict + "\n";
}

} // namespace strandwave

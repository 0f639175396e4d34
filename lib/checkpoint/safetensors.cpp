#include "lib/checkpoint/safetensors.h"

#include "lib/checkpoint/mapped_file.h"
#include "lib/checkpoint/safetensors_header.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>

namespace strandwave {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

[[noreturn]] void malformed(std::filesystem::path const& path, std::string const& what) {
    throw Error(ErrorCode::malformed_checkpoint, path.string() + ": " + what);
}

std::string_view read_header_text(std::filesystem::path const& path, std::span<std::byte const> file) {
    auto const truncated = [&](std::string const& what) {
        throw Error(ErrorCode::truncated_input,
                    path.string() + ": ends after " + std::to_string(file.size()) + " bytes, inside " + what);
    };
    if (file.size() < kLengthBytes) { truncated("the header length"); }
    std::uint64_t length = 0;
    std::memcpy(&length, file.data(), kLengthBytes);
    if (length > kMaxHeaderBytes) {
        malformed(path, "not a safetensors file: its header would be " + std::to_string(length) +
                            " bytes long, above the 100 MB that the format allows");
    }
    if (length > file.size() - kLengthBytes) { truncated("its header of " + std::to_string(length) + " bytes"); }
    return {reinterpret_cast<char const*>(file.data()) + kLengthBytes, length};
}

/// The tensors must tile the data exactly: from 0, without hole or overlap, to the end of the file.
void check_tiling(std::filesystem::path const& path, std::vector<SafetensorsEntry> const& sorted, std::uint64_t end) {
    std::uint64_t expected = 0;
    for (auto const& entry : sorted) {
        if (entry.begin != expected || entry.end < entry.begin) {
            malformed(path, "tensor '" + entry.name + "' has data_offsets [" + std::to_string(entry.begin) + ", " +
                                std::to_string(entry.end) + "], but the data before it ends at " +
                                std::to_string(expected));
        }
        if (entry.end > end) {
            throw Error(ErrorCode::truncated_input, path.string() + ": tensor '" + entry.name + "' ends at byte " +
                                                        std::to_string(entry.end) + " of the data, but the file has " +
                                                        std::to_string(end));
        }
        auto const bytes = tensor_bytes(entry.dtype, entry.shape);
        if (bytes < 0 || static_cast<std::uint64_t>(bytes) != entry.end - entry.begin) {
            malformed(path, "tensor '" + entry.name + "' of shape " + shape_text(entry.shape) + " and type " +
                                std::string(dtype_name(entry.dtype)) + " has " +
                                std::to_string(entry.end - entry.begin) + " bytes");
        }
        expected = entry.end;
    }
    if (expected != end) { malformed(path, std::to_string(end - expected) + " bytes at the end belong to no tensor"); }
}

} // namespace

void read_safetensors(std::filesystem::path const& path, TensorStore& store) {
    auto const file = std::make_shared<MappedFile const>(path);
    auto const text = read_header_text(path, file->bytes());
    std::vector<SafetensorsEntry> entries;
    try {
        entries = parse_safetensors_header(text);
    } catch (Error const& error) { throw Error(error.code(), path.string() + ": " + error.message()); }

    auto const data = file->bytes().subspan(kLengthBytes + text.size());
    std::sort(entries.begin(), entries.end(), [](SafetensorsEntry const& a, SafetensorsEntry const& b) {
        return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    check_tiling(path, entries, data.size());
    store.keep(file);
    for (auto& entry : entries) {
        if (store.find(entry.name) != nullptr) {
            malformed(path, "tensor '" + entry.name + "' is in another file of this checkpoint too");
        }
        store.add(std::move(entry.name),
                  {entry.dtype, std::move(entry.shape), data.subspan(entry.begin, entry.end - entry.begin)});
    }
}

void write_safetensors(std::filesystem::path const& path, std::span<TensorToWrite const> tensors) {
    std::vector<SafetensorsEntry> entries;
    std::set<std::string_view> names;
    std::uint64_t offset = 0;
    for (auto const& tensor : tensors) {
        auto const bytes = tensor_bytes(tensor.dtype, tensor.shape);
        if (bytes < 0 || static_cast<std::size_t>(bytes) != tensor.bytes.size()) {
            throw Error(ErrorCode::invalid_argument, path.string() + ": tensor '" + tensor.name + "' of shape " +
                                                         shape_text(tensor.shape) + " comes with " +
                                                         std::to_string(tensor.bytes.size()) + " bytes");
        }
        if (!names.insert(tensor.name).second) {
            throw Error(ErrorCode::invalid_argument, path.string() + ": two tensors named '" + tensor.name + "'");
        }
        entries.push_back({tensor.name, tensor.dtype, tensor.shape, offset, offset + tensor.bytes.size()});
        offset += tensor.bytes.size();
    }
    std::string header = write_safetensors_header(entries);
    header.append((kLengthBytes - header.size() % kLengthBytes) % kLengthBytes,
                  ' '); // aligned data, as others write it

    std::uint64_t const length = header.size();
    std::vector<std::span<std::byte const>> pieces = {std::as_bytes(std::span(&length, 1)),
                                                      std::as_bytes(std::span(header))};
    for (auto const& tensor : tensors) {
        pieces.push_back(tensor.bytes);
    }
    write_file_whole(path, pieces);
}

} // namespace strandwave

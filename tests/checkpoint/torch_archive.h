#pragma once

#include "tests/checkpoint/checkpoint_support.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {

/// Writes a zip archive of stored members; what a test wants to be wrong is a field here.
struct ZipWriter {
    std::vector<std::pair<std::string, std::string>> members;
    bool zip64 = false; ///< sizes, offsets and the directory in ZIP64 fields, as in archives above 4 GiB
    std::uint16_t method = 0;

    std::string bytes() const {
        std::string file;
        std::string directory;
        for (auto const& [name, content] : members) {
            auto const size = le(static_cast<std::uint32_t>(content.size()));
            auto const offset = file.size();
            auto const name_size = le(static_cast<std::uint16_t>(name.size()));
            std::string const head = le(std::uint16_t{0}) + le(std::uint16_t{0}) + le(method) + le(std::uint32_t{0});
            file += "PK\3\4" + head + le(std::uint32_t{0}) + size + size + name_size + le(std::uint16_t{3}) + name +
                    "pad" + content;
            std::string extra;
            auto listed_size = size;
            auto listed_offset = le(static_cast<std::uint32_t>(offset));
            if (zip64) {
                extra = le(std::uint16_t{1}) + le(std::uint16_t{24}) + le(std::uint64_t{content.size()}) +
                        le(std::uint64_t{content.size()}) + le(std::uint64_t{offset});
                listed_size = listed_offset = "\xff\xff\xff\xff";
            }
            directory += std::string("PK\1\2") + le(std::uint16_t{0}) + head + le(std::uint32_t{0}) + listed_size +
                         listed_size + name_size + le(static_cast<std::uint16_t>(extra.size())) +
                         std::string(10, '\0') + listed_offset + name + extra;
        }
        auto const start = file.size();
        file += directory;
        auto const count = static_cast<std::uint16_t>(members.size());
        if (!zip64) {
            return file + "PK\5\6" + le(std::uint32_t{0}) + le(count) + le(count) +
                   le(static_cast<std::uint32_t>(directory.size())) + le(static_cast<std::uint32_t>(start)) +
                   le(std::uint16_t{0});
        }
        auto const end = file.size();
        file += "PK\6\6" + le(std::uint64_t{44}) + le(std::uint32_t{0}) + le(std::uint64_t{0}) +
                le(std::uint64_t{count}) + le(std::uint64_t{count}) + le(std::uint64_t{directory.size()}) +
                le(std::uint64_t{start});
        file += "PK\6\7" + le(std::uint32_t{0}) + le(std::uint64_t{end}) + le(std::uint32_t{1});
        return file + "PK\5\6" + std::string(4, '\0') + std::string(12, '\xff') + le(std::uint16_t{0});
    }
};

// Fragments of pickle programs, named after what they put on the stack.
namespace pickle {

inline std::string const kStart = "\x80\x02";
inline std::string const kDict = "}";
inline std::string const kOrderedDict = "ccollections\nOrderedDict\n)R";

inline std::string text(std::string const& value) { return "X" + le(static_cast<std::uint32_t>(value.size())) + value; }
inline std::string integer(std::int32_t value) { return "J" + le(value); }
inline std::string tuple(std::string const& items) { return "(" + items + "t"; }
inline std::string global(std::string const& module, std::string const& name) {
    return "c" + module + "\n" + name + "\n";
}

struct TensorText {
    std::string key = "0";
    std::string storage = "FloatStorage";
    std::int32_t storage_size = 6;
    std::int32_t offset = 0;
    std::vector<std::int32_t> shape = {2, 3};
    std::vector<std::int32_t> stride = {3, 1};

    std::string operator()() const {
        auto const reference =
            tuple(text("storage") + global("torch", storage) + text(key) + text("cpu") + integer(storage_size)) + "Q";
        auto const list = [](std::vector<std::int32_t> const& values) {
            std::string items;
            for (auto const value : values) {
                items += integer(value);
            }
            return tuple(items);
        };
        return global("torch._utils", "_rebuild_tensor_v2") +
               tuple(reference + integer(offset) + list(shape) + list(stride) + "\x89" + kOrderedDict) + "R";
    }
};

/// A dict of the entries, each a key and a program for its value.
inline std::string dict(std::map<std::string, std::string> const& entries, std::string const& empty = kDict) {
    std::string program = empty + "(";
    for (auto const& [name, value] : entries) {
        program += text(name) + value;
    }
    return program + "u";
}

} // namespace pickle

/// A torch.save archive of the pickle program `value`, with a storage "0" of the floats 1 to 6.
inline ZipWriter torch_archive(std::string const& value) {
    std::string storage;
    for (int i = 1; i <= 6; ++i) {
        storage += le(static_cast<float>(i));
    }
    return {{{"any name/data.pkl", pickle::kStart + value + "."},
             {"any name/byteorder", "little"},
             {"any name/data/0", storage},
             {"any name/version", "3\n"}}};
}

} // namespace strandwave

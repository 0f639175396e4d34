#include "lib/checkpoint/mapped_file.h"
#include "lib/checkpoint/safetensors.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/checkpoint/torch_pickle.h"
#include "lib/core/error.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIndexBytes = std::size_t{8} << 20;

TensorStore read_file(fs::path const& path) {
    TensorStore store;
    auto const extension = path.extension();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt") {
        read_torch_pickle(path, store);
    } else {
        read_safetensors(path, store);
    }
    return store;
}

/// `weight_map` of a shard index: tensor name to file name. Files beside the index only.
std::map<std::string, std::string> read_weight_map(fs::path const& path) {
    auto const malformed = [&](std::string const& what) {
        throw Error(ErrorCode::malformed_checkpoint, path.string() + ": " + what);
    };
    MappedFile const file(path);
    if (file.bytes().size() > kMaxIndexBytes) { malformed("larger than 8 MiB"); }
    auto const* const text = reinterpret_cast<char const*>(file.bytes().data());
    auto const index = nlohmann::json::parse(text, text + file.bytes().size(), nullptr, false);
    if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
        malformed("not a JSON object with an object 'weight_map'");
    }
    std::map<std::string, std::string> files;
    for (auto const& [tensor, shard] : index["weight_map"].items()) {
        if (!shard.is_string()) { malformed("the file of tensor '" + tensor + "' is no text"); }
        auto const name = shard.get<std::string>();
        if (name.empty() || fs::path(name).filename() != name || name == "." || name == "..") {
            malformed("tensor '" + tensor + "' lies in '" + name + "', which is no plain file name");
        }
        files.emplace(tensor, name);
    }
    return files;
}

TensorStore read_shards(fs::path const& index) {
    auto const files = read_weight_map(index);
    std::set<std::string> shards;
    for (auto const& [tensor, shard] : files) {
        shards.insert(shard);
    }
    TensorStore store;
    for (auto const& shard : shards) {
        read_safetensors(index.parent_path() / shard, store);
    }
    for (auto const& [tensor, shard] : files) {
        if (store.find(tensor) == nullptr) {
            throw Error(ErrorCode::malformed_checkpoint,
                        index.string() + ": tensor '" + tensor + "' is not in '" + shard + "'");
        }
    }
    for (auto const& [tensor, value] : store.tensors()) {
        if (!files.contains(tensor)) {
            throw Error(ErrorCode::malformed_checkpoint,
                        index.string() + ": tensor '" + tensor + "' is in a shard, but not in the index");
        }
    }
    return store;
}

std::vector<fs::path> files_with(fs::path const& directory, std::initializer_list<char const*> extensions) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
        auto const extension = entry->path().extension();
        if (std::find(extensions.begin(), extensions.end(), extension) != extensions.end()) {
            found.push_back(entry->path());
        }
    }
    if (error) { throw Error(ErrorCode::io, directory.string() + ": cannot list: " + error.message()); }
    return found;
}

} // namespace

TensorStore open_checkpoint(fs::path const& path) {
    std::error_code error;
    if (!fs::is_directory(path, error)) { return read_file(path); }
    if (fs::exists(path / "model.safetensors", error)) { return read_file(path / "model.safetensors"); }
    if (auto const index = path / "model.safetensors.index.json"; fs::exists(index, error)) {
        return read_shards(index);
    }
    if (fs::exists(path / "pytorch_model.bin", error)) { return read_file(path / "pytorch_model.bin"); }

    auto found = files_with(path, {".safetensors"});
    if (found.empty()) { found = files_with(path, {".bin", ".pt"}); }
    if (found.empty()) {
        throw Error(ErrorCode::not_found, path.string() + ": no weights: no *.safetensors, *.bin or *.pt");
    }
    if (found.size() > 1) {
        std::sort(found.begin(), found.end());
        throw Error(ErrorCode::not_found, path.string() + ": which file holds the weights? There are " +
                                              found[0].filename().string() + ", " + found[1].filename().string() +
                                              (found.size() > 2 ? " and more" : "") +
                                              ", and none is named model.safetensors or pytorch_model.bin");
    }
    return read_file(found.front());
}

} // namespace strandwave

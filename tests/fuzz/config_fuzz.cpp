#include "lib/model/config.h"

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/model/tensor_names.h"
#include "tests/support/memory_file.h"
#include "tests/support/temp_dir.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>

namespace {

using namespace strandwave;

/// The tensors of one layer of width 2, without content that anybody reads.
TensorStore tiny_model(std::string const& backbone, std::string const& embedding, std::string const& mixer) {
    static std::byte const zeros[256] = {};
    TensorStore store;
    auto const add = [&](std::string const& name, std::vector<index_t> shape) {
        auto const bytes = static_cast<std::size_t>(tensor_bytes(DType::f32, shape));
        store.add(name, {DType::f32, std::move(shape), {zeros, bytes}});
    };
    std::string const layer = backbone + "layers.0.";
    std::string const at = layer + mixer;
    add(backbone + embedding, {8, 2});
    add(layer + "norm.weight", {2});
    add(at + "in_proj.weight", {8, 2});
    add(at + "conv1d.weight", {4, 1, 4});
    add(at + "conv1d.bias", {4});
    add(at + "x_proj.weight", {5, 4});
    add(at + "dt_proj.weight", {4, 1});
    add(at + "dt_proj.bias", {4});
    add(at + "A_log", {4, 2});
    add(at + "D", {4});
    add(at + "out_proj.weight", {2, 4});
    add(backbone + "norm_f.weight", {2});
    return store;
}

} // namespace

/// Any config.json is refused or makes sense of the tensors of each kind of model.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static TempDir const folder;
    static TensorStore const stores[] = {
        tiny_model("backbone.", "embeddings.weight", "mixer."),
        tiny_model("caduceus.backbone.", "embeddings.word_embeddings.weight", "mixer.mamba_fwd."),
        tiny_model("caduceus.backbone.", "embeddings.word_embeddings.embedding.weight", "mixer.submodule.mamba_fwd.")};
    static MemoryFile file;
    static auto const config_json = folder.path() / "config.json";
    if (!std::filesystem::is_symlink(config_json)) { std::filesystem::create_symlink(file.path(), config_json); }
    file.write({reinterpret_cast<char const*>(data), size});
    for (auto const& store : stores) {
        try {
            auto const config = read_model_config(folder.path(), store);
            if (config.d_model != 2 || config.n_layer != 1 || config.d_inner != 4) { std::abort(); }
            find_model_tensors(config, store);
        } catch (Error const&) {}
    }
    return 0;
}

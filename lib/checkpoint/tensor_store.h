#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

class MappedFile;

/// One tensor as a file stores it: contiguous, row-major, little-endian, at any alignment. `bytes` lives as long as its
/// TensorStore.
struct StoredTensor {
    DType dtype = DType::f32;
    std::vector<index_t> shape;
    std::span<std::byte const> bytes;

    index_t elements() const noexcept;
};

/// "[3, 4]", for messages.
std::string shape_text(std::span<index_t const> shape);

/// The size of a tensor in bytes, or -1 if an extent is negative or the size passes 2^63.
index_t tensor_bytes(DType dtype, std::span<index_t const> shape) noexcept;

/// Converts f64, f32, f16, bf16 (and integers, exactly where a float can) to fp32. `out` has elements() places.
/// Throws malformed_checkpoint for an integer that fp32 cannot hold.
void read_f32(StoredTensor const& tensor, float* out);
std::vector<float> read_f32(StoredTensor const& tensor);

/// The named tensors of a checkpoint, with the mapped files behind them; nothing is copied or converted.
class TensorStore {
public:
    /// Throws malformed_checkpoint when the name is there already.
    void add(std::string name, StoredTensor tensor);
    void keep(std::shared_ptr<MappedFile const> file) { files_.push_back(std::move(file)); }

    StoredTensor const* find(std::string const& name) const noexcept;
    std::map<std::string, StoredTensor> const& tensors() const noexcept { return tensors_; }

    /// Gives the pages read so far back to the operating system; they come in again from the file when touched. To be
    /// called after conversion, so that weights lie in memory once.
    void drop_pages() const noexcept;

private:
    std::map<std::string, StoredTensor> tensors_;
    std::vector<std::shared_ptr<MappedFile const>> files_;
};

/// Opens the weights of a model directory: `model.safetensors`, or the shards named by `model.safetensors.index.json`,
/// or `pytorch_model.bin`, or the only `*.safetensors`, `*.bin` or `*.pt` there. Also takes such a file itself.
/// Throws not_found, io, malformed_checkpoint, truncated_input.
TensorStore open_checkpoint(std::filesystem::path const& path);

} // namespace strandwave

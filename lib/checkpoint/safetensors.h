#pragma once

#include "lib/checkpoint/tensor_store.h"

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {

/// Maps a safetensors file and adds its tensors to `store`. Layout: 8-byte little-endian header length, JSON header,
/// raw data (huggingface/safetensors, "Format"). Everything that the format forbids is refused: header over 100 MB,
/// offsets that overlap, leave holes, overflow or pass the end of the file, shape and byte count that disagree,
/// duplicate names, unknown dtypes. Throws malformed_checkpoint or truncated_input, naming file and tensor.
void read_safetensors(std::filesystem::path const& path, TensorStore& store);

/// One tensor to write; `shape` and `bytes` must agree.
struct TensorToWrite {
    std::string name;
    DType dtype = DType::f32;
    std::vector<index_t> shape;
    std::span<std::byte const> bytes;
};

/// Writes a safetensors file whole or not at all (temporary file beside it, then rename), with
/// `__metadata__ {"format": "pt"}` as Hugging Face's loaders expect. Throws io.
void write_safetensors(std::filesystem::path const& path, std::span<TensorToWrite const> tensors);

} // namespace strandwave

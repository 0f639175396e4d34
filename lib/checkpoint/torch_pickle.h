#pragma once

#include "lib/checkpoint/tensor_store.h"

#include <filesystem>

namespace strandwave {

/// Reads the tensors of a `torch.save` archive (zip, stored, with `<folder>/data.pkl` and `<folder>/data/<n>`) into
/// `store`: a flat state dict, or one under the key `state_dict`. Nothing is executed: only the pickle opcodes that a
/// state dict needs are understood and only the globals torch._utils._rebuild_tensor_v2,
/// torch._utils._rebuild_parameter, the torch.*Storage names and collections.OrderedDict; any other opcode or global is
/// refused by name. Non-contiguous tensors are refused; tensors that share a storage alias it. The old (torch < 1.6)
/// format without zip is refused with that word. Throws malformed_checkpoint, truncated_input, unsupported, io.
void read_torch_pickle(std::filesystem::path const& path, TensorStore& store);

} // namespace strandwave

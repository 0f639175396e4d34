#include "lib/checkpoint/safetensors.h"
#include "lib/core/error.h"
#include "tests/support/memory_file.h"

#include <cstdlib>

/// Any file is refused or read; what is read lies inside the file and has the size that its shape says.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace strandwave;
    static MemoryFile file;
    file.write({reinterpret_cast<char const*>(data), size});
    TensorStore store;
    try {
        read_safetensors(file.path(), store);
    } catch (Error const&) { return 0; }
    std::size_t bytes = 0;
    for (auto const& [name, tensor] : store.tensors()) {
        if (tensor_bytes(tensor.dtype, tensor.shape) != static_cast<index_t>(tensor.bytes.size())) { std::abort(); }
        bytes += tensor.bytes.size();
        try {
            read_f32(tensor);
        } catch (Error const&) {} // an integer that fp32 does not hold
    }
    if (bytes > size) { std::abort(); }
    return 0;
}

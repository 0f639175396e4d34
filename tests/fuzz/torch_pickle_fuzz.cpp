#include "lib/checkpoint/torch_pickle.h"

#include "lib/checkpoint/pickle_reader.h"
#include "lib/core/error.h"
#include "tests/support/memory_file.h"

#include <cstdlib>

namespace {

using namespace strandwave;

void read_archive(std::string_view bytes) {
    static MemoryFile file;
    file.write(bytes);
    TensorStore store;
    read_torch_pickle(file.path(), store);
    for (auto const& [name, tensor] : store.tensors()) {
        if (tensor_bytes(tensor.dtype, tensor.shape) != static_cast<index_t>(tensor.bytes.size())) { std::abort(); }
        read_f32(tensor);
    }
}

/// The program alone, which the fuzzer reaches without a zip archive around it.
void read_program(std::span<std::byte const> bytes) {
    static constexpr std::string_view kAllowed[] = {"torch._utils _rebuild_tensor_v2", "torch FloatStorage"};
    Pickle const pickle(bytes, kAllowed);
    if (pickle.top().valueless_by_exception()) { std::abort(); }
}

} // namespace

/// Any file and any program is refused or read.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    try {
        read_archive({reinterpret_cast<char const*>(data), size});
    } catch (Error const&) {}
    try {
        read_program({reinterpret_cast<std::byte const*>(data), size});
    } catch (Error const&) {}
    return 0;
}

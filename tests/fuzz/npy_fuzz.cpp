#include "formats/npy.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

// Whatever the bytes: an array whose size is that of its shape, or an error.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const path =
        std::filesystem::temp_directory_path() / ("strandwave-npy-fuzz-" + std::to_string(::getpid()));
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<char const*>(data), static_cast<std::streamsize>(size));
    auto const check = [](auto array) {
        if (!array) { return; }
        strandwave::index_t count = 1;
        for (auto const extent : array->shape) {
            count *= extent;
        }
        if (count != static_cast<strandwave::index_t>(array->values.size())) { std::abort(); }
    };
    check(strandwave::read_npy_f32(path));
    check(strandwave::read_npy_i64(path));
    return 0;
}

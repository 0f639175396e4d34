#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

// What stands before the values of a .npy file; what readers and writers of such files share.

namespace strandwave {

/// A .npy file of `size` elements in C order, read as far as its header.
struct OpenedNpy {
    std::ifstream stream; ///< at the first value
    std::vector<index_t> shape;
    index_t size = 0; ///< the file holds that many elements and nothing behind them
};

/// Opens an array of exactly the element type `descr` ("<f4"), of `element_bytes` each; `numpy_type` is what the
/// message calls it that refuses another. Errors: those of read_npy_f32 but too_large.
Result<OpenedNpy> open_npy(std::filesystem::path const& path, std::string_view descr, std::string_view numpy_type,
                           index_t element_bytes);

/// A version 1 header of an array of `descr` elements in C order: of exactly 128 bytes where the shape fits, else of
/// the next multiple of 64.
std::string npy_header(std::string_view descr, std::vector<index_t> const& shape);

/// The number of elements, or -1 when their bytes do not fit in an index_t.
index_t npy_element_count(std::vector<index_t> const& shape, index_t element_bytes);

} // namespace strandwave

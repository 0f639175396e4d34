#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// What the JSON header of a safetensors file says of one tensor. Offsets count bytes from the end of the header.
struct SafetensorsEntry {
    std::string name;
    DType dtype = DType::f32;
    std::vector<index_t> shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};

/// Reads `{"name": {"dtype": .., "shape": [..], "data_offsets": [begin, end]}, .., "__metadata__": {text: text}}`, in
/// the order of the text. Anything else, a key that is missing or there twice among them, is refused at the first
/// character that departs from it, so memory is bounded by the text whatever it holds. Offsets are not checked here.
/// Throws malformed_checkpoint.
std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view text);

std::string write_safetensors_header(std::span<SafetensorsEntry const> entries);

} // namespace strandwave

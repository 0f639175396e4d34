#include "lib/checkpoint/tensor_store.h"

#include "lib/checkpoint/mapped_file.h"
#include "lib/core/error.h"

#include <cstdint>
#include <cstring>
#include <limits>

namespace strandwave {
namespace {

static_assert(std::endian::native == std::endian::little, "stored tensors are little-endian and read in place");

/// Elements may lie at any alignment, so each is copied out before it is converted.
template <class T, class Convert>
void convert_each(StoredTensor const& tensor, float* out, Convert convert) {
    auto const count = tensor.elements();
    for (index_t i = 0; i < count; ++i) {
        T value;
        std::memcpy(&value, tensor.bytes.data() + i * static_cast<index_t>(sizeof(T)), sizeof(T));
        out[i] = convert(value);
    }
}

template <class T>
void convert_integers(StoredTensor const& tensor, float* out) {
    convert_each<T>(tensor, out, [](T value) {
        auto const converted = static_cast<float>(value);
        // 2^63 itself is out of range of the conversion back, and no int64 equals it.
        if (converted >= 0x1p63F || static_cast<std::int64_t>(converted) != static_cast<std::int64_t>(value)) {
            throw Error(ErrorCode::malformed_checkpoint,
                        "the integer " + std::to_string(value) + " of a tensor does not fit fp32 exactly");
        }
        return converted;
    });
}

} // namespace

index_t StoredTensor::elements() const noexcept {
    index_t count = 1;
    for (index_t const extent : shape) {
        count *= extent;
    }
    return count;
}

std::string shape_text(std::span<index_t const> shape) {
    std::string text = "[";
    for (index_t const extent : shape) {
        if (text.size() > 1) { text += ", "; }
        text += std::to_string(extent);
    }
    return text + "]";
}

index_t tensor_bytes(DType dtype, std::span<index_t const> shape) noexcept {
    // A zero extent makes the tensor empty, but the others must still be extents: the product is checked without it.
    index_t bytes = dtype_bytes(dtype);
    bool empty = false;
    for (index_t const extent : shape) {
        if (extent < 0) { return -1; }
        if (extent == 0) {
            empty = true;
        } else if (bytes > std::numeric_limits<index_t>::max() / extent) {
            return -1;
        } else {
            bytes *= extent;
        }
    }
    return empty ? 0 : bytes;
}

void read_f32(StoredTensor const& tensor, float* out) {
    switch (tensor.dtype) {
    case DType::f32:
        if (!tensor.bytes.empty()) { std::memcpy(out, tensor.bytes.data(), tensor.bytes.size()); }
        return;
    case DType::f64: return convert_each<double>(tensor, out, [](double v) { return static_cast<float>(v); });
    case DType::f16: return convert_each<std::uint16_t>(tensor, out, [](std::uint16_t v) { return f16_to_f32(v); });
    case DType::bf16: return convert_each<bf16_t>(tensor, out, [](bf16_t v) { return to_f32(v); });
    case DType::i64: return convert_integers<std::int64_t>(tensor, out);
    case DType::i32: return convert_integers<std::int32_t>(tensor, out);
    case DType::i16: return convert_integers<std::int16_t>(tensor, out);
    case DType::i8: return convert_integers<std::int8_t>(tensor, out);
    case DType::u8: return convert_integers<std::uint8_t>(tensor, out);
    case DType::boolean: return convert_each<std::uint8_t>(tensor, out, [](std::uint8_t v) { return v ? 1.0F : 0.0F; });
    }
}

std::vector<float> read_f32(StoredTensor const& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    read_f32(tensor, values.data());
    return values;
}

void TensorStore::add(std::string name, StoredTensor tensor) {
    if (!tensors_.emplace(name, std::move(tensor)).second) {
        throw Error(ErrorCode::malformed_checkpoint, "tensor '" + name + "' is there twice");
    }
}

StoredTensor const* TensorStore::find(std::string const& name) const noexcept {
    auto const found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
}

void TensorStore::drop_pages() const noexcept {
    for (auto const& file : files_) {
        file->drop_pages();
    }
}

} // namespace strandwave

#pragma once

#include "lib/core/view.h"

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace strandwave {

/// Owning, 64-byte aligned, **uninitialised** storage for plain numbers. Alignment matters: a GEMM library loses
/// 20 to 25 % on sources that are not aligned to a cache line. Throws std::bad_alloc.
template <class T>
class Buffer {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    static constexpr std::size_t kAlignment = 64;

    Buffer() = default;
    explicit Buffer(index_t size) : size_(size) {
        if (size == 0) { return; }
        auto const bytes = (static_cast<std::size_t>(size) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        data_.reset(static_cast<T*>(std::aligned_alloc(kAlignment, bytes)));
        if (!data_) { throw std::bad_alloc(); }
    }

    T* data() noexcept { return data_.get(); }
    T const* data() const noexcept { return data_.get(); }
    index_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    T* begin() noexcept { return data(); }
    T* end() noexcept { return data() + size_; }
    T const* begin() const noexcept { return data(); }
    T const* end() const noexcept { return data() + size_; }
    T& operator[](index_t i) noexcept { return data_.get()[i]; }
    T const& operator[](index_t i) const noexcept { return data_.get()[i]; }

    View<T, 1> view() noexcept { return {data(), size_}; }
    View<T const, 1> view() const noexcept { return {data(), size_}; }
    View<T, 2> view(index_t rows, index_t cols) noexcept { return {data(), rows, cols}; }
    View<T const, 2> view(index_t rows, index_t cols) const noexcept { return {data(), rows, cols}; }

private:
    struct Free {
        void operator()(T* pointer) const noexcept { std::free(pointer); }
    };
    std::unique_ptr<T, Free> data_;
    index_t size_ = 0;
};

} // namespace strandwave

#pragma once

#include <cstdint>
#include <type_traits>

namespace strandwave {

/// Every extent, stride, token position and file offset. Never `int`: peers break at 61k and 1.4M tokens.
using index_t = std::int64_t;

/// Non-owning, trivially copyable window on `Rank` dimensions (Rank 1 or 2). Row-major: the last dimension is
/// contiguous, `row_stride` counts elements between the starts of neighbouring rows.
/// Activations are token-major everywhere: `[tokens, channels]`.
template <class T, int Rank>
struct View;

template <class T>
struct View<T, 1> {
    T* data = nullptr;
    index_t size = 0;

    bool empty() const noexcept { return size == 0; }
    T& operator()(index_t i) const noexcept { return data[i]; }
    operator View<T const, 1>() const noexcept requires(!std::is_const_v<T>) { return {data, size}; }
};

template <class T>
struct View<T, 2> {
    T* data = nullptr;
    index_t rows = 0;
    index_t cols = 0;
    index_t row_stride = 0;

    View() = default;
    View(T* data_, index_t rows_, index_t cols_) : View(data_, rows_, cols_, cols_) {}
    View(T* data_, index_t rows_, index_t cols_, index_t row_stride_)
        : data(data_), rows(rows_), cols(cols_), row_stride(row_stride_) {}

    bool empty() const noexcept { return rows == 0 || cols == 0; }
    T* row(index_t r) const noexcept { return data + r * row_stride; }
    T& operator()(index_t r, index_t c) const noexcept { return data[r * row_stride + c]; }
    View rows_from(index_t first, index_t count) const noexcept { return {row(first), count, cols, row_stride}; }
    View cols_from(index_t first, index_t count) const noexcept { return {data + first, rows, count, row_stride}; }
    operator View<T const, 2>() const noexcept requires(!std::is_const_v<T>) { return {data, rows, cols, row_stride}; }
};

} // namespace strandwave

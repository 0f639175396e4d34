#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

namespace strandwave {

/// A row-major matrix in device memory: what View<T, 2> is in host memory, with the element type (f32 or bf16) as data.
struct DeviceMatrix {
    void* data = nullptr;
    DType dtype = DType::f32;
    index_t rows = 0;
    index_t cols = 0;
    index_t row_stride = 0; ///< elements

    DeviceMatrix() = default;
    DeviceMatrix(void* data_, DType dtype_, index_t rows_, index_t cols_)
        : DeviceMatrix(data_, dtype_, rows_, cols_, cols_) {}
    DeviceMatrix(void* data_, DType dtype_, index_t rows_, index_t cols_, index_t row_stride_)
        : data(data_), dtype(dtype_), rows(rows_), cols(cols_), row_stride(row_stride_) {}

    bool empty() const noexcept { return rows == 0 || cols == 0; }
    template <class T>
    T* as() const noexcept {
        return static_cast<T*>(data);
    }
    DeviceMatrix rows_from(index_t first, index_t count) const noexcept {
        return {at(first * row_stride), dtype, count, cols, row_stride};
    }
    DeviceMatrix cols_from(index_t first, index_t count) const noexcept {
        return {at(first), dtype, rows, count, row_stride};
    }

private:
    void* at(index_t element) const noexcept { return static_cast<char*>(data) + element * dtype_bytes(dtype); }
};

} // namespace strandwave

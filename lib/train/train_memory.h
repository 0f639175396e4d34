#pragma once

#include "lib/train/parameters.h"
#include "lib/train/train_ops.h"

namespace strandwave {

/// Parameters and gradients on a device. `working` is what matrix products read: `values` in fp32, or a copy in bf16.
struct DeviceParameters {
    ModelParameters const* model = nullptr;
    float* values = nullptr;    ///< [model->size]
    float* gradients = nullptr; ///< [model->size]
    void* working = nullptr;    ///< [model->size] of `working_type`
    DType working_type = DType::f32;

    float* value(ParameterId id) const { return id == kNone ? nullptr : values + (*model)[id].offset; }
    float* gradient(ParameterId id) const { return id == kNone ? nullptr : gradients + (*model)[id].offset; }
    Matrix value_matrix(ParameterId id) const { return matrix(id, values, DType::f32); }
    Matrix gradient_matrix(ParameterId id) const { return matrix(id, gradients, DType::f32); }
    Matrix weight(ParameterId id) const { return matrix(id, working, working_type); }

private:
    Matrix matrix(ParameterId id, void* base, DType type) const {
        Parameter const& p = (*model)[id];
        return {static_cast<char*>(base) + p.offset * dtype_bytes(type), type, p.rows, p.cols};
    }
};

/// Matrices of fixed capacity that lie in device memory as long as it does.
class MatrixStore {
public:
    explicit MatrixStore(TrainOps& ops) : ops_(&ops) {}

    Matrix matrix(DType type, index_t rows, index_t cols) {
        return {bytes(rows * cols * dtype_bytes(type)), type, rows, cols};
    }
    template <class T>
    T* array(index_t count) {
        return static_cast<T*>(bytes(count * static_cast<index_t>(sizeof(T))));
    }
    index_t bytes_used() const noexcept { return bytes_used_; }

private:
    void* bytes(index_t size) {
        bytes_used_ += size;
        return parts_.emplace_back(ops_->allocate(size)).get();
    }

    TrainOps* ops_;
    std::vector<std::shared_ptr<void>> parts_;
    index_t bytes_used_ = 0;
};

} // namespace strandwave

#include "kernels/linear/linear_cuda.h"

#include "lib/core/check.h"
#include "lib/cuda/device_memory.h"

#include <algorithm>
#include <array>
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

void check_gemm(cublasStatus_t status, char const* what) {
    if (status == CUBLAS_STATUS_SUCCESS) { return; }
    throw Error(ErrorCode::device, std::string("linear: ") + what + ": " + cublasLtGetStatusString(status));
}

/// One library handle a GPU, made at first use and kept.
cublasLtHandle_t handle_of_current_gpu() {
    static std::mutex mutex;
    static std::map<int, cublasLtHandle_t> handles;
    int gpu = 0;
    check_cuda(cudaGetDevice(&gpu), "linear");
    std::lock_guard const lock(mutex);
    auto& handle = handles[gpu];
    if (handle == nullptr) { check_gemm(cublasLtCreate(&handle), "no handle"); }
    return handle;
}

cudaDataType_t cuda_type(DType dtype) { return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF; }

/// A row-major matrix [rows, cols] is the column-major one [cols, rows].
struct Layout {
    cublasLtMatrixLayoutOpaque_t layout{};

    Layout(DType dtype, index_t rows, index_t cols, index_t row_stride) {
        check_gemm(cublasLtMatrixLayoutInit(&layout, cuda_type(dtype), static_cast<std::uint64_t>(cols),
                                            static_cast<std::uint64_t>(rows), row_stride),
                   "no layout");
    }
};

DeviceMemory upload_as(View<float const, 2> values, DType dtype) {
    index_t const size = values.rows * values.cols;
    std::vector<float> tight(static_cast<std::size_t>(size));
    for (index_t r = 0; r < values.rows; ++r) {
        std::copy_n(values.row(r), values.cols, tight.data() + r * values.cols);
    }
    DeviceMemory memory(size * dtype_bytes(dtype));
    if (dtype == DType::f32) {
        copy_to_device(memory.data(), tight.data(), memory.bytes(), nullptr);
        return memory;
    }
    std::vector<bf16_t> rounded(tight.size());
    for (std::size_t i = 0; i < tight.size(); ++i) {
        rounded[i] = to_bf16(tight[i]);
    }
    copy_to_device(memory.data(), rounded.data(), memory.bytes(), nullptr);
    return memory;
}

} // namespace

struct LinearCuda::Impl {
    index_t in = 0;
    index_t out = 0;
    DType dtype = DType::f32;
    DType y_dtype = DType::f32;
    DeviceMemory weight;
    DeviceMemory bias;
    cublasLtHandle_t handle = nullptr;
    mutable cublasLtMatmulDescOpaque_t description{}; ///< the library takes what it only reads as mutable

    /// The algorithm for each pair of row strides, chosen at first use.
    mutable std::mutex mutex;
    mutable std::map<std::pair<index_t, index_t>, cublasLtMatmulAlgo_t> algorithms;

    void describe() {
        check_gemm(cublasLtMatmulDescInit(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F), "no description");
        cublasOperation_t const transposed = CUBLAS_OP_T;
        set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
        if (bias.bytes() == 0) { return; }
        cublasLtEpilogue_t const epilogue = CUBLASLT_EPILOGUE_BIAS;
        set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
        void const* const pointer = bias.data();
        set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, pointer);
    }

    template <class T>
    void set(cublasLtMatmulDescAttributes_t attribute, T const& value) {
        check_gemm(cublasLtMatmulDescSetAttribute(&description, attribute, &value, sizeof value), "no attribute");
    }

    /// The library's first choice for many rows among those that sum in one go and need no workspace.
    cublasLtMatmulAlgo_t choose(index_t x_stride, index_t y_stride) const {
        constexpr index_t kManyRows = 65536;
        Layout w(dtype, out, in, in);
        Layout x(dtype, kManyRows, in, x_stride);
        Layout y(y_dtype, kManyRows, out, y_stride);
        cublasLtMatmulPreferenceOpaque_t preference{};
        check_gemm(cublasLtMatmulPreferenceInit(&preference), "no preference");
        std::uint32_t const no_reduction = CUBLASLT_REDUCTION_SCHEME_NONE;
        std::uint32_t const alignment = 16;
        auto const prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, std::uint32_t value) {
            check_gemm(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value),
                       "no preference");
        };
        prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, no_reduction);
        for (auto const attribute :
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
            prefer(attribute, alignment_for(x_stride, y_stride, alignment));
        }
        std::array<cublasLtMatmulHeuristicResult_t, 16> results{};
        int found = 0;
        check_gemm(cublasLtMatmulAlgoGetHeuristic(handle, &description, &w.layout, &x.layout, &y.layout, &y.layout,
                                                  &preference, static_cast<int>(results.size()), results.data(),
                                                  &found),
                   "no algorithm for this shape");
        for (int i = 0; i < found; ++i) {
            auto const& result = results[static_cast<std::size_t>(i)];
            std::int32_t split = 1;
            std::size_t written = 0;
            cublasLtMatmulAlgoConfigGetAttribute(&result.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split, sizeof split,
                                                 &written);
            if (result.state == CUBLAS_STATUS_SUCCESS && split <= 1 && result.workspaceSize == 0) {
                return result.algo;
            }
        }
        throw Error(ErrorCode::device, "linear: no algorithm that sums in one go");
    }

    /// Every row of every matrix begins at a multiple of it.
    std::uint32_t alignment_for(index_t x_stride, index_t y_stride, std::uint32_t best) const {
        auto const bytes = [](index_t elements, DType type) { return elements * dtype_bytes(type); };
        auto alignment = static_cast<index_t>(best);
        for (index_t const row : {bytes(in, dtype), bytes(x_stride, dtype), bytes(y_stride, y_dtype)}) {
            while (row % alignment != 0) {
                alignment /= 2;
            }
        }
        return static_cast<std::uint32_t>(alignment);
    }

    cublasLtMatmulAlgo_t const& algorithm(index_t x_stride, index_t y_stride) const {
        std::lock_guard const lock(mutex);
        auto const key = std::pair(x_stride, y_stride);
        auto found = algorithms.find(key);
        if (found == algorithms.end()) { found = algorithms.emplace(key, choose(x_stride, y_stride)).first; }
        return found->second; // a map's elements stay where they are
    }
};

LinearCuda::LinearCuda() = default;
LinearCuda::~LinearCuda() = default;
LinearCuda::LinearCuda(LinearCuda&&) noexcept = default;
LinearCuda& LinearCuda::operator=(LinearCuda&&) noexcept = default;

LinearCuda::LinearCuda(View<float const, 2> weight, View<float const, 1> bias, DType dtype, DType y)
    : impl_(std::make_unique<Impl>()) {
    if (!bias.empty()) { check_extent("linear", "bias", bias.size, weight.rows); }
    impl_->in = weight.cols;
    impl_->out = weight.rows;
    impl_->dtype = dtype;
    impl_->y_dtype = y;
    impl_->weight = upload_as(weight, dtype);
    if (!bias.empty()) { impl_->bias = upload_as({bias.data, 1, bias.size}, y); }
    impl_->handle = handle_of_current_gpu();
    impl_->describe();
}

index_t LinearCuda::in() const noexcept { return impl_->in; }
index_t LinearCuda::out() const noexcept { return impl_->out; }
void const* LinearCuda::weight() const noexcept { return impl_->weight.data(); }

void LinearCuda::apply(DeviceMatrix x, DeviceMatrix y, bool accumulate, GpuStream stream) const {
    check_extent("linear", "in of x", x.cols, impl_->in);
    check_extent("linear", "out of y", y.cols, impl_->out);
    check_extent("linear", "rows of y", y.rows, x.rows);
    if (x.dtype != impl_->dtype || y.dtype != impl_->y_dtype) {
        throw Error(ErrorCode::shape_mismatch, "linear: x or y is of another type than the Linear was made for");
    }
    if (x.rows == 0) { return; }
    auto const& algorithm = impl_->algorithm(x.row_stride, y.row_stride);
    Layout w(impl_->dtype, impl_->out, impl_->in, impl_->in);
    Layout x_layout(x.dtype, x.rows, x.cols, x.row_stride);
    Layout y_layout(y.dtype, y.rows, y.cols, y.row_stride);
    float const one = 1.0F;
    float const beta = accumulate ? 1.0F : 0.0F;
    check_gemm(cublasLtMatmul(impl_->handle, &impl_->description, &one, impl_->weight.data(), &w.layout, x.data,
                              &x_layout.layout, &beta, y.data, &y_layout.layout, y.data, &y_layout.layout, &algorithm,
                              nullptr, 0, stream),
               "the product failed");
}

} // namespace strandwave

#include "kernels/gemm/gemm_cuda.h"

#include "lib/core/check.h"
#include "lib/cuda/device_memory.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <map>
#include <string>
#include <utility>

namespace strandwave {
namespace {

/// What the library's makers advise for Hopper, and enough for the parts of split sums.
constexpr index_t kWorkspaceBytes = index_t{32} << 20;

/// Batches of variable length give new shapes for ever; those of a run of similar steps fit.
constexpr std::size_t kMostAlgorithms = 4096;

void check_gemm(cublasStatus_t status, char const* what) {
    if (status == CUBLAS_STATUS_SUCCESS) { return; }
    throw Error(ErrorCode::device, std::string("gemm: ") + what + ": " + cublasLtGetStatusString(status));
}

cudaDataType_t cuda_type(DType dtype) { return dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF; }

/// The library wants a leading dimension of at least a row, also where there is only one.
index_t leading(DeviceMatrix const& matrix) {
    return matrix.rows > 1 ? matrix.row_stride : std::max(matrix.row_stride, matrix.cols);
}

/// A row-major matrix [rows, cols] is the column-major one [cols, rows].
struct Layout {
    cublasLtMatrixLayoutOpaque_t layout{};

    explicit Layout(DeviceMatrix const& matrix) {
        check_gemm(cublasLtMatrixLayoutInit(&layout, cuda_type(matrix.dtype), static_cast<std::uint64_t>(matrix.cols),
                                            static_cast<std::uint64_t>(matrix.rows), leading(matrix)),
                   "no layout");
    }
};

/// Bytes that the start of every row is a multiple of, up to the 16 that the fastest kernels want.
std::uint32_t alignment_of(DeviceMatrix const& matrix) {
    auto const address = reinterpret_cast<std::uintptr_t>(matrix.data);
    auto const row = static_cast<std::uintptr_t>(leading(matrix) * dtype_bytes(matrix.dtype));
    std::uint32_t alignment = 16;
    while ((address | row) % alignment != 0) {
        alignment /= 2;
    }
    return alignment;
}

/// c^T = op(b)^T op(a)^T: in the library's column-major terms b is the first factor and a the second.
struct Description {
    cublasLtMatmulDescOpaque_t description{};

    Description(bool transpose_a, bool transpose_b) {
        check_gemm(cublasLtMatmulDescInit(&description, CUBLAS_COMPUTE_32F, CUDA_R_32F), "no description");
        set(CUBLASLT_MATMUL_DESC_TRANSA, transpose_b);
        set(CUBLASLT_MATMUL_DESC_TRANSB, transpose_a);
    }

private:
    void set(cublasLtMatmulDescAttributes_t attribute, bool transpose) {
        cublasOperation_t const operation = transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
        check_gemm(cublasLtMatmulDescSetAttribute(&description, attribute, &operation, sizeof operation),
                   "no attribute");
    }
};

struct Preference {
    cublasLtMatmulPreferenceOpaque_t preference{};

    Preference(DeviceMatrix const& a, DeviceMatrix const& b, DeviceMatrix const& c) {
        check_gemm(cublasLtMatmulPreferenceInit(&preference), "no preference");
        set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(kWorkspaceBytes));
        // Parts of a split sum go to the workspace and are added behind the product. Not in place: their order would
        // be that of their arrival. In the output's type only where that is fp32 anyway.
        std::uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
        if (c.dtype == DType::f32) { schemes |= CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE; }
        set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, schemes);
        set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(b));
        set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(a));
        set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(c));
        set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(c));
    }

private:
    template <class T>
    void set(cublasLtMatmulPreferenceAttributes_t attribute, T value) {
        check_gemm(cublasLtMatmulPreferenceSetAttribute(&preference, attribute, &value, sizeof value), "no preference");
    }
};

/// All that the choice of an algorithm rests on.
using Key = std::array<index_t, 10>;

Key key_of(DeviceMatrix const& a, bool transpose_a, DeviceMatrix const& b, bool transpose_b, DeviceMatrix const& c,
           bool accumulate) {
    index_t const flags = (transpose_a ? 1 : 0) | (transpose_b ? 2 : 0) | (accumulate ? 4 : 0) |
                          (a.dtype == DType::bf16 ? 8 : 0) | (c.dtype == DType::bf16 ? 16 : 0);
    return {c.rows,
            c.cols,
            transpose_a ? a.rows : a.cols,
            leading(a),
            leading(b),
            leading(c),
            alignment_of(a),
            alignment_of(b),
            alignment_of(c),
            flags};
}

} // namespace

struct GemmCuda::Impl {
    cublasLtHandle_t handle = nullptr;
    DeviceMemory workspace{kWorkspaceBytes};
    std::map<Key, cublasLtMatmulAlgo_t> algorithms;

    Impl() { check_gemm(cublasLtCreate(&handle), "no handle"); }
    ~Impl() { cublasLtDestroy(handle); }
    Impl(Impl const&) = delete;
    Impl& operator=(Impl const&) = delete;

    void multiply(DeviceMatrix const& a, DeviceMatrix const& b, DeviceMatrix const& c, Description& description,
                  Key const& key, bool accumulate, GpuStream stream) {
        Layout a_layout(a);
        Layout b_layout(b);
        Layout c_layout(c);
        auto found = algorithms.find(key);
        if (found == algorithms.end()) {
            if (algorithms.size() >= kMostAlgorithms) { algorithms.clear(); }
            Preference preference(a, b, c);
            auto const algorithm = choose(description, b_layout, a_layout, c_layout, preference);
            found = algorithms.emplace(key, algorithm).first;
        }
        float const one = 1.0F;
        float const beta = accumulate ? 1.0F : 0.0F;
        check_gemm(cublasLtMatmul(handle, &description.description, &one, b.data, &b_layout.layout, a.data,
                                  &a_layout.layout, &beta, c.data, &c_layout.layout, c.data, &c_layout.layout,
                                  &found->second, workspace.data(), static_cast<std::size_t>(workspace.bytes()),
                                  stream),
                   "the product failed");
    }

    /// The library's first choice that works. It takes what it only reads as mutable.
    cublasLtMatmulAlgo_t choose(Description& description, Layout& first, Layout& second, Layout& c,
                                Preference& preference) const {
        std::array<cublasLtMatmulHeuristicResult_t, 8> results{};
        int found = 0;
        check_gemm(cublasLtMatmulAlgoGetHeuristic(handle, &description.description, &first.layout, &second.layout,
                                                  &c.layout, &c.layout, &preference.preference,
                                                  static_cast<int>(results.size()), results.data(), &found),
                   "no algorithm for this shape");
        for (int i = 0; i < found; ++i) {
            auto const& result = results[static_cast<std::size_t>(i)];
            if (result.state == CUBLAS_STATUS_SUCCESS &&
                result.workspaceSize <= static_cast<std::size_t>(kWorkspaceBytes)) {
                return result.algo;
            }
        }
        throw Error(ErrorCode::device, "gemm: no algorithm for this shape");
    }
};

GemmCuda::GemmCuda() : impl_(std::make_unique<Impl>()) {}
GemmCuda::~GemmCuda() = default;
GemmCuda::GemmCuda(GemmCuda&&) noexcept = default;
GemmCuda& GemmCuda::operator=(GemmCuda&&) noexcept = default;

namespace {

void check_types(DeviceMatrix const& a, DeviceMatrix const& b, DeviceMatrix const& c) {
    auto const taken = [](DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; };
    if (a.dtype == b.dtype && taken(a.dtype) && taken(c.dtype) && (a.dtype == DType::bf16 || c.dtype == DType::f32)) {
        return;
    }
    throw Error(ErrorCode::unsupported, "gemm: the GPU multiplies f32 to f32, bf16 to f32 and bf16 to bf16, not " +
                                            std::string(dtype_name(a.dtype)) + " and " +
                                            std::string(dtype_name(b.dtype)) + " to " +
                                            std::string(dtype_name(c.dtype)));
}

void check_stride(char const* what, DeviceMatrix const& matrix) {
    if (matrix.rows < 2 || matrix.row_stride >= matrix.cols) { return; }
    throw Error(ErrorCode::shape_mismatch, std::string("gemm: rows of ") + what + " overlap");
}

} // namespace

void GemmCuda::apply(DeviceMatrix a, bool transpose_a, DeviceMatrix b, bool transpose_b, DeviceMatrix c,
                     bool accumulate, GpuStream stream) {
    index_t const k = transpose_a ? a.rows : a.cols;
    check_types(a, b, c);
    check_extent("gemm", "inner extent of b", transpose_b ? b.cols : b.rows, k);
    check_extent("gemm", "rows of c", c.rows, transpose_a ? a.cols : a.rows);
    check_extent("gemm", "columns of c", c.cols, transpose_b ? b.rows : b.cols);
    check_stride("a", a);
    check_stride("b", b);
    check_stride("c", c);
    if (c.empty()) { return; }
    if (k == 0) {
        if (accumulate) { return; }
        auto const bytes = [&](index_t elements) { return static_cast<std::size_t>(elements * dtype_bytes(c.dtype)); };
        check_cuda(
            cudaMemset2DAsync(c.data, bytes(leading(c)), 0, bytes(c.cols), static_cast<std::size_t>(c.rows), stream),
            "gemm");
        return;
    }
    Description description(transpose_a, transpose_b);
    impl_->multiply(a, b, c, description, key_of(a, transpose_a, b, transpose_b, c, accumulate), accumulate, stream);
}

} // namespace strandwave

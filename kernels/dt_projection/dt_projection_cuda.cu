// bf16: a warp holds 16 rows of x as tensor-core fragments and takes the channels of its CTA 32 at a time, as four
// products of 16 rows by 8 columns. Column n of product j is channel 8 * (n / 2) + 2 * j + n % 2: so the results that
// a thread gets are 8 neighbouring channels of two rows, a 16-byte store each. The weights of the CTA's channels lie in
// shared memory for many rows.
#include "kernels/cuda/math.cuh"
#include "kernels/dt_projection/dt_projection_cuda.h"
#include "lib/core/check.h"

#include <algorithm>
#include <string>

namespace strandwave {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kWarps = 4;
constexpr int kRows = 16;       ///< of a warp at a time
constexpr int kChannels = 32;   ///< of a warp at a time
constexpr int kDepth = 16;      ///< of one tensor-core product
constexpr int kMostDepths = 16; ///< so dt_rank is 256 at most
constexpr int kCtaChannels = 128;
constexpr int kPadding = 8; ///< elements behind a row of weights in shared memory, against bank conflicts

struct Params {
    bf16 const* x;
    bf16 const* weight;
    float const* bias;
    bf16* dt;
    index_t rows, x_stride, dt_stride;
    int dt_rank, d_inner;
    bool pairs;   ///< x may be read two elements at a time
    bool vectors; ///< dt may be written eight elements at a time
};

__device__ __forceinline__ void multiply(float (&sum)[4], unsigned int const (&a)[4], unsigned int b0,
                                         unsigned int b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// x[row, k], x[row, k + 1]; zeros outside.
__device__ __forceinline__ unsigned int pair_of(Params const& p, index_t row, int k) {
    if (row >= p.rows || k >= p.dt_rank) { return 0; }
    bf16 const* const from = p.x + row * p.x_stride + k;
    if (p.pairs) { return *reinterpret_cast<unsigned int const*>(from); }
    __nv_bfloat162 const pair{from[0], k + 1 < p.dt_rank ? from[1] : bf16(0.0F)};
    return *reinterpret_cast<unsigned int const*>(&pair);
}

/// Where the weights of a channel lie in shared memory: those of a product side by side, so that its reads meet no bank
/// twice.
__device__ __forceinline__ int row_of_channel(int channel) {
    int const within = channel % kChannels;
    return channel - within + 8 * (within % 8 / 2) + 2 * (within / 8) + within % 2;
}

/// Weights of the CTA's channels, [channels][depth + kPadding], zeros where there are none; and their biases.
template <int kDepths>
__device__ void stage_weights(Params const& p, int first, bf16* to, float* biases) {
    constexpr int kWidth = kDepths * kDepth;
    constexpr int kStride = kWidth + kPadding;
    constexpr int kVector = 8;
    for (int i = static_cast<int>(threadIdx.x); i < kCtaChannels * kWidth / kVector; i += kWarps * 32) {
        int const channel = i / (kWidth / kVector);
        int const k = i % (kWidth / kVector) * kVector;
        bf16 const* const from = p.weight + static_cast<index_t>(first + channel) * p.dt_rank + k;
        bf16* const row = to + row_of_channel(channel) * kStride + k;
        bool const exists = first + channel < p.d_inner;
        if (p.dt_rank == kWidth && exists) { // rows are whole vectors
            *reinterpret_cast<uint4*>(row) = __ldg(reinterpret_cast<uint4 const*>(from));
            continue;
        }
        for (int j = 0; j < kVector; ++j) {
            row[j] = exists && k + j < p.dt_rank ? from[j] : bf16(0.0F);
        }
    }
    int const e = first + static_cast<int>(threadIdx.x);
    biases[threadIdx.x] = p.bias != nullptr && e < p.d_inner ? p.bias[e] : 0.0F;
}

/// 8 channels of a row; `values` are the pairs of the four products.
__device__ __forceinline__ void store(Params const& p, index_t row, int e, float const (&values)[8]) {
    if (row >= p.rows || e >= p.d_inner) { return; }
    bf16* const to = p.dt + row * p.dt_stride + e;
    if (p.vectors && e + 8 <= p.d_inner) {
        alignas(16) bf16 rounded[8];
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            rounded[i] = __float2bfloat16_rn(values[i]);
        }
        *reinterpret_cast<uint4*>(to) = *reinterpret_cast<uint4 const*>(rounded);
        return;
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        if (e + i < p.d_inner) { to[i] = __float2bfloat16_rn(values[i]); }
    }
}

template <int kDepths>
__global__ void __launch_bounds__(kWarps * 32) project(Params const p) {
    static_assert(kCtaChannels == kWarps * 32, "a thread stages a bias");
    extern __shared__ __align__(16) bf16 weights[];
    __shared__ __align__(16) float biases[kCtaChannels];
    constexpr int kStride = kDepths * kDepth + kPadding;
    int const first = static_cast<int>(blockIdx.y) * kCtaChannels;
    stage_weights<kDepths>(p, first, weights, biases);
    __syncthreads();
    int const lane = static_cast<int>(threadIdx.x) % 32;
    int const group = lane / 4; // row of a fragment, column of a weight
    int const member = lane % 4;
    index_t const tiles = (p.rows + kRows - 1) / kRows;
    index_t const step = static_cast<index_t>(gridDim.x) * kWarps;
    for (index_t tile = static_cast<index_t>(blockIdx.x) * kWarps + threadIdx.x / 32; tile < tiles; tile += step) {
        index_t const row = tile * kRows + group;
        unsigned int a[kDepths][4];
#pragma unroll
        for (int d = 0; d < kDepths; ++d) {
            int const k = d * kDepth + 2 * member;
            a[d][0] = pair_of(p, row, k);
            a[d][1] = pair_of(p, row + 8, k);
            a[d][2] = pair_of(p, row, k + 8);
            a[d][3] = pair_of(p, row + 8, k + 8);
        }
        int const channels = min(kCtaChannels, p.d_inner - first);
        for (int c = 0; c < channels; c += kChannels) {
            float upper[8]; // of `row`, channels first + c + 8 * member + 0..7
            float lower[8]; // of row + 8
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                float sum[4] = {0.0F, 0.0F, 0.0F, 0.0F};
                bf16 const* const from = weights + (c + 8 * j + group) * kStride + 2 * member;
#pragma unroll
                for (int d = 0; d < kDepths; ++d) {
                    multiply(sum, a[d], *reinterpret_cast<unsigned int const*>(from + d * kDepth),
                             *reinterpret_cast<unsigned int const*>(from + d * kDepth + 8));
                }
                upper[2 * j] = sum[0];
                upper[2 * j + 1] = sum[1];
                lower[2 * j] = sum[2];
                lower[2 * j + 1] = sum[3];
            }
            int const e = first + c + 8 * member;
#pragma unroll
            for (int i = 0; i < 8; ++i) {
                float const bias = biases[c + 8 * member + i];
                upper[i] = device::softplus<true>(upper[i] + bias);
                lower[i] = device::softplus<true>(lower[i] + bias);
            }
            store(p, row, e, upper);
            store(p, row + 8, e, lower);
        }
    }
}

/// fp32, one result a thread.
__global__ void project_f32(float const* x, index_t x_stride, float const* weight, float const* bias, float* dt,
                            index_t dt_stride, index_t rows, int dt_rank, int d_inner) {
    index_t const step = static_cast<index_t>(gridDim.x) * blockDim.x;
    for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows * d_inner; i += step) {
        index_t const row = i / d_inner;
        index_t const e = i % d_inner;
        float sum = bias != nullptr ? bias[e] : 0.0F;
        for (int r = 0; r < dt_rank; ++r) {
            sum = fmaf(x[row * x_stride + r], weight[e * dt_rank + r], sum);
        }
        dt[row * dt_stride + e] = device::softplus<false>(sum);
    }
}

template <int kDepths>
void launch_bf16(Params const& p, GpuStream stream) {
    constexpr index_t kTilesAWarp = 4; // rows that pay for the staging of weights
    constexpr int kBytes = kCtaChannels * (kDepths * kDepth + kPadding) * static_cast<int>(sizeof(bf16));
    check_cuda(cudaFuncSetAttribute(project<kDepths>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
               "dt_projection");
    index_t const rows_a_cta = kTilesAWarp * kWarps * kRows;
    dim3 const grid(static_cast<unsigned int>((p.rows + rows_a_cta - 1) / rows_a_cta),
                    static_cast<unsigned int>((p.d_inner + kCtaChannels - 1) / kCtaChannels));
    project<kDepths><<<grid, kWarps * 32, kBytes, stream>>>(p);
}

/// Depths that are compiled: the first that covers dt_rank.
template <int kDepths>
void launch_covering(Params const& p, GpuStream stream) {
    if constexpr (kDepths < 4) {
        if (p.dt_rank > kDepths * kDepth) { return launch_covering<kDepths + 1>(p, stream); }
    } else if constexpr (kDepths < kMostDepths) {
        if (p.dt_rank > kDepths * kDepth) { return launch_covering<2 * kDepths>(p, stream); }
    }
    launch_bf16<kDepths>(p, stream);
}

void check_shapes(DtProjectionCudaArgs const& a) {
    char const* op = "dt_projection";
    check_extent(op, "rows of dt", a.dt.rows, a.x.rows);
    if (a.x.dtype != a.dt.dtype) { throw Error(ErrorCode::unsupported, "dt_projection: x and dt differ in type"); }
    if (a.x.dtype == DType::bf16 && a.x.cols > kMostDepths * kDepth) {
        throw Error(ErrorCode::unsupported,
                    "dt_projection: dt_rank " + std::to_string(a.x.cols) + " is above 256, use f32");
    }
}

} // namespace

void dt_projection_cuda(DtProjectionCudaArgs const& a, GpuStream stream) {
    check_shapes(a);
    if (a.dt.empty()) { return; }
    if (a.x.dtype == DType::f32) {
        constexpr index_t kThreads = 256;
        constexpr index_t kMostCtas = 1 << 16;
        auto const ctas = std::min(kMostCtas, (a.dt.rows * a.dt.cols + kThreads - 1) / kThreads);
        project_f32<<<static_cast<unsigned int>(ctas), kThreads, 0, stream>>>(
            a.x.as<float>(), a.x.row_stride, static_cast<float const*>(a.weight), a.bias, a.dt.as<float>(),
            a.dt.row_stride, a.dt.rows, static_cast<int>(a.x.cols), static_cast<int>(a.dt.cols));
    } else {
        auto const aligned = [](DeviceMatrix const& m, index_t elements) {
            auto const address = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(m.data));
            return m.row_stride % elements == 0 && address % (2 * elements) == 0;
        };
        bool const pairs = a.x.cols % 2 == 0 && aligned(a.x, 2);
        launch_covering<1>({a.x.as<bf16>(), static_cast<bf16 const*>(a.weight), a.bias, a.dt.as<bf16>(), a.dt.rows,
                            a.x.row_stride, a.dt.row_stride, static_cast<int>(a.x.cols), static_cast<int>(a.dt.cols),
                            pairs, aligned(a.dt, 8)},
                           stream);
    }
    check_launch("dt_projection");
}

} // namespace strandwave

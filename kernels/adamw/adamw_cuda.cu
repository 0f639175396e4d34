#include "kernels/adamw/adamw_cuda.h"

#include "kernels/cuda/element.cuh"
#include "lib/core/check.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

constexpr index_t kMostBlocks = 2048;
constexpr index_t kNormBlocks = 512;
constexpr index_t kQuadsOfBlock = kParameterBlock / kQuad;

/// What an element is multiplied with in a step; the operations are those of adamw.cpp.
struct Factors {
    float beta1, rest1;
    float beta2, rest2;
    float decay;
    float rate;
    float root;
    float epsilon;
    float average_rate;
    float clip;
    bool active;
};

__device__ Factors factors_of(AdamWStep const& step, double const* squared_norm) {
    Factors f{step.beta1,
              1.0F - step.beta1,
              step.beta2,
              1.0F - step.beta2,
              1.0F - step.learning_rate * step.weight_decay,
              __fdiv_rn(step.learning_rate, step.correction1),
              __fsqrt_rn(step.correction2),
              step.epsilon,
              step.average_rate,
              1.0F,
              true};
    if (squared_norm == nullptr) { return f; }
    double const squares = *squared_norm;
    f.active = isfinite(squares);
    if (f.active && step.max_norm > 0) {
        double const most = static_cast<double>(step.max_norm) / (sqrt(squares) + 1e-6);
        f.clip = most < 1.0 ? static_cast<float>(most) : 1.0F;
    }
    return f;
}

__device__ void update(Factors const& f, bool decays, float gradient, float& m, float& v, float& p) {
    float const g = gradient * f.clip;
    m = f.beta1 * m + f.rest1 * g;
    v = f.beta2 * v + f.rest2 * (g * g);
    float const divisor = __fdiv_rn(__fsqrt_rn(v), f.root) + f.epsilon;
    if (decays) { p *= f.decay; }
    p -= f.rate * __fdiv_rn(m, divisor);
}

/// Takes a quad of the average towards the parameters.
__device__ void move_average(float rate, float const (&p)[kQuad], float* to) {
    float average[kQuad];
    load(static_cast<float const*>(to), average);
#pragma unroll
    for (int e = 0; e < kQuad; ++e) {
        average[e] += rate * (p[e] - average[e]);
    }
    store(average, to);
}

/// A thread takes a quad, neighbouring threads neighbouring quads; the 16 quads of a parameter block share their flags.
__global__ void __launch_bounds__(kThreads) adamw_quads(AdamWArgs const a) {
    __shared__ Factors shared;
    if (threadIdx.x == 0) { shared = factors_of(*a.step, a.squared_norm); }
    __syncthreads();
    Factors const f = shared;
    auto* working = reinterpret_cast<__nv_bfloat16*>(a.working);
    index_t const quads = a.count / kQuad;
    for (index_t q = blockIdx.x * kThreads + threadIdx.x; q < quads; q += gridDim.x * kThreads) {
        index_t const i = q * kQuad;
        std::uint8_t const flags = a.flags[q / kQuadsOfBlock];
        bool const changes = f.active && (flags & kTrainable) != 0;
        float p[kQuad];
        if (changes || working != nullptr) { load(a.parameters + i, p); }
        if (changes) {
            float g[kQuad];
            float m[kQuad];
            float v[kQuad];
            load(a.gradients + i, g);
            load(static_cast<float const*>(a.moment1) + i, m);
            load(static_cast<float const*>(a.moment2) + i, v);
#pragma unroll
            for (int e = 0; e < kQuad; ++e) {
                update(f, (flags & kWeightDecay) != 0, g[e], m[e], v[e], p[e]);
            }
            store(m, a.moment1 + i);
            store(v, a.moment2 + i);
            store(p, a.parameters + i);
            if (a.average != nullptr) { move_average(f.average_rate, p, a.average + i); }
        }
        if (working != nullptr) { store(p, working + i); }
    }
}

/// The sum over a thread block, in thread 0; always added in the same order.
__device__ double block_sum(double value) {
    __shared__ double parts[kThreads];
    parts[threadIdx.x] = value;
    for (unsigned distance = kThreads / 2; distance > 0; distance /= 2) {
        __syncthreads();
        if (threadIdx.x < distance) { parts[threadIdx.x] += parts[threadIdx.x + distance]; }
    }
    return parts[0];
}

__global__ void __launch_bounds__(kThreads)
    squares(float const* gradients, std::uint8_t const* flags, index_t quads, double* parts) {
    double sum = 0;
    for (index_t q = blockIdx.x * kThreads + threadIdx.x; q < quads; q += gridDim.x * kThreads) {
        if ((flags[q / kQuadsOfBlock] & kTrainable) == 0) { continue; }
        float g[kQuad];
        load(gradients + q * kQuad, g);
#pragma unroll
        for (int e = 0; e < kQuad; ++e) {
            sum = fma(static_cast<double>(g[e]), static_cast<double>(g[e]), sum);
        }
    }
    double const total = block_sum(sum);
    if (threadIdx.x == 0) { parts[blockIdx.x] = total; }
}

__global__ void __launch_bounds__(kThreads) sum_of_parts(double const* parts, index_t count, double* out) {
    double sum = 0;
    for (index_t i = threadIdx.x; i < count; i += kThreads) {
        sum += parts[i];
    }
    double const total = block_sum(sum);
    if (threadIdx.x == 0) { *out = total; }
}

index_t thread_blocks(index_t quads, index_t most) { return std::min(most, (quads + kThreads - 1) / kThreads); }

} // namespace

index_t squared_norm_scratch_doubles() { return kNormBlocks; }

void squared_norm_cuda(float const* gradients, std::uint8_t const* flags, index_t count, double* out, double* scratch,
                       GpuStream stream) {
    check_extent("squared_norm", "the remainder of the last block", count % kParameterBlock, 0);
    index_t const quads = count / kQuad;
    index_t const blocks = thread_blocks(quads, kNormBlocks);
    if (blocks > 0) {
        squares<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(gradients, flags, quads, scratch);
        check_launch("squared_norm");
    }
    sum_of_parts<<<1, kThreads, 0, stream>>>(scratch, blocks, out);
    check_launch("squared_norm, sums");
}

void adamw_cuda(AdamWArgs const& args, GpuStream stream) {
    check_extent("adamw", "the remainder of the last block", args.count % kParameterBlock, 0);
    index_t const blocks = thread_blocks(args.count / kQuad, kMostBlocks);
    if (blocks == 0) { return; }
    adamw_quads<<<static_cast<unsigned>(blocks), kThreads, 0, stream>>>(args);
    check_launch("adamw");
}

} // namespace strandwave

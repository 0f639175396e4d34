#pragma once

#include "kernels/adamw/adamw.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/row_blocks.h"
#include "kernels/pooling/segment_pooling.h"
#include "lib/core/device.h"
#include "lib/cuda/stream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

namespace strandwave {

/// Activations and weights of training, in memory of the device that computes: [rows, channels], f32 or bf16.
using Matrix = DeviceMatrix;

/// How large the steps of a TrainOps can be.
struct TrainCapacity {
    index_t rows = 0;
    index_t segments = 0; ///< records, each strand for itself
    index_t d_model = 0;
    index_t d_inner = 0;
    index_t d_state = 0;
    index_t d_conv = 0;
    index_t dt_rank = 0;
    index_t vocab_size = 0;
    index_t outputs = 0; ///< columns of the head
    index_t parts = 0;   ///< pooled vectors of the pieces of records
};

/// Parameters of a norm, in device memory.
struct NormCall {
    float const* weight = nullptr; ///< null = ones
    float const* bias = nullptr;
    float epsilon = 1e-5F;
    bool centred = false; ///< layer norm
};

/// causal_conv1d.h over the records that are set. `state` [slots][d_conv - 1, channels], by the slots of the records.
struct ConvCall {
    Matrix x;
    float const* weight = nullptr;
    float const* bias = nullptr;
    index_t d_conv = 0;
    bool reverse = false;
    float* state = nullptr; ///< null: records carry nothing
};
struct ConvBackwardCall {
    ConvCall forward;
    Matrix dy, dx;
    bool accumulate = false;  ///< dx +=
    float* d_state = nullptr; ///< [slots][...] gradient: read by a record's final slot, written to its initial one
    float* dweight = nullptr; ///< +=, as dbias
    float* dbias = nullptr;
};

/// selective_scan.h over the records that are set, `delta` as TrainOps::project_dt left it.
struct ScanCall {
    Matrix u, delta, B, C, z;
    float const* A = nullptr;
    float const* D = nullptr;
    float const* delta_bias = nullptr;
    index_t d_state = 0;
    bool reverse = false;
    float* state = nullptr;       ///< [slots][d_state, d_inner]; null: records carry nothing
    float* kept_states = nullptr; ///< TrainOps::kept_states of them: `scan` fills, `scan_backward` reads; null: none
};
struct ScanBackwardCall {
    ScanCall forward;
    Matrix dy, du, ddelta, dB, dC, dz, y;
    bool accumulate_gate = false; ///< dz and y +=
    float* d_state = nullptr;     ///< as in ConvBackwardCall
    float* dA = nullptr;          ///< +=, as the others
    float* dD = nullptr;
    float* ddelta_bias = nullptr;
};

/// Of cross_entropy.h, in device memory.
struct HardTargets {
    std::int32_t const* targets = nullptr;    ///< [rows]; negative: does not count
    std::int32_t const* mates = nullptr;      ///< [rows] of a model that reads both strands; else null
    std::int32_t const* complement = nullptr; ///< [vocab_size], with mates
};

/// The ops that training is made of, on one device. Each is that of `kernels/`, with its contract. In order; a GPU's
/// are asynchronous, and only `download` and `wait` wait for it. Rows are those of the records set last. Not
/// thread-safe.
class TrainOps {
public:
    virtual ~TrainOps() = default;

    virtual DType activation() const noexcept = 0; ///< of activations, and of the weights of matrix products

    /// Uninitialised memory of the device.
    virtual std::shared_ptr<void> allocate(index_t bytes) = 0;
    virtual void reserve(TrainCapacity const& capacity) = 0;
    virtual void upload(void* to, void const* from, index_t bytes) = 0; ///< `from` may change afterwards
    virtual void download(void* to, void const* from, index_t bytes) = 0;
    virtual void copy_bytes(void* to, void const* from, index_t bytes) = 0;
    virtual void zero(void* to, index_t bytes) = 0;
    virtual GpuStream stream() const noexcept { return nullptr; } ///< that a GPU's ops run on, in order

    /// The records that conv and scan see from now on, and what `pool` makes of them.
    virtual void set_records(std::span<PackedSegment const> segments) = 0;
    virtual void set_pools(std::span<PooledSegment const> pools) = 0;

    /// Runs `body`, which launches ops only, and whose launches depend on nothing but `key`. A GPU records it the
    /// second time that a key comes, and replays the record from then on.
    virtual void replay(std::uint64_t key, std::function<void()> const& body) = 0;

    virtual void embed(float const* table, index_t vocab, std::int32_t const* tokens, Matrix y) = 0;
    virtual void embed_backward(std::int32_t const* tokens, Matrix dy, index_t vocab, float* dtable) = 0;

    virtual void band_power(Matrix x, float scale, Matrix y) = 0;                      ///< f32, as the next
    virtual void band_power_backward(Matrix x, float scale, Matrix dy, Matrix dx) = 0; ///< dx may be x

    /// c (+)= op(a) op(b).
    virtual void gemm(Matrix a, bool transpose_a, Matrix b, bool transpose_b, Matrix c, bool accumulate) = 0;
    virtual void norm(NormCall const& norm, Matrix x, Matrix y) = 0;
    virtual void norm_backward(NormCall const& norm, Matrix x, Matrix dy, Matrix dx, bool accumulate, float* dweight,
                               float* dbias) = 0;
    virtual void conv(ConvCall const& call, Matrix y) = 0;
    virtual void conv_backward(ConvBackwardCall const& call) = 0;
    /// delta = x weight^T, made ready for `scan`: on a GPU with bias and softplus, on the processor without.
    virtual void project_dt(Matrix x, Matrix weight, float const* bias, Matrix delta) = 0;
    /// Floats that make a scan's backward pass faster if they are kept for it; 0: none.
    virtual index_t kept_states(TrainCapacity const& /*capacity*/) const { return 0; }
    virtual void scan(ScanCall const& call, Matrix y, bool accumulate) = 0;
    virtual void scan_backward(ScanBackwardCall const& call) = 0;

    virtual void copy(Matrix from, Matrix to) = 0;     ///< types may differ
    virtual void add(Matrix from, Matrix to) = 0;      ///< to += from; types may differ
    virtual void column_sum(Matrix x, float* sum) = 0; ///< sum[c] += sum_t x[t,c]
    virtual void dropout(Matrix x, float probability, std::uint64_t const* seed, std::uint64_t site) = 0; ///< in place
    virtual void negative_exp(Matrix A_log, Matrix A) = 0;
    virtual void negative_exp_backward(Matrix A, Matrix dA, Matrix dA_log) = 0; ///< dA_log +=

    virtual void pool(Pooling pooling, Matrix x, Matrix pooled) = 0;
    virtual void pool_backward(Pooling pooling, Matrix x, Matrix dpooled, Matrix dx) = 0;

    virtual void cross_entropy(HardTargets const& targets, Matrix logits, float const* scale, Matrix dlogits,
                               LossSums* sums) = 0;
    virtual void soft_cross_entropy(Matrix logits, Matrix targets, float const* scale, Matrix dlogits,
                                    LossSums* sums) = 0;
    virtual void squared_error(Matrix outputs, Matrix targets, float const* scale, Matrix doutputs, LossSums* sums) = 0;

    virtual void squared_norm(float const* gradients, std::uint8_t const* flags, index_t count, double* norm) = 0;
    virtual void adamw(AdamWArgs const& args) = 0;
};

/// Of the processor (f32 only) or a GPU (f32 or bf16). Throws device, unsupported.
std::unique_ptr<TrainOps> make_train_ops(Device device, DType dtype);
std::unique_ptr<TrainOps> make_cpu_train_ops();
std::unique_ptr<TrainOps> make_cuda_train_ops(Device device, DType dtype);

} // namespace strandwave

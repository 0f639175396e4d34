#include "kernels/adamw/adamw_cuda.h"
#include "kernels/band_power/band_power_cuda.h"
#include "kernels/causal_conv1d/causal_conv1d_backward_cuda.h"
#include "kernels/causal_conv1d/causal_conv1d_cuda.h"
#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/dt_projection/dt_projection_cuda.h"
#include "kernels/elementwise/elementwise_cuda.h"
#include "kernels/embedding/embedding_backward_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/gemm/gemm_cuda.h"
#include "kernels/norm/norm_backward_cuda.h"
#include "kernels/norm/norm_cuda.h"
#include "kernels/pooling/segment_pooling_cuda.h"
#include "kernels/selective_scan/selective_scan_backward_cuda.h"
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/core/error.h"
#include "lib/cuda/device_memory.h"
#include "lib/train/cuda_replay.h"
#include "lib/train/cuda_staging.h"
#include "lib/train/train_ops.h"

#include <algorithm>

namespace strandwave {
namespace {

/// Scratch of all ops, which run one after the other: enough for the largest.
index_t scratch_bytes(TrainCapacity const& c, index_t blocks) {
    index_t const floats = std::max({norm_backward_scratch_floats(c.rows, std::max(c.d_model, c.dt_rank)),
                                     norm_backward_scratch_floats(c.rows, c.d_state),
                                     causal_conv1d_backward_scratch_floats(c.rows, blocks, c.d_inner, c.d_conv),
                                     column_sum_scratch_floats(c.rows, std::max({c.d_model, 2 * c.d_inner, c.outputs})),
                                     segment_pooling_scratch_floats(std::max(c.rows, c.parts), c.segments, c.d_model)});
    index_t const doubles = std::max(loss_scratch_doubles(), squared_norm_scratch_doubles());
    return std::max({floats * dtype_bytes(DType::f32), doubles * static_cast<index_t>(sizeof(double)),
                     embedding_backward_scratch_bytes(c.rows, c.vocab_size, c.d_model)});
}

/// Training on a GPU, on one stream.
class CudaTrainOps final : public TrainOps {
public:
    CudaTrainOps(Device device, DType dtype) : device_(device), dtype_(dtype) {
        enter();
        parts_ = std::make_unique<Parts>();
    }
    ~CudaTrainOps() override {
        try {
            enter();
            parts_->stream.wait();
        } catch (Error const&) {} // it was thrown to who waited before, or nobody waits for it any more
    }

    DType activation() const noexcept override { return dtype_; }

    std::shared_ptr<void> allocate(index_t bytes) override {
        enter();
        auto memory = std::make_shared<DeviceMemory>(bytes);
        return {memory, memory->data()};
    }

    void reserve(TrainCapacity const& c) override {
        enter();
        parts_->stream.wait();
        parts_->replays.clear();
        d_inner_ = c.d_inner;
        index_t const blocks = c.rows / kBlockRows + c.segments;
        parts_->chain = ScanChain(blocks, c.d_inner, c.d_state);
        parts_->backward = ScanBackwardScratch(blocks, c.d_inner, c.d_state);
        parts_->scratch = DeviceMemory(scratch_bytes(c, blocks));
        for (auto& array : parts_->blocks) {
            array = DeviceArray<RowBlock>(blocks);
        }
        parts_->pools = DeviceArray<PooledSegment>(c.segments);
    }

    void upload(void* to, void const* from, index_t bytes) override {
        enter();
        parts_->staging.upload(to, from, bytes, stream());
    }
    void download(void* to, void const* from, index_t bytes) override {
        enter();
        copy_to_host(to, from, bytes, stream());
        parts_->stream.wait();
    }
    void copy_bytes(void* to, void const* from, index_t bytes) override {
        enter();
        copy_on_device(to, from, bytes, stream());
    }
    void zero(void* to, index_t bytes) override {
        enter();
        fill_bytes(to, 0, bytes, stream());
    }
    GpuStream stream() const noexcept override { return parts_->stream.get(); }

    void set_records(std::span<PackedSegment const> segments) override {
        for (bool const reverse : {false, true}) {
            auto const blocks = cut_into_blocks(segments, reverse);
            block_count_ = static_cast<index_t>(blocks.size());
            run_rows_ = scan_backward_run_rows(blocks, d_inner_);
            // Launches may depend on no more than the blocks of each record (`replay`).
            longest_ = whole_blocks(longest_segment(blocks));
            upload(parts_->blocks[reverse].data(), blocks.data(),
                   block_count_ * static_cast<index_t>(sizeof(RowBlock)));
        }
    }
    void set_pools(std::span<PooledSegment const> pools) override {
        pool_count_ = static_cast<index_t>(pools.size());
        upload(parts_->pools.data(), pools.data(), pool_count_ * static_cast<index_t>(sizeof(PooledSegment)));
    }

    void replay(std::uint64_t key, std::function<void()> const& body) override {
        enter();
        parts_->replays.run(key, stream(), body);
    }

    void embed(float const* table, index_t, std::int32_t const* tokens, Matrix y) override {
        embedding_cuda(table, tokens, y, stream());
    }
    void embed_backward(std::int32_t const* tokens, Matrix dy, index_t vocab, float* dtable) override {
        embedding_backward_cuda(tokens, dy, vocab, dtable, scratch(), stream());
    }
    void band_power(Matrix x, float scale, Matrix y) override { band_power_cuda(x, scale, y, stream()); }
    void band_power_backward(Matrix x, float scale, Matrix dy, Matrix dx) override {
        band_power_backward_cuda(x, scale, dy, dx, stream());
    }
    void gemm(Matrix a, bool transpose_a, Matrix b, bool transpose_b, Matrix c, bool accumulate) override {
        parts_->gemm.apply(a, transpose_a, b, transpose_b, c, accumulate, stream());
    }

    void norm(NormCall const& norm, Matrix x, Matrix y) override {
        NormCudaArgs args;
        args.x = x;
        args.y = y;
        args.weight = norm.weight;
        args.bias = norm.bias;
        args.epsilon = norm.epsilon;
        args.centred = norm.centred;
        norm_cuda(args, stream());
    }
    void norm_backward(NormCall const& norm, Matrix x, Matrix dy, Matrix dx, bool accumulate, float* dweight,
                       float* dbias) override {
        NormBackwardCudaArgs args;
        args.x = x;
        args.dy = dy;
        args.dx = dx;
        args.weight = norm.weight;
        args.epsilon = norm.epsilon;
        args.centred = norm.centred;
        args.accumulate = accumulate;
        args.dweight = dweight;
        args.dbias = dbias;
        args.scratch = floats();
        norm_backward_cuda(args, stream());
    }

    void conv(ConvCall const& call, Matrix y) override {
        CausalConv1dCudaArgs args;
        args.x = call.x;
        args.y = y;
        args.weight = call.weight;
        args.bias = call.bias;
        args.d_conv = call.d_conv;
        args.blocks = blocks(call.reverse);
        args.block_count = block_count_;
        args.state = call.state;
        causal_conv1d_cuda(args, stream());
    }
    void conv_backward(ConvBackwardCall const& call) override {
        auto const& f = call.forward;
        CausalConv1dBackwardCudaArgs args;
        args.x = f.x;
        args.dy = call.dy;
        args.dx = call.dx;
        args.weight = f.weight;
        args.bias = f.bias;
        args.d_conv = f.d_conv;
        args.blocks = blocks(f.reverse);
        args.block_count = block_count_;
        args.initial = f.state;
        args.d_final = call.d_state;
        args.d_initial = call.d_state;
        args.accumulate = call.accumulate;
        args.dweight = call.dweight;
        args.dbias = call.dbias;
        args.scratch = floats();
        causal_conv1d_backward_cuda(args, stream());
    }

    void project_dt(Matrix x, Matrix weight, float const* bias, Matrix delta) override {
        dt_projection_cuda({x, weight.data, bias, delta}, stream());
    }
    index_t kept_states(TrainCapacity const& c) const override {
        return scan_kept_states(c.rows / kBlockRows + c.segments, c.d_inner, c.d_state);
    }
    void scan(ScanCall const& call, Matrix y, bool accumulate) override {
        SelectiveScanCudaArgs args;
        args.u = call.u;
        args.delta = call.delta;
        args.B = call.B;
        args.C = call.C;
        args.z = call.z;
        args.y = y;
        args.A = call.A;
        args.D = call.D;
        args.d_state = call.d_state;
        args.blocks = blocks(call.reverse);
        args.block_count = block_count_;
        args.longest = longest_;
        args.state = call.state;
        args.accumulate = accumulate;
        args.delta_is_dt = true;
        args.kept_states = call.kept_states;
        selective_scan_cuda(args, parts_->chain, stream());
    }
    void scan_backward(ScanBackwardCall const& call) override {
        auto const& f = call.forward;
        SelectiveScanBackwardCudaArgs args;
        args.u = f.u;
        args.delta = f.delta;
        args.B = f.B;
        args.C = f.C;
        args.z = f.z;
        args.dy = call.dy;
        args.A = f.A;
        args.D = f.D;
        args.d_state = f.d_state;
        args.blocks = blocks(f.reverse);
        args.block_count = block_count_;
        args.run_rows = run_rows_;
        args.kept_states = f.kept_states;
        args.initial = f.state;
        args.d_final = call.d_state;
        args.d_initial = call.d_state;
        args.accumulate_gate = call.accumulate_gate;
        args.delta_is_dt = true;
        args.du = call.du;
        args.ddelta = call.ddelta;
        args.dB = call.dB;
        args.dC = call.dC;
        args.dz = call.dz;
        args.y = call.y;
        args.dA = call.dA;
        args.dD = call.dD;
        args.ddelta_bias = call.ddelta_bias;
        selective_scan_backward_cuda(args, parts_->backward, stream());
    }

    void copy(Matrix from, Matrix to) override { copy_cast_cuda(from, to, stream()); }
    void add(Matrix from, Matrix to) override { add_cuda(from, to, stream()); }
    void column_sum(Matrix x, float* sum) override { column_sum_cuda(x, sum, floats(), stream()); }
    void dropout(Matrix x, float probability, std::uint64_t const* seed, std::uint64_t site) override {
        DropoutCudaArgs args;
        args.x = x;
        args.y = x;
        args.probability = probability;
        args.seed = seed;
        args.site = site;
        dropout_cuda(args, stream());
    }
    void negative_exp(Matrix A_log, Matrix A) override { negative_exp_cuda(A_log, A, stream()); }
    void negative_exp_backward(Matrix A, Matrix dA, Matrix dA_log) override {
        negative_exp_backward_cuda(A, dA, dA_log, stream());
    }

    void pool(Pooling pooling, Matrix x, Matrix pooled) override {
        segment_pooling_cuda({pooling, x, parts_->pools.data(), pool_count_, pooled, floats()}, stream());
    }
    void pool_backward(Pooling pooling, Matrix x, Matrix dpooled, Matrix dx) override {
        segment_pooling_backward_cuda({pooling, x, parts_->pools.data(), pool_count_, dpooled, dx}, stream());
    }

    void cross_entropy(HardTargets const& targets, Matrix logits, float const* scale, Matrix dlogits,
                       LossSums* sums) override {
        cross_entropy_cuda(
            {logits, targets.targets, targets.mates, targets.complement, scale, dlogits, sums, doubles()}, stream());
    }
    void soft_cross_entropy(Matrix logits, Matrix targets, float const* scale, Matrix dlogits,
                            LossSums* sums) override {
        soft_cross_entropy_cuda({logits, targets, scale, dlogits, sums, doubles()}, stream());
    }
    void squared_error(Matrix outputs, Matrix targets, float const* scale, Matrix doutputs, LossSums* sums) override {
        squared_error_cuda({outputs, targets, scale, doutputs, sums, doubles()}, stream());
    }

    void squared_norm(float const* gradients, std::uint8_t const* flags, index_t count, double* norm) override {
        squared_norm_cuda(gradients, flags, count, norm, doubles(), stream());
    }
    void adamw(AdamWArgs const& args) override { adamw_cuda(args, stream()); }

private:
    /// What lives on the GPU; the stream last, so that it is gone first.
    struct Parts {
        GemmCuda gemm;
        ScanChain chain;
        ScanBackwardScratch backward;
        DeviceMemory scratch{squared_norm_scratch_doubles() * static_cast<index_t>(sizeof(double))};
        DeviceArray<RowBlock> blocks[2];
        DeviceArray<PooledSegment> pools;
        CudaStaging staging;
        CudaReplays replays;
        Stream stream;
    };

    void enter() const { use_gpu(device_.gpu); }
    void* scratch() const { return parts_->scratch.data(); }
    float* floats() const { return static_cast<float*>(scratch()); }
    double* doubles() const { return static_cast<double*>(scratch()); }
    RowBlock const* blocks(bool reverse) const { return parts_->blocks[reverse].data(); }

    Device device_;
    DType dtype_;
    std::unique_ptr<Parts> parts_;
    index_t d_inner_ = 0;
    index_t block_count_ = 0;
    index_t longest_ = 0;  ///< SelectiveScanCudaArgs::longest
    index_t run_rows_ = 0; ///< of scan_backward
    index_t pool_count_ = 0;
};

} // namespace

std::unique_ptr<TrainOps> make_cuda_train_ops(Device device, DType dtype) {
    return std::make_unique<CudaTrainOps>(device, dtype);
}

} // namespace strandwave

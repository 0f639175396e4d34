#include "lib/mixers/cuda_mamba_mixer.h"

#include "kernels/dt_projection/dt_projection_cuda.h"
#include "kernels/norm/norm_cuda.h"

#include <utility>

namespace strandwave {
namespace {

DeviceArray<float> upload_buffer(Buffer<float> const& values) { return upload(values.data(), values.size()); }

} // namespace

CudaMambaProjections::CudaMambaProjections(ProjectionWeights const& weights, DType dtype)
    : in(weights.in.view(), weights.in_bias.vector(), dtype, dtype),
      out(weights.out.view(), weights.out_bias.vector(), dtype, DType::f32) {}

CudaMambaMixer::CudaMambaMixer(ModelConfig const& config, MambaWeights const& weights,
                               std::shared_ptr<CudaMambaProjections const> projections, DType dtype)
    : d_inner_(config.d_inner), d_state_(config.d_state), dt_rank_(config.dt_rank), d_conv_(config.d_conv),
      rms_epsilon_(config.mixer_rms_epsilon), projections_(std::move(projections)),
      conv_weight_(upload_buffer(weights.conv_weight)), conv_bias_(upload_buffer(weights.conv_bias.values)),
      x_proj_(weights.x_proj.view(), {}, dtype, dtype), dt_proj_(weights.dt_proj.view(), {}, dtype, dtype),
      dt_bias_(upload_buffer(weights.dt_bias.values)), A_(upload_buffer(weights.A)),
      D_(upload_buffer(weights.D.values)) {}

MambaStepLayer CudaMambaMixer::step_layer() const noexcept {
    MambaStepLayer layer;
    layer.in_proj = projections_->in.weight();
    layer.conv_weight = conv_weight_.data();
    layer.conv_bias = conv_bias_.data();
    layer.x_proj = x_proj_.weight();
    layer.dt_proj = dt_proj_.weight();
    layer.dt_bias = dt_bias_.data();
    layer.A = A_.data();
    layer.D = D_.data();
    layer.out_proj = projections_->out.weight();
    return layer;
}

void CudaMambaMixer::project_dt_B_C(CudaMambaScratch const& scratch, GpuStream stream) const {
    x_proj_.apply(scratch.u, scratch.dbc, false, stream);
    auto const dt = scratch.dbc.cols_from(0, dt_rank_);
    if (rms_epsilon_) {
        for (auto const& part :
             {dt, scratch.dbc.cols_from(dt_rank_, d_state_), scratch.dbc.cols_from(dt_rank_ + d_state_, d_state_)}) {
            NormCudaArgs args;
            args.x = part;
            args.y = part;
            args.epsilon = *rms_epsilon_;
            norm_cuda(args, stream);
        }
    }
    dt_projection_cuda({dt, dt_proj_.weight(), dt_bias_.data(), scratch.dt}, stream);
}

void CudaMambaMixer::scan(DeviceMatrix xz, CudaBlocks const& blocks, CudaLayerState const& state,
                          CudaMambaScratch const& scratch, DeviceMatrix y, bool accumulate,
                          CudaStreams& streams) const {
    CausalConv1dCudaArgs conv;
    conv.x = xz.cols_from(0, d_inner_);
    conv.y = scratch.u;
    conv.weight = conv_weight_.data();
    conv.bias = conv_bias_.data();
    conv.d_conv = d_conv_;
    conv.blocks = blocks.blocks;
    conv.block_count = blocks.count;
    conv.state = state.conv;
    causal_conv1d_cuda(conv, streams.main.get());

    project_dt_B_C(scratch, streams.main.get());

    SelectiveScanCudaArgs scan;
    scan.u = scratch.u;
    scan.delta = scratch.dt;
    scan.delta_is_dt = true;
    scan.B = scratch.dbc.cols_from(dt_rank_, d_state_);
    scan.C = scratch.dbc.cols_from(dt_rank_ + d_state_, d_state_);
    scan.z = xz.cols_from(d_inner_, d_inner_);
    scan.y = y;
    scan.A = A_.data();
    scan.D = D_.data();
    scan.d_state = d_state_;
    scan.blocks = blocks.blocks;
    scan.block_count = blocks.count;
    scan.longest = blocks.longest;
    scan.state = state.scan;
    scan.accumulate = accumulate;
    streams.scan_may_begin.record(streams.main.get());
    streams.scan.wait_for(streams.scan_may_begin);
    selective_scan_cuda(scan, *scratch.chain, streams.scan.get());
    streams.scan_done.record(streams.scan.get());
    streams.main.wait_for(streams.scan_done);
}

} // namespace strandwave

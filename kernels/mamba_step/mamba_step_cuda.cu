#include "kernels/mamba_step/mamba_step_cuda.h"

#include "kernels/mamba_step/mamba_step_stepper.cuh"

#include <algorithm>
#include <bit>

namespace strandwave {
namespace step {
namespace {

template <class T, int kPairs>
__global__ void __launch_bounds__(kThreads, 1) mamba_step(Params const __grid_constant__ p) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    extern __shared__ __align__(128) unsigned char memory[];
    Stepper<T, kPairs>(p, memory).run();
#endif
}

template <class T>
void const* kernel_of(int pairs) {
    switch (pairs) {
    case 1: return reinterpret_cast<void const*>(mamba_step<T, 1>);
    case 2: return reinterpret_cast<void const*>(mamba_step<T, 2>);
    case 3: return reinterpret_cast<void const*>(mamba_step<T, 3>);
    case 4: return reinterpret_cast<void const*>(mamba_step<T, 4>);
    case 6: return reinterpret_cast<void const*>(mamba_step<T, 6>);
    case 8: return reinterpret_cast<void const*>(mamba_step<T, 8>);
    default: return nullptr;
    }
}

/// The next number of pairs that there is a kernel for.
int kernel_pairs(int pairs) { return pairs <= 4 ? pairs : pairs <= 6 ? 6 : pairs <= kMaxPairs ? kMaxPairs : 0; }

/// The attributes outlive the call: those of the cluster and, where asked, that a launch need not wait for the end of
/// the one before.
struct Launch {
    cudaLaunchAttribute attributes[2]{};
    cudaLaunchConfig_t config{};

    Launch(Plan const& plan, bool early, GpuStream stream) {
        attributes[0].id = cudaLaunchAttributeClusterDimension;
        attributes[0].val.clusterDim = {static_cast<unsigned int>(plan.layout.blocks), 1, 1};
        attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
        attributes[1].val.programmaticStreamSerializationAllowed = 1;
        config.gridDim = dim3(static_cast<unsigned int>(plan.layout.blocks));
        config.blockDim = dim3(kThreads);
        config.dynamicSmemBytes = static_cast<std::size_t>(plan.shared.bytes);
        config.stream = stream;
        config.attrs = attributes;
        config.numAttrs = early ? 2 : 1;
    }
};

int device_attribute(cudaDeviceAttr attribute) {
    int gpu = 0;
    int value = 0;
    check_cuda(cudaGetDevice(&gpu), "mamba_step");
    check_cuda(cudaDeviceGetAttribute(&value, attribute, gpu), "mamba_step");
    return value;
}

/// Whether the current GPU has code of such a kernel and takes its clusters. Sets the kernel's attributes.
bool can_run(Plan const& plan) {
    cudaFuncAttributes attributes{};
    int clusters = 0;
    Launch const launch(plan, false, nullptr);
    bool const can =
        cudaFuncGetAttributes(&attributes, plan.kernel) == cudaSuccess && attributes.ptxVersion >= 90 &&
        cudaFuncSetAttribute(plan.kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared.bytes) ==
            cudaSuccess &&
        cudaFuncSetAttribute(plan.kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) == cudaSuccess &&
        cudaOccupancyMaxActiveClusters(&clusters, plan.kernel, &launch.config) == cudaSuccess && clusters > 0;
    if (!can) { cudaGetLastError(); } // a refusal here is an answer, not an error of the next launch
    return can;
}

bool extents_fit(MambaStepShape const& s) {
    constexpr index_t kMost = 1 << 16;
    auto const within = [](index_t extent, index_t most) { return extent >= 1 && extent <= most; };
    return (s.dtype == DType::f32 || s.dtype == DType::bf16) && within(s.n_layer, kMost) && within(s.d_model, kMost) &&
           within(s.d_inner, kMost) && within(s.dt_rank, kMost) && within(s.d_state, kStates) &&
           within(s.d_conv, kTaps);
}

Layout layout_of(MambaStepShape const& s, int blocks) {
    auto const narrow = [](index_t extent) { return static_cast<int>(extent); };
    Layout l;
    l.blocks = blocks;
    l.block_bits = std::countr_zero(static_cast<unsigned int>(blocks));
    l.n_layer = narrow(s.n_layer);
    l.d_model = narrow(s.d_model);
    l.d_inner = narrow(s.d_inner);
    l.d_state = narrow(s.d_state);
    l.d_conv = narrow(s.d_conv);
    l.dt_rank = narrow(s.dt_rank);
    l.channels = 2 * divided_up(l.d_inner, 2 * blocks);
    l.pairs = kernel_pairs(divided_up(l.channels, 2 * kWarps));
    l.rows = divided_up(l.d_model, blocks);
    l.row_tasks = divided_up(l.rows, kTaskRows);
    l.tasks = divided_up(blocks * l.row_tasks, kWarps);
    l.owners = divided_up(l.rows, kWarp);
    l.senders = std::min(4, kWarps / l.owners);
    l.rank_rows = divided_up(l.dt_rank, kStates);
    l.sums = kStates * (l.rank_rows + 2);
    l.sum_warps = divided_up(l.sums, kWarp);
    l.sum_groups = std::min(4, kWarps / l.sum_warps);
    int const lane_elements = 16 / narrow(dtype_bytes(s.dtype));
    l.in_chunks = divided_up(blocks * l.rows, kWarp * lane_elements);
    l.out_chunks = divided_up(l.channels, 4 * lane_elements);
    l.front_units = 1 + divided_up(kFrontFields + l.sums / kStates, 4);
    l.back_units = divided_up(kBackFields + l.rank_rows, 4);
    l.front_at = 4 * l.in_chunks * l.pairs * kUnitBytes;
    l.back_at = l.front_at + l.front_units * l.pairs * kUnitBytes;
    l.out_at = l.back_at + l.back_units * l.pairs * kUnitBytes;
    l.layer_bytes = l.out_at + 2 * l.tasks * l.out_chunks * kUnitBytes;
    return l;
}

SharedLayout shared_layout_of(Layout const& l, int lane_elements) {
    SharedLayout s;
    auto const take = [&s](int floats) {
        constexpr int kAligned = 128;
        int const at = s.bytes;
        s.bytes += divided_up(4 * floats, kAligned) * kAligned;
        return at;
    };
    s.partial = take(kWarps * l.sums);
    s.inbox = take(kMaxBlocks * l.sums);
    s.sums = take(l.sums);
    s.y = take(l.out_chunks * 4 * lane_elements);
    s.outbox = take(kMaxBlocks * l.row_tasks * kTaskRows);
    s.normed = take(l.in_chunks * kWarp * lane_elements);
    s.squares = take(kMaxBlocks * kMaxOwners);
    s.barriers = take(2 * 3);
    return s;
}

bool layout_fits(Layout const& l) { return l.pairs > 0 && l.owners <= kMaxOwners && l.sum_warps <= kWarps; }

} // namespace

Plan plan_step(MambaStepShape const& shape) {
    if (!extents_fit(shape) || device_attribute(cudaDevAttrClusterLaunch) == 0) { return {}; }
    for (int const blocks : {kMaxBlocks, kMaxBlocks / 2}) {
        Plan plan;
        plan.layout = layout_of(shape, blocks);
        if (!layout_fits(plan.layout)) { continue; }
        plan.shared = shared_layout_of(plan.layout, 16 / static_cast<int>(dtype_bytes(shape.dtype)));
        plan.prefetch = plan.layout.bytes() > device_attribute(cudaDevAttrL2CacheSize) / 2;
        int const pairs = plan.layout.pairs;
        plan.kernel = shape.dtype == DType::f32 ? kernel_of<float>(pairs) : kernel_of<__nv_bfloat16>(pairs);
        if (can_run(plan)) { return plan; }
    }
    return {};
}

} // namespace step

void mamba_step_cuda(MambaStepWeights const& weights, MambaStepArgs const& args, GpuStream stream) {
    auto const& impl = weights.impl();
    auto const& shape = impl.shape;
    step::Params p{};
    p.layout = impl.plan.layout;
    p.shared = impl.plan.shared;
    p.prefetch = impl.plan.prefetch;
    p.weights = static_cast<unsigned char const*>(impl.weights.data());
    p.norms = impl.norms.data();
    p.row = args.embedding + args.token * shape.d_model;
    p.conv = args.conv_state;
    p.scan = args.scan_state;
    p.conv_layer = args.slots * (shape.d_conv - 1) * shape.d_inner;
    p.scan_layer = args.slots * shape.d_state * shape.d_inner;
    p.initial = args.initial;
    p.final = args.final;
    p.epsilon = impl.epsilon;
    p.one_by_d_model = 1.0F / static_cast<float>(shape.d_model);
    p.normed = args.normed;
    p.pool_state = args.pool_state;
    p.pooled = args.pooled;
    p.pooling = args.pooling;
    p.first = args.seen == 0;
    step::Launch const launch(impl.plan, true, stream);
    void* arguments[] = {&p};
    check_cuda(cudaLaunchKernelExC(&launch.config, impl.plan.kernel, arguments), "mamba_step");
}

} // namespace strandwave

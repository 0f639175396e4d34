#include "kernels/cuda/element.cuh"
#include "kernels/cuda/math.cuh"
#include "kernels/mamba_step/mamba_step_impl.cuh"
#include "lib/core/check.h"

#include <cuda_runtime_api.h>
#include <utility>

namespace strandwave {
namespace step {
namespace {

/// Finds the weights that a lane reads at a place of a layer's stream.
template <class T>
struct Packer {
    static constexpr int kLaneElements = 16 / sizeof(T);

    Layout l;
    MambaStepLayer layer;

    /// Where 16 bytes go. `number` counts a layer's units.
    struct Place {
        int block;
        int warp;
        int number;
        int lane;
    };

    __device__ static float at(void const* matrix, index_t columns, index_t row, index_t column) {
        return device::to_float(static_cast<T const*>(matrix)[row * columns + column]);
    }
    /// Channel of the model; negative: there is none.
    __device__ int channel(int block, int local) const {
        int const e = block * l.channels + local;
        return local < l.channels && e < l.d_inner ? e : -1;
    }

    __device__ void pack(Place place, uint4* to) const {
        int const bytes = place.number * kUnitBytes;
        if (bytes < l.front_at) {
            return pack_matrix(to, [&](int v) { return in_weight(place, v); });
        }
        if (bytes < l.out_at) {
            bool const front = bytes < l.back_at;
            place.number -= (front ? l.front_at : l.back_at) / kUnitBytes;
            return pack_numbers(place, front, to);
        }
        place.number -= l.out_at / kUnitBytes;
        pack_matrix(to, [&](int v) { return out_weight(place, v); });
    }

    template <class Weight>
    __device__ static void pack_matrix(uint4* to, Weight const& weight) {
        alignas(16) T weights[kLaneElements];
        for (int v = 0; v < kLaneElements; ++v) {
            weights[v] = device::from_float<T>(weight(v));
        }
        *to = *reinterpret_cast<uint4 const*>(weights);
    }

    __device__ float in_weight(Place place, int v) const {
        int const row = place.number % 4; // x0, x1, z0, z1
        int const j = place.number / 4 % l.pairs;
        int const chunk = place.number / 4 / l.pairs;
        int const e = channel(place.block, 2 * (place.warp + kWarps * j) + row % 2);
        int const column = chunk * kWarp * kLaneElements + v / 4 * 4 * kWarp + 4 * place.lane + v % 4;
        if (e < 0 || column >= l.d_model) { return 0.0F; }
        return at(layer.in_proj, l.d_model, row < 2 ? e : l.d_inner + e, column);
    }

    __device__ float out_weight(Place place, int v) const {
        int const chunk = place.number / 2 % l.out_chunks;
        int const task = place.warp + kWarps * (place.number / 2 / l.out_chunks);
        int const local = task / l.blocks * kTaskRows + place.lane / 4 * 2 + place.number % 2;
        int const row = task % l.blocks * l.rows + local;
        int const e = channel(place.block, chunk * 4 * kLaneElements + v / 4 * 16 + place.lane % 4 * 4 + v % 4);
        bool const exists = task < l.blocks * l.row_tasks && local < l.rows && row < l.d_model && e >= 0;
        return exists ? at(layer.out_proj, l.d_inner, row, e) : 0.0F;
    }

    __device__ void pack_numbers(Place const& place, bool front, uint4* to) const {
        int const j = place.number % l.pairs;
        int const n = place.lane % kStates;
        int const e = channel(place.block, 2 * (place.warp + kWarps * j) + place.lane / kStates);
        alignas(16) float numbers[4];
        for (int v = 0; v < 4; ++v) {
            int const number = place.number / l.pairs * 4 + v;
            numbers[v] = e < 0 ? 0.0F : front ? front_number(number, n, e) : back_number(number, n, e);
        }
        *to = *reinterpret_cast<uint4 const*>(numbers);
    }

    __device__ float front_number(int number, int n, int e) const {
        if (number < kTaps) {
            int const tap = number - (kTaps - l.d_conv);
            return tap < 0 ? 0.0F : layer.conv_weight[static_cast<index_t>(tap) * l.d_inner + e];
        }
        int const sums = number - kTaps - kFrontFields; // which 16 of x_proj's rows: dt's, B's, C's
        if (sums < 0) { return layer.conv_bias == nullptr ? 0.0F : layer.conv_bias[e]; }
        int const first = sums < l.rank_rows ? sums * kStates : l.dt_rank + (sums - l.rank_rows) * l.d_state;
        int const count = sums < l.rank_rows ? l.dt_rank - first : sums < l.rank_rows + 2 ? l.d_state : 0;
        return n < count ? at(layer.x_proj, l.d_inner, first + n, e) : 0.0F;
    }

    __device__ float back_number(int number, int n, int e) const {
        if (number == 0) {
            return n < l.d_state ? layer.A[static_cast<index_t>(n) * l.d_inner + e] * device::kLog2E : 0.0F;
        }
        if (number == 1) { return layer.D[e]; }
        if (number == 2) { return layer.dt_bias == nullptr ? 0.0F : layer.dt_bias[e]; }
        int const r = (number - kBackFields) * kStates + n;
        return r < l.dt_rank ? at(layer.dt_proj, l.dt_rank, e, r) : 0.0F;
    }
};

template <class T>
__global__ void __launch_bounds__(kThreads) pack_units(Packer<T> const packer, int number, uint4* to) {
    Layout const& l = packer.l;
    index_t const part = static_cast<index_t>(blockIdx.x) * kThreads + threadIdx.x;
    index_t const unit = part / kWarp;
    int const units = l.layer_bytes / kUnitBytes;
    auto const warp = static_cast<int>(unit / units); // of all blocks
    if (warp >= l.blocks * kWarps) { return; }
    auto const in_layer = static_cast<int>(unit % units);
    auto const lane = static_cast<int>(part % kWarp);
    index_t const at = (static_cast<index_t>(warp) * l.n_layer + number) * units + in_layer;
    packer.pack({warp / kWarps, warp % kWarps, in_layer, lane}, to + at * kWarp + lane);
}

} // namespace

void pack_layer(Layout const& layout, DType dtype, MambaStepLayer const& layer, int number, void* to) {
    index_t const parts = static_cast<index_t>(layout.blocks) * kWarps * layout.layer_bytes / 16;
    auto const blocks = static_cast<unsigned int>((parts + kThreads - 1) / kThreads);
    with_element("mamba_step", dtype, [&](auto zero) {
        using T = decltype(zero);
        pack_units<T><<<blocks, kThreads>>>(Packer<T>{layout, layer}, number, static_cast<uint4*>(to));
        check_launch("mamba_step, weights");
    });
}

} // namespace step

bool MambaStepWeights::fit(MambaStepShape const& shape) { return step::plan_step(shape).kernel != nullptr; }

MambaStepWeights::MambaStepWeights(MambaStepShape const& shape, std::span<MambaStepLayer const> layers,
                                   float const* final_norm, float epsilon) {
    check_extent("mamba_step", "number of layers", static_cast<index_t>(layers.size()), shape.n_layer);
    auto impl = std::make_unique<Impl>();
    impl->shape = shape;
    impl->plan = step::plan_step(shape);
    impl->epsilon = epsilon;
    if (impl->plan.kernel == nullptr) {
        throw Error(ErrorCode::unsupported, "mamba_step: not for this model on this GPU");
    }
    auto const& layout = impl->plan.layout;
    index_t const norm_rows = static_cast<index_t>(layout.blocks) * layout.rows;
    impl->weights = DeviceMemory(layout.bytes());
    impl->norms = DeviceArray<float>((shape.n_layer + 1) * norm_rows);
    fill_bytes(static_cast<char*>(impl->weights.data()) + layout.bytes() - step::kSlackBytes, 0, step::kSlackBytes,
               nullptr);
    fill_bytes(impl->norms.data(), 0, impl->norms.size() * static_cast<index_t>(sizeof(float)), nullptr);
    for (int i = 0; i <= layout.n_layer; ++i) {
        bool const last = i == layout.n_layer;
        float const* const norm = last ? final_norm : layers[static_cast<std::size_t>(i)].norm;
        check_cuda(cudaMemcpyAsync(impl->norms.data() + i * norm_rows, norm,
                                   static_cast<std::size_t>(shape.d_model) * sizeof(float), cudaMemcpyDeviceToDevice),
                   "mamba_step: copying norms");
        if (!last) {
            step::pack_layer(layout, shape.dtype, layers[static_cast<std::size_t>(i)], i, impl->weights.data());
        }
    }
    check_cuda(cudaStreamSynchronize(nullptr), "mamba_step: packing weights");
    impl_ = std::move(impl);
}

MambaStepWeights::~MambaStepWeights() = default;
MambaStepWeights::MambaStepWeights(MambaStepWeights&&) noexcept = default;
MambaStepWeights& MambaStepWeights::operator=(MambaStepWeights&&) noexcept = default;
MambaStepShape const& MambaStepWeights::shape() const noexcept { return impl_->shape; }

} // namespace strandwave

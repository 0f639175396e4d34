// One token, all layers, one cluster. A layer is three exchanges between the blocks, each awaited by all of them:
//   1. Each block has the residual times the norm's weight, and the sums of its squares. A warp makes x and z of its
//      channels (16 lanes each, in the end), convolves, and multiplies x_proj's columns of these channels. Over the
//      block's warps and then over the blocks these become dt, B and C.
//   2. A warp makes dt of its channels, steps their states, a lane each, and gates: y. Then it multiplies out_proj's
//      columns of the block's channels with its share of rows, and sends each sum to the block that owns the row.
//   3. Owners add up what came, keep the residual in registers, and send it, times the next norm's weight, to all.
// No buffer is written to again before all have read it: each send follows, by way of the exchanges between, from every
// block's having passed the __syncthreads behind its reading.
// Weights go from the L2 cache straight to registers. The first of each kind is asked for at least one exchange before
// it is needed, those behind it while the ones before are multiplied.
#pragma once

#include "kernels/cuda/math.cuh"
#include "kernels/mamba_step/mamba_step_block.cuh"
#include "kernels/mamba_step/mamba_step_lane.cuh"
#include "kernels/mamba_step/mamba_step_residual.cuh"

namespace strandwave::step {

template <class T, int kPairs>
class Stepper {
public:
    __device__ __forceinline__ Stepper(Params const& p_, unsigned char* memory)
        : block(p_, memory), p(p_), l(p_.layout), residual(block) {}

    __device__ __forceinline__ void run() {
        begin();
        for (int layer = 0; layer < l.n_layer; ++layer) {
            load_states(layer);
            if constexpr (kLoadsEarly) { load_front(); }
            project_in(layer);
            if constexpr (!kLoadsEarly) { load_front(); }
            convolve();
            load_back();
            __syncthreads();
            send_sums();
            collect_sums(layer);
            __syncthreads();
            step_states();
            bool const more = go_on(layer);
            __syncthreads();
            project_out();
            if (more) { load_in(); }
            residual.update(block, layer);
        }
        residual.finish(block);
        cluster::meet(); // no block leaves while another one sends to it
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;
    static constexpr int kLaneElements = 16 / sizeof(T);
    static constexpr int kInBuffers = kPairs <= 4 ? kPairs : kPairs / 2;
    static constexpr bool kLoadsEarly = kPairs <= 4;                     ///< else registers are short
    static constexpr int kOutBuffers = kPairs <= 2 ? 2 : kMaxOutBuffers; ///< a wide model has many parts to load

    __device__ __forceinline__ int half() const { return block.lane / kStates; } ///< which channel of a pair
    __device__ __forceinline__ int state() const { return block.lane % kStates; }
    /// The lane's channel of the warp's pair j, within the block's.
    __device__ __forceinline__ int channel(int j) const { return 2 * (block.warp + kWarps * j) + half(); }
    __device__ __forceinline__ bool exists(int j) const { return channel(j) < own_channels; }

    __device__ __forceinline__ void begin() {
        block.begin();
        own_channels = min(l.channels, l.d_inner - block.rank * l.channels);
        sum_group = block.warp / l.sum_warps;
        number = (block.warp - sum_group * l.sum_warps) * kWarp + block.lane;
        weights = p.weights + static_cast<index_t>(block.rank * kWarps + block.warp) * l.n_layer * l.layer_bytes;
        if (p.prefetch && block.lane == 0) { cluster::prefetch(weights, l.layer_bytes); }
        weights += 16 * block.lane;
        load_in();
        place_states();
        cluster::meet();
        residual.send(block);
        cluster::wait_for_kernel_before();
        cluster::let_next_kernel_begin();
    }

    __device__ __forceinline__ void place_states() {
        index_t const e = block.rank * l.channels + channel(0);
        index_t const conv_slot = static_cast<index_t>(l.d_conv - 1) * l.d_inner;
        index_t const scan_slot = static_cast<index_t>(l.d_state) * l.d_inner;
        index_t const tap = static_cast<index_t>(l.d_conv - kTaps) * l.d_inner; // where tap 0 of kTaps would be
        conv_in = p.conv + p.initial * conv_slot + tap + e;
        conv_out = p.conv + p.final * conv_slot + tap + state() * static_cast<index_t>(l.d_inner) + e;
        scan_in = p.scan + p.initial * scan_slot + state() * static_cast<index_t>(l.d_inner) + e;
        scan_out = p.scan + p.final * scan_slot + state() * static_cast<index_t>(l.d_inner) + e;
    }

    /// The next layer; whether there is one.
    __device__ __forceinline__ bool go_on(int layer) {
        conv_in += p.conv_layer;
        conv_out += p.conv_layer;
        scan_in += p.scan_layer;
        scan_out += p.scan_layer;
        out_weights = weights + l.out_at;
        weights += l.layer_bytes;
        return layer + 1 < l.n_layer;
    }

    /// The carried state that the layer needs later, and the weight of the norm behind it.
    __device__ __forceinline__ void load_states(int layer) {
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            bool const has = p.initial >= 0 && exists(j);
            float const* tap = conv_in + 2 * kWarps * j;
#pragma unroll
            for (int k = 0; k < kTaps - 1; ++k, tap += l.d_inner) {
                history[j][k] = has && k >= kTaps - l.d_conv ? load_float(tap) : 0.0F;
            }
            h[j] = has && state() < l.d_state ? load_float(scan_in + 2 * kWarps * j) : 0.0F;
        }
        residual.load_next_norm(block);
        if (p.prefetch && block.lane == 0 && layer + 1 < l.n_layer) {
            cluster::prefetch(weights + l.layer_bytes, l.layer_bytes);
        }
    }

    __device__ __forceinline__ void load_in() {
#pragma unroll
        for (int b = 0; b < kInBuffers; ++b) {
            load_units(weights + b * 4 * kUnitBytes, in[b]);
        }
    }

    /// x and z: dot products of rows of in_proj and the normed residual.
    __device__ __forceinline__ void project_in(int layer) {
        float sums[kPairs][4] = {};
        unsigned char const* next = weights + kInBuffers * 4 * kUnitBytes;
        unsigned char const* const end = weights + l.front_at;
        block.await(kNormed, layer);
        for (int i = 0; i < l.in_chunks; ++i) {
            float input[kLaneElements];
            load_input<4 * kWarp>(block.floats(p.shared.normed) + i * kWarp * kLaneElements + 4 * block.lane, input);
#pragma unroll
            for (int j = 0; j < kPairs; ++j) {
#pragma unroll
                for (int r = 0; r < 4; ++r) {
                    sums[j][r] = add_products(in[j % kInBuffers][r], input, sums[j][r]);
                }
                if (next < end) { load_units(next, in[j % kInBuffers]); }
                next += 4 * kUnitBytes;
            }
        }
        float const scale = residual.norm_scale(block);
        float xz[2 * kPairs];
#pragma unroll
        for (int i = 0; i < 2 * kPairs; ++i) {
            float const(&rows)[4] = sums[i / 2];
            float const mine = half() == 0 ? rows[i % 2 * 2] : rows[i % 2 * 2 + 1];
            float const other = half() == 0 ? rows[i % 2 * 2 + 1] : rows[i % 2 * 2];
            xz[i] = mine + __shfl_xor_sync(~0U, other, kStates);
        }
        add_lanes<kStates>(xz);
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            x[j] = scale * xz[2 * j];
            z[j] = scale * xz[2 * j + 1];
        }
    }

    __device__ __forceinline__ unsigned char const* front_at(int unit, int j) const {
        return weights + l.front_at + (unit * kPairs + j) * kUnitBytes;
    }
    __device__ __forceinline__ void load_front() {
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            taps[j] = load_unit(front_at(0, j));
            front[j] = load_unit(front_at(1, j));
        }
    }

    /// u, and x_proj's sums over the warp's channels.
    __device__ __forceinline__ void convolve() {
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            float weight_of[4];
            unpack(taps[j], weight_of);
            float sum = __uint_as_float(front[j].x);
#pragma unroll
            for (int k = 0; k < kTaps - 1; ++k) {
                sum = fmaf(weight_of[k], history[j][k], sum);
            }
            u[j] = device::silu<kFast>(fmaf(weight_of[kTaps - 1], x[j], sum));
        }
        add_front(0, kFrontFields);
        for (int unit = 2; unit < l.front_units; ++unit) {
#pragma unroll
            for (int j = 0; j < kPairs; ++j) {
                front[j] = load_unit(front_at(unit, j));
            }
            add_front(4 * (unit - 1), 0);
        }
        store_history();
    }

    /// x_proj's rows that `front` has, from its number `skipped` on; `first` counts numbers.
    __device__ __forceinline__ void add_front(int first, int skipped) const {
        float sums[4] = {};
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            float weight_of[4];
            unpack(front[j], weight_of);
#pragma unroll
            for (int v = 0; v < 4; ++v) {
                sums[v] = fmaf(weight_of[v], u[j], sums[v]);
            }
        }
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            if (v < skipped) { continue; }
            float const sum = sums[v] + __shfl_xor_sync(~0U, sums[v], kStates);
            int const at = (first + v - kFrontFields) * kStates + state();
            if (half() == 0 && at < l.sums) { block.floats(p.shared.partial)[block.warp * l.sums + at] = sum; }
        }
    }

    __device__ __forceinline__ void store_history() const {
        if (p.final < 0 || state() >= kTaps - 1 || state() < kTaps - l.d_conv) { return; }
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            float const value = state() == 0 ? history[j][1] : state() == 1 ? history[j][2] : x[j];
            if (exists(j)) { conv_out[2 * kWarps * j] = value; }
        }
    }

    __device__ __forceinline__ unsigned char const* back_at(int unit, int j) const {
        return weights + l.back_at + (unit * kPairs + j) * kUnitBytes;
    }
    __device__ __forceinline__ void load_back() {
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            back[j] = load_unit(back_at(0, j));
        }
#pragma unroll
        for (int b = 0; b < kOutBuffers; ++b) { // where there are fewer parts, what lies behind them
            load_units(weights + l.out_at + b * 2 * kUnitBytes, out[b]);
        }
    }

    /// x_proj's sums over the block's channels, to all blocks.
    __device__ __forceinline__ void send_sums() const {
        if (sum_group >= l.sum_groups || number >= l.sums) { return; }
        float const sum = sum_column<kWarps>(block.floats(p.shared.partial) + number, l.sums);
        float* const to = block.floats(p.shared.inbox) + block.rank * l.sums + number;
        for (int other = sum_group; other < l.blocks; other += l.sum_groups) {
            block.send(sum, to, other, kSums);
        }
    }

    /// dt, B and C.
    __device__ __forceinline__ void collect_sums(int layer) const {
        if (sum_group > 0) { return; }
        block.await(kSums, layer);
        if (number >= l.sums) { return; }
        block.floats(p.shared.sums)[number] = sum_column<kMaxBlocks>(block.floats(p.shared.inbox) + number, l.sums);
    }

    __device__ __forceinline__ void step_states() {
        float const* const dt = block.floats(p.shared.sums) + state();
        float const B = dt[l.rank_rows * kStates];
        float const C = dt[(l.rank_rows + 1) * kStates];
        float delta[kPairs];
        float y[kPairs];
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            delta[j] = __uint_as_float(back[j].w) * dt[0];
        }
        for (int unit = 1; unit < l.back_units; ++unit) {
            add_back(unit, dt + (4 * unit - kBackFields) * kStates, delta);
        }
        add_lanes<kStates>(delta);
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            delta[j] = device::softplus<kFast>(delta[j] + __uint_as_float(back[j].z));
            h[j] = fmaf(device::exp2_of<kFast>(delta[j] * __uint_as_float(back[j].x)), h[j], delta[j] * u[j] * B);
            y[j] = C * h[j];
        }
        add_lanes<kStates>(y);
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            float const gated = fmaf(__uint_as_float(back[j].y), u[j], y[j]) * device::silu<kFast>(z[j]);
            if (state() == 0 && channel(j) < l.channels) { block.floats(p.shared.y)[channel(j)] = gated; }
            if (p.final >= 0 && exists(j) && state() < l.d_state) { scan_out[2 * kWarps * j] = h[j]; }
        }
    }

    /// Four times 16 columns of dt_proj. Those that do not exist are not read from `dt`.
    __device__ __forceinline__ void add_back(int unit, float const* dt, float (&delta)[kPairs]) const {
        float numbers[4];
#pragma unroll
        for (int v = 0; v < 4; ++v) {
            numbers[v] = 4 * unit + v - kBackFields < l.rank_rows ? dt[v * kStates] : 0.0F;
        }
#pragma unroll
        for (int j = 0; j < kPairs; ++j) {
            float weight_of[4];
            unpack(load_unit(back_at(unit, j)), weight_of);
#pragma unroll
            for (int v = 0; v < 4; ++v) {
                delta[j] = fmaf(weight_of[v], numbers[v], delta[j]);
            }
        }
    }

    /// out_proj's sums over the block's channels, each to the block that owns the row.
    __device__ __forceinline__ void project_out() {
        int task = block.warp;
        int chunk = 0;
        float sums[2] = {};
        int const parts = l.tasks * l.out_chunks;
        for (int part = 0; part < parts; part += kOutBuffers) {
#pragma unroll
            for (int b = 0; b < kOutBuffers; ++b) {
                if (part + b >= parts) { break; }
                float input[kLaneElements];
                load_input<16>(block.floats(p.shared.y) + chunk * 4 * kLaneElements + 4 * (block.lane % 4), input);
                sums[0] = add_products(out[b][0], input, sums[0]);
                sums[1] = add_products(out[b][1], input, sums[1]);
                int const next = part + b + kOutBuffers;
                if (next < parts) { load_units(out_weights + next * 2 * kUnitBytes, out[b]); }
                if (++chunk < l.out_chunks) { continue; }
                send_rows(task, sums);
                sums[0] = sums[1] = 0.0F;
                chunk = 0;
                task += kWarps;
            }
        }
    }

    __device__ __forceinline__ void send_rows(int task, float const (&sums)[2]) const {
        bool const odd = block.lane % 2 != 0;
        float const two = (odd ? sums[1] : sums[0]) + __shfl_xor_sync(~0U, odd ? sums[0] : sums[1], 1);
        float const sum = two + __shfl_xor_sync(~0U, two, 2);
        int const rows = task >> l.block_bits; // which of the block's
        if (rows >= l.row_tasks || block.lane % 4 > 1) { return; }
        int const row = (block.rank * l.row_tasks + rows) * kTaskRows + block.lane / 4 * 2 + block.lane % 2;
        block.send(sum, block.floats(p.shared.outbox) + row, task & (l.blocks - 1), kRows);
    }

    Block block;
    Params const& p;
    Layout const& l;
    Residual<kFast> residual;
    int own_channels;                 ///< of d_inner, of the block; less than l.channels at the end
    int sum_group;                    ///< of threads that have all of x_proj's sums
    int number;                       ///< of the thread's, among them
    unsigned char const* weights;     ///< the lane's, of the layer
    unsigned char const* out_weights; ///< out_proj's, while `weights` has gone on
    float* conv_in;
    float* conv_out;
    float* scan_in;
    float* scan_out;
    uint4 in[kInBuffers][4];
    uint4 taps[kPairs];
    uint4 front[kPairs];
    uint4 back[kPairs];
    uint4 out[kOutBuffers][2];
    float history[kPairs][kTaps - 1];
    float h[kPairs];
    float x[kPairs];
    float z[kPairs];
    float u[kPairs];
};

} // namespace strandwave::step

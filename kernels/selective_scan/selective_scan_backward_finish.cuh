// The kernel that walks tiles, and what it does once the sums over all states are there.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_walk.cuh"

namespace strandwave::scan_backward {

/// What needs the sums over all states, for a tile's rows: du, ddelta, dz, y and the sums for dD and ddelta_bias.
template <class T, bool kMany>
class Finish {
public:
    __device__ __forceinline__ Finish(Params<T> const& p_, Tile const& tile_, int group, WalkShared& s_,
                                      StateSums const& many_)
        : p(p_), tile(tile_), share(p_, group), s(s_), many(many_), du(p_.du, tile_, share),
          ddelta(p_.ddelta, tile_, share), dz(p_.dz, tile_, share), y(p_.y, tile_, share) {}

    /// Leaves sums of each warp in shared memory.
    __device__ __forceinline__ void run() {
        load_parameters(p.D, share, D);
        load_parameters(p.delta_bias, share, bias);
        InputReader<T> reader(p, tile, share);
#pragma unroll 1
        for (int first = share.row; first < tile.rows; first += Inputs<T>::kCount * kRowsAtOnce) {
            Inputs<T> in;
            reader.next(in);
#pragma unroll
            for (int k = 0; k < Inputs<T>::kCount; ++k) {
                finish_row(first + k * kRowsAtOnce, in.u[k], in.delta[k], in.z[k], in.dy[k]);
                du.next();
                ddelta.next();
                dz.next();
                y.next();
            }
        }
        static_assert(kRowsAtOnce / kWarps == 2);
        int const lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            sum_D[i] = add_other(sum_D[i], sum_D[i], 16);
            sum_bias[i] = add_other(sum_bias[i], sum_bias[i], 16);
        }
        if (lane >= kQuadsARow) { return; }
        auto& to = s.sums.channels[threadIdx.x / 32];
        store<float, kQuad>(sum_D, &to[0][share.channel]);
        store<float, kQuad>(sum_bias, &to[1][share.channel]);
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;

    __device__ __forceinline__ void finish_row(int row, Quad<T> u_quad, Quad<T> delta_quad, Quad<T> z_quad,
                                               Quad<T> dy_quad) {
        if (row >= tile.rows || share.count == 0) { return; }
        float dt[kQuad], ds[kQuad], Ch[kQuad], Ag[kQuad], Bg[kQuad];
        read_sums(row, dt, ds, Ch, Ag, Bg);
        float u[kQuad], u_gradient[kQuad], slope[kQuad];
        unpack(u_quad, u);
        unpack(delta_quad, slope);
        slopes(dt, slope);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            u_gradient[i] = fmaf(D[i], ds[i], dt[i] * Bg[i]);
            slope[i] *= fmaf(Bg[i], u[i], Ag[i] * kAgFactor);
            sum_D[i] = fmaf(ds[i], u[i], sum_D[i]);
            sum_bias[i] += slope[i];
            Ch[i] = fmaf(D[i], u[i], Ch[i]);
        }
        store_quad(u_gradient, du.at, share.count, p.vector_channels);
        store_quad(slope, ddelta.at, share.count, p.vector_channels);
        if (p.z.exists()) { store_gate(z_quad, dy_quad, Ch); }
        if (p.y.exists()) { add_quad(Ch, y.at); }
    }

    /// From delta to the derivative of its softplus.
    __device__ __forceinline__ void slopes(float const (&dt)[kQuad], float (&delta)[kQuad]) const {
        if (p.delta_is_dt) {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                delta[i] = slope_at<kFast>(dt[i]);
            }
        } else {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                delta[i] = sigmoid<kFast>(delta[i] + bias[i]);
            }
        }
    }

    /// dz, and y from before the gate to behind it.
    __device__ __forceinline__ void store_gate(Quad<T> z_quad, Quad<T> dy_quad, float (&values)[kQuad]) const {
        float z[kQuad], gradient[kQuad];
        unpack(z_quad, z);
        unpack(dy_quad, gradient);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            float const gate = sigmoid<kFast>(z[i]);
            gradient[i] *= values[i] * (gate * fmaf(z[i], 1.0F - gate, 1.0F));
            values[i] *= z[i] * gate;
        }
        add_quad(gradient, dz.at);
    }

    /// To what is there, if that is wanted.
    __device__ __forceinline__ void add_quad(float (&values)[kQuad], T* to) const {
        if (p.accumulate_gate) {
            float before[kQuad];
            unpack(p.vector_channels ? load_quad<true>(to, share.count) : load_quad<false>(to, share.count), before);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                values[i] += before[i];
            }
        }
        store_quad(values, to, share.count, p.vector_channels);
    }

    __device__ __forceinline__ void read_sums(int row, float (&dt)[kQuad], float (&ds)[kQuad], float (&Ch)[kQuad],
                                              float (&Ag)[kQuad], float (&Bg)[kQuad]) const {
        int const c = share.channel;
        auto const* const steps = reinterpret_cast<float4 const*>(&s.rows.steps[row][c]);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float4 const two = steps[i];
            dt[2 * i] = two.x;
            Bg[2 * i] = two.y;
            dt[2 * i + 1] = two.z;
            Bg[2 * i + 1] = two.w;
        }
        load4(&s.rows.ds[row][c], ds);
        if constexpr (kMany) {
            load4(&many.sums[0][row][c], Ch);
            load4(&many.sums[1][row][c], Ag);
            load4(&many.sums[2][row][c], Bg);
            return;
        }
        StepSlot const& slot = s.slots[c / kWarpChannels][row / kStepRows];
        load4(&slot.y[row % kStepRows][c % kWarpChannels], Ch);
        load4(&slot.A[row % kStepRows][c % kWarpChannels], Ag);
    }

    static constexpr float kAgFactor = kFast ? 0.693147182F : 1.0F; ///< 1 / kDecayFactor
    Params<T> const& p;
    Tile const& tile;
    Share const share;
    WalkShared& s;
    StateSums const& many;
    Column<T> du, ddelta, dz, y;
    float D[kQuad], bias[kQuad];
    float sum_D[kQuad] = {};
    float sum_bias[kQuad] = {};
};

/// The sums of rows d_state and d_state + 1 of `before`.
template <class T>
__device__ __forceinline__ void store_channel_sums(Params<T> const& p, index_t link, int group, bool first,
                                                   WalkShared const& s) {
    static_assert(kThreads == 2 * kChannels);
    int const which = static_cast<int>(threadIdx.x) / kChannels;
    int const channel = static_cast<int>(threadIdx.x) % kChannels;
    float* const to = p.before_of(link, p.d_state + which) + group * kChannels + channel;
    float sum = first ? 0.0F : *to;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
        sum += s.sums.channels[warp][which][channel];
    }
    *to = sum;
}

template <bool kMany>
struct WalkMemory {
    WalkShared shared;
    StateSums many;
};
template <>
struct WalkMemory<false> {
    union {
        WalkShared shared;
        StateSums many; ///< not used
    };
};
extern __shared__ float4 walk_memory[];

template <class T, bool kMany>
__device__ __forceinline__ void walk_tile(Params<T> const& p, Tile const& tile, int group, bool first,
                                          WalkMemory<kMany>& memory) {
    WalkShared& s = memory.shared;
#pragma unroll 1
    for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
        States<T> const states(p, tile, group, n0);
        if (n0 == 0) {
            prepare_rows(p, tile, group, s.rows);
        } else {
            __syncthreads(); // all are through with the states before
        }
        states.store_to(s);
        __syncthreads();
        Walk<T, kMany> walk(p, tile, group, n0, s, memory.many);
        walk.run();
        __syncthreads();
        walk.store_sums(first);
        if constexpr (!kMany) { break; }
    }
    Finish<T, kMany>(p, tile, group, s, memory.many).run();
    __syncthreads();
    store_channel_sums(p, tile.link(), group, first, s);
}

/// `kMany`: more than kStates states.
template <class T, bool kMany>
__global__ void __launch_bounds__(kThreads, kMany ? 2 : 3) walk_tiles(Params<T> const p) {
    auto& memory = *reinterpret_cast<WalkMemory<kMany>*>(walk_memory);
    index_t const link = blockIdx.x / static_cast<unsigned int>(p.groups);
    int const group = static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups));
    bool first = true;
    Tile tile;
#pragma unroll 1
    for (int i = 0; i < kTileBlocks; ++i) {
        if (!find_tile(p.blocks, p.block_count, link * kTileBlocks + i, tile)) { continue; }
        if (!first) { __syncthreads(); } // all are through with the tile before
        walk_tile<T, kMany>(p, tile, group, first, memory);
        first = false;
    }
    if (!first) { return; }
#pragma unroll 1
    for (int k = static_cast<int>(threadIdx.x); k < (p.d_state + 2) * kChannels; k += kThreads) {
        p.before_of(link, k / kChannels)[group * kChannels + k % kChannels] = 0.0F;
    }
}

} // namespace strandwave::scan_backward

// A tile is up to 256 rows of one segment, counted from the segment's start. A thread takes one channel through a tile
// with 16 states in registers; B and C of a row are broadcasts from shared memory. Four kernels:
//   1. survey: what each full tile does to a state that comes in, h -> exp(A sum of dt) h + bt. Tiles that nobody
//      follows are left out, so segments of one tile need no survey.
//   2. chain: folds the full tiles of each segment in the order of time: the state behind each.
//   3. walk: the recurrence itself and y, each tile from the state behind the one before it.
//   4. final states to their slots: only here, since the slot may be the one that the segment started from.
// So long segments pay for their exponentials twice, but threads never wait for each other and so few registers are
// live that the special function units stay busy. What is combined with what depends on the segment only.
#include "kernels/selective_scan/selective_scan_tile.cuh"
#include "lib/core/check.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace strandwave {
namespace scan {
namespace {

constexpr int kCtas = 6;        ///< of an SM: with more, fewer registers are left for rows that overlap
constexpr int kChainBatch = 32; ///< links
constexpr int kUnrolled = 4;    ///< rows
static_assert(kStageRows<float> % kUnrolled == 0);

/// Times log2(e).
template <class T>
__device__ __forceinline__ void load_A(Params<T> const& p, int e, int n0, float (&A)[kStates]) {
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
        A[n] = n0 + n < p.d_state ? p.A[static_cast<index_t>(n0 + n) * p.d_inner + e] * device::kLog2E : 0.0F;
    }
}

/// A channel's parameters.
template <class T>
struct Channel {
    float bias;
    float skip;
    __device__ __forceinline__ Channel(Params<T> const& p, int e)
        : bias(p.delta_bias != nullptr ? p.delta_bias[e] : 0.0F), skip(p.D[e]) {}
};

template <class T>
__device__ __forceinline__ index_t link_of_cta(Params<T> const& p) {
    return blockIdx.x / static_cast<unsigned int>(p.groups);
}

/// Says what the link's full tile is, and whether it needs a survey.
template <class T>
__device__ __forceinline__ bool find_surveyed(Params<T> const& p, Tile& tile) {
    index_t const link = link_of_cta(p);
    Tiles tiles(p.blocks, p.block_count, link);
    bool found = false;
    while (!found && tiles.next(tile)) {
        found = tile.surveyed();
    }
    if (blockIdx.y == 0 && blockIdx.x % static_cast<unsigned int>(p.groups) == 0 && threadIdx.x == 0) {
        p.links[link] = {!found         ? kNoTile
                         : !tile.starts ? kGoesOn
                                        : max(tile.first.initial, kFromZero),
                         found && !tile.goes_on ? tile.final : -1};
    }
    return found;
}

/// The step size that an element of delta stands for. `kDtIsReady`: the element itself.
template <class T, bool kDtIsReady>
__device__ __forceinline__ float dt_of(T delta, float bias) {
    if constexpr (kDtIsReady) { return device::to_float(delta); }
    return device::softplus<sizeof(T) == 2>(device::to_float(delta) + bias);
}

/// For states blockIdx.y * kStates .. .
template <class T, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads, kCtas) survey_tiles(Params<T> const p) {
    constexpr bool kFast = sizeof(T) == 2;
    __shared__ Shared<T> s;
    Tile tile;
    if (!find_surveyed(p, tile)) { return; }
    Place const place(p);
    int const n0 = static_cast<int>(blockIdx.y) * kStates;
    float A[kStates];
    load_A(p, place.e, n0, A);
    float const bias = Channel<T>(p, place.e).bias;
    float bt[kStates] = {};
    float dt_sum = 0.0F;
    bool const staged = states_are_staged(p, n0);
    auto const start = [&](int first, Stage<T>& stage) {
        stage_channels(p, place, tile, first, p.u, p.u_stride, stage.u[place.warp]);
        stage_channels(p, place, tile, first, p.delta, p.delta_stride, stage.delta[place.warp]);
        if (staged) { stage_states(p, tile, first, n0, stage); }
    };
    start(0, s.stages[0]);
#pragma unroll 1
    for (int first = 0; first < kScanTileRows; first += kStageRows<T>) {
        Stage<T>& here = s.stages[first / kStageRows<T> % 2];
        wait_for_copies();
        __syncthreads(); // all have come, and all are through with the rows before
        if (first + kStageRows<T> < kScanTileRows) {
            start(first + kStageRows<T>, s.stages[first / kStageRows<T> % 2 ^ 1]);
        }
        prepare_states(p, tile, first, n0, staged ? &here : static_cast<Stage<T> const*>(nullptr), s);
        __syncthreads();
        float stage_sum = 0.0F; // sums of sums lose less
#pragma unroll kUnrolled
        for (int k = 0; k < kStageRows<T>; ++k) {
            float const dt = dt_of<T, kDtIsReady>(here.delta[place.warp][k][place.lane], bias);
            float const dt_u = dt * device::to_float(here.u[place.warp][k][place.lane]);
            stage_sum += dt;
#pragma unroll
            for (int n = 0; n < kStates; n += 4) {
                float B[4];
                load4(&s.BC[k][n], B);
#pragma unroll
                for (int i = 0; i < 4; ++i) {
                    bt[n + i] = fmaf(device::exp2_of<kFast>(dt * A[n + i]), bt[n + i], dt_u * B[i]);
                }
            }
        }
        dt_sum += stage_sum;
    }
    if (!place.exists) { return; }
    index_t const link = tile.link();
    if (n0 == 0) { p.dt_sums[link * p.d_inner + place.e] = dt_sum; }
#pragma unroll
    for (int n = 0; n < kStates; ++n) {
        if (n0 + n < p.d_state) {
            p.after[link * p.slot_size() + static_cast<index_t>(n0 + n) * p.d_inner + place.e] = bt[n];
        }
    }
}

constexpr int kChainThreads = 64;

/// What a thread of the chain reads of a batch of links, all loads under way together.
struct ChainBatch {
    float dt_sum[kChainBatch];
    float bt[kChainBatch];
    int from[kChainBatch];
};

/// Goes from link to link. The arrays have room for whole batches.
struct ChainReader {
    ScanChain::Link const* link;
    float const* dt_sum;
    float const* bt;
    index_t dt_sum_step;
    index_t bt_step;

    __device__ __forceinline__ void next(ChainBatch& batch) {
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i) {
            batch.from[i] = link[i].from;
            batch.dt_sum[i] = *dt_sum;
            batch.bt[i] = *bt;
            dt_sum += dt_sum_step;
            bt += bt_step;
        }
        link += kChainBatch;
    }
};

/// A thread for each state and channel.
template <class T>
__global__ void __launch_bounds__(kChainThreads) chain_tiles(Params<T> const p, int count) {
    constexpr bool kFast = sizeof(T) == 2;
    index_t const element = static_cast<index_t>(blockIdx.x) * kChainThreads + threadIdx.x;
    if (element >= p.slot_size()) { return; }
    index_t const slot_size = p.slot_size();
    float const A = p.A[element] * device::kLog2E;
    ChainReader reader{p.links, p.dt_sums + element % p.d_inner, p.after + element, p.d_inner, slot_size};
    float* after = p.after + element;
    float h = 0.0F;
    ChainBatch next;
    reader.next(next);
    for (int first = 0; first < count; first += kChainBatch) {
        ChainBatch const here = next;
        if (first + kChainBatch < count) { reader.next(next); }
        bool any = false;
        bool all_go_on = first + kChainBatch <= count;
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i) {
            any = any || (first + i < count && here.from[i] != kNoTile);
            all_go_on = all_go_on && here.from[i] == kGoesOn;
        }
        if (any) {
            float at[kChainBatch];
#pragma unroll
            for (int i = 0; i < kChainBatch; ++i) {
                at[i] = device::exp2_of<kFast>(here.dt_sum[i] * A);
            }
            float* to = after;
            if (all_go_on) { // the middle of a long segment: without branches
#pragma unroll
                for (int i = 0; i < kChainBatch; ++i, to += slot_size) {
                    h = fmaf(at[i], h, here.bt[i]);
                    *to = h;
                }
            } else {
#pragma unroll
                for (int i = 0; i < kChainBatch; ++i, to += slot_size) {
                    if (first + i >= count || here.from[i] == kNoTile) { continue; }
                    if (here.from[i] != kGoesOn) {
                        bool const stored = here.from[i] >= 0 && p.state != nullptr;
                        h = stored ? p.state[here.from[i] * slot_size + element] : 0.0F;
                    }
                    h = fmaf(at[i], h, here.bt[i]);
                    *to = h;
                }
            }
        }
        after += kChainBatch * slot_size;
    }
}

/// One channel through a tile. What rows end with is known when this is compiled: without branches between them, the
/// compiler starts a row while the one before it is under way.
template <class T, bool kGated, bool kAccumulate, bool kDtIsReady>
class Walk {
public:
    __device__ __forceinline__ Walk(Params<T> const& p_, Tile const& tile_, Place const& place_, Shared<T>& s_)
        : p(p_), tile(tile_), place(place_), s(s_), channel(p_, place_.e) {}

    /// d_state <= kStates: states, and A, stay in registers.
    __device__ __forceinline__ void few_states(float const (&A)[kStates]) {
        float h[kStates];
        load_initial(0, h);
        bool const staged = states_are_staged(p, 0);
        start(0, s.stages[0], staged);
        int odd = 0;
#pragma unroll 1
        for (int first = 0; first < tile.rows; first += kRows, odd ^= 1) {
            Stage<T>& here = s.stages[odd];
            keep(first, 0, h);
            wait_for_copies();
            __syncthreads(); // all have come, and all are through with the rows before
            if (first + kRows < tile.rows) { start(first + kRows, s.stages[odd ^ 1], staged); }
            prepare_states(p, tile, first, 0, staged ? &here : static_cast<Stage<T> const*>(nullptr), s);
            __syncthreads();
            int const count = min(kRows, tile.rows - first);
#pragma unroll 1
            for (int k0 = 0; k0 < count; k0 += kUnrolled) {
                Row rows[kUnrolled];
#pragma unroll
                for (int i = 0; i < kUnrolled; ++i) {
                    rows[i] = read_row(first, here, k0 + i, k0 + i < count);
                }
#pragma unroll
                for (int i = 0; i < kUnrolled; ++i) {
                    step(rows[i], k0 + i, A, h);
                    finish_row(rows[i], here, k0 + i);
                }
            }
            __syncwarp();
            store_channels(p, place, tile, first, here.z[place.warp]);
            __syncwarp();
        }
        store_final(0, h);
    }

    /// The states of many are fetched from `states`, kStates at a time, for a few rows.
    __device__ __forceinline__ void many_states(float (&states)[kMaxState]) {
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            load_initial(n0, reinterpret_cast<float(&)[kStates]>(states[n0]));
        }
        Stage<T>& here = s.stages[0];
#pragma unroll 1
        for (int first = 0; first < tile.rows; first += kRows) {
            for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
                keep(first, n0, reinterpret_cast<float(&)[kStates]>(states[n0]));
            }
            start(first, here, false);
            wait_for_copies();
            __syncwarp();
            int const count = min(kRows, tile.rows - first);
            for (int k0 = 0; k0 < count; k0 += kUnrolled) {
                few_rows(first, k0, count, here, states);
            }
            __syncwarp();
            store_channels(p, place, tile, first, here.z[place.warp]);
            __syncwarp();
        }
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            store_final(n0, reinterpret_cast<float(&)[kStates]>(states[n0]));
        }
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;
    static constexpr int kRows = kStageRows<T>;

    struct Row {
        float dt;
        float dt_u;
        float y;
        float before; ///< what y is added to; read early, since nothing hides a load at the end of a row
    };

    __device__ __forceinline__ void start(int first, Stage<T>& stage, bool with_states) {
        stage_channels(p, place, tile, first, p.u, p.u_stride, stage.u[place.warp]);
        stage_channels(p, place, tile, first, p.delta, p.delta_stride, stage.delta[place.warp]);
        if (kGated) { stage_channels(p, place, tile, first, p.z, p.z_stride, stage.z[place.warp]); }
        if (with_states) { stage_states(p, tile, first, 0, stage); }
    }

    /// A row that does not exist leaves the states as they are.
    __device__ __forceinline__ Row read_row(int first, Stage<T> const& stage, int k, bool exists) const {
        float const u = device::to_float(stage.u[place.warp][k][place.lane]);
        float const dt = dt_of<T, kDtIsReady>(stage.delta[place.warp][k][place.lane], channel.bias);
        float before = 0.0F;
        if (kAccumulate && exists) { before = device::to_float(p.y[tile.row(first + k) * p.y_stride + place.e]); }
        return {exists ? dt : 0.0F, exists ? dt * u : 0.0F, channel.skip * u, before};
    }

    __device__ __forceinline__ void step(Row& row, int k, float const (&A)[kStates], float (&h)[kStates]) {
#pragma unroll
        for (int n = 0; n < kStates; n += 4) {
            float B[4], C[4];
            load4(&s.BC[k][n], B);
            load4(&s.BC[k][kStates + n], C);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                h[n + i] = fmaf(device::exp2_of<kFast>(row.dt * A[n + i]), h[n + i], row.dt_u * B[i]);
                row.y = fmaf(C[i], h[n + i], row.y);
            }
        }
    }

    /// Gate; y takes the place of z.
    __device__ __forceinline__ void finish_row(Row row, Stage<T>& stage, int k) {
        T& z = stage.z[place.warp][k][place.lane];
        if (kGated) { row.y *= device::silu<kFast>(device::to_float(z)); }
        if (kAccumulate) { row.y += row.before; }
        z = device::from_float<T>(row.y);
    }

    __device__ __forceinline__ void few_rows(int first, int k0, int count, Stage<T>& stage,
                                             float (&states)[kMaxState]) {
        Row rows[kUnrolled];
#pragma unroll
        for (int i = 0; i < kUnrolled; ++i) {
            rows[i] = read_row(first, stage, k0 + i, k0 + i < count);
        }
#pragma unroll 1
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            __syncthreads(); // all are through with the states before
            prepare_states(p, tile, first, n0, static_cast<Stage<T> const*>(nullptr), s);
            __syncthreads();
            float A[kStates], h[kStates];
            load_A(p, place.e, n0, A);
#pragma unroll
            for (int n = 0; n < kStates; ++n) {
                h[n] = states[n0 + n];
            }
#pragma unroll
            for (int i = 0; i < kUnrolled; ++i) {
                step(rows[i], k0 + i, A, h);
            }
#pragma unroll
            for (int n = 0; n < kStates; ++n) {
                states[n0 + n] = h[n];
            }
        }
#pragma unroll
        for (int i = 0; i < kUnrolled; ++i) {
            finish_row(rows[i], stage, k0 + i);
        }
    }

    /// State 0 of this channel in what holds the states before the tile and, if it is not full, takes those behind it.
    /// Null: zeros, and nobody wants them.
    __device__ __forceinline__ float* kept(int slot) const {
        if (!tile.starts) { return p.after + (tile.link() - 1) * p.slot_size() + place.e; }
        return slot >= 0 && p.state != nullptr ? p.state + slot * p.slot_size() + place.e : nullptr;
    }

    __device__ __forceinline__ void load_initial(int n0, float (&h)[kStates]) const {
        float const* const from = kept(tile.first.initial);
#pragma unroll
        for (int n = 0; n < kStates; ++n) {
            bool const stored = from != nullptr && n0 + n < p.d_state;
            h[n] = stored ? from[static_cast<index_t>(n0 + n) * p.d_inner] : 0.0F;
        }
    }

    /// For a backward pass.
    __device__ __forceinline__ void keep(int first, int n0, float const (&h)[kStates]) const {
        static_assert(kScanTileRows % kScanStateRows == 0 && kScanStateRows % kRows == 0);
        bool const starts = tile.starts && first == 0;
        if (p.kept_states == nullptr || first % kScanStateRows != 0 || starts || !place.exists) { return; }
        index_t const at = (tile.block * kBlockRows + first) / kScanStateRows;
        float* const to = p.kept_states + at * p.slot_size() + place.e;
#pragma unroll
        for (int n = 0; n < kStates; ++n) {
            if (n0 + n < p.d_state) { to[static_cast<index_t>(n0 + n) * p.d_inner] = h[n]; }
        }
    }

    /// A full tile's comes from the chain, so that a record in pieces gets the same bits.
    __device__ __forceinline__ void store_final(int n0, float const (&h)[kStates]) const {
        if (tile.full() || tile.final < 0 || !place.exists) { return; }
        float* const to = kept(tile.final);
        if (to == nullptr) { return; }
#pragma unroll
        for (int n = 0; n < kStates; ++n) {
            if (n0 + n < p.d_state) { to[static_cast<index_t>(n0 + n) * p.d_inner] = h[n]; }
        }
        if (!tile.starts && place.first_e + place.lane == 0 && n0 == 0) { p.links[tile.link() - 1].final = tile.final; }
    }

    Params<T> const& p;
    Tile const& tile;
    Place const& place;
    Shared<T>& s;
    Channel<T> const channel;
};

template <class T, bool kGated, bool kAccumulate, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads, kCtas) walk_tiles(Params<T> const p) {
    __shared__ Shared<T> s;
    Place const place(p);
    float A[kStates];
    load_A(p, place.e, 0, A);
    Tiles tiles(p.blocks, p.block_count, link_of_cta(p));
    Tile tile;
    while (tiles.next(tile)) {
        Walk<T, kGated, kAccumulate, kDtIsReady>(p, tile, place, s).few_states(A);
    }
}

template <class T, bool kGated, bool kAccumulate, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads) walk_many_states(Params<T> const p) {
    __shared__ Shared<T> s;
    Place const place(p);
    Tiles tiles(p.blocks, p.block_count, link_of_cta(p));
    Tile tile;
    float states[kMaxState];
    while (tiles.next(tile)) {
        Walk<T, kGated, kAccumulate, kDtIsReady>(p, tile, place, s).many_states(states);
    }
}

template <class T>
__global__ void store_final_states(Params<T> const p) {
    index_t const link = blockIdx.x;
    if (p.links[link].from == kNoTile || p.links[link].final < 0) { return; }
    for (index_t i = threadIdx.x; i < p.slot_size(); i += blockDim.x) {
        p.state[p.links[link].final * p.slot_size() + i] = p.after[link * p.slot_size() + i];
    }
}

index_t links_of(index_t blocks) { return (blocks + kTileBlocks - 1) / kTileBlocks; }
index_t whole_batches(index_t blocks) { return (links_of(blocks) + kChainBatch - 1) / kChainBatch * kChainBatch; }

bool vectors_fit(DeviceMatrix const& m) {
    auto const address = reinterpret_cast<std::uintptr_t>(m.data);
    return address % 16 == 0 && m.row_stride * dtype_bytes(m.dtype) % 16 == 0;
}

bool channels_fit(SelectiveScanCudaArgs const& a) {
    return a.u.cols * dtype_bytes(a.u.dtype) % 16 == 0 && vectors_fit(a.u) && vectors_fit(a.delta) &&
           vectors_fit(a.y) && (a.z.data == nullptr || vectors_fit(a.z));
}

template <class T>
Params<T> make_params(SelectiveScanCudaArgs const& a, ScanChain const& chain) {
    return {a.u.as<T>(),
            a.delta.as<T>(),
            a.B.as<T>(),
            a.C.as<T>(),
            a.z.as<T>(),
            a.y.as<T>(),
            a.u.row_stride,
            a.delta.row_stride,
            a.B.row_stride,
            a.C.row_stride,
            a.z.row_stride,
            a.y.row_stride,
            a.A,
            a.D,
            a.delta_bias,
            a.blocks,
            a.block_count,
            a.state,
            chain.links(),
            chain.dt_sums(),
            chain.after(),
            static_cast<int>(a.u.cols),
            static_cast<int>(a.d_state),
            static_cast<int>((a.u.cols + kThreads - 1) / kThreads),
            channels_fit(a),
            vectors_fit(a.B) && vectors_fit(a.C),
            a.kept_states};
}

template <class T, bool kGated, bool kAccumulate, bool kDtIsReady>
auto choose_walk(Params<T> const& p) {
    return p.d_state <= kStates ? walk_tiles<T, kGated, kAccumulate, kDtIsReady>
                                : walk_many_states<T, kGated, kAccumulate, kDtIsReady>;
}

template <class T>
auto choose_walk(SelectiveScanCudaArgs const& a, Params<T> const& p) {
    if (a.delta_is_dt) {
        return a.accumulate ? choose_walk<T, true, true, true>(p) : choose_walk<T, true, false, true>(p);
    }
    bool const gated = a.z.data != nullptr;
    if (a.accumulate) { return gated ? choose_walk<T, true, true, false>(p) : choose_walk<T, false, true, false>(p); }
    return gated ? choose_walk<T, true, false, false>(p) : choose_walk<T, false, false, false>(p);
}

template <class T>
void launch(SelectiveScanCudaArgs const& a, ScanChain const& chain, GpuStream stream) {
    auto const p = make_params<T>(a, chain);
    index_t const links = links_of(a.block_count);
    auto const ctas = static_cast<unsigned int>(links * p.groups);
    bool const full_tiles = a.full_tiles && a.block_count >= kTileBlocks; // there may be some
    if (full_tiles) {
        auto const survey = a.delta_is_dt ? survey_tiles<T, true> : survey_tiles<T, false>;
        survey<<<dim3(ctas, (p.d_state + kStates - 1) / kStates), kThreads, 0, stream>>>(p);
        check_launch("selective_scan");
        index_t const elements = a.d_state * a.u.cols;
        chain_tiles<T>
            <<<static_cast<unsigned int>((elements + kChainThreads - 1) / kChainThreads), kChainThreads, 0, stream>>>(
                p, links);
        check_launch("selective_scan");
    }
    auto const walk = choose_walk<T>(a, p);
    walk<<<ctas, kThreads, 0, stream>>>(p);
    check_launch("selective_scan");
    if (full_tiles && a.state != nullptr) {
        store_final_states<T><<<static_cast<unsigned int>(links), 256, 0, stream>>>(p);
        check_launch("selective_scan");
    }
}

void check_shapes(SelectiveScanCudaArgs const& a, ScanChain const& chain) {
    char const* op = "selective_scan";
    for (auto const* m : {&a.delta, &a.y}) {
        check_extent(op, "rows of delta or y", m->rows, a.u.rows);
        check_extent(op, "d_inner of delta or y", m->cols, a.u.cols);
    }
    bool const gated = a.z.data != nullptr;
    if (gated) {
        check_extent(op, "rows of z", a.z.rows, a.u.rows);
        check_extent(op, "d_inner of z", a.z.cols, a.u.cols);
    }
    if (a.delta_is_dt && !gated) { throw Error(ErrorCode::unsupported, "selective_scan: delta_is_dt needs z"); }
    check_extent(op, "rows of B", a.B.rows, a.u.rows);
    check_extent(op, "rows of C", a.C.rows, a.u.rows);
    check_extent(op, "d_state of B", a.B.cols, a.d_state);
    check_extent(op, "d_state of C", a.C.cols, a.d_state);
    if (a.u.dtype != DType::f32 && a.u.dtype != DType::bf16) {
        throw Error(ErrorCode::unsupported, "selective_scan: the GPU takes f32 and bf16");
    }
    for (auto const* m : {&a.delta, &a.y, &a.B, &a.C, gated ? &a.z : &a.y}) {
        if (m->dtype != a.u.dtype) { throw Error(ErrorCode::unsupported, "selective_scan: types differ"); }
    }
    if (a.d_state < 1 || a.d_state > kMaxState) {
        throw Error(ErrorCode::unsupported, "selective_scan: d_state " + std::to_string(a.d_state) + " is not in 1.." +
                                                std::to_string(kMaxState));
    }
    if (!chain.holds(whole_batches(a.block_count), a.u.cols, a.d_state)) {
        throw Error(ErrorCode::too_large, "selective_scan: the chain was made for fewer rows or channels");
    }
}

} // namespace
} // namespace scan

ScanChain::ScanChain(index_t blocks, index_t d_inner, index_t d_state)
    : links_(scan::whole_batches(blocks)), dt_sums_(links_.size() * d_inner), after_(dt_sums_.size() * d_state) {
    // The chain reads, and leaves out, what links without a tile have.
    auto const clear = [](auto const& array, index_t bytes) {
        fill_bytes(array.data(), 0, array.size() * bytes, nullptr);
    };
    clear(links_, sizeof(Link));
    clear(dt_sums_, sizeof(float));
    clear(after_, sizeof(float));
    check_cuda(cudaDeviceSynchronize(), "making a scan chain");
}

index_t scan_wave_rows(index_t d_inner, int multiprocessors) {
    index_t const ctas = multiprocessors * scan::kCtas;
    index_t const groups = (d_inner + scan::kThreads - 1) / scan::kThreads;
    return std::max<index_t>(1, ctas / groups) * kScanTileRows;
}

void selective_scan_cuda(SelectiveScanCudaArgs const& args, ScanChain const& chain, GpuStream stream) {
    scan::check_shapes(args, chain);
    if (args.block_count == 0 || args.u.cols == 0) { return; }
    args.u.dtype == DType::f32 ? scan::launch<float>(args, chain, stream)
                               : scan::launch<__nv_bfloat16>(args, chain, stream);
}

} // namespace strandwave

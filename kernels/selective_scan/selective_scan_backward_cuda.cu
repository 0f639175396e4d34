// A tile is up to 32 rows of one segment, counted from the segment's start, and a run up to run_rows of them. A CTA
// takes 64 channels through its runs, tile after tile. Five kernels:
//   1. survey: what each run does to h that comes from before it and to a gradient that comes from behind it. Segments
//      of one run are left out.
//   2. chain: from run to run of each segment, h in the order of time and the gradient against it.
//   3. states: h before each tile. Segments of one tile are left out, and all if the forward pass kept them.
//   4. walk: from a run's last tile to its first, all gradients of a tile, and sums for dA, dD, ddelta_bias, and, over
//      its channels, for dB and dC.
//   5. those sums over runs and groups of channels.
// Tiles are short because h of a whole tile is kept in shared memory while the gradient goes back through it, at every
// fourth row; what lies between is computed twice. So exponentials are paid for twice, once more for segments of
// several runs, and once more if h before the tiles was not kept.
#include "kernels/selective_scan/selective_scan_backward_finish.cuh"
#include "kernels/selective_scan/selective_scan_backward_states.cuh"
#include "kernels/selective_scan/selective_scan_backward_sums.cuh"
#include "kernels/selective_scan/selective_scan_backward_survey.cuh"
#include "lib/core/check.h"

#include <algorithm>
#include <string>

namespace strandwave {
namespace scan_backward {
namespace {

constexpr char const* kOp = "selective_scan_backward";

constexpr index_t kMostRunRows = 1 << 20;
constexpr index_t kMostStride = index_t{1} << 24; ///< elements: bytes of kTileRows rows are 32 bits wide

index_t divide_up(index_t a, index_t b) { return (a + b - 1) / b; }

/// Where things lie in the scratch.
struct Layout {
    index_t links, padded, groups, state_groups;
    index_t dt_sums, before, behind, carried, parameter_sums, states, sums; ///< bytes from its start
    index_t bytes = 0;

    Layout(index_t blocks, index_t d_inner, index_t d_state, index_t run_blocks)
        : links(divide_up(blocks, run_blocks)), padded(divide_up(d_inner, kChannels) * kChannels),
          groups(padded / kChannels), state_groups(divide_up(d_state, kStates)) {
        static_assert(sizeof(Link) == 2 * sizeof(float) && kChannels % 32 == 0);
        add(links * 2);
        dt_sums = add(2 * links * padded);
        before = add(links * d_state * padded);
        behind = add(links * d_state * padded);
        carried = add(d_state > kStates ? links * d_state * padded : 0);
        parameter_sums = add(links * (d_state + 2) * padded);
        states = add(scan_kept_states(blocks, d_inner, d_state));
        sums = add(groups * blocks * kBlockRows * state_groups * 2 * kStates);
    }

private:
    /// Room for so many floats in whole lines.
    index_t add(index_t floats) {
        index_t const line = 32;
        index_t const begin = bytes;
        bytes += divide_up(floats, line) * line * static_cast<index_t>(sizeof(float));
        return begin;
    }
};

template <class T>
Matrix<T> matrix(DeviceMatrix const& m) {
    return {static_cast<T*>(m.data), m.row_stride, static_cast<int>(m.row_stride * dtype_bytes(m.dtype))};
}

bool all_in_quads(SelectiveScanBackwardCudaArgs const& a) {
    bool all = true;
    for (auto const* parameters : {a.A, a.D, a.delta_bias, a.initial, a.d_final, a.kept_states}) {
        all = all && in_quads(parameters);
    }
    for (auto const& m : {a.u, a.delta, a.z, a.dy, a.du, a.ddelta, a.dz, a.y, a.B, a.C, a.dB, a.dC}) {
        all = all && (m.data == nullptr || in_quads(m));
    }
    return all;
}

/// Few enough that records are chained at the same time, too many for CTAs without a chain to count.
int links_a_chain_cta(index_t links) {
    constexpr index_t kFewLinks = 128;
    return links <= kFewLinks ? 8 : static_cast<int>(std::clamp(links / 64, index_t{32}, index_t{512}));
}

template <class T, bool kVector>
Params<T, kVector> make_params(SelectiveScanBackwardCudaArgs const& a, char* scratch) {
    Layout const layout(a.block_count, a.u.cols, a.d_state, a.run_rows / kBlockRows);
    auto const floats = [&](index_t bytes) { return reinterpret_cast<float*>(scratch + bytes); };
    Params<T, kVector> p{};
    p.u = matrix<T const>(a.u);
    p.delta = matrix<T const>(a.delta);
    p.z = matrix<T const>(a.z);
    p.dy = matrix<T const>(a.dy);
    p.du = matrix<T>(a.du);
    p.ddelta = matrix<T>(a.ddelta);
    p.dz = matrix<T>(a.dz);
    p.y = matrix<T>(a.y);
    p.B = matrix<void const>(a.B);
    p.C = matrix<void const>(a.C);
    p.dB = matrix<void>(a.dB);
    p.dC = matrix<void>(a.dC);
    p.A = a.A;
    p.D = a.D;
    p.delta_bias = a.delta_bias;
    p.blocks = a.blocks;
    p.block_count = a.block_count;
    p.initial = a.initial;
    p.d_final = a.d_final;
    p.d_initial = a.d_initial;
    p.dA = a.dA;
    p.dD = a.dD;
    p.ddelta_bias = a.ddelta_bias;
    p.links = reinterpret_cast<Link*>(scratch);
    p.dt_sums = floats(layout.dt_sums);
    p.before = floats(layout.before);
    p.behind = floats(layout.behind);
    p.carried = floats(layout.carried);
    p.parameter_sums = floats(layout.parameter_sums);
    p.new_states = a.kept_states != nullptr ? nullptr : floats(layout.states);
    p.states = a.kept_states != nullptr ? a.kept_states : p.new_states;
    p.sums = floats(layout.sums);
    p.link_count = layout.links;
    p.run_blocks = static_cast<int>(a.run_rows / kBlockRows);
    p.chain_links = links_a_chain_cta(layout.links);
    p.d_inner = static_cast<int>(a.u.cols);
    p.d_state = static_cast<int>(a.d_state);
    p.padded = static_cast<int>(layout.padded);
    p.groups = static_cast<int>(layout.groups);
    p.state_groups = static_cast<int>(layout.state_groups);
    p.states_are_bf16 = a.B.dtype == DType::bf16;
    p.delta_is_dt = a.delta_is_dt;
    p.accumulate_gate = a.accumulate_gate;
    return p;
}

template <bool kMany, class T, bool kVector>
void launch_walk(Params<T, kVector> const& p, unsigned int ctas, GpuStream stream) {
    constexpr auto kShared = sizeof(WalkMemory<kMany>);
    auto const set = [](cudaFuncAttribute attribute, int value) {
        check_cuda(cudaFuncSetAttribute(walk_runs<T, kVector, kMany>, attribute, value), kOp);
    };
    set(cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(kShared));
    set(cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
    walk_runs<T, kVector, kMany><<<ctas, kThreads, kShared, stream>>>(p);
    check_launch(kOp);
}

template <class T, bool kVector>
void launch_sums(Params<T, kVector> const& p, bool copy_initial, GpuStream stream) {
    index_t const row_threads = p.block_count * kBlockRows * p.state_groups * 2 * kStates / kQuad;
    SumsPlan plan{};
    plan.row_ctas = static_cast<unsigned int>(divide_up(row_threads, kThreads));
    plan.parameter_ctas = static_cast<unsigned int>(divide_up(parameter_sums(p), kFoldQuads * kQuad));
    plan.chunks = static_cast<unsigned int>(divide_up(p.link_count, kFold));
    auto const initial_ctas = static_cast<unsigned int>(copy_initial ? p.link_count : 0);
    sum_up<T, kVector>
        <<<plan.row_ctas + plan.parameter_ctas * plan.chunks + initial_ctas, kThreads, 0, stream>>>(p, plan);
    check_launch(kOp);
    if (plan.chunks == 1) { return; }
    sum_chunks<T, kVector><<<plan.parameter_ctas, kThreads, 0, stream>>>(p, plan);
    check_launch(kOp);
}

template <class T, bool kVector>
void launch(SelectiveScanBackwardCudaArgs const& a, char* scratch, GpuStream stream) {
    auto const p = make_params<T, kVector>(a, scratch);
    auto const ctas = static_cast<unsigned int>(p.link_count * p.groups);
    dim3 const by_states(ctas, static_cast<unsigned int>(p.state_groups));
    bool const several_runs = a.block_count > p.run_blocks; // there may be segments of them
    if (several_runs) {
        auto const survey = p.new_states != nullptr ? survey_runs<T, kVector, true> : survey_runs<T, kVector, false>;
        survey<<<by_states, kThreads, 0, stream>>>(p);
        check_launch(kOp);
        index_t const elements = a.d_state * p.padded;
        dim3 const grid(static_cast<unsigned int>(divide_up(elements, kChainThreads)),
                        static_cast<unsigned int>(divide_up(p.link_count, p.chain_links)),
                        p.new_states != nullptr ? 2 : 1);
        chain_runs<T, kVector><<<grid, kChainThreads, 0, stream>>>(p);
        check_launch(kOp);
    }
    if (a.block_count > kTileBlocks && p.new_states != nullptr) {
        store_states_of_tiles<T, kVector><<<by_states, kThreads, 0, stream>>>(p);
        check_launch(kOp);
    }
    p.d_state > kStates ? launch_walk<true>(p, ctas, stream) : launch_walk<false>(p, ctas, stream);
    launch_sums(p, several_runs && a.d_initial != nullptr, stream);
}

template <class T>
void launch_for(SelectiveScanBackwardCudaArgs const& a, char* scratch, GpuStream stream) {
    all_in_quads(a) ? launch<T, true>(a, scratch, stream) : launch<T, false>(a, scratch, stream);
}

void check_like(char const* name, DeviceMatrix const& m, index_t rows, index_t cols, DType dtype) {
    std::string const what(name);
    check_extent(kOp, ("rows of " + what).c_str(), m.rows, rows);
    check_extent(kOp, ("columns of " + what).c_str(), m.cols, cols);
    if (m.row_stride > kMostStride) { throw Error(ErrorCode::too_large, std::string(kOp) + ": rows of " + what); }
    if (m.dtype != dtype) { throw Error(ErrorCode::unsupported, std::string(kOp) + ": types differ, of " + what); }
}

void check_shapes(SelectiveScanBackwardCudaArgs const& a) {
    for (auto const dtype : {a.u.dtype, a.B.dtype}) {
        if (dtype != DType::f32 && dtype != DType::bf16) {
            throw Error(ErrorCode::unsupported, std::string(kOp) + ": the GPU takes f32 and bf16");
        }
    }
    auto const like_u = [&](char const* name, DeviceMatrix const& m) {
        check_like(name, m, a.u.rows, a.u.cols, a.u.dtype);
    };
    like_u("delta", a.delta);
    like_u("dy", a.dy);
    like_u("du", a.du);
    like_u("ddelta", a.ddelta);
    if (a.z.data != nullptr) {
        like_u("z", a.z);
        like_u("dz", a.dz);
    }
    if (a.y.data != nullptr) { like_u("y", a.y); }
    check_like("B", a.B, a.u.rows, a.d_state, a.B.dtype);
    check_like("C", a.C, a.u.rows, a.d_state, a.B.dtype);
    check_like("dB", a.dB, a.u.rows, a.d_state, a.B.dtype);
    check_like("dC", a.dC, a.u.rows, a.d_state, a.B.dtype);
    if (a.d_state < 1 || a.d_state > kMaxState) {
        throw Error(ErrorCode::unsupported, std::string(kOp) + ": d_state " + std::to_string(a.d_state) +
                                                " is not in 1.." + std::to_string(kMaxState));
    }
    if (a.run_rows < kScanBackwardLeastRun || (a.run_rows & (a.run_rows - 1)) != 0 || a.run_rows > kMostRunRows) {
        throw Error(ErrorCode::unsupported, std::string(kOp) + ": runs of " + std::to_string(a.run_rows) + " rows");
    }
}

} // namespace
} // namespace scan_backward

ScanBackwardScratch::ScanBackwardScratch(index_t blocks, index_t d_inner, index_t d_state)
    : memory_(scan_backward::Layout(blocks, d_inner, d_state, kScanBackwardLeastRun / kBlockRows).bytes) {
    // The chain reads, and leaves out, what links without a tile have.
    fill_bytes(memory_.data(), 0, memory_.size(), nullptr);
    check_cuda(cudaDeviceSynchronize(), "making a scan's scratch");
}

index_t scan_backward_run_rows(std::span<RowBlock const> blocks, index_t d_inner) {
    constexpr index_t kEnoughRecords = 384; // CTAs: an H200 runs 396 at a time
    constexpr index_t kEnoughRuns = 1024;
    index_t const rows = static_cast<index_t>(blocks.size()) * kBlockRows;
    index_t const groups = scan_backward::divide_up(d_inner, scan_backward::kChannels);
    index_t const longest = std::max(kScanBackwardLeastRun, whole_blocks(longest_segment(blocks)));
    index_t run = kScanBackwardLeastRun;
    while (run < longest && run < scan_backward::kMostRunRows) {
        run *= 2;
    }
    if (rows * groups >= kEnoughRecords * longest) { return run; }
    run = std::min<index_t>(run, 512);
    while (run > kScanBackwardLeastRun && rows * groups < kEnoughRuns * run) {
        run /= 2;
    }
    return run;
}

void selective_scan_backward_cuda(SelectiveScanBackwardCudaArgs const& args, ScanBackwardScratch const& scratch,
                                  GpuStream stream) {
    scan_backward::check_shapes(args);
    if (args.block_count == 0 || args.u.cols == 0) { return; }
    scan_backward::Layout const layout(args.block_count, args.u.cols, args.d_state, args.run_rows / kBlockRows);
    if (layout.bytes > scratch.bytes()) {
        throw Error(ErrorCode::too_large, "selective_scan_backward: the scratch was made for fewer rows or channels");
    }
    args.u.dtype == DType::f32 ? scan_backward::launch_for<float>(args, scratch.data(), stream)
                               : scan_backward::launch_for<__nv_bfloat16>(args, scratch.data(), stream);
}

} // namespace strandwave

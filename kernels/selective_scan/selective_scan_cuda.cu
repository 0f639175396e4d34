// A tile is up to 256 rows of one segment, counted from the segment's start. A thread takes one channel through a tile
// with 16 states in registers; B and C of a row are broadcasts from shared memory. Four kernels:
//   1. survey: what each full tile does to a state that comes in, h -> exp(A sum of dt) h + bt. Tiles that nobody
//      follows are left out, so segments of one tile need no survey.
//   2. chain: folds the full tiles of each segment in the order of time: the state behind each.
//   3. walk: the recurrence itself and y, each tile from the state behind the one before it.
//   4. final states to their slots: only here, since the slot may be the one that the segment started from.
// So long segments pay for their exponentials twice, but threads never wait for each other and so few registers are
// live that the special function units stay busy. What is combined with what depends on the segment only.
// Where that would be far too few threads to fill the GPU, four lanes of a warp take a channel, with 4 states each: a
// quarter of the time for a tile, at the cost of handing dt and parts of y from lane to lane.
// Where there are so many segments that they alone fill the GPU in that way, they are walked whole by the third kernel,
// once: the others are left out. For the same bits it walks bt beside h, and chains as it comes to the end of a tile.
#include "kernels/selective_scan/selective_scan_chain.cuh"
#include "kernels/selective_scan/selective_scan_survey.cuh"
#include "kernels/selective_scan/selective_scan_walk.cuh"
#include "lib/core/check.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace strandwave {
namespace scan {
namespace {

index_t links_of(index_t blocks) { return (blocks + kTileBlocks - 1) / kTileBlocks; }
index_t groups_of(index_t d_inner, int group) { return (d_inner + group - 1) / group; }
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
Params<T> make_params(SelectiveScanCudaArgs const& a, ScanChain const& chain, int group) {
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
            static_cast<int>(groups_of(a.u.cols, group)),
            channels_fit(a),
            vectors_fit(a.B) && vectors_fit(a.C),
            a.kept_states};
}

template <class F, bool kGated, bool kAccumulate, bool kDtIsReady>
auto choose_walk(Params<typename F::T> const& p) {
    if constexpr (F::kLanes == 1) {
        if (p.d_state > kStates) { return walk_many_states<typename F::T, kGated, kAccumulate, kDtIsReady>; }
    }
    return walk_tiles<F, kGated, kAccumulate, kDtIsReady>;
}

template <class F>
auto choose_walk(SelectiveScanCudaArgs const& a, Params<typename F::T> const& p) {
    if (a.delta_is_dt) {
        return a.accumulate ? choose_walk<F, true, true, true>(p) : choose_walk<F, true, false, true>(p);
    }
    bool const gated = a.z.data != nullptr;
    if (a.accumulate) { return gated ? choose_walk<F, true, true, false>(p) : choose_walk<F, false, true, false>(p); }
    return gated ? choose_walk<F, true, false, false>(p) : choose_walk<F, false, false, false>(p);
}

/// Rows that no segment exceeds.
index_t longest_of(SelectiveScanCudaArgs const& a) {
    index_t const all = a.block_count * kBlockRows;
    return a.longest > 0 ? std::min(a.longest, all) : all;
}

template <class F>
void launch(SelectiveScanCudaArgs const& a, ScanChain const& chain, GpuStream stream) {
    using T = typename F::T;
    auto const p = make_params<T>(a, chain, F::kGroup);
    index_t const links = links_of(a.block_count);
    auto const ctas = static_cast<unsigned int>(links * p.groups);
    bool const chained = !F::kSegments && longest_of(a) >= kScanTileRows;
    if (chained) {
        auto const survey = a.delta_is_dt ? survey_tiles<F, true> : survey_tiles<F, false>;
        survey<<<dim3(ctas, (p.d_state + kStates - 1) / kStates), kThreads, 0, stream>>>(p);
        check_launch("selective_scan");
        index_t const elements = a.d_state * a.u.cols;
        chain_tiles<T>
            <<<static_cast<unsigned int>((elements + kChainThreads - 1) / kChainThreads), kChainThreads, 0, stream>>>(
                p, links);
        check_launch("selective_scan");
    }
    auto const walk = choose_walk<F>(a, p);
    walk<<<ctas, kThreads, 0, stream>>>(p);
    check_launch("selective_scan");
    if (chained && a.state != nullptr) {
        store_final_states<T><<<static_cast<unsigned int>(links), 256, 0, stream>>>(p);
        check_launch("selective_scan");
    }
}

template <class T>
void launch_of(SelectiveScanCudaArgs const& a, ScanChain const& chain, GpuStream stream) {
    switch (scan_form({a.block_count, longest_of(a), a.u.cols, a.d_state}, chain.multiprocessors())) {
    case ScanForm::tiles: return launch<Wide<T>>(a, chain, stream);
    case ScanForm::tile_lanes: return launch<Narrow<T>>(a, chain, stream);
    case ScanForm::segments: return launch<Whole<T>>(a, chain, stream);
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
    int gpu = 0;
    check_cuda(cudaGetDevice(&gpu), "making a scan chain");
    check_cuda(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, gpu), "making a scan chain");
    check_cuda(cudaDeviceSynchronize(), "making a scan chain");
}

index_t scan_wave_rows(index_t d_inner, int multiprocessors) {
    index_t const ctas = multiprocessors * scan::Wide<float>::kCtas;
    return std::max<index_t>(1, ctas / scan::groups_of(d_inner, scan::Wide<float>::kGroup)) * kScanTileRows;
}

ScanForm scan_form(ScanExtent const& extent, int multiprocessors) {
    if (extent.d_state > scan::kStates) { return ScanForm::tiles; } // the states of many stay with their thread
    // Measured on 132 multiprocessors: 512 CTAs, one a segment and group of channels, are faster than tiles (by 3 to
    // 13 %), 384 slower (by 30 %). Segments of many lengths count as fewer of the longest.
    bool const several_tiles = extent.longest > kScanTileRows && extent.longest <= scan::kMostSegmentRows;
    index_t const segments = extent.blocks * kBlockRows / extent.longest;
    if (several_tiles && 2 * segments * scan::groups_of(extent.d_inner, scan::Whole<float>::kGroup) >=
                             7 * static_cast<index_t>(multiprocessors)) {
        return ScanForm::segments;
    }
    // 192 CTAs of tiles are faster with lanes (by 19 %), 256 without (by 4 %).
    index_t const ctas = scan::links_of(extent.blocks) * scan::groups_of(extent.d_inner, scan::Wide<float>::kGroup);
    return 2 * ctas >= 3 * static_cast<index_t>(multiprocessors) ? ScanForm::tiles : ScanForm::tile_lanes;
}

void selective_scan_cuda(SelectiveScanCudaArgs const& args, ScanChain const& chain, GpuStream stream) {
    scan::check_shapes(args, chain);
    if (args.block_count == 0 || args.u.cols == 0) { return; }
    args.u.dtype == DType::f32 ? scan::launch_of<float>(args, chain, stream)
                               : scan::launch_of<__nv_bfloat16>(args, chain, stream);
}

} // namespace strandwave

#include "kernels/selective_scan/selective_scan.h"

#include "kernels/selective_scan/selective_scan_cpu.h"
#include "lib/core/check.h"

namespace strandwave {

index_t scan_kept_states(index_t rows, index_t segments, index_t d_inner, index_t d_state) {
    return (rows / kScanPiece + segments) * scan_kept_before(d_inner, d_state);
}

namespace {

void check_shapes(SelectiveScanArgs const& a) {
    index_t const tokens = a.u.rows;
    index_t const d_inner = a.u.cols;
    index_t const d_state = a.A.rows;
    char const* op = "selective_scan";
    check_extent(op, "d_inner of A", a.A.cols, d_inner);
    check_matrix(op, "delta", a.delta, tokens, d_inner);
    check_matrix(op, "y", View<float const, 2>(a.y), tokens, d_inner);
    check_matrix(op, "B", a.B, tokens, d_state);
    check_matrix(op, "C", a.C, tokens, d_state);
    check_extent(op, "D", a.D.size, d_inner);
    if (!a.delta_bias.empty()) { check_extent(op, "delta_bias", a.delta_bias.size, d_inner); }
    if (a.z.data != nullptr) { check_matrix(op, "z", a.z, tokens, d_inner); }
    for (auto const& segment : a.segments) {
        check_rows(op, segment.begin, segment.length, tokens);
    }
    if (d_state < 1 || d_state > kMaxState) {
        throw Error(ErrorCode::unsupported, "selective_scan: d_state " + std::to_string(d_state) + " is not in 1.." +
                                                std::to_string(kMaxState));
    }
}

} // namespace

void selective_scan(SelectiveScanArgs const& args) {
    check_shapes(args);
    selective_scan_cpu(args);
}

} // namespace strandwave

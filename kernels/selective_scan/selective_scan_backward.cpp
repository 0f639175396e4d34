#include "kernels/selective_scan/selective_scan_backward.h"

#include "kernels/selective_scan/selective_scan_backward_cpu.h"
#include "lib/core/check.h"

namespace strandwave {
namespace {

constexpr char const* kOp = "selective_scan_backward";

void check_inputs(SelectiveScanBackwardArgs const& a, index_t tokens, index_t d_inner, index_t d_state) {
    check_extent(kOp, "d_inner of A", a.A.cols, d_inner);
    check_matrix(kOp, "delta", a.delta, tokens, d_inner);
    check_matrix(kOp, "dy", a.dy, tokens, d_inner);
    check_matrix(kOp, "B", a.B, tokens, d_state);
    check_matrix(kOp, "C", a.C, tokens, d_state);
    check_extent(kOp, "D", a.D.size, d_inner);
    if (!a.delta_bias.empty()) { check_extent(kOp, "delta_bias", a.delta_bias.size, d_inner); }
    if (a.z.data != nullptr) { check_matrix(kOp, "z", a.z, tokens, d_inner); }
    for (auto const& segment : a.segments) {
        check_rows(kOp, segment.begin, segment.length, tokens);
    }
}

void check_outputs(SelectiveScanBackwardArgs const& a, index_t tokens, index_t d_inner, index_t d_state) {
    check_matrix(kOp, "du", View<float const, 2>(a.du), tokens, d_inner);
    check_matrix(kOp, "ddelta", View<float const, 2>(a.ddelta), tokens, d_inner);
    check_matrix(kOp, "dB", View<float const, 2>(a.dB), tokens, d_state);
    check_matrix(kOp, "dC", View<float const, 2>(a.dC), tokens, d_state);
    if (a.z.data != nullptr) { check_matrix(kOp, "dz", View<float const, 2>(a.dz), tokens, d_inner); }
    if (a.y.data != nullptr) { check_matrix(kOp, "y", View<float const, 2>(a.y), tokens, d_inner); }
    check_matrix(kOp, "dA", View<float const, 2>(a.dA), d_state, d_inner);
    check_extent(kOp, "dD", a.dD.size, d_inner);
    if (!a.ddelta_bias.empty()) { check_extent(kOp, "ddelta_bias", a.ddelta_bias.size, d_inner); }
}

} // namespace

void selective_scan_backward(SelectiveScanBackwardArgs const& args) {
    index_t const tokens = args.u.rows;
    index_t const d_inner = args.u.cols;
    index_t const d_state = args.A.rows;
    check_inputs(args, tokens, d_inner, d_state);
    check_outputs(args, tokens, d_inner, d_state);
    if (d_state < 1 || d_state > kMaxState) {
        throw Error(ErrorCode::unsupported, std::string(kOp) + ": d_state " + std::to_string(d_state) +
                                                " is not in 1.." + std::to_string(kMaxState));
    }
    selective_scan_backward_cpu(args);
}

} // namespace strandwave

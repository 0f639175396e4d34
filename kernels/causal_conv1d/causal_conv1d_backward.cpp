#include "kernels/causal_conv1d/causal_conv1d_backward.h"

#include "kernels/causal_conv1d/causal_conv1d_backward_cpu.h"
#include "lib/core/check.h"

namespace strandwave {

void causal_conv1d_backward(CausalConv1dBackwardArgs const& a) {
    char const* op = "causal_conv1d_backward";
    check_matrix(op, "dy", a.dy, a.x.rows, a.x.cols);
    check_matrix(op, "dx", a.dx, a.x.rows, a.x.cols);
    check_extent(op, "channels of weight", a.weight.cols, a.x.cols);
    check_matrix(op, "dweight", a.dweight, a.weight.rows, a.x.cols);
    if (!a.bias.empty()) { check_extent(op, "bias", a.bias.size, a.x.cols); }
    if (!a.dbias.empty()) { check_extent(op, "dbias", a.dbias.size, a.x.cols); }
    for (auto const& segment : a.segments) {
        check_rows(op, segment.begin, segment.length, a.x.rows);
    }
    if (a.weight.rows < 1 || a.weight.rows > kMaxConv) {
        throw Error(ErrorCode::unsupported, "causal_conv1d_backward: d_conv " + std::to_string(a.weight.rows) +
                                                " is not in 1.." + std::to_string(kMaxConv));
    }
    causal_conv1d_backward_cpu(a);
}

} // namespace strandwave

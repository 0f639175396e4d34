#include "kernels/causal_conv1d/causal_conv1d.h"

#include "kernels/causal_conv1d/causal_conv1d_cpu.h"
#include "lib/core/check.h"

namespace strandwave {

void causal_conv1d(CausalConv1dArgs const& a) {
    char const* op = "causal_conv1d";
    check_matrix(op, "y", a.y, a.x.rows, a.x.cols);
    check_extent(op, "channels of weight", a.weight.cols, a.x.cols);
    if (!a.bias.empty()) { check_extent(op, "bias", a.bias.size, a.x.cols); }
    for (auto const& segment : a.segments) {
        check_rows(op, segment.begin, segment.length, a.x.rows);
    }
    if (a.weight.rows < 1 || a.weight.rows > kMaxConv) {
        throw Error(ErrorCode::unsupported, "causal_conv1d: d_conv " + std::to_string(a.weight.rows) +
                                                " is not in 1.." + std::to_string(kMaxConv));
    }
    causal_conv1d_cpu(a);
}

} // namespace strandwave

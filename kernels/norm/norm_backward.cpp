#include "kernels/norm/norm_backward.h"

#include "kernels/norm/norm_backward_cpu.h"
#include "lib/core/check.h"

namespace strandwave {
namespace {

void check_shapes(char const* op, NormBackwardArgs const& a) {
    check_matrix(op, "dy", a.dy, a.x.rows, a.x.cols);
    check_matrix(op, "dx", a.dx, a.x.rows, a.x.cols);
    if (!a.weight.empty()) { check_extent(op, "weight", a.weight.size, a.x.cols); }
    if (!a.dweight.empty()) { check_extent(op, "dweight", a.dweight.size, a.x.cols); }
    if (!a.dbias.empty()) { check_extent(op, "dbias", a.dbias.size, a.x.cols); }
}

} // namespace

void rms_norm_backward(NormBackwardArgs const& args) {
    check_shapes("rms_norm_backward", args);
    norm_backward_cpu(args, false);
}

void layer_norm_backward(NormBackwardArgs const& args) {
    check_shapes("layer_norm_backward", args);
    norm_backward_cpu(args, true);
}

} // namespace strandwave

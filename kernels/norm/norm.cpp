#include "kernels/norm/norm.h"

#include "kernels/norm/norm_cpu.h"
#include "lib/core/check.h"

namespace strandwave {
namespace {

void check_shapes(char const* op, NormArgs const& a) {
    check_matrix(op, "y", a.y, a.x.rows, a.x.cols);
    if (!a.weight.empty()) { check_extent(op, "weight", a.weight.size, a.x.cols); }
    if (!a.bias.empty()) { check_extent(op, "bias", a.bias.size, a.x.cols); }
}

} // namespace

void rms_norm(NormArgs const& args) {
    check_shapes("rms_norm", args);
    norm_cpu(args, false);
}

void layer_norm(NormArgs const& args) {
    check_shapes("layer_norm", args);
    norm_cpu(args, true);
}

} // namespace strandwave

#include "kernels/gemm/gemm.h"
#include "lib/core/check.h"

#include <algorithm>
#include <dnnl.h>
#include <omp.h>
#include <string>

namespace strandwave {
namespace {

/// Debian's oneDNN runs OpenMP inside each call; our threads are oneTBB's, one product each (kernels/linear too).
void use_one_thread() {
    thread_local bool const set = [] {
        omp_set_num_threads(1);
        return true;
    }();
    static_cast<void>(set);
}

/// The library wants a leading dimension of at least a row, also where there is only one.
index_t leading(View<float const, 2> matrix) {
    return std::max<index_t>({matrix.rows > 1 ? matrix.row_stride : matrix.cols, matrix.cols, 1});
}

void check_stride(char const* what, View<float const, 2> matrix) {
    if (matrix.rows < 2 || matrix.row_stride >= matrix.cols) { return; }
    throw Error(ErrorCode::shape_mismatch, std::string("gemm: rows of ") + what + " overlap");
}

} // namespace

void gemm(GemmArgs const& g) {
    index_t const m = g.transpose_a ? g.a.cols : g.a.rows;
    index_t const k = g.transpose_a ? g.a.rows : g.a.cols;
    index_t const n = g.transpose_b ? g.b.rows : g.b.cols;
    check_extent("gemm", "inner extent of b", g.transpose_b ? g.b.cols : g.b.rows, k);
    check_matrix("gemm", "c", g.c, m, n);
    check_stride("a", g.a);
    check_stride("b", g.b);
    check_stride("c", g.c);
    if (m == 0 || n == 0) { return; }
    if (k == 0) {
        for (index_t r = 0; r < m && !g.accumulate; ++r) {
            std::fill_n(g.c.row(r), n, 0.0F);
        }
        return;
    }
    use_one_thread();
    auto const status =
        dnnl_sgemm(g.transpose_a ? 'T' : 'N', g.transpose_b ? 'T' : 'N', m, n, k, 1.0F, g.a.data, leading(g.a),
                   g.b.data, leading(g.b), g.accumulate ? 1.0F : 0.0F, g.c.data, leading(g.c));
    if (status == dnnl_out_of_memory) { throw Error(ErrorCode::too_large, "gemm: no memory for the product"); }
    if (status != dnnl_success) { throw Error(ErrorCode::unsupported, "gemm: the library refused the product"); }
}

} // namespace strandwave

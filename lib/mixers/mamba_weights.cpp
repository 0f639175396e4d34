#include "lib/mixers/mamba_weights.h"

#include "lib/checkpoint/tensor_store.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

void flip_columns(HostMatrix& m) {
    for (index_t r = 0; r < m.rows; ++r) {
        float* row = m.values.data() + r * m.cols;
        std::reverse(row, row + m.cols);
    }
}

void flip_rows(HostMatrix& m) {
    for (index_t r = 0; r < m.rows / 2; ++r) {
        float* row = m.values.data() + r * m.cols;
        std::swap_ranges(row, row + m.cols, m.values.data() + (m.rows - 1 - r) * m.cols);
    }
}

/// [cols, rows] of [rows, cols].
Buffer<float> transposed(HostMatrix const& m) {
    Buffer<float> result(m.rows * m.cols);
    for (index_t r = 0; r < m.rows; ++r) {
        for (index_t c = 0; c < m.cols; ++c) {
            result[c * m.rows + r] = m.values[r * m.cols + c];
        }
    }
    return result;
}

} // namespace

HostMatrix::HostMatrix(StoredTensor const* tensor) {
    if (tensor == nullptr) { return; }
    rows = tensor->shape.front();
    cols = rows == 0 ? 0 : tensor->elements() / rows;
    values = Buffer<float>(tensor->elements());
    read_f32(*tensor, values.data());
}

ProjectionWeights::ProjectionWeights(MixerTensors const& tensors, bool flip_channels, int sharers)
    : in(tensors.in_proj_weight), in_bias(tensors.in_proj_bias), out(tensors.out_proj_weight),
      out_bias(tensors.out_proj_bias) {
    if (flip_channels) {
        flip_columns(in);
        flip_rows(out);
        std::reverse(out_bias.values.begin(), out_bias.values.end());
    }
    for (float& b : out_bias.values) {
        b *= static_cast<float>(sharers);
    }
}

MambaWeights::MambaWeights(MixerTensors const& tensors)
    : conv_weight(transposed(HostMatrix(tensors.conv1d_weight))), conv_bias(tensors.conv1d_bias),
      x_proj(tensors.x_proj_weight), dt_proj(tensors.dt_proj_weight), dt_bias(tensors.dt_proj_bias),
      A(transposed(HostMatrix(tensors.A_log))), D(tensors.D) {
    for (float& a : A) {
        a = static_cast<float>(-std::exp(static_cast<double>(a)));
    }
}

} // namespace strandwave

#include "lib/train/label_scale.h"

#include "lib/core/error.h"

#include <cmath>

namespace strandwave {
namespace {

/// The numbers of one tensor.
std::span<float> numbers(ModelParameters const& parameters, ParameterId id, std::span<float> values) {
    if (id == kNone) { throw Error(ErrorCode::unsupported, "regression needs a head with weight and bias"); }
    auto const& p = parameters[id];
    return values.subspan(static_cast<std::size_t>(p.offset), static_cast<std::size_t>(p.rows * p.cols));
}

/// weight *= factor, bias = bias * factor + shift.
void change_head(ModelParameters const& parameters, double factor, double shift, std::span<float> values) {
    for (float& w : numbers(parameters, parameters.head_weight, values)) {
        w = static_cast<float>(static_cast<double>(w) * factor);
    }
    for (float& b : numbers(parameters, parameters.head_bias, values)) {
        b = static_cast<float>(static_cast<double>(b) * factor + shift);
    }
}

} // namespace

LabelScale label_scale(std::span<float const> labels) {
    if (labels.empty()) { throw Error(ErrorCode::invalid_argument, "there are no labels to learn"); }
    auto const n = static_cast<double>(labels.size());
    LabelScale scale;
    // From the first label on, so that the mean of equal labels is that label to the bit.
    auto const first = static_cast<double>(labels.front());
    scale.mean = first;
    for (float const label : labels) {
        scale.mean += (static_cast<double>(label) - first) / n;
    }
    double squares = 0;
    for (float const label : labels) {
        double const off = static_cast<double>(label) - scale.mean;
        squares += off * off / n;
    }
    if (squares > 0) { scale.deviation = std::sqrt(squares); }
    return scale;
}

void standardise_head(ModelParameters const& parameters, LabelScale const& scale, std::span<float> values) {
    change_head(parameters, 1 / scale.deviation, -scale.mean / scale.deviation, values);
}

void restore_head(ModelParameters const& parameters, LabelScale const& scale, std::span<float> values) {
    change_head(parameters, scale.deviation, scale.mean, values);
}

} // namespace strandwave

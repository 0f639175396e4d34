#include "pipelines/report/principal_axes.h"

#include "lib/core/error.h"

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <string>

namespace strandwave {
namespace {

constexpr index_t kBlockRows = 128; // added to the covariance at once

/// Picks `size` of `rows` rows, or all.
struct EvenlySpaced {
    index_t rows;
    index_t size;

    bool takes(index_t row) const {
        if (rows <= size) { return true; }
        return row < rows && (row + 1) * size / rows > row * size / rows;
    }
};

} // namespace

struct PrincipalAxes::State {
    State(index_t width, index_t rows)
        : measured{rows, kMeasuredRows}, projected{rows, kProjectedRows}, origin(width),
          sum(Eigen::VectorXd::Zero(width)), products(Eigen::MatrixXd::Zero(width, width)), block(width, kBlockRows) {}

    void measure(Eigen::VectorXd const& row) {
        // The first row as a provisional mean: sums stay small where all rows are far from 0.
        if (measured_rows == 0) { origin = row; }
        block.col(in_block++) = row - origin;
        ++measured_rows;
        if (in_block == kBlockRows) { flush(); }
    }

    void flush() {
        auto const filled = block.leftCols(in_block);
        sum += filled.rowwise().sum();
        products.selfadjointView<Eigen::Lower>().rankUpdate(filled);
        in_block = 0;
    }

    EvenlySpaced measured, projected;
    Eigen::VectorXd origin, sum;
    Eigen::MatrixXd products; ///< sum of x x^T, lower triangle
    Eigen::MatrixXd block;
    index_t in_block = 0;
    index_t seen = 0;
    index_t measured_rows = 0;
    index_t not_finite = 0;
    std::vector<float> kept; ///< rows to project
    std::vector<index_t> kept_groups;
};

PrincipalAxes::PrincipalAxes(index_t width, index_t rows) {
    if (width < 1 || width > kWidest) {
        throw Error(ErrorCode::invalid_argument, "principal axes: rows of " + std::to_string(width) + " values; 1 to " +
                                                     std::to_string(kWidest) + " can be had");
    }
    state_ = std::make_unique<State>(width, rows);
}

PrincipalAxes::~PrincipalAxes() = default;
PrincipalAxes::PrincipalAxes(PrincipalAxes&&) noexcept = default;
PrincipalAxes& PrincipalAxes::operator=(PrincipalAxes&&) noexcept = default;

void PrincipalAxes::add(View<float const, 1> row, index_t group) {
    auto& state = *state_;
    index_t const number = state.seen++;
    bool const measured = state.measured.takes(number);
    bool const projected = state.projected.takes(number);
    if (!measured && !projected) { return; }
    auto const values = Eigen::Map<Eigen::VectorXf const>(row.data, row.size);
    if (!values.allFinite()) {
        ++state.not_finite;
        return;
    }
    if (measured) { state.measure(values.cast<double>()); }
    if (projected) {
        state.kept.insert(state.kept.end(), row.data, row.data + row.size);
        state.kept_groups.push_back(group);
    }
}

Projection PrincipalAxes::finish() {
    auto& state = *state_;
    state.flush();
    Projection projection;
    projection.measured = state.measured_rows;
    projection.not_finite = state.not_finite;
    if (state.measured_rows == 0) { return projection; }

    auto const count = static_cast<double>(state.measured_rows);
    Eigen::VectorXd const mean = state.sum / count;
    state.products /= count;
    state.products.selfadjointView<Eigen::Lower>().rankUpdate(mean, -1.0);
    double const variance = state.products.trace();
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const solver(state.products); // reads the lower triangle
    auto const width = state.products.rows();
    Eigen::MatrixXd axes = Eigen::MatrixXd::Zero(width, 2);
    Eigen::Vector2d shares = Eigen::Vector2d::Zero();
    for (index_t k = 0; k < std::min<index_t>(2, width) && variance > 0; ++k) {
        auto const column = width - 1 - k; // eigenvalues rise
        axes.col(k) = solver.eigenvectors().col(column);
        Eigen::Index largest = 0;
        axes.col(k).cwiseAbs().maxCoeff(&largest);
        if (axes(largest, k) < 0) { axes.col(k) *= -1; }
        shares(k) = std::max(0.0, solver.eigenvalues()(column)) / variance;
    }
    projection.x_share = shares(0);
    projection.y_share = shares(1);
    Eigen::VectorXd const centre = state.origin + mean;
    for (std::size_t i = 0; i < state.kept_groups.size(); ++i) {
        auto const row = Eigen::Map<Eigen::VectorXf const>(state.kept.data() + static_cast<index_t>(i) * width, width);
        Eigen::Vector2d const place = axes.transpose() * (row.cast<double>() - centre);
        projection.rows.push_back({place.x(), place.y(), state.kept_groups[i]});
    }
    return projection;
}

} // namespace strandwave

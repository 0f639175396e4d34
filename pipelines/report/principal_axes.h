#pragma once

#include "lib/core/view.h"

#include <memory>
#include <vector>

namespace strandwave {

struct ProjectedRow {
    double x = 0, y = 0; ///< along the first and the second axis, from the mean
    index_t group = 0;   ///< as it was given
};

/// Rows along the two axes on which they differ most.
struct Projection {
    std::vector<ProjectedRow> rows;  ///< kProjectedRows at most, evenly spaced over all rows
    double x_share = 0, y_share = 0; ///< of the variance of all dimensions
    index_t measured = 0;            ///< rows that the axes were found from
    index_t not_finite = 0;          ///< rows that were left out
};

/// Principal component analysis in one pass: the covariance is added up in double, from kMeasuredRows evenly spaced
/// rows at most, and its eigenvectors (Eigen) are the axes. An axis points to where its largest coefficient (of equal
/// ones the first) is positive, so the same rows give the same picture. Memory: 8 width^2 bytes, at the end some four
/// times that, and kProjectedRows rows.
class PrincipalAxes {
public:
    static constexpr index_t kMeasuredRows = 20000;
    static constexpr index_t kProjectedRows = 5000;
    static constexpr index_t kWidest = 4096;

    /// `rows` is how many are to come. Throws invalid_argument for a width outside [1, kWidest].
    PrincipalAxes(index_t width, index_t rows);
    ~PrincipalAxes();
    PrincipalAxes(PrincipalAxes&&) noexcept;
    PrincipalAxes& operator=(PrincipalAxes&&) noexcept;

    void add(View<float const, 1> row, index_t group);
    Projection finish(); ///< once

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace strandwave

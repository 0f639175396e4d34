#pragma once

#include "lib/core/error.h"
#include "lib/core/view.h"

#include <string>

namespace strandwave {

/// Shape checks that every op makes once, for all of its kernels. Messages read "op: what has X, not Y".
inline void check_extent(char const* op, char const* what, index_t actual, index_t expected) {
    if (actual == expected) { return; }
    throw Error(ErrorCode::shape_mismatch,
                std::string(op) + ": " + what + " has " + std::to_string(actual) + ", not " + std::to_string(expected));
}

inline void check_matrix(char const* op, char const* what, View<float const, 2> matrix, index_t rows, index_t cols) {
    if (matrix.rows == rows && matrix.cols == cols) { return; }
    throw Error(ErrorCode::shape_mismatch, std::string(op) + ": " + what + " is [" + std::to_string(matrix.rows) +
                                               ", " + std::to_string(matrix.cols) + "], not [" + std::to_string(rows) +
                                               ", " + std::to_string(cols) + "]");
}

/// A segment lies within the rows of its block.
inline void check_rows(char const* op, index_t begin, index_t length, index_t rows) {
    if (begin >= 0 && length >= 0 && begin <= rows && length <= rows - begin) { return; }
    throw Error(ErrorCode::shape_mismatch, std::string(op) + ": segment [" + std::to_string(begin) + ", +" +
                                               std::to_string(length) + ") leaves the " + std::to_string(rows) +
                                               " rows of its block");
}

} // namespace strandwave

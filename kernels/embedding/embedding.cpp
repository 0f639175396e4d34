#include "kernels/embedding/embedding.h"

#include "lib/core/check.h"

#include <algorithm>

namespace strandwave {

void embedding(View<float const, 2> table, std::span<std::int32_t const> tokens, View<float, 2> y) {
    check_matrix("embedding", "y", y, static_cast<index_t>(tokens.size()), table.cols);
    for (index_t t = 0; t < y.rows; ++t) {
        index_t const id = tokens[static_cast<std::size_t>(t)];
        if (id < 0 || id >= table.rows) {
            throw Error(ErrorCode::invalid_argument, "token " + std::to_string(id) + " at position " +
                                                         std::to_string(t) + " is outside the vocabulary of " +
                                                         std::to_string(table.rows));
        }
        std::copy_n(table.row(id), table.cols, y.row(t));
    }
}

} // namespace strandwave

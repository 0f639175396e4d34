#include "kernels/embedding/embedding_backward.h"

#include "lib/core/check.h"

namespace strandwave {
namespace {

void check_tokens(std::span<std::int32_t const> tokens, index_t vocab) {
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        if (tokens[t] < 0 || tokens[t] >= vocab) {
            throw Error(ErrorCode::invalid_argument, "token " + std::to_string(tokens[t]) + " at position " +
                                                         std::to_string(t) + " is outside the vocabulary of " +
                                                         std::to_string(vocab));
        }
    }
}

} // namespace

void embedding_backward(std::span<std::int32_t const> tokens, View<float const, 2> dy, View<float, 2> dtable) {
    check_matrix("embedding_backward", "dy", dy, static_cast<index_t>(tokens.size()), dtable.cols);
    check_tokens(tokens, dtable.rows);
    for (index_t t = 0; t < dy.rows; ++t) {
        float const* from = dy.row(t);
        float* to = dtable.row(tokens[static_cast<std::size_t>(t)]);
        for (index_t c = 0; c < dy.cols; ++c) {
            to[c] += from[c];
        }
    }
}

} // namespace strandwave

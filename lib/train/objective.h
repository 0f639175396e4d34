#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strandwave {

/// What a model is trained for.
enum class Objective : std::uint8_t {
    next_token,     ///< causal language model: position t predicts position t + 1
    masked_token,   ///< bidirectional language model: masked positions are predicted
    classification, ///< one class a record
    regression,     ///< numbers a record
};

inline bool is_pooled(Objective objective) noexcept {
    return objective == Objective::classification || objective == Objective::regression;
}

std::string_view objective_name(Objective objective) noexcept; ///< "next-token", "masked-token", ...
/// Throws invalid_argument listing the words that are known.
Objective parse_objective(std::string const& word);

} // namespace strandwave

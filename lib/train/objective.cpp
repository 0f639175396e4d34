#include "lib/train/objective.h"

#include "lib/core/error.h"

#include <array>

namespace strandwave {
namespace {

constexpr std::array kNames = {"next-token", "masked-token", "classification", "regression"};

} // namespace

std::string_view objective_name(Objective objective) noexcept { return kNames[static_cast<std::size_t>(objective)]; }

Objective parse_objective(std::string const& word) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        if (word == kNames[i]) { return static_cast<Objective>(i); }
    }
    throw Error(ErrorCode::invalid_argument,
                "objective '" + word + "': not next-token, masked-token, classification or regression");
}

} // namespace strandwave

#pragma once

#include <string>
#include <vector>

namespace strandwave {

/// Where an axis from `low` to `high` gets ticks: multiples of 1, 2 or 5 times a power of ten, some `wanted` of them.
std::vector<double> linear_ticks(double low, double high, double wanted);

/// The same for an axis of logarithms to base 10 from `low` to `high`; the ticks are the numbers, not their logarithms:
/// powers of ten, between them 2 and 5 where the axis is short, and equal steps where it is shorter than one power.
std::vector<double> log_ticks(double low, double high, double wanted);

/// What stands beside each tick, with digits enough to tell neighbours apart: 20000 as 20k, 1500000 as 1.5M, small
/// numbers as they are.
std::vector<std::string> tick_texts(std::vector<double> const& ticks);

} // namespace strandwave

#pragma once

#include <string>
#include <vector>

namespace strandwave {

/// The instruction set that the CPU kernels run on, chosen at run time: "AVX3" (AVX-512), "AVX2", "SSE4", "NEON", ...
std::string simd_target_name();

/// All that this build has and this processor can run, best first.
std::vector<std::string> simd_target_names();

/// Runs every later kernel call on the named one of them, or on the best again for "". For tests: a fast kernel is
/// proven on each instruction set, not only on the one of the machine at hand. Throws invalid_argument.
void force_simd_target(std::string const& name);

} // namespace strandwave

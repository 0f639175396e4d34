#include "kernels/simd/simd_target.h"

#include "lib/core/error.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

namespace strandwave {
namespace {

/// Supported here and compiled in: a set of bits, the better target the lower bit.
std::vector<std::int64_t> available_targets() {
    std::vector<std::int64_t> targets;
    for (std::int64_t bits = hwy::SupportedTargets() & HWY_TARGETS; bits != 0; bits &= bits - 1) {
        targets.push_back(bits & -bits);
    }
    return targets;
}

} // namespace

std::string simd_target_name() { return hwy::TargetName(available_targets().front()); }

std::vector<std::string> simd_target_names() {
    std::vector<std::string> names;
    for (auto const target : available_targets()) {
        names.emplace_back(hwy::TargetName(target));
    }
    return names;
}

void force_simd_target(std::string const& name) {
    hwy::SetSupportedTargetsForTest(0);
    if (!name.empty()) {
        std::int64_t found = 0;
        for (auto const target : available_targets()) {
            if (name == hwy::TargetName(target)) { found = target; }
        }
        if (found == 0) { throw Error(ErrorCode::invalid_argument, "SIMD target " + name + " is not available"); }
        hwy::SetSupportedTargetsForTest(found);
    }
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

} // namespace strandwave

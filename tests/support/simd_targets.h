#pragma once

#include "kernels/simd/simd_target.h"

#include <gtest/gtest.h>
#include <string>

namespace strandwave::testing {

/// Runs a test body on every instruction set that this build and this processor have, not only on the best one.
template <class Body>
void on_every_simd_target(Body const& body) {
    for (auto const& name : simd_target_names()) {
        SCOPED_TRACE("SIMD target " + name);
        force_simd_target(name);
        EXPECT_EQ(simd_target_name(), name);
        body();
    }
    force_simd_target("");
}

} // namespace strandwave::testing

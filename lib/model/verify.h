#pragma once

#include "lib/core/view.h"
#include "lib/model/model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

struct VerifyOptions {
    index_t length = 769; ///< positions of the record; a prime, so that no block divides it
    std::uint64_t seed = 1;
    int threads = 0; ///< the N of "1 thread = N threads"; 0 = all
};

/// One property that every model must have on this machine.
struct VerifyCheck {
    std::string name;
    double difference = 0; ///< relative Frobenius error of the final norm's output; infinite if something is not finite
    double bound = 0;      ///< 0: the same bits

    bool passed() const noexcept { return difference <= bound; }
};

/// Runs a record of random tokens (or frames) through the model in all the ways that must not matter.
///
/// Every model: the same again; among other records; on one thread, or on a GPU in steps that cut it while others are
/// beside it. Causal ones: in pieces; token by token with GEMMs of one row (decoding); with the state saved and
/// restored midway. Those of two strands: the reverse complement gives both strands exchanged.
///
/// Bounds: where Session promises bits, 0. Decoding, the other strand, and on a GPU pieces that are no multiple of
/// kChunkUnit take other paths through the GEMMs and sums, and may differ by rounding: a dot product of K terms may
/// lose K units in the last place, so a layer with its four products d_model + 2 d_inner + dt_rank of them, at unit
/// gain, and the model n_layer times that.
std::vector<VerifyCheck> verify_model(std::shared_ptr<Model const> const& model, VerifyOptions const& options = {});

/// The same record through two loads of one checkpoint, on other devices or of another dtype: equal but for rounding.
/// The bound is that of verify_model; where one of the two is of bf16, four inputs a layer are rounded to it.
VerifyCheck compare_models(std::shared_ptr<Model const> const& model, std::shared_ptr<Model const> const& reference,
                           VerifyOptions const& options = {});

} // namespace strandwave

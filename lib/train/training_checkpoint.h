#pragma once

#include "lib/train/trainer.h"

#include <filesystem>
#include <string>

namespace strandwave {

/// Where a training run stands: all that decides its later steps.
struct TrainingCheckpoint {
    TrainerState state;
    std::string run;       ///< what the run is (its resolved options); to be equal when it goes on, and
    index_t data = 0;      ///< a hash of what it learns from; 0: not known
    double best_score = 0; ///< of the validations so far, and
    index_t best_step = 0; ///< the step behind which it was reached; 0: none yet
};

/// One safetensors file, whole or not at all. Throws io.
void write_checkpoint(std::filesystem::path const& path, TrainingCheckpoint const& checkpoint);

/// Throws not_found, io, malformed_checkpoint (also one of another model, whose parameters are not `size` floats).
TrainingCheckpoint read_checkpoint(std::filesystem::path const& path, index_t size);

} // namespace strandwave

#pragma once

#include "apps/cuda_timing.h"

namespace strandwave {

/// The ops of a model on the GPU that it was loaded for, `rows` tokens of one record a call, each beside its floor.
/// All of them are in the floor: what the model takes if each op runs at a ceiling and none beside another.
std::vector<OpTiming> time_gpu_ops(Model const& model, GpuCeilings const& ceilings, index_t rows, int runs);

} // namespace strandwave

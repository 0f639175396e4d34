#pragma once

#include "lib/core/threads.h"
#include "lib/model/model.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

inline double median(std::vector<double> values) {
    auto const middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Medians over several runs. CPU time of the whole process stands beside wall time because machines are shared: where
/// CPU time is clearly below threads * wall, others were running.
struct Timing {
    double wall_s = 0;
    double cpu_s = 0;
    index_t gpu_free_bytes = 0; ///< while what ran held its memory; 0 on the processor
};
Timing time_median(int runs, std::function<void()> const& body);

/// What a call of an op cannot do without: each input read once and each output written once, the FLOP of a matrix
/// product, the exponentials of a scan's decays.
struct OpWork {
    double bytes = 0;
    double flop = 0;
    double exps = 0;
};

/// One op at the model's shapes, alone: on one thread, its data in cache; or on a GPU, its data in the GPU's memory.
struct OpTiming {
    std::string name;
    index_t rows = 0;       ///< tokens a call
    double calls = 0;       ///< of one pass over the model for that many tokens
    double seconds = 0;     ///< of a call: CPU time, or time on the GPU
    OpWork work;            ///< on the processor without the bytes
    double floor_s = 0;     ///< what a call has to take at least; 0: not in the floor
    std::string bound = {}; ///< which part of `work` sets the floor of an op on a GPU
};

/// The ops of `model` in blocks of `rows` tokens on the processor. The matrix products and the scan are the floor: what
/// no arrangement of the rest can beat with these kernels.
std::vector<OpTiming> time_ops(Model const& model, index_t rows, int runs);

/// Tokens per second if nothing took time but the ops' floors.
double floor_tokens_per_s(std::vector<OpTiming> const& ops);

/// One record of `length` positions, fed in pieces of `chunk` (a bidirectional model: whole).
Timing time_prefill(std::shared_ptr<Model const> const& model, Threads& threads, index_t length, index_t chunk,
                    int runs);

/// `records` records of `length` positions, fed together.
Timing time_records(std::shared_ptr<Model const> const& model, Threads& threads, index_t records, index_t length,
                    int runs);

/// `steps` positions of one record, one a feed, GEMMs of one row. For causal models.
Timing time_decode(std::shared_ptr<Model const> const& model, Threads& threads, index_t steps, int runs);

} // namespace strandwave

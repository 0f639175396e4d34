#pragma once

#include "lib/core/threads.h"
#include "lib/model/model.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

/// Medians over several runs. CPU time of the whole process stands beside wall time because machines are shared: where
/// CPU time is clearly below threads * wall, others were running.
struct Timing {
    double wall_s = 0;
    double cpu_s = 0;
};
Timing time_median(int runs, std::function<void()> const& body);

/// One op at the model's shapes, alone on one thread, its data in cache.
struct OpTiming {
    std::string name;
    index_t rows = 0;    ///< tokens a call
    double calls = 0;    ///< of one pass over the model for that many tokens
    double seconds = 0;  ///< CPU time of a call
    double gflops = 0;   ///< of a matrix product; 0 for others
    double state_ns = 0; ///< of the scan: nanoseconds per token, channel and state; 0 for others
    bool in_floor = false;
};

/// The ops of `model` in blocks of `rows` tokens. The matrix products and the scan are the floor: what no arrangement
/// of the rest can beat with these kernels.
std::vector<OpTiming> time_ops(Model const& model, index_t rows, int runs);

/// Tokens per second of one thread if nothing but the floor's ops took time.
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

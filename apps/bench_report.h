#pragma once

#include "apps/bench_measure.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace strandwave {

/// One line of the whole-model table.
struct BenchRow {
    std::string what;
    index_t positions = 0;
    int threads = 1; ///< 0: on a GPU
    Timing timing = {};
    double floor = 0;         ///< tokens/s, of `threads` threads
    index_t device_bytes = 0; ///< GPU memory that model and session took

    bool on_gpu() const { return threads == 0; }
    double tokens_per_s() const { return static_cast<double>(positions) / timing.wall_s; }
    double tokens_per_cpu_s() const { return static_cast<double>(positions) / timing.cpu_s; }
    /// The floor of the processor is CPU time of one thread. Several threads, and a GPU, have to show their work on the
    /// wall clock.
    double share() const { return (threads == 1 ? tokens_per_cpu_s() : tokens_per_s()) / floor; }
};

/// Tables on stdout; of a back end each, for what they measure differs.
void print_cpu_ops(std::string const& title, std::vector<OpTiming> const& ops);
void print_gpu_ops(std::string const& title, std::vector<OpTiming> const& ops);
void print_cpu_header();
void print_gpu_header();
void print_row(BenchRow const& row);

nlohmann::json to_json(std::vector<OpTiming> const& ops);
nlohmann::json to_json(BenchRow const& row);

} // namespace strandwave

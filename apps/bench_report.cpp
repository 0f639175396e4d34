#include "apps/bench_report.h"

#include <cstdio>

namespace strandwave {
namespace {

double per_second(double work, OpTiming const& op) { return work / op.seconds; }

/// Nanoseconds per token, channel and state of a scan; 0 for others.
double state_ns(OpTiming const& op) { return op.work.exps > 0 ? 1e9 * op.seconds / op.work.exps : 0.0; }

long long whole(index_t value) { return static_cast<long long>(value); }

} // namespace

void print_cpu_ops(std::string const& title, std::vector<OpTiming> const& ops) {
    std::printf("# %s: ops on one thread (CPU time), data in cache\n", title.c_str());
    std::printf("%-16s %6s %9s %12s %10s %10s %6s\n", "op", "rows", "calls", "ms/call", "GFLOP/s", "ns/state", "floor");
    for (OpTiming const& op : ops) {
        std::printf("%-16s %6lld %9.0f %12.5f %10.1f %10.4f %6s\n", op.name.c_str(), whole(op.rows), op.calls,
                    1e3 * op.seconds, 1e-9 * per_second(op.work.flop, op), state_ns(op), op.floor_s > 0 ? "yes" : "no");
    }
    std::printf("floor: %.0f tokens/s of one thread\n\n", floor_tokens_per_s(ops));
}

void print_gpu_ops(std::string const& title, std::vector<OpTiming> const& ops) {
    std::printf("# %s: ops by themselves (GPU time), %lld rows a call\n", title.c_str(), whole(ops.front().rows));
    std::printf("%-16s %6s %10s %9s %8s %9s %8s %8s %8s %10s %6s %6s\n", "op", "calls", "ms/call", "MB", "TB/s",
                "GFLOP", "TFLOP/s", "Gexp", "Texp/s", "floor, ms", "bound", "share");
    double seconds = 0;
    for (OpTiming const& op : ops) {
        std::printf("%-16s %6.0f %10.4f %9.1f %8.3f %9.2f %8.1f %8.3f %8.3f %10.4f %6s %5.0f%%\n", op.name.c_str(),
                    op.calls, 1e3 * op.seconds, 1e-6 * op.work.bytes, 1e-12 * per_second(op.work.bytes, op),
                    1e-9 * op.work.flop, 1e-12 * per_second(op.work.flop, op), 1e-9 * op.work.exps,
                    1e-12 * per_second(op.work.exps, op), 1e3 * op.floor_s, op.bound.c_str(),
                    100 * op.floor_s / op.seconds);
        seconds += op.calls * op.seconds;
    }
    std::printf("one after the other: %.0f tokens/s; floor: %.0f tokens/s\n\n",
                static_cast<double>(ops.front().rows) / seconds, floor_tokens_per_s(ops));
}

void print_cpu_header() {
    std::printf("%-20s %9s %8s %10s %14s %12s %12s %7s\n", "run", "tokens", "threads", "ms", "tokens/cpu-s", "tokens/s",
                "floor", "share");
}

void print_gpu_header() {
    std::printf("%-20s %10s %12s %10s %12s %12s %7s %9s\n", "run", "tokens", "ms", "cpu ms", "tokens/s", "floor",
                "share", "GPU MiB");
}

void print_row(BenchRow const& row) {
    if (row.on_gpu()) {
        std::printf("%-20s %10lld %12.3f %10.1f %12.0f %12.0f %6.0f%% %9lld\n", row.what.c_str(), whole(row.positions),
                    1e3 * row.timing.wall_s, 1e3 * row.timing.cpu_s, row.tokens_per_s(), row.floor, 100 * row.share(),
                    whole(row.device_bytes >> 20));
    } else {
        std::printf("%-20s %9lld %8d %10.2f %14.0f %12.0f %12.0f %6.0f%%\n", row.what.c_str(), whole(row.positions),
                    row.threads, 1e3 * row.timing.wall_s, row.tokens_per_cpu_s(), row.tokens_per_s(), row.floor,
                    100 * row.share());
    }
    std::fflush(stdout);
}

nlohmann::json to_json(std::vector<OpTiming> const& ops) {
    auto list = nlohmann::json::array();
    for (OpTiming const& op : ops) {
        list.push_back({{"op", op.name},
                        {"rows", op.rows},
                        {"calls", op.calls},
                        {"seconds", op.seconds},
                        {"gflops", 1e-9 * per_second(op.work.flop, op)},
                        {"ns_per_token_channel_state", state_ns(op)},
                        {"in_floor", op.floor_s > 0},
                        {"floor_s", op.floor_s}});
        if (op.bound.empty()) { continue; }
        list.back().update({{"bytes", op.work.bytes},
                            {"flop", op.work.flop},
                            {"exponentials", op.work.exps},
                            {"bound", op.bound},
                            {"share_of_floor", op.floor_s / op.seconds}});
    }
    return list;
}

nlohmann::json to_json(BenchRow const& row) {
    nlohmann::json json = {{"run", row.what},
                           {"tokens", row.positions},
                           {"threads", row.threads},
                           {"wall_s", row.timing.wall_s},
                           {"cpu_s", row.timing.cpu_s},
                           {"tokens_per_s", row.tokens_per_s()},
                           {"tokens_per_cpu_s", row.tokens_per_cpu_s()},
                           {"floor_tokens_per_s", row.floor},
                           {"share_of_floor", row.share()}};
    if (row.on_gpu()) {
        json.erase("threads");
        json["device_bytes"] = row.device_bytes;
    }
    return json;
}

} // namespace strandwave

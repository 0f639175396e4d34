// The scan and the convolution alone on the first GPU, at the shapes of docs/PERFORMANCE.md, one line each: d_state 16,
// d_conv 4, with skip, gate and softplus. The floor is the longer of the bytes at the speed of a copy, which is
// measured here, and the exponentials at 16 a clock and multiprocessor. No scan reaches it: a step with all that it
// needs in registers does 0.91 of those exponentials on an H200, and in f32 they are polynomials, 0.84 with nothing
// beside them.
//   cuda_bench [--benchmark_filter=REGEX] [--runs=N]
#include "apps/cuda_timing.h"
#include "lib/core/error.h"

#include <cstdio>
#include <cstdlib>
#include <regex>
#include <string>
#include <vector>

namespace strandwave {
namespace {

/// What others need for the same on an H200, in ms: mamba_ssm 2.3.2 or causal_conv1d in the same type, and causal flash
/// attention of cuDNN at the same d_model; and what we want to need at most. 0: not known, or nothing to say.
struct Peer {
    double scan = 0;
    double attention = 0;
    double target = 0;
};

struct Case {
    char const* op;
    DType dtype;
    index_t records;
    index_t d_inner;
    index_t length;
    Peer peer = {};

    std::string name() const {
        return std::string(op) + "/" + std::string(dtype_name(dtype)) + "/" + std::to_string(records) + "x" +
               std::to_string(d_inner) + "x" + std::to_string(length);
    }
    PackedShape shape() const {
        PackedShape shape;
        shape.records = records;
        shape.length = length;
        shape.d_inner = d_inner;
        shape.dt_rank = d_inner / 32; // d_model / 16, as published
        return shape;
    }
};

constexpr DType kBf16 = DType::bf16;
constexpr DType kF32 = DType::f32;

std::vector<Case> all_cases() {
    return {
        {"scan", kBf16, 1, 512, 1 << 14, {0.181}},
        {"scan", kBf16, 1, 512, 1 << 17, {1.40}},
        {"scan", kBf16, 1, 512, 1 << 20, {11.1, 0, 3.3}},
        {"scan", kBf16, 1, 1536, 1 << 20, {34.4, 0, 9.5}},
        {"scan", kBf16, 8, 1536, 1 << 14, {4.12}},
        {"scan", kBf16, 64, 512, 1 << 12, {2.49}},
        {"scan", kBf16, 900, 512, 150},
        {"scan", kF32, 1, 512, 1 << 14, {0.457}},
        {"scan", kF32, 1, 512, 1 << 17, {3.45}},
        {"scan", kF32, 1, 512, 1 << 20, {27.4}},
        {"scan", kF32, 1, 1536, 1 << 20, {62.0}},
        {"scan", kF32, 8, 1536, 1 << 14, {7.40}},
        {"scan", kF32, 64, 512, 1 << 12, {4.96}},
        {"scan", kF32, 900, 512, 150},
        {"conv", kBf16, 1, 512, 1 << 20, {0.62}},
        {"conv", kF32, 1, 512, 1 << 20},
        // Windows: many records of several tiles.
        {"scan", kBf16, 32, 512, 2048},
        {"scan", kBf16, 64, 512, 1024},
        {"scan", kBf16, 128, 512, 512},
        {"scan", kBf16, 32, 1536, 1024},
        // One short record alone: what a user waits for.
        {"scan", kBf16, 1, 512, 1 << 8},
        {"scan", kBf16, 1, 512, 1 << 9},
        {"scan", kBf16, 1, 512, 1 << 10},
        {"scan", kBf16, 1, 512, 1 << 11},
        {"scan", kBf16, 1, 512, 1 << 12},
        {"scan", kBf16, 1, 512, 1 << 13},
        {"scan", kBf16, 1, 512, 1 << 15},
        {"scan", kBf16, 1, 1536, 1 << 8},
        {"scan", kBf16, 1, 1536, 1 << 9},
        {"scan", kBf16, 1, 1536, 1 << 10},
        {"scan", kBf16, 1, 1536, 1 << 12},
        {"scan", kBf16, 1, 1536, 1 << 14},
        // Beside attention at batch 1 and d_model 768: ahead from 2^11 on.
        {"scan", kBf16, 1, 1536, 1 << 11, {0.065, 0.033, 0.033}},
        {"scan", kBf16, 1, 1536, 1 << 13, {0.27, 0.27, 0.27}},
        {"scan", kBf16, 1, 1536, 1 << 16, {2.2, 14.5, 14.5}},
        {"scan", kBf16, 1, 1536, 1 << 17, {4.3, 57, 57}},
    };
}

struct Options {
    std::string filter;
    int runs = 5;
};

std::string text_or_dash(double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.4g", value);
    return value > 0 ? text : "-";
}

void print_header() {
    std::printf("%-28s %10s %10s %8s %8s %10s %6s %6s %9s %7s %9s %9s\n", "case", "ms", "Mtok/s", "TB/s", "Texp/s",
                "floor, ms", "bound", "share", "peer, ms", "faster", "attn, ms", "target");
}

void print_line(Case const& line, OpTiming const& op) {
    double const ms = 1e3 * op.seconds;
    std::string const faster = line.peer.scan > 0 ? text_or_dash(line.peer.scan / ms) + "x" : "-";
    std::printf("%-28s %10.4f %10.1f %8.3f %8.3f %10.4f %6s %5.0f%% %9s %7s %9s %9s\n", line.name().c_str(), ms,
                1e-6 * static_cast<double>(op.rows) / op.seconds, 1e-12 * op.work.bytes / op.seconds,
                1e-12 * op.work.exps / op.seconds, 1e3 * op.floor_s, op.bound.c_str(), 100 * op.floor_s / op.seconds,
                text_or_dash(line.peer.scan).c_str(), faster.c_str(), text_or_dash(line.peer.attention).c_str(),
                text_or_dash(line.peer.target).c_str());
    std::fflush(stdout);
}

/// What the GPU has no room for is left out with a word.
void run_case(Case const& line, GpuCeilings const& ceilings, int runs) {
    try {
        bool const conv = std::string(line.op) == "conv";
        OpTiming op = conv ? time_conv(line.shape(), line.dtype, runs) : time_scan(line.shape(), line.dtype, runs);
        set_floor(op, ceilings);
        print_line(line, op);
    } catch (Error const& error) {
        if (error.code() != ErrorCode::too_large) { throw; }
        std::printf("%-28s left out: %s\n", line.name().c_str(), error.what());
    }
}

void run(Options const& options) {
    auto gpus = find_gpus();
    if (!gpus) {
        std::printf("SKIPPED: no GPU: %s\n", gpus.error().what());
        return;
    }
    Gpu const& gpu = gpus->front();
    use_gpu(gpu.index);
    auto const ceilings = measure_ceilings(gpu, kBf16, options.runs);
    std::printf("# %s\n# ceilings: %s\n", gpu.name.c_str(), describe(ceilings).c_str());
    std::regex const wanted(options.filter);
    print_header();
    for (Case const& line : all_cases()) {
        if (std::regex_search(line.name(), wanted)) { run_case(line, ceilings, options.runs); }
    }
}

/// --benchmark_filter is spelt as the other benchmarks have it, for `./run bench` gives all of them the same.
bool parse(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        std::string const argument = argv[i];
        auto const value = argument.find('=') + 1;
        if (argument.rfind("--benchmark_filter=", 0) == 0) {
            options.filter = argument.substr(value);
        } else if (argument.rfind("--runs=", 0) == 0) {
            options.runs = std::atoi(argument.c_str() + value);
        } else if (argument.rfind("--benchmark_", 0) != 0) {
            return false;
        }
    }
    return options.runs > 0;
}

} // namespace
} // namespace strandwave

int main(int argc, char** argv) {
    strandwave::Options options;
    if (!strandwave::parse(argc, argv, options)) {
        std::fprintf(stderr, "usage: cuda_bench [--benchmark_filter=REGEX] [--runs=N]\n");
        return 2;
    }
    try {
        strandwave::run(options);
    } catch (std::exception const& error) {
        std::fprintf(stderr, "cuda_bench: %s\n", error.what());
        return 1;
    }
    return 0;
}

// The ops alone, one thread, on every instruction set of this machine, at the shapes of two models:
// DNA (d_model 256, d_inner 512) and 130m (d_model 768, d_inner 1536); d_state 16, d_conv 4.
// "states" counts tokens x channels x states a second (5G/s is 0.2 ns each); "flops" counts 2 a multiply-add.
#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/linear/linear.h"
#include "kernels/selective_scan/selective_scan.h"
#include "kernels/selective_scan/selective_scan_backward.h"
#include "kernels/selective_scan/selective_scan_reference.h"
#include "kernels/simd/simd_target.h"
#include "lib/core/buffer.h"
#include "lib/core/random.h"

#include <benchmark/benchmark.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

constexpr index_t kRows = 128;
constexpr index_t kState = 16;

Buffer<float> random_buffer(index_t size, double low, double high) {
    Random random(static_cast<std::uint64_t>(size));
    Buffer<float> buffer(size);
    for (float& value : buffer) {
        value = static_cast<float>(random.uniform(low, high));
    }
    return buffer;
}

struct ScanInputs {
    explicit ScanInputs(index_t d_inner_, index_t rows_ = kRows)
        : d_inner(d_inner_), rows(rows_), u(random_buffer(rows * d_inner, -1, 1)),
          delta(random_buffer(rows * d_inner, -5, -2)), z(random_buffer(rows * d_inner, -1, 1)),
          A(random_buffer(kState * d_inner, -16, -1)), B(random_buffer(rows * kState, -1, 1)),
          D(random_buffer(d_inner, -1, 1)), state(random_buffer(kState * d_inner, -1, 1)),
          y(rows * d_inner), segment{0, rows, state.data(), state.data()} {}

    SelectiveScanArgs args() {
        return {.u = u.view(rows, d_inner),
                .delta = delta.view(rows, d_inner),
                .A = A.view(kState, d_inner),
                .B = B.view(rows, kState),
                .C = B.view(rows, kState),
                .D = D.view(),
                .delta_bias = {},
                .z = z.view(rows, d_inner),
                .segments = {&segment, 1},
                .reverse = false,
                .y = y.view(rows, d_inner)};
    }

    index_t d_inner, rows;
    Buffer<float> u, delta, z, A, B, D, state, y;
    ScanSegment segment;
};

void count_states(benchmark::State& state, index_t d_inner, index_t rows = kRows) {
    state.counters["states"] =
        benchmark::Counter(static_cast<double>(rows * d_inner * kState), benchmark::Counter::kIsIterationInvariantRate);
}

void scan(benchmark::State& state, std::string const& target, index_t d_inner) {
    ScanInputs inputs(d_inner);
    auto const args = inputs.args();
    force_simd_target(target);
    for (auto _ : state) { // NOLINT: Google Benchmark's loop
        selective_scan(args);
    }
    force_simd_target("");
    count_states(state, d_inner);
}

void scan_plain_loop(benchmark::State& state, index_t d_inner) {
    ScanInputs inputs(d_inner);
    auto const args = inputs.args();
    for (auto _ : state) { // NOLINT
        benchmark::DoNotOptimize(selective_scan_reference<float>(args));
    }
    count_states(state, d_inner);
}

/// Of 1024 rows, with and without states that the forward pass kept.
void scan_backward(benchmark::State& state, std::string const& target, index_t d_inner, bool keeps_states) {
    constexpr index_t rows = 1024;
    ScanInputs inputs(d_inner, rows);
    auto const dy = random_buffer(rows * d_inner, -1, 1);
    Buffer<float> du(rows * d_inner), ddelta(rows * d_inner), dz(rows * d_inner);
    Buffer<float> dB(rows * kState), dC(rows * kState);
    Buffer<float> dA(random_buffer(kState * d_inner, 0, 1)), dD(random_buffer(d_inner, 0, 1));
    Buffer<float> kept(scan_kept_states(rows, 1, d_inner, kState));
    force_simd_target(target);
    inputs.segment = {0, rows};
    auto forward = inputs.args();
    forward.kept_states = kept.data();
    selective_scan(forward);
    ScanBackwardSegment const segment{0, rows};
    SelectiveScanBackwardArgs const args{.u = forward.u,
                                         .delta = forward.delta,
                                         .A = forward.A,
                                         .B = forward.B,
                                         .C = forward.C,
                                         .D = forward.D,
                                         .delta_bias = {},
                                         .z = forward.z,
                                         .dy = dy.view(rows, d_inner),
                                         .segments = {&segment, 1},
                                         .kept_states = keeps_states ? kept.data() : nullptr,
                                         .du = du.view(rows, d_inner),
                                         .ddelta = ddelta.view(rows, d_inner),
                                         .dB = dB.view(rows, kState),
                                         .dC = dC.view(rows, kState),
                                         .dz = dz.view(rows, d_inner),
                                         .y = {},
                                         .dA = dA.view(kState, d_inner),
                                         .dD = dD.view(),
                                         .ddelta_bias = {}};
    for (auto _ : state) { // NOLINT
        selective_scan_backward(args);
    }
    force_simd_target("");
    count_states(state, d_inner, rows);
}

void conv(benchmark::State& state, std::string const& target, index_t d_inner) {
    auto const x = random_buffer(kRows * d_inner, -1, 1);
    auto const weight = random_buffer(4 * d_inner, -1, 1);
    Buffer<float> y(kRows * d_inner);
    ConvSegment const segment{0, kRows};
    CausalConv1dArgs const args{.x = x.view(kRows, d_inner),
                                .weight = weight.view(4, d_inner),
                                .bias = {},
                                .segments = {&segment, 1},
                                .reverse = false,
                                .y = y.view(kRows, d_inner)};
    force_simd_target(target);
    for (auto _ : state) { // NOLINT
        causal_conv1d(args);
    }
    force_simd_target("");
    state.SetBytesProcessed(state.iterations() * 2 * kRows * d_inner * static_cast<index_t>(sizeof(float)));
}

void linear(benchmark::State& state, index_t rows, index_t in, index_t out, DType dtype) {
    auto const weight = random_buffer(out * in, -1, 1);
    auto const x = random_buffer(rows * in, -1, 1);
    Buffer<float> y(rows * out);
    Linear const op(weight.view(out, in), {}, dtype);
    for (auto _ : state) { // NOLINT
        op.apply(x.view(rows, in), y.view(rows, out));
    }
    state.counters["flops"] =
        benchmark::Counter(static_cast<double>(2 * rows * in * out), benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
    for (index_t const d_inner : {512, 1536}) {
        std::string const size = "/d_inner:" + std::to_string(d_inner);
        benchmark::RegisterBenchmark(("selective_scan/plain_loop" + size).c_str(), scan_plain_loop, d_inner);
        for (auto const& target : simd_target_names()) {
            benchmark::RegisterBenchmark(("selective_scan/" + target + size).c_str(), scan, target, d_inner);
            for (bool const keeps_states : {false, true}) {
                auto const name = "selective_scan_backward/" + target + (keeps_states ? "/kept" : "") + size;
                benchmark::RegisterBenchmark(name.c_str(), scan_backward, target, d_inner, keeps_states);
            }
            benchmark::RegisterBenchmark(("causal_conv1d/" + target + size).c_str(), conv, target, d_inner);
        }
    }
    struct Shape {
        char const* name;
        index_t in;
        index_t out;
    };
    for (auto const& shape : {Shape{"dna_in", 256, 1024}, Shape{"dna_x", 512, 48}, Shape{"dna_dt", 16, 512},
                              Shape{"dna_out", 512, 256}, Shape{"130m_in", 768, 3072}, Shape{"130m_out", 1536, 768}}) {
        for (auto const dtype : {DType::f32, DType::bf16}) {
            for (index_t const rows : {index_t{1}, kRows}) {
                auto const name = std::string("linear/") + shape.name + "/" + std::string(dtype_name(dtype)) +
                                  "/rows:" + std::to_string(rows);
                benchmark::RegisterBenchmark(name.c_str(), linear, rows, shape.in, shape.out, dtype);
            }
        }
    }
}

} // namespace
} // namespace strandwave

int main(int argc, char** argv) {
    strandwave::register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

// Inputs and outputs of a scan on the GPU, as its tests need them.
#pragma once

#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <cmath>
#include <vector>

namespace strandwave::testing::scan {

inline constexpr index_t kSlots = 8;

struct Shape {
    index_t rows;
    index_t d_inner;
    index_t d_state;
    index_t prefix = 0; ///< rows before those, with other values: the others do not depend on it
    index_t shift = 0;  ///< elements off the alignment that vector loads need
};

/// Inputs in host memory, as the reference takes them, and on the GPU, and outputs there. z is the right half of rows
/// that are twice as wide, as it comes from in_proj. Sizes of values are those of trained models: dt from 1e-4 to 2,
/// A from -0.1 to -20.
struct Problem {
    Problem(DType dtype_, Shape shape)
        : dtype(dtype_), prefix(shape.prefix), rows(shape.prefix + shape.rows), d_inner(shape.d_inner),
          d_state(shape.d_state), u(rows, d_inner), delta(rows, d_inner), z(rows, d_inner), B(rows, d_state),
          C(rows, d_state), A(d_state, d_inner), D(1, d_inner), bias(1, d_inner), state(kSlots * d_state, d_inner),
          gpu_u(dtype, rows, d_inner, 8, shape.shift), gpu_delta(dtype, rows, d_inner, 0, shape.shift),
          gpu_z(dtype, rows, d_inner, d_inner, shape.shift), gpu_B(dtype, rows, d_state, 16, shape.shift),
          gpu_C(dtype, rows, d_state, 16, shape.shift), y(dtype, rows, d_inner, 0, shape.shift),
          gpu_A(DType::f32, d_state, d_inner), gpu_D(DType::f32, 1, d_inner), gpu_bias(DType::f32, 1, d_inner),
          gpu_state(DType::f32, kSlots * d_state, d_inner) {
        fill(u, 1, [](Random& random) { return random.normal(); });
        fill(delta, 2, [](Random& random) { return 2.0 * random.normal(); });
        fill(z, 3, [](Random& random) { return random.normal(); });
        fill(B, 4, [](Random& random) { return random.normal(); });
        fill(C, 5, [](Random& random) { return random.normal(); });
        Random random(6);
        A.fill([&] { return -std::exp(random.uniform(-2.3, 3.0)); });
        D.fill([&] { return random.normal(); });
        bias.fill([&] { return random.uniform(-7.0, 0.5); });
        state.fill([&] { return random.normal(); });
        put();
    }

    /// After a change of inputs.
    void put() {
        for (auto* matrix : {&u, &delta, &z, &B, &C}) {
            round_to(dtype, *matrix);
        }
        gpu_u.put(u.view());
        gpu_delta.put(delta.view());
        gpu_z.put(z.view());
        gpu_B.put(B.view());
        gpu_C.put(C.view());
        gpu_A.put(A.view());
        gpu_D.put(D.view());
        gpu_bias.put(bias.view());
        gpu_state.put(state.view());
    }

    SelectiveScanCudaArgs gpu_args() const {
        SelectiveScanCudaArgs args;
        args.u = gpu_u.view();
        args.delta = gpu_delta.view();
        args.B = gpu_B.view();
        args.C = gpu_C.view();
        args.z = gpu_z.view();
        args.y = y.view();
        args.A = gpu_A.data();
        args.D = gpu_D.data();
        args.delta_bias = gpu_bias.data();
        args.d_state = d_state;
        args.state = gpu_state.data();
        return args;
    }

    static void run(SelectiveScanCudaArgs args, std::vector<PackedSegment> const& segments, bool reverse) {
        auto const host_blocks = cut_into_blocks(segments, reverse);
        auto const count = static_cast<index_t>(host_blocks.size());
        auto const blocks = upload(host_blocks.data(), count);
        args.blocks = blocks.data();
        args.block_count = count;
        ScanChain const chain(count, args.u.cols, args.d_state);
        selective_scan_cuda(args, chain, nullptr);
        testing::download(blocks.data(), count); // they are needed until the scan is through
    }
    void run(std::vector<PackedSegment> const& segments, bool reverse) { run(gpu_args(), segments, reverse); }

    float* slot(std::int32_t i) { return i < 0 ? nullptr : state.data() + i * d_state * d_inner; }

    SelectiveScanArgs host_args(std::vector<ScanSegment>& converted, std::vector<PackedSegment> const& segments,
                                bool reverse) {
        for (auto const& s : segments) {
            converted.push_back({s.begin, s.length, slot(s.initial), nullptr});
        }
        return {.u = u.view(),
                .delta = delta.view(),
                .A = A.view(),
                .B = B.view(),
                .C = C.view(),
                .D = D.vector(),
                .delta_bias = bias.vector(),
                .z = z.view(),
                .segments = converted,
                .reverse = reverse,
                .y = {}};
    }

    std::vector<std::byte> y_of(PackedSegment const& segment) const { return y.bits(segment.begin, segment.length); }
    std::vector<std::byte> state_of(std::int32_t i) const { return gpu_state.bits(i * d_state, d_state); }

    DType dtype;
    index_t prefix, rows, d_inner, d_state;
    GuardedMatrix u, delta, z, B, C, A, D, bias, state;
    GpuMatrix gpu_u, gpu_delta, gpu_z, gpu_B, gpu_C, y, gpu_A, gpu_D, gpu_bias, gpu_state;

private:
    template <class Draw>
    void fill(GuardedMatrix& matrix, std::uint64_t seed, Draw const& draw) {
        Random random(seed);
        auto const view = matrix.view();
        for (index_t r = 0; r < view.rows; ++r) {
            for (index_t c = 0; c < view.cols; ++c) {
                view(r, c) = r < prefix ? 0.5F : static_cast<float>(draw(random));
            }
        }
    }
};

/// Records of many lengths with all kinds of slots, and rows between them that belong to none.
inline std::vector<PackedSegment> many_records() {
    return {{1, 0, 0, 1},    {1, 1, -1, -1},   {2, 3, 2, 2},     {6, 16, -1, 4},    {22, 17, 5, -1},
            {40, 150, 6, 6}, {190, 256, 7, 7}, {446, 257, 3, 3}, {703, 700, -1, 1}, {1404, 512, 5, -1}};
}
inline constexpr index_t kManyRows = 1920;

} // namespace strandwave::testing::scan

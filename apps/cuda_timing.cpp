#include "apps/cuda_timing.h"

#include "kernels/causal_conv1d/causal_conv1d_cuda.h"
#include "kernels/linear/linear_cuda.h"
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/core/buffer.h"
#include "lib/core/random.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <vector>

namespace strandwave {
namespace {

constexpr std::uint64_t kSeed = 1;

/// `count` random numbers as the bytes of their type. What is large repeats itself: a GPU does not mind.
DeviceMemory random_memory(DType dtype, index_t count, double low, double high) {
    constexpr index_t kPattern = 1 << 20;
    index_t const element = dtype_bytes(dtype);
    index_t const pattern = std::min(count, kPattern);
    std::vector<char> bytes(static_cast<std::size_t>(pattern * element));
    Random random(kSeed);
    for (index_t i = 0; i < pattern; ++i) {
        auto const value = static_cast<float>(random.uniform(low, high));
        bf16_t const rounded = to_bf16(value);
        void const* const from = dtype == DType::bf16 ? static_cast<void const*>(&rounded) : &value;
        std::memcpy(bytes.data() + i * element, from, static_cast<std::size_t>(element));
    }
    DeviceMemory memory(count * element);
    Stream const stream;
    auto* const to = static_cast<char*>(memory.data());
    copy_to_device(to, bytes.data(), pattern * element, stream.get());
    for (index_t done = pattern * element; done < memory.bytes(); done *= 2) {
        copy_on_device(to + done, to, std::min(done, memory.bytes() - done), stream.get());
    }
    stream.wait();
    return memory;
}

double copy_rate(int runs) {
    constexpr index_t kBytes = index_t{1} << 30;
    DeviceMemory const from(kBytes);
    DeviceMemory const to(kBytes);
    Stream const stream;
    fill_bytes(from.data(), 1, kBytes, stream.get());
    double const seconds =
        time_on_gpu(runs, stream.get(), [&] { copy_on_device(to.data(), from.data(), kBytes, stream.get()); });
    return 2 * static_cast<double>(kBytes) / seconds;
}

/// Random numbers, for zeros multiply faster: they let the chip keep a higher clock.
double gemm_rate(DType dtype, int runs) {
    constexpr index_t kSize = 8192;
    Buffer<float> weight(kSize * kSize);
    Random random(kSeed);
    for (float& value : weight) {
        value = static_cast<float>(random.uniform(-1.0, 1.0));
    }
    LinearCuda const linear(weight.view(kSize, kSize), {}, dtype, dtype);
    RandomMatrix const x(dtype, kSize, kSize);
    RandomMatrix const y(dtype, kSize, kSize);
    Stream const stream;
    double const seconds =
        time_on_gpu(runs, stream.get(), [&] { linear.apply(x.matrix(), y.matrix(), false, stream.get()); });
    constexpr auto kExtent = static_cast<double>(kSize);
    return 2 * kExtent * kExtent * kExtent / seconds;
}

/// The records of a shape, one behind the other, in device memory.
DeviceArray<RowBlock> upload_blocks(PackedShape const& shape) {
    std::vector<PackedSegment> segments;
    for (index_t i = 0; i < shape.records; ++i) {
        PackedSegment segment{i * shape.length, shape.length};
        if (shape.carried) {
            segment.initial = static_cast<std::int32_t>(2 * i);
            segment.final = static_cast<std::int32_t>(2 * i + 1);
        }
        segments.push_back(segment);
    }
    auto const blocks = cut_into_blocks(segments, false);
    DeviceArray<RowBlock> array(static_cast<index_t>(blocks.size()));
    Stream const stream;
    copy_to_device(array.data(), blocks.data(), array.size() * static_cast<index_t>(sizeof(RowBlock)), stream.get());
    stream.wait();
    return array;
}

/// [slots][rows, d_inner] of carried state, zeros; no slots if none is carried.
DeviceArray<float> zero_states(PackedShape const& shape, index_t rows) {
    DeviceArray<float> states(shape.carried ? 2 * shape.records * rows * shape.d_inner : 0);
    if (states.empty()) { return states; }
    Stream const stream;
    fill_bytes(states.data(), 0, states.size() * static_cast<index_t>(sizeof(float)), stream.get());
    stream.wait();
    return states;
}

double bytes_of(DeviceArray<float> const& values) {
    return static_cast<double>(values.size() * index_t{sizeof(float)});
}

double elements(DeviceMatrix const& matrix) {
    return static_cast<double>(matrix.rows) * static_cast<double>(matrix.cols);
}

double bytes_of(DeviceMatrix const& matrix) {
    return elements(matrix) * static_cast<double>(dtype_bytes(matrix.dtype));
}

} // namespace

double time_on_gpu(int runs, GpuStream stream, std::function<void()> const& body) {
    constexpr double kShortestRun = 0.005;
    Event begin;
    Event end;
    auto const seconds_of = [&](index_t calls) {
        begin.record(stream);
        for (index_t i = 0; i < calls; ++i) {
            body();
        }
        end.record(stream);
        end.wait();
        return 1e-3 * end.milliseconds_since(begin);
    };
    seconds_of(1);
    index_t calls = 1;
    while (seconds_of(calls) < kShortestRun) {
        calls *= 2;
    }
    std::vector<double> seconds(static_cast<std::size_t>(runs));
    for (double& one : seconds) {
        one = seconds_of(calls) / static_cast<double>(calls);
    }
    return median(std::move(seconds));
}

RandomMatrix::RandomMatrix(DType dtype, index_t rows, index_t cols, double low, double high)
    : memory_(random_memory(dtype, rows * cols, low, high)), matrix_(memory_.data(), dtype, rows, cols) {}

GpuCeilings measure_ceilings(Gpu const& gpu, DType dtype, int runs) {
    constexpr double kExpsPerClock = 16; // of one multiprocessor: CUDA C++ Programming Guide, throughput of ex2
    GpuCeilings ceilings;
    ceilings.bytes_per_s = copy_rate(runs);
    ceilings.flop_per_s = gemm_rate(dtype, runs);
    ceilings.exps_per_s = kExpsPerClock * gpu.multiprocessors * gpu.clock_hz;
    ceilings.dtype = dtype;
    return ceilings;
}

std::string describe(GpuCeilings const& ceilings) {
    std::array<char, 256> text{};
    std::snprintf(text.data(), text.size(),
                  "copy %.2f TB/s (read + written), %s product 8192^3 %.1f TFLOP/s, %.2f T exponentials/s (16 a clock "
                  "and multiprocessor at the highest clock, not measured)",
                  1e-12 * ceilings.bytes_per_s, std::string(dtype_name(ceilings.dtype)).c_str(),
                  1e-12 * ceilings.flop_per_s, 1e-12 * ceilings.exps_per_s);
    return text.data();
}

void set_floor(OpTiming& op, GpuCeilings const& ceilings) {
    op.floor_s = op.work.bytes / ceilings.bytes_per_s;
    op.bound = "bytes";
    double const products = op.work.flop / ceilings.flop_per_s;
    double const exponentials = ceilings.exps_per_s > 0 ? op.work.exps / ceilings.exps_per_s : 0.0;
    if (products > op.floor_s) {
        op.floor_s = products;
        op.bound = "flop";
    }
    if (exponentials > op.floor_s) {
        op.floor_s = exponentials;
        op.bound = "exps";
    }
}

OpTiming time_scan(PackedShape const& shape, DType dtype, int runs, bool delta_is_dt) {
    index_t const rows = shape.rows();
    index_t const N = shape.d_state;
    index_t const E = shape.d_inner;
    RandomMatrix const u(dtype, rows, E);
    RandomMatrix const delta(dtype, rows, E, delta_is_dt ? 1e-3 : -5.0, delta_is_dt ? 0.1 : -2.0);
    RandomMatrix const xz(dtype, rows, 2 * E);
    RandomMatrix const dbc(dtype, rows, shape.dt_rank + 2 * N);
    RandomMatrix const y(dtype, rows, E);
    RandomMatrix const A(DType::f32, N, E, -16.0, -1.0);
    RandomMatrix const D(DType::f32, 2, E); // and delta_bias
    auto const blocks = upload_blocks(shape);
    auto const states = zero_states(shape, N);
    ScanChain const chain(blocks.size(), E, N);

    SelectiveScanCudaArgs args;
    args.u = u.matrix();
    args.delta = delta.matrix();
    args.B = dbc.matrix().cols_from(shape.dt_rank, N);
    args.C = dbc.matrix().cols_from(shape.dt_rank + N, N);
    args.z = xz.matrix().cols_from(E, E);
    args.y = y.matrix();
    args.A = A.floats();
    args.D = D.floats();
    args.delta_bias = delta_is_dt ? nullptr : D.floats() + E;
    args.delta_is_dt = delta_is_dt;
    args.d_state = N;
    args.blocks = blocks.data();
    args.block_count = blocks.size();
    args.longest = shape.length;
    args.state = states.data();

    Stream const stream;
    OpTiming op{"selective_scan", rows, 1, 0, {}};
    op.seconds = time_on_gpu(runs, stream.get(), [&] { selective_scan_cuda(args, chain, stream.get()); });
    op.work.exps = elements(args.u) * static_cast<double>(N);
    op.work.bytes = 4 * bytes_of(args.u) + 2 * bytes_of(args.B) + A.bytes() + D.bytes() + bytes_of(states);
    return op;
}

OpTiming time_conv(PackedShape const& shape, DType dtype, int runs) {
    index_t const rows = shape.rows();
    RandomMatrix const xz(dtype, rows, 2 * shape.d_inner);
    RandomMatrix const y(dtype, rows, shape.d_inner);
    RandomMatrix const weight(DType::f32, shape.d_conv + 1, shape.d_inner); // and bias
    auto const blocks = upload_blocks(shape);
    auto const states = zero_states(shape, shape.d_conv - 1);

    CausalConv1dCudaArgs args;
    args.x = xz.matrix().cols_from(0, shape.d_inner);
    args.y = y.matrix();
    args.weight = weight.floats();
    args.bias = weight.floats() + shape.d_conv * shape.d_inner;
    args.d_conv = shape.d_conv;
    args.blocks = blocks.data();
    args.block_count = blocks.size();
    args.state = states.data();

    Stream const stream;
    OpTiming op{"causal_conv1d", rows, 1, 0, {}};
    op.seconds = time_on_gpu(runs, stream.get(), [&] { causal_conv1d_cuda(args, stream.get()); });
    op.work.bytes = 2 * bytes_of(args.y) + weight.bytes() + bytes_of(states);
    return op;
}

} // namespace strandwave

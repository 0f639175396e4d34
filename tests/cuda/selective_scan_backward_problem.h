#pragma once

#include "kernels/selective_scan/selective_scan_backward_cuda.h"
#include "kernels/selective_scan/selective_scan_backward_reference.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace strandwave::testing::scan_backward {

constexpr index_t kSlots = 8;

struct Shape {
    index_t rows;
    index_t d_inner;
    index_t d_state;
    index_t shift = 0; ///< elements off the alignment that vector loads need
};

struct Options {
    bool gate = true;
    bool bias = true;
    bool reverse = false;
    bool delta_is_dt = false;
    bool accumulate_gate = false;
    bool wants_y = true;
    DType states_type = DType::f64; ///< of B and C; f64: that of u
    index_t run_rows = 256;
    bool keeps_states = false; ///< those of a forward pass are handed over
};

inline std::size_t size(index_t i) { return static_cast<std::size_t>(i); }

/// Inputs in host memory, as the reference takes them, and on the GPU, and outputs there. Sizes of values are those of
/// trained models: dt from 1e-3 to 2, A from -0.1 to -20.
struct Problem {
    Problem(DType dtype_, Shape shape, Options options_ = {})
        : dtype(dtype_), states_type(options_.states_type == DType::f64 ? dtype_ : options_.states_type),
          options(options_), rows(shape.rows), d_inner(shape.d_inner), d_state(shape.d_state), u(rows, d_inner),
          delta(rows, d_inner), z(rows, d_inner), dy(rows, d_inner), B(rows, d_state), C(rows, d_state),
          A(d_state, d_inner), D(1, d_inner), bias(1, d_inner), initial(kSlots * d_state, d_inner),
          d_final(kSlots * d_state, d_inner), gpu_u(dtype, rows, d_inner, 8, shape.shift),
          gpu_delta(dtype, rows, d_inner, 0, shape.shift), gpu_z(dtype, rows, d_inner, d_inner, shape.shift),
          gpu_dy(dtype, rows, d_inner, 4, shape.shift), du(dtype, rows, d_inner, 4, shape.shift),
          ddelta(dtype, rows, d_inner, 0, shape.shift), dz(dtype, rows, d_inner, d_inner, shape.shift),
          y(dtype, rows, d_inner, 0, shape.shift), gpu_B(states_type, rows, d_state, 16, shape.shift),
          gpu_C(states_type, rows, d_state, 16, shape.shift), dB(states_type, rows, d_state, 16, shape.shift),
          dC(states_type, rows, d_state, 16, shape.shift), gpu_A(DType::f32, d_state, d_inner),
          gpu_D(DType::f32, 1, d_inner), gpu_bias(DType::f32, 1, d_inner), dA(DType::f32, d_state, d_inner),
          dD(DType::f32, 1, d_inner), ddelta_bias(DType::f32, 1, d_inner),
          gpu_initial(DType::f32, kSlots * d_state, d_inner), gpu_d_final(DType::f32, kSlots * d_state, d_inner),
          d_initial(DType::f32, kSlots * d_state, d_inner) {
        Random random(1);
        for (auto* matrix : {&u, &z, &dy, &B, &C, &D, &initial, &d_final}) {
            matrix->fill([&] { return random.normal(); });
        }
        delta.fill([&] { return 2.0 * random.normal(); });
        A.fill([&] { return -std::exp(random.uniform(-2.3, 3.0)); });
        bias.fill([&] { return options.bias ? random.uniform(-5.0, 0.5) : 0.0; });
        if (options.delta_is_dt) { make_delta_dt(random); }
        put();
    }

    /// The GPU gets dt, rounded; the reference the delta that gives it.
    void make_delta_dt(Random& random) {
        bias.fill([] { return 0.0; });
        delta.fill([&] { return std::exp(random.uniform(-7.0, 0.7)); });
        round_to(dtype, delta);
        gpu_delta.put(delta.view());
        for (index_t i = 0; i < rows * d_inner; ++i) {
            float& x = delta.view()(i / d_inner, i % d_inner);
            x = static_cast<float>(std::log(std::expm1(static_cast<double>(x))));
        }
    }

    void put() {
        for (auto* matrix : {&u, &z, &dy}) {
            round_to(dtype, *matrix);
        }
        round_to(states_type, B);
        round_to(states_type, C);
        if (!options.delta_is_dt) {
            round_to(dtype, delta);
            gpu_delta.put(delta.view());
        }
        gpu_u.put(u.view());
        gpu_z.put(z.view());
        gpu_dy.put(dy.view());
        gpu_B.put(B.view());
        gpu_C.put(C.view());
        gpu_A.put(A.view());
        gpu_D.put(D.view());
        gpu_bias.put(bias.view());
        gpu_initial.put(initial.view());
        gpu_d_final.put(d_final.view());
        clear_outputs();
    }

    /// Poison in what is written, zeros in what is added to.
    void clear_outputs() {
        for (auto* matrix : {&du, &ddelta, &dz, &y, &dB, &dC, &d_initial}) {
            matrix->poison();
        }
        std::vector<float> const zeros(size(std::max(rows, d_state) * d_inner), 0.0F);
        dA.put(as_view(zeros, d_state, d_inner));
        dD.put(as_view(zeros, 1, d_inner));
        ddelta_bias.put(as_view(zeros, 1, d_inner));
        if (options.accumulate_gate) {
            dz.put(u.view());
            y.put(u.view());
        }
    }

    SelectiveScanBackwardCudaArgs gpu_args() const {
        SelectiveScanBackwardCudaArgs args;
        args.u = gpu_u.view();
        args.delta = gpu_delta.view();
        args.B = gpu_B.view();
        args.C = gpu_C.view();
        args.dy = gpu_dy.view();
        args.A = gpu_A.data();
        args.D = gpu_D.data();
        args.d_state = d_state;
        args.initial = gpu_initial.data();
        args.d_final = gpu_d_final.data();
        args.d_initial = d_initial.data();
        args.accumulate_gate = options.accumulate_gate;
        args.delta_is_dt = options.delta_is_dt;
        args.run_rows = options.run_rows;
        args.du = du.view();
        args.ddelta = ddelta.view();
        args.dB = dB.view();
        args.dC = dC.view();
        args.dA = dA.data();
        args.dD = dD.data();
        args.ddelta_bias = ddelta_bias.data();
        if (options.gate) {
            args.z = gpu_z.view();
            args.dz = dz.view();
        }
        if (options.bias) { args.delta_bias = gpu_bias.data(); }
        if (options.wants_y) { args.y = y.view(); }
        return args;
    }

    /// What the forward pass keeps, poison elsewhere.
    static void keep_states(SelectiveScanBackwardCudaArgs const& b, DeviceArray<float> const& kept) {
        DeviceMemory const y(b.u.rows * b.u.cols * dtype_bytes(b.u.dtype));
        DeviceArray<float> const states(kSlots * b.d_state * b.u.cols);
        copy_on_device(states.data(), b.initial, states.size() * dtype_bytes(DType::f32), nullptr);
        SelectiveScanCudaArgs args;
        args.u = b.u;
        args.delta = b.delta;
        args.B = b.B;
        args.C = b.C;
        args.z = b.z;
        args.y = {y.data(), b.u.dtype, b.u.rows, b.u.cols};
        args.A = b.A;
        args.D = b.D;
        args.delta_bias = b.delta_bias;
        args.d_state = b.d_state;
        args.blocks = b.blocks;
        args.block_count = b.block_count;
        args.state = states.data();
        args.delta_is_dt = b.delta_is_dt;
        args.kept_states = kept.data();
        fill_bytes(kept.data(), 0xff, kept.size() * dtype_bytes(DType::f32), nullptr);
        selective_scan_cuda(args, ScanChain(b.block_count, b.u.cols, b.d_state), nullptr);
        download(kept.data(), 1); // y and states are needed until then
    }

    static void run(SelectiveScanBackwardCudaArgs args, std::vector<PackedSegment> const& segments, bool reverse,
                    bool keeps_states = false) {
        auto const host_blocks = cut_into_blocks(segments, reverse);
        auto const count = static_cast<index_t>(host_blocks.size());
        auto const blocks = upload(host_blocks.data(), count);
        args.blocks = blocks.data();
        args.block_count = count;
        DeviceArray<float> const kept(keeps_states ? scan_kept_states(count, args.u.cols, args.d_state) : 0);
        if (keeps_states) {
            keep_states(args, kept);
            args.kept_states = kept.data();
        }
        ScanBackwardScratch const scratch(count, args.u.cols, args.d_state);
        fill_bytes(scratch.data(), 0xff, scratch.bytes(), nullptr);
        selective_scan_backward_cuda(args, scratch, nullptr);
        download(blocks.data(), count); // they are needed until the gradients are there
    }
    void run(std::vector<PackedSegment> const& segments) {
        run(gpu_args(), segments, options.reverse, options.keeps_states);
    }

    float const* slot(GuardedMatrix& slots, std::int32_t i) const {
        return i < 0 ? nullptr : slots.data() + i * d_state * d_inner;
    }

    SelectiveScanBackwardArgs host_args(std::vector<ScanBackwardSegment>& converted,
                                        std::vector<PackedSegment> const& segments) {
        for (auto const& s : segments) {
            converted.push_back({s.begin, s.length, slot(initial, s.initial), slot(d_final, s.final), nullptr});
        }
        SelectiveScanBackwardArgs args;
        args.u = u.view();
        args.delta = delta.view();
        args.A = A.view();
        args.B = B.view();
        args.C = C.view();
        args.D = D.vector();
        args.delta_bias = bias.vector();
        if (options.gate) { args.z = z.view(); }
        args.dy = dy.view();
        args.segments = converted;
        args.reverse = options.reverse;
        return args;
    }

    DType dtype, states_type;
    Options options;
    index_t rows, d_inner, d_state;
    GuardedMatrix u, delta, z, dy, B, C, A, D, bias, initial, d_final;
    GpuMatrix gpu_u, gpu_delta, gpu_z, gpu_dy, du, ddelta, dz, y, gpu_B, gpu_C, dB, dC, gpu_A, gpu_D, gpu_bias, dA, dD,
        ddelta_bias, gpu_initial, gpu_d_final, d_initial;
};

/// How far the gradients may be off before they are rounded: the recurrences of their errors beside those of absolute
/// values. Steps are within 2^-22 relative; exponentials, step sizes and tiles as in the forward pass's test: the
/// exponential of a sum of 32 dt, or a product of 32 exponentials, spreads over its rows.
class Bounds {
public:
    Bounds(Problem& p_, std::vector<PackedSegment> const& segments, SelectiveScanGradients<double> const& shape)
        : bound(shape), p(p_) {
        for (auto* values : {&bound.du, &bound.ddelta, &bound.dB, &bound.dC, &bound.dz, &bound.y, &bound.dA, &bound.dD,
                             &bound.ddelta_bias}) {
            std::fill(values->begin(), values->end(), 0.0);
        }
        for (std::size_t i = 0; i < segments.size(); ++i) {
            for (index_t e = 0; e < p.d_inner; ++e) {
                add_channel(segments[i], e, bound.d_initial[i]);
            }
        }
    }

    SelectiveScanGradients<double> bound;

private:
    static constexpr double kStep = 0x1p-22;

    /// A value's size, and how far it may be off.
    struct Value {
        double size = 0;
        double error = 0;
    };
    static Value product(Value a, Value b) {
        return {a.size * b.size, a.error * b.size + a.size * b.error + kStep * a.size * b.size};
    }
    static Value sum(Value a, Value b) {
        double const total = a.size + b.size;
        return {total, a.error + b.error + kStep * total};
    }
    static Value exact(double x) { return {std::abs(x), 0.0}; }

    /// x of a logistic function and what it gives.
    static Value logistic(double x) {
        double const value = 1 / (1 + std::exp(-x));
        return {value, value * (std::abs(x) + 4) * kStep};
    }
    Value silu(double z) const { return product(exact(z), logistic(z)); }
    static Value silu_slope(double z) {
        Value const gate = logistic(z);
        Value const rest{1 - gate.size, gate.error + kStep};
        return product(gate, sum(exact(1), product(exact(z), rest)));
    }

    struct Row {
        index_t t;
        Value dt;
        double u;
    };
    Row row_of(PackedSegment const& s, index_t i, index_t e) {
        index_t const t = p.options.reverse ? s.begin + s.length - 1 - i : s.begin + i;
        double const x = p.delta.view()(t, e) + p.bias.view()(0, e);
        double const dt = x > 40 ? x : std::log1p(std::exp(x));
        double const error = kStep * (p.dtype == DType::bf16 ? 1 + dt : (4 + std::abs(x)) * dt);
        return {t, {dt, error}, p.u.view()(t, e)};
    }
    Value decay(Row const& row, index_t n, index_t e) {
        double const A = -p.A.view()(n, e);
        double const a = std::exp(-row.dt.size * A);
        return {a, a * (2 * kStep + A * row.dt.error + A * row.dt.size * 0x1p-18) + 0x1p-120};
    }

    void add_channel(PackedSegment const& s, index_t e, std::vector<double>& before_segment) {
        auto const N = p.d_state;
        std::vector<Value> h(size((s.length + 1) * N));
        std::vector<Value> g(size(N));
        for (index_t n = 0; n < N; ++n) {
            if (s.initial >= 0) { h[size(n)] = exact(p.slot(p.initial, s.initial)[n * p.d_inner + e]); }
            if (s.final >= 0) { g[size(n)] = exact(p.slot(p.d_final, s.final)[n * p.d_inner + e]); }
        }
        for (index_t i = 0; i < s.length; ++i) {
            Row const row = row_of(s, i, e);
            for (index_t n = 0; n < N; ++n) {
                Value const dt_u = product(row.dt, exact(row.u));
                h[size((i + 1) * N + n)] =
                    sum(product(decay(row, n, e), h[size(i * N + n)]), product(dt_u, exact(p.B.view()(row.t, n))));
            }
        }
        for (index_t i = s.length - 1; i >= 0; --i) {
            go_back(row_of(s, i, e), e, h.data() + i * N, g);
        }
        for (index_t n = 0; n < N; ++n) {
            before_segment[size(n * p.d_inner + e)] = g[size(n)].error;
        }
    }

    /// Sums over rows or channels: of so many terms that are added up one by one, the others in tree order.
    static void add(double& bound, Value term, index_t terms) {
        bound += term.error + kStep * (40.0 + static_cast<double>(terms) / 32.0) * term.size;
    }

    void go_back(Row const& row, index_t e, Value const* h, std::vector<Value>& g) {
        auto const N = p.d_state;
        auto const at = size(row.t * p.d_inner + e);
        Value const skip = exact(p.D.view()(0, e));
        Value const u = exact(row.u);
        Value s = product(skip, u);
        for (index_t n = 0; n < N; ++n) {
            s = sum(s, product(exact(p.C.view()(row.t, n)), h[N + n]));
        }
        Value const dy = exact(p.dy.view()(row.t, e));
        Value ds = dy;
        bound.y[at] = s.error;
        if (p.options.gate) {
            double const z = p.z.view()(row.t, e);
            ds = product(dy, silu(z));
            bound.y[at] = product(s, silu(z)).error;
            bound.dz[at] = product(product(dy, s), silu_slope(z)).error;
        }
        Value g_B;
        Value g_A;
        for (index_t n = 0; n < N; ++n) {
            Value const B = exact(p.B.view()(row.t, n));
            Value const A = exact(p.A.view()(n, e));
            Value const dh = sum(g[size(n)], product(exact(p.C.view()(row.t, n)), ds));
            g[size(n)] = product(decay(row, n, e), dh);
            Value const kept = product(g[size(n)], h[n]);
            add(bound.dC[size(row.t * N + n)], product(ds, h[N + n]), p.d_inner);
            add(bound.dB[size(row.t * N + n)], product(product(dh, row.dt), u), p.d_inner);
            add(bound.dA[size(n * p.d_inner + e)], product(row.dt, kept), p.rows);
            g_B = sum(g_B, product(dh, B));
            g_A = sum(g_A, product(A, kept));
        }
        Value const ddt = sum(product(g_B, u), g_A);
        double const x = p.delta.view()(row.t, e) + p.bias.view()(0, e);
        Value const ddelta = product(ddt, logistic(x));
        bound.du[at] = sum(product(skip, ds), product(row.dt, g_B)).error;
        bound.ddelta[at] = ddelta.error;
        add(bound.dD[size(e)], product(ds, u), p.rows);
        add(bound.ddelta_bias[size(e)], ddelta, p.rows);
    }

    Problem& p;
};

} // namespace strandwave::testing::scan_backward

#include "kernels/selective_scan/selective_scan_cuda.h"

#include "kernels/selective_scan/selective_scan_reference.h"
#include "lib/core/error.h"
#include "tests/cuda/selective_scan_problem.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::scan::kManyRows;
using testing::scan::many_records;
using testing::scan::Problem;
using testing::scan::Shape;

class SelectiveScanCuda : public testing::GpuTest {};

/// How far a scan may be off before y is rounded: the recurrence of the errors. Exponentials are within 2^-22 relative.
/// With bf16 dt is by the special function unit's logarithm of what lies in 1..2, within 2^-22 absolute; with f32 it is
/// relative, and grows with the exponent that it comes from. What a tile does to a state is an exponential of a sum of
/// 256 dt, which, being a sum of sums of at most 40 numbers in all, is within 2^-18 relative.
struct RunningBound {
    std::vector<double> y;
    std::vector<double> final;
};

RunningBound running_bound(Problem& p, PackedSegment const& segment, bool reverse, bool gate) {
    double const e22 = std::ldexp(1.0, -22);
    RunningBound bound;
    bound.y.resize(static_cast<std::size_t>(segment.length * p.d_inner));
    bound.final.resize(static_cast<std::size_t>(p.d_state * p.d_inner));
    for (index_t e = 0; e < p.d_inner; ++e) {
        std::vector<double> size(static_cast<std::size_t>(p.d_state), 0.0); // of the state, of absolute values
        std::vector<double> error(static_cast<std::size_t>(p.d_state), 0.0);
        for (index_t n = 0; n < p.d_state && segment.initial >= 0; ++n) {
            size[static_cast<std::size_t>(n)] = std::abs(p.slot(segment.initial)[n * p.d_inner + e]);
        }
        for (index_t k = 0; k < segment.length; ++k) {
            index_t const offset = reverse ? segment.length - 1 - k : k;
            index_t const t = segment.begin + offset;
            double const u = std::abs(p.u.view()(t, e));
            double const x = p.delta.view()(t, e) + p.bias.view()(0, e);
            double const dt = x > 40 ? x : std::log1p(std::exp(x));
            double const dt_error = e22 * (p.dtype == DType::bf16 ? 1 + dt : (4 + std::abs(x)) * dt);
            double sum = std::abs(p.D.view()(0, e)) * u;
            double sum_error = 0;
            for (index_t n = 0; n < p.d_state; ++n) {
                auto const i = static_cast<std::size_t>(n);
                double const A = -p.A.view()(n, e);
                double const B = std::abs(p.B.view()(t, n));
                double const a = std::exp(-dt * A);
                double const a_error = e22 + A * dt_error + A * dt * std::ldexp(1.0, -18);
                double const b = dt * u * B;
                error[i] = a * (error[i] + a_error * size[i]) + u * B * dt_error + e22 * b;
                size[i] = a * size[i] + b;
                error[i] += e22 * size[i] + std::ldexp(1.0, -120); // exponentials end at 2^-126
                double const C = std::abs(p.C.view()(t, n));
                sum += C * size[i];
                sum_error += C * error[i];
            }
            sum_error += sum * e22 * static_cast<double>(p.d_state + 2);
            double const z = p.z.view()(t, e);
            double const silu = gate ? std::abs(z / (1 + std::exp(-z))) : 1.0;
            double const silu_error = gate ? silu * (std::abs(z) + 4) * e22 : 0.0;
            bound.y[static_cast<std::size_t>(offset * p.d_inner + e)] = silu * sum_error + silu_error * sum;
        }
        for (index_t n = 0; n < p.d_state; ++n) {
            bound.final[static_cast<std::size_t>(n * p.d_inner + e)] = error[static_cast<std::size_t>(n)];
        }
    }
    return bound;
}

void expect_near(float actual, double wanted, double bound, std::string const& where) {
    ASSERT_LE(std::abs(static_cast<double>(actual) - wanted), bound) << where << " should be " << wanted;
}

/// One segment's part of y, if it is bf16, and its final state.
void expect_bounded(Problem& p, PackedSegment const& segment, bool reverse, bool gate, std::vector<float> const& y,
                    std::vector<double> const& exact_y, std::vector<float> const& final,
                    std::vector<double> const& exact_final) {
    auto const bound = running_bound(p, segment, reverse, gate);
    for (index_t i = 0; p.dtype == DType::bf16 && i < segment.length * p.d_inner; ++i) {
        auto const at = static_cast<std::size_t>(segment.begin * p.d_inner + i);
        double const before = bound.y[static_cast<std::size_t>(i)];
        double const rounding = testing::half_ulp_of_bf16(std::abs(exact_y[at]) + before);
        expect_near(y[at], exact_y[at], before + rounding, "y " + std::to_string(at));
    }
    for (std::size_t i = 0; i < final.size(); ++i) {
        expect_near(final[i], exact_final[i], bound.final[i], "final state " + std::to_string(i));
    }
}

/// Runs, and compares y and the states with the double reference, and all else with what was there.
void expect_right(Problem& p, std::vector<PackedSegment> const& segments, bool reverse) {
    std::vector<ScanSegment> converted;
    auto const args = p.host_args(converted, segments, reverse);
    auto const exact = selective_scan_reference<double>(args);
    auto const plain = selective_scan_reference<float>(args);
    p.run(segments, reverse);
    p.y.expect_guards("y");
    p.gpu_state.expect_guards("state");
    auto actual = p.y.values();
    auto const states = p.gpu_state.values();
    std::vector<bool> covered(static_cast<std::size_t>(p.rows), false);
    for (std::size_t i = 0; i < segments.size(); ++i) {
        auto const& s = segments[i];
        std::fill_n(covered.begin() + s.begin, s.length, true);
        std::vector<float> final;
        if (s.final >= 0 && s.length > 0) {
            auto const first = states.begin() + s.final * p.d_state * p.d_inner;
            final.assign(first, first + p.d_state * p.d_inner);
        }
        SCOPED_TRACE("segment " + std::to_string(i));
        expect_bounded(p, s, reverse, true, actual, exact.y, final, exact.final[i]);
    }
    for (index_t r = 0; r < p.rows; ++r) {
        if (covered[static_cast<std::size_t>(r)]) { continue; }
        p.y.expect_row_untouched(r);
        std::fill_n(actual.begin() + r * p.d_inner, p.d_inner, 0.0F); // as in the reference
    }
    if (p.dtype == DType::f32) {
        testing::expect_within_twice(as_view(actual, p.rows, p.d_inner), exact.y.data(), plain.y.data());
    }
}

template <class Body>
void for_each_type(Body const& body) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (bool const reverse : {false, true}) {
            SCOPED_TRACE(std::string(dtype_name(dtype)) + (reverse ? ", reverse" : ""));
            body(dtype, reverse);
        }
    }
}

void expect_right(DType dtype, bool reverse, Shape const& shape) {
    SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.d_inner) + " x " +
                 std::to_string(shape.d_state) + ", shift " + std::to_string(shape.shift));
    Problem p(dtype, shape);
    expect_right(p, {{0, shape.rows, 1, 0}}, reverse);
}

TEST_F(SelectiveScanCuda, IsWithinTheBoundOfItsType) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const rows : {1, 15, 16, 17, 63, 255, 256, 257, 513, 1300}) {
            expect_right(dtype, reverse, {rows, 40, 16});
        }
        for (index_t const d_inner : {1, 7, 16, 33, 130, 512}) {
            expect_right(dtype, reverse, {300, d_inner, 16});
        }
        for (index_t const d_state : {1, 3, 4, 16, 19, 32, 33, 256}) {
            expect_right(dtype, reverse, {277, 24, d_state});
        }
        expect_right(dtype, reverse, {300, 40, 16, 0, 1}); // no vector loads
        expect_right(dtype, reverse, {300, 24, 32, 0, 1});
    });
}

TEST_F(SelectiveScanCuda, PackedRecordsKeepApartAndLeaveTheirState) {
    for_each_type([](DType dtype, bool reverse) {
        Problem few(dtype, {kManyRows, 40, 16});
        expect_right(few, many_records(), reverse);
        Problem many(dtype, {kManyRows, 7, 19});
        expect_right(many, many_records(), reverse);
    });
}

TEST_F(SelectiveScanCuda, StatesThatNobodyLeavesStay) {
    Problem p(DType::f32, {kManyRows, 8, 4});
    auto const before0 = p.state_of(0);
    auto const before5 = p.state_of(5);
    p.run(many_records(), false);
    EXPECT_EQ(p.state_of(0), before0); // of a record without rows, and only read
    EXPECT_EQ(p.state_of(5), before5); // read by two records
}

TEST_F(SelectiveScanCuda, WithoutGateBiasAndState) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        SCOPED_TRACE(dtype_name(dtype));
        Problem p(dtype, {300, 40, 16});
        p.bias.fill([] { return 0.0; });
        std::vector<PackedSegment> const segments{{0, 300}};
        std::vector<ScanSegment> converted;
        auto host = p.host_args(converted, segments, false);
        host.z = {};
        host.delta_bias = {};
        auto const exact = selective_scan_reference<double>(host);
        auto const plain = selective_scan_reference<float>(host);
        auto args = p.gpu_args();
        args.z = {};
        args.delta_bias = nullptr;
        args.state = nullptr;
        Problem::run(args, segments, false);
        auto const actual = p.y.values();
        if (dtype == DType::f32) {
            testing::expect_within_twice(as_view(actual, 300, 40), exact.y.data(), plain.y.data());
        } else {
            expect_bounded(p, segments[0], false, false, actual, exact.y, {}, {});
        }
    }
}

TEST_F(SelectiveScanCuda, ExtremeStepsDecayToZeroAndNeverToNan) {
    for (index_t const rows : {40, 600}) {
        Problem p(DType::f32, {rows, 16, 4});
        Random random(5);
        p.delta.fill([&] { return random.uniform() < 0.5 ? 1e4 : -1e4; });
        p.A.fill([&] { return random.uniform() < 0.5 ? -1e6 : -1e-6; });
        p.put();
        expect_right(p, {{0, rows, 1, 0}}, false);
    }
}

TEST_F(SelectiveScanCuda, PiecesOfWholeTilesGiveTheBitsOfOneCall) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const d_state : {16, 19}) {
            constexpr index_t kRows = 4 * kScanTileRows + 100;
            Problem p(dtype, {kRows, 24, d_state});
            p.run({{0, kRows, 3, 4}}, reverse);
            auto const whole = p.y.bits();
            auto const left = p.state_of(4);
            for (index_t const piece : {kScanTileRows, 2 * kScanTileRows, 3 * kScanTileRows}) {
                SCOPED_TRACE("pieces of " + std::to_string(piece));
                p.y.poison();
                p.gpu_state.put(p.state.view());
                for (index_t done = 0; done < kRows; done += piece) {
                    index_t const length = std::min(piece, kRows - done);
                    p.run({{reverse ? kRows - done - length : done, length, 3, 3}}, reverse);
                }
                EXPECT_EQ(p.y.bits(), whole);
                EXPECT_EQ(p.state_of(3), left);
            }
        }
    });
}

TEST_F(SelectiveScanCuda, ARecordsBitsDoNotDependOnItsCompanyOrPlace) {
    for_each_type([](DType dtype, bool reverse) {
        auto const records = many_records();
        constexpr index_t kPrefix = 37;
        Problem together(dtype, {kManyRows, 40, 16});
        together.run(records, reverse);
        for (auto record : records) {
            SCOPED_TRACE("record of " + std::to_string(record.length) + " rows");
            auto const y = together.y_of(record);
            Problem alone(dtype, {kManyRows, 40, 16, kPrefix});
            record.begin += kPrefix;
            alone.run({record}, reverse);
            EXPECT_EQ(alone.y_of(record), y);
            if (record.final >= 0 && record.length > 0) {
                EXPECT_EQ(alone.state_of(record.final), together.state_of(record.final));
            }
        }
    });
}

TEST_F(SelectiveScanCuda, RunsAndAlignmentsGiveTheSameBits) {
    for_each_type([](DType dtype, bool reverse) {
        Problem first(dtype, {kManyRows, 136, 16});
        Problem second(dtype, {kManyRows, 136, 16});
        Problem shifted(dtype, {kManyRows, 136, 16, 0, 1}); // no vector loads
        for (auto* p : {&first, &second, &shifted}) {
            p->run(many_records(), reverse);
        }
        EXPECT_EQ(first.y.bits(), second.y.bits());
        EXPECT_EQ(first.y.bits(), shifted.y.bits());
        EXPECT_EQ(first.gpu_state.bits(), second.gpu_state.bits());
        EXPECT_EQ(first.gpu_state.bits(), shifted.gpu_state.bits());
    });
}

TEST_F(SelectiveScanCuda, AChainServesManyCalls) {
    Problem p(DType::f32, {kManyRows, 40, 16});
    auto const host_blocks = cut_into_blocks(many_records(), false);
    auto const count = static_cast<index_t>(host_blocks.size());
    auto const blocks = upload(host_blocks.data(), count);
    PackedSegment const small{703, 700};
    auto const small_blocks = cut_into_blocks(std::array{small}, false);
    auto const small_count = static_cast<index_t>(small_blocks.size());
    auto const gpu_small_blocks = upload(small_blocks.data(), small_count);
    ScanChain const chain(count, 40, 16);
    auto args = p.gpu_args();
    args.blocks = blocks.data();
    args.block_count = count;
    selective_scan_cuda(args, chain, nullptr);
    auto const state = p.gpu_state.bits();
    auto const y = p.y_of(small);
    p.y.poison();
    args.blocks = gpu_small_blocks.data();
    args.block_count = small_count;
    selective_scan_cuda(args, chain, nullptr);
    EXPECT_EQ(p.y_of(small), y); // of the record that starts from zeros
    EXPECT_EQ(p.gpu_state.bits(), state) << "a state of the call before";
    EXPECT_THROW(selective_scan_cuda(args, ScanChain(count, 8, 16), nullptr), Error);
}

TEST_F(SelectiveScanCuda, YMayTakeThePlaceOfU) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const d_inner : {33, 40}) {
            Problem p(dtype, {300, d_inner, 16});
            std::vector<PackedSegment> const segments{{0, 300, 1, 0}};
            p.run(segments, reverse);
            auto args = p.gpu_args();
            args.y = args.u;
            Problem::run(args, segments, reverse);
            EXPECT_EQ(p.gpu_u.bits(), p.y.bits());
        }
    });
}

TEST_F(SelectiveScanCuda, Accumulates) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const d_state : {16, 19}) {
            Problem p(dtype, {300, 40, d_state});
            std::vector<PackedSegment> const segments{{0, 300}};
            p.run(segments, reverse);
            auto const added = p.y.values();
            p.y.put(p.u.view());
            auto args = p.gpu_args();
            args.accumulate = true;
            Problem::run(args, segments, reverse);
            auto const sum = p.y.values();
            for (std::size_t i = 0; i < sum.size(); ++i) {
                auto const row = static_cast<index_t>(i) / 40;
                float const before = p.u.view()(row, static_cast<index_t>(i) % 40);
                if (dtype == DType::f32) {
                    ASSERT_EQ(sum[i], before + added[i]);
                } else { // here `added` was rounded, and then the sum
                    double const wanted = static_cast<double>(before) + added[i];
                    double const rounded = testing::half_ulp_of_bf16(std::abs(added[i]));
                    expect_near(sum[i], wanted,
                                rounded + testing::half_ulp_of_bf16(std::abs(wanted) + rounded) +
                                    std::ldexp(std::abs(wanted), -23),
                                std::to_string(i));
                }
            }
        }
    });
}

TEST_F(SelectiveScanCuda, RowsFarApart) {
    constexpr index_t kRows = 300;
    constexpr index_t kWide = index_t{1} << 24; // the last rows begin behind element 2^32
    index_t const bytes = kRows * kWide * dtype_bytes(DType::bf16);
    if (free_device_bytes() < bytes + bytes / 8) { GTEST_SKIP() << "SKIPPED: the GPU has no " << bytes << " bytes"; }
    Problem p(DType::bf16, {kRows, 16, 16});
    std::vector<PackedSegment> const segments{{0, kRows, 1, 0}};
    p.run(segments, false);
    DeviceMemory const memory(bytes);
    DeviceMatrix const all(memory.data(), DType::bf16, kRows, kWide);
    auto const spread = [&](GpuMatrix const& from, index_t col) {
        auto const wide = all.cols_from(col, 16);
        for (index_t r = 0; r < kRows; ++r) {
            auto const row = from.bits(r, 1);
            copy_to_device(wide.rows_from(r, 1).data, row.data(), static_cast<index_t>(row.size()), nullptr);
        }
        return wide;
    };
    auto args = p.gpu_args();
    args.u = spread(p.gpu_u, 0);
    args.delta = spread(p.gpu_delta, 16);
    args.z = spread(p.gpu_z, 32);
    args.B = spread(p.gpu_B, 48);
    args.C = spread(p.gpu_C, 64);
    args.y = all.cols_from(80, 16);
    Problem::run(args, segments, false);
    std::vector<std::byte> y;
    for (index_t r = 0; r < kRows; ++r) {
        auto const row = testing::download(args.y.rows_from(r, 1).as<std::byte>(), 16 * dtype_bytes(DType::bf16));
        y.insert(y.end(), row.begin(), row.end());
    }
    EXPECT_EQ(y, p.y.bits());
}

/// Refused on the host: needs no GPU.
TEST(SelectiveScanCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const single(nullptr, DType::f32, 4, 8);
    DeviceMatrix const half(nullptr, DType::bf16, 4, 8);
    DeviceMatrix const fp16(nullptr, DType::f16, 4, 8);
    DeviceMatrix const narrow(nullptr, DType::f32, 4, 7);
    auto const run = [](DeviceMatrix u, DeviceMatrix y, DeviceMatrix B, index_t d_state) {
        SelectiveScanCudaArgs args;
        args.u = u;
        args.delta = u;
        args.y = y;
        args.B = B;
        args.C = B;
        args.d_state = d_state;
        selective_scan_cuda(args, ScanChain(), nullptr);
    };
    EXPECT_NO_THROW(run(single, single, single, 8)); // no blocks: nothing to do
    EXPECT_THROW(run(single, narrow, single, 8), Error);
    EXPECT_THROW(run(single, half, single, 8), Error);
    EXPECT_THROW(run(single, single, half, 8), Error);
    EXPECT_THROW(run(single, single, single, 7), Error);
    EXPECT_THROW(run(fp16, fp16, fp16, 8), Error);
    DeviceMatrix const none(nullptr, DType::f32, 4, 0);
    EXPECT_THROW(run(single, single, none, 0), Error);
    DeviceMatrix const wide(nullptr, DType::f32, 4, kMaxState + 1);
    EXPECT_THROW(run(single, single, wide, kMaxState + 1), Error);
}

} // namespace
} // namespace strandwave

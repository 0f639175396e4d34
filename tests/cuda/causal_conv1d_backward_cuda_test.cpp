#include "kernels/causal_conv1d/causal_conv1d_backward_cuda.h"

#include "kernels/causal_conv1d/causal_conv1d_backward_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"
#include "tests/support/gradients.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::GuardedMatrix;
using Records = std::vector<PackedSegment>;

class CausalConv1dBackwardCuda : public testing::GpuTest {};

constexpr index_t kSlots = 8;

/// Inputs in host memory (as the reference takes them) and on the GPU, and outputs there. x is the left half of rows
/// that are twice as wide, as it comes from in_proj. Outputs that are added to start with numbers.
struct Problem {
    Problem(DType dtype_, index_t rows_, index_t channels_, index_t taps_, index_t shift = 0)
        : dtype(dtype_), rows(rows_), channels(channels_), taps(taps_), x(rows, channels), dy(rows, channels),
          before(rows, channels), weight(taps, channels), bias(1, channels), dweight(taps, channels),
          dbias(1, channels), initial(kSlots * (taps - 1), channels), d_final(kSlots * (taps - 1), channels),
          gpu_x(dtype, rows, channels, channels, shift), gpu_dy(dtype, rows, channels, 8, shift),
          dx(dtype, rows, channels, channels, shift), gpu_weight(DType::f32, taps, channels),
          gpu_bias(DType::f32, 1, channels), gpu_dweight(DType::f32, taps, channels),
          gpu_dbias(DType::f32, 1, channels), gpu_initial(DType::f32, kSlots * (taps - 1), channels),
          gpu_d_final(DType::f32, kSlots * (taps - 1), channels), d_initial(DType::f32, kSlots * (taps - 1), channels) {
        Random random(11);
        for (auto* matrix : {&x, &dy, &before, &weight, &bias, &dweight, &dbias, &initial, &d_final}) {
            matrix->fill([&] { return random.normal() / 2; });
        }
        for (auto* matrix : {&x, &dy, &before}) {
            round_to(dtype, *matrix);
        }
        gpu_x.put(x.view());
        gpu_dy.put(dy.view());
        gpu_weight.put(weight.view());
        gpu_bias.put(bias.view());
        gpu_dweight.put(dweight.view());
        gpu_dbias.put(dbias.view());
        gpu_initial.put(initial.view());
        gpu_d_final.put(d_final.view());
    }

    CausalConv1dBackwardCudaArgs args(bool accumulate) const {
        return {.x = gpu_x.view(),
                .dy = gpu_dy.view(),
                .dx = dx.view(),
                .weight = gpu_weight.data(),
                .bias = gpu_bias.data(),
                .d_conv = taps,
                .initial = gpu_initial.data(),
                .d_final = gpu_d_final.data(),
                .d_initial = d_initial.data(),
                .accumulate = accumulate,
                .dweight = gpu_dweight.data(),
                .dbias = gpu_dbias.data()};
    }

    void run(CausalConv1dBackwardCudaArgs args, Records const& records, bool reverse) const {
        auto const host_blocks = cut_into_blocks(records, reverse);
        args.block_count = static_cast<index_t>(host_blocks.size());
        auto const blocks = upload(host_blocks.data(), args.block_count);
        args.blocks = blocks.data();
        GpuMatrix const scratch(DType::f32, 1,
                                causal_conv1d_backward_scratch_floats(rows, args.block_count, channels, taps));
        args.scratch = scratch.data();
        causal_conv1d_backward_cuda(args, nullptr);
        wait_for_gpu();
        scratch.expect_guards("scratch");
    }
    void run(Records const& records, bool reverse, bool accumulate = false) const {
        run(args(accumulate), records, reverse);
    }

    /// All segments come from their slots of `initial` and `d_final`.
    CausalConv1dBackwardArgs host_args(std::vector<ConvBackwardSegment>& converted, Records const& records,
                                       bool reverse) {
        auto const slot = [&](GuardedMatrix& slots, std::int32_t i) {
            return i < 0 ? nullptr : slots.data() + i * (taps - 1) * channels;
        };
        for (auto const& r : records) {
            converted.push_back({r.begin, r.length, slot(initial, r.initial), slot(d_final, r.final), nullptr});
        }
        return {.x = x.view(),
                .weight = weight.view(),
                .bias = bias.vector(),
                .dy = dy.view(),
                .segments = converted,
                .reverse = reverse,
                .accumulate = false,
                .dx = {},
                .dweight = {},
                .dbias = {}};
    }

    void expect_right(Records const& records, bool reverse, bool accumulate);
    void expect_inputs_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain,
                             Records const& records, bool accumulate);
    void expect_parameters_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain);
    void expect_states_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain,
                             Records const& records);

    /// How far dL/ds may be off where silu' comes from the special function units. p = 1 / (1 + exp(-s)) of them has a
    /// relative error of at most (|s| + 4) 2^-23 (causal_conv1d_cuda.cu), for s > 0 of (2 + (1 - p) (s + 2)) 2^-23.
    /// With d silu' / dp = 1 + s (1 - 2 p), and the rounding of 1 - p and of the sum, silu' is off by less than (4 |s|
    /// + 5) 2^-23.
    double slope_error() {
        if (dtype != DType::bf16) { return 0; }
        double const input =
            std::max(testing::largest_of(x.view()), taps > 1 ? testing::largest_of(initial.view()) : 0);
        double const s =
            testing::largest_of(bias.view()) + static_cast<double>(taps) * testing::largest_of(weight.view()) * input;
        return testing::largest_of(dy.view()) * std::ldexp(4 * s + 5, -23);
    }
    /// Bounds of what sums may be off by beside twice the error of a plain loop: an ulp of their terms' absolute values
    /// (silu' is below 1.1, what was there before below 5), and what comes from slope_error().
    double input_slack() {
        double const weights = static_cast<double>(taps) * testing::largest_of(weight.view());
        return kUlp * (5 + weights * 1.1 * testing::largest_of(dy.view())) + weights * slope_error();
    }
    double parameter_slack() {
        double const inputs = static_cast<double>(rows) * std::max(1.0, testing::largest_of(x.view()));
        return kUlp * (5 + inputs * 1.1 * testing::largest_of(dy.view())) + inputs * slope_error();
    }
    static constexpr double kUlp = static_cast<double>(std::numeric_limits<float>::epsilon());

    DType dtype;
    index_t rows, channels, taps;
    GuardedMatrix x, dy, before, weight, bias, dweight, dbias, initial, d_final;
    GpuMatrix gpu_x, gpu_dy, dx, gpu_weight, gpu_bias, gpu_dweight, gpu_dbias, gpu_initial, gpu_d_final, d_initial;
};

void Problem::expect_inputs_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain,
                                  Records const& records, bool accumulate) {
    dx.expect_guards("dx");
    auto const added = accumulate ? testing::elements(before.view()) : std::vector<float>(exact.x.size(), 0.0F);
    auto exact_x = testing::on_top(added, exact.x);
    auto plain_x = testing::on_top(added, plain.x);
    auto actual = dx.values();
    std::vector<bool> covered(static_cast<std::size_t>(rows), false);
    for (auto const& r : records) {
        std::fill_n(covered.begin() + r.begin, r.length, true);
    }
    for (index_t row = 0; row < rows; ++row) {
        if (covered[static_cast<std::size_t>(row)]) { continue; }
        if (!accumulate) { dx.expect_row_untouched(row); }
        for (index_t i = row * channels; !accumulate && i < (row + 1) * channels; ++i) {
            actual[static_cast<std::size_t>(i)] = 0; // as in the reference
        }
    }
    auto const view = as_view(actual, rows, channels);
    double const slack = input_slack();
    if (dtype == DType::bf16) {
        testing::expect_rounded_to_bf16(view, exact_x.data(), plain_x.data(), [&](double) { return slack; });
    } else {
        testing::expect_sums_within_twice(view, exact_x.data(), plain_x.data(), slack / kUlp);
    }
}

void Problem::expect_parameters_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain) {
    gpu_dweight.expect_guards("dweight");
    gpu_dbias.expect_guards("dbias");
    auto const before_weight = testing::elements(dweight.view());
    auto const before_bias = testing::elements(dbias.view());
    auto const actual_weight = gpu_dweight.values();
    auto const actual_bias = gpu_dbias.values();
    double const terms = parameter_slack() / kUlp;
    testing::expect_sums_within_twice(as_view(actual_weight, taps, channels),
                                      testing::on_top(before_weight, exact.weight).data(),
                                      testing::on_top(before_weight, plain.weight).data(), terms);
    testing::expect_sums_within_twice(as_view(actual_bias, 1, channels),
                                      testing::on_top(before_bias, exact.bias).data(),
                                      testing::on_top(before_bias, plain.bias).data(), terms);
}

void Problem::expect_states_right(ConvGradients<double> const& exact, ConvGradients<float> const& plain,
                                  Records const& records) {
    index_t const history = taps - 1;
    d_initial.expect_guards("d_initial");
    std::vector<bool> written(kSlots, false);
    auto const actual = d_initial.values();
    for (std::size_t s = 0; s < records.size(); ++s) {
        if (records[s].initial < 0 || records[s].length == 0) { continue; }
        SCOPED_TRACE("record " + std::to_string(s));
        written[static_cast<std::size_t>(records[s].initial)] = true;
        View<float const, 2> const slot{actual.data() + records[s].initial * history * channels, history, channels};
        testing::expect_sums_within_twice(slot, exact.initial[s].data(), plain.initial[s].data(), input_slack() / kUlp);
    }
    for (index_t row = 0; row < kSlots * history; ++row) {
        if (!written[static_cast<std::size_t>(row / history)]) { d_initial.expect_row_untouched(row); }
    }
}

void Problem::expect_right(Records const& records, bool reverse, bool accumulate) {
    std::vector<ConvBackwardSegment> converted;
    auto const host = host_args(converted, records, reverse);
    auto const exact = causal_conv1d_backward_reference<double>(host);
    auto const plain = causal_conv1d_backward_reference<float>(host);
    if (accumulate) { dx.put(before.view()); }
    run(records, reverse, accumulate);
    expect_inputs_right(exact, plain, records, accumulate);
    expect_parameters_right(exact, plain);
    expect_states_right(exact, plain, records);
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

void expect_right(DType dtype, bool reverse, index_t rows, index_t channels, index_t taps) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(channels) + ", " + std::to_string(taps) + " taps");
    Problem(dtype, rows, channels, taps).expect_right({{0, rows, 1, 0}}, reverse, false);
}

TEST_F(CausalConv1dBackwardCuda, IsWithinTheBoundOfItsType) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const rows : {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 18, 63, 257}) {
            expect_right(dtype, reverse, rows, 8, 4);
            expect_right(dtype, reverse, rows, 33, 4);
        }
        for (index_t const channels : {1, 7, 8, 33, 64, 130, 512}) {
            expect_right(dtype, reverse, 63, channels, 4);
        }
        for (index_t const taps : {1, 2, 3, 4, 5, 9, 64}) {
            expect_right(dtype, reverse, 63, 33, taps);
            expect_right(dtype, reverse, 20, 8, taps);
        }
    });
}

/// Records of many lengths with all kinds of slots, and rows between them that belong to none.
Records many_records() {
    return {{1, 0, 0, 1},    {1, 1, -1, -1},  {2, 1, 2, 2},    {4, 3, 3, 3},     {7, 16, -1, 4},
            {25, 17, 5, -1}, {42, 150, 6, 6}, {192, 2, -1, 7}, {195, 64, -1, -1}};
}
constexpr index_t kManyRows = 260;

TEST_F(CausalConv1dBackwardCuda, PackedRecordsKeepApart) {
    for_each_type([](DType dtype, bool reverse) {
        for (bool const accumulate : {false, true}) {
            for (index_t const taps : {1, 2, 4, 5, 9}) {
                for (index_t const channels : {7, 8, 130}) {
                    SCOPED_TRACE(std::to_string(taps) + " taps, " + std::to_string(channels) + " channels" +
                                 (accumulate ? ", accumulate" : ""));
                    Problem(dtype, kManyRows, channels, taps).expect_right(many_records(), reverse, accumulate);
                }
            }
        }
    });
}

/// So wide that a thread has several blocks, 2 in bf16 and 8 in f32: where its share ends within a record, another has
/// the rest, which may be shorter than the history.
TEST_F(CausalConv1dBackwardCuda, RecordsThatSeveralThreadsShareAreWhole) {
    for_each_type([](DType dtype, bool reverse) {
        Records records{{0, 65, 1, 2}}; // 5 blocks; then 2 each, from odd ones on
        while (records.size() < 13) {
            auto const& last = records.back();
            records.push_back({last.begin + last.length, 17 + static_cast<index_t>(records.size()) % 3, -1, 0});
        }
        records.push_back({281, 419, 3, 4});
        Problem(dtype, 700, 8200, 4).expect_right(records, reverse, reverse);
    });
}

TEST_F(CausalConv1dBackwardCuda, WhatMayBeNullMayBeNull) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const taps : {4, 5}) {
            Problem p(dtype, 40, 12, taps);
            Records const records{{0, 40}};
            p.bias.fill([] { return 0.0; });
            p.gpu_bias.put(p.bias.view());
            p.run(records, false);
            auto const wanted = p.dx.bits();
            p.dx.poison();
            p.gpu_dweight.put(p.dweight.view());
            auto const untouched = p.gpu_dbias.bits();
            auto args = p.args(false);
            args.bias = nullptr;
            args.initial = nullptr;
            args.d_final = nullptr;
            args.d_initial = nullptr;
            args.dbias = nullptr;
            p.run(args, records, false);
            EXPECT_EQ(p.dx.bits(), wanted);
            EXPECT_EQ(p.gpu_dbias.bits(), untouched);
        }
    }
}

TEST_F(CausalConv1dBackwardCuda, DInitialMayBeDFinal) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const taps : {2, 4, 9}) {
            Records const records{{0, 1, 0, 0}, {1, 2, 1, 1}, {3, 3, 2, 2}, {6, 5, 3, 3}, {11, 100, 4, 4}};
            Problem p(dtype, 111, 12, taps);
            p.run(records, reverse);
            auto args = p.args(false);
            args.d_initial = p.gpu_d_final.data();
            p.run(args, records, reverse);
            index_t const written = 5 * (taps - 1);
            EXPECT_EQ(p.gpu_d_final.bits(0, written), p.d_initial.bits(0, written));
        }
    });
}

TEST_F(CausalConv1dBackwardCuda, PiecesThatHandTheirGradientOnGiveTheWhole) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const piece : {1, 2, 3, 7, 16, 48, 149}) { // shorter than the history too
            SCOPED_TRACE("pieces of " + std::to_string(piece));
            constexpr index_t kRows = 150;
            constexpr index_t kHistory = 3;
            Problem p(dtype, kRows, 12, 4);
            std::vector<ConvBackwardSegment> converted;
            auto const host = p.host_args(converted, {{0, kRows, 0, 0}}, reverse);
            auto const exact = causal_conv1d_backward_reference<double>(host);
            auto const plain = causal_conv1d_backward_reference<float>(host);
            auto args = p.args(false);
            args.d_initial = p.gpu_d_final.data();
            for (index_t begin = (kRows - 1) / piece * piece; begin >= 0; begin -= piece) {
                index_t const length = std::min(piece, kRows - begin);
                GuardedMatrix inputs(kSlots * kHistory, 12); // slot 0: the inputs before the piece
                inputs.fill([] { return 0.0; });
                for (index_t k = 0; k < kHistory; ++k) {
                    index_t const i = begin - kHistory + k;
                    float const* from = i < 0     ? p.initial.view().row(kHistory + i)
                                        : reverse ? p.x.view().row(kRows - 1 - i)
                                                  : p.x.view().row(i);
                    std::copy_n(from, 12, inputs.view().row(k));
                }
                p.gpu_initial.put(inputs.view());
                p.run(args, {{reverse ? kRows - begin - length : begin, length, 0, 0}}, reverse);
            }
            p.expect_inputs_right(exact, plain, {{0, kRows, 0, 0}}, false);
            p.expect_parameters_right(exact, plain);
            auto const handed = p.gpu_d_final.values();
            testing::expect_sums_within_twice(View<float const, 2>{handed.data(), kHistory, 12},
                                              exact.initial[0].data(), plain.initial[0].data(),
                                              p.input_slack() / Problem::kUlp);
        }
    });
}

TEST_F(CausalConv1dBackwardCuda, ARecordsBitsDoNotDependOnItsCompany) {
    for_each_type([](DType dtype, bool reverse) {
        for (index_t const taps : {4, 5}) {
            auto const records = many_records();
            Problem together(dtype, kManyRows, 20, taps);
            together.run(records, reverse);
            for (auto const& record : records) {
                Problem alone(dtype, kManyRows, 20, taps);
                alone.run({record}, reverse);
                EXPECT_EQ(alone.dx.bits(record.begin, record.length), together.dx.bits(record.begin, record.length));
            }
        }
    });
}

TEST_F(CausalConv1dBackwardCuda, RunsAndAlignmentsGiveTheSameBits) {
    for_each_type([](DType dtype, bool reverse) {
        Problem first(dtype, kManyRows, 132, 4);
        Problem second(dtype, kManyRows, 132, 4);
        Problem shifted(dtype, kManyRows, 132, 4, 1); // one element off: no vector loads
        for (auto* p : {&first, &second, &shifted}) {
            p->run(many_records(), reverse);
        }
        EXPECT_EQ(first.dx.bits(), second.dx.bits());
        EXPECT_EQ(first.dx.bits(), shifted.dx.bits());
        EXPECT_EQ(first.d_initial.bits(), second.d_initial.bits());
        EXPECT_EQ(first.gpu_dweight.bits(), second.gpu_dweight.bits());
        EXPECT_EQ(first.gpu_dbias.bits(), second.gpu_dbias.bits());
    });
}

/// Refused on the host: needs no GPU.
TEST(CausalConv1dBackwardCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const single(nullptr, DType::f32, 4, 8);
    DeviceMatrix const half(nullptr, DType::bf16, 4, 8);
    DeviceMatrix const fp16(nullptr, DType::f16, 4, 8);
    DeviceMatrix const narrow(nullptr, DType::f32, 4, 7);
    auto const run = [](DeviceMatrix x, DeviceMatrix dy, DeviceMatrix dx, index_t d_conv) {
        causal_conv1d_backward_cuda({.x = x, .dy = dy, .dx = dx, .d_conv = d_conv, .block_count = 1}, nullptr);
    };
    EXPECT_THROW(run(single, narrow, single, 4), Error);
    EXPECT_THROW(run(single, single, narrow, 4), Error);
    EXPECT_THROW(run(single, half, single, 4), Error);
    EXPECT_THROW(run(single, single, half, 4), Error);
    EXPECT_THROW(run(fp16, fp16, fp16, 4), Error);
    EXPECT_THROW(run(single, single, single, 0), Error);
    EXPECT_THROW(run(single, single, single, kMaxConv + 1), Error);
}

} // namespace
} // namespace strandwave

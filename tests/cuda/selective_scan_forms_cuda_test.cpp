// A scan on the GPU has the same bits however its threads share it.
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "tests/cuda/selective_scan_problem.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::download;
using testing::scan::kManyRows;
using testing::scan::many_records;
using testing::scan::Problem;
using testing::scan::Shape;

class SelectiveScanFormsCuda : public testing::GpuTest {};

struct Mode {
    bool gate = true;
    bool accumulate = false;
    bool delta_is_dt = false;
    bool reverse = false;
};

/// All that a call leaves for its records.
struct Outcome {
    ScanForm form;
    std::vector<std::vector<std::byte>> y; ///< of each record
    std::vector<std::byte> states;
    std::vector<std::byte> kept_states;
};

void make_delta_dt(Problem& p) {
    auto const delta = p.delta.view();
    for (index_t r = 0; r < delta.rows; ++r) {
        for (index_t e = 0; e < delta.cols; ++e) {
            delta(r, e) = std::abs(delta(r, e)) / 4;
        }
    }
    p.put();
}

int multiprocessors() { return find_gpus()->front().multiprocessors; }

/// No record of many_records() has more rows.
constexpr index_t kLongest = 700;

/// The records behind as many records of one row each as shape.prefix says. `longest`: SelectiveScanCudaArgs::longest.
Outcome run(DType dtype, Shape const& shape, Mode mode, index_t longest) {
    Problem p(dtype, shape);
    if (mode.delta_is_dt) { make_delta_dt(p); }
    if (mode.accumulate) { p.y.put(p.u.view()); }
    std::vector<PackedSegment> segments;
    for (index_t row = 0; row < shape.prefix; ++row) {
        segments.push_back({row, 1});
    }
    auto records = many_records();
    for (auto& record : records) {
        record.begin += shape.prefix;
        segments.push_back(record);
    }
    auto const blocks = static_cast<index_t>(cut_into_blocks(segments, mode.reverse).size());
    DeviceArray<float> const kept(scan_kept_states(blocks, shape.d_inner, shape.d_state));
    fill_bytes(kept.data(), 0, kept.size() * dtype_bytes(DType::f32), nullptr);
    auto args = p.gpu_args();
    if (!mode.gate) { args.z = {}; }
    if (mode.delta_is_dt) { args.delta_bias = nullptr; }
    args.delta_is_dt = mode.delta_is_dt;
    args.accumulate = mode.accumulate;
    args.kept_states = kept.data();
    args.longest = longest;
    Problem::run(args, segments, mode.reverse);
    index_t const kept_before = shape.prefix * kBlockRows / kScanStateRows * shape.d_inner * shape.d_state;
    index_t const rows = blocks * kBlockRows;
    Outcome outcome{scan_form({blocks, longest > 0 ? longest : rows, shape.d_inner, shape.d_state}, multiprocessors()),
                    {},
                    p.gpu_state.bits(),
                    download(reinterpret_cast<std::byte const*>(kept.data() + kept_before),
                             (kept.size() - kept_before) * dtype_bytes(DType::f32))};
    for (auto const& record : records) {
        outcome.y.push_back(p.y_of(record));
    }
    return outcome;
}

/// Of one block each, for a GPU to be full.
index_t enough_records(Shape const& shape) {
    index_t records = scan_wave_rows(shape.d_inner, multiprocessors()) / kBlockRows;
    while (scan_form({records, kLongest, shape.d_inner, shape.d_state}, multiprocessors()) != ScanForm::segments) {
        records *= 2;
    }
    return records;
}

void expect_equal(Outcome const& one, Outcome const& other) {
    EXPECT_TRUE(one.states == other.states);
    EXPECT_TRUE(one.kept_states == other.kept_states);
    for (std::size_t i = 0; i < one.y.size(); ++i) {
        EXPECT_TRUE(one.y[i] == other.y[i]) << "record " << i;
    }
}

void expect_same_bits(DType dtype, Shape shape, Mode mode) {
    SCOPED_TRACE(std::string(dtype_name(dtype)) + " x " + std::to_string(shape.d_inner) + " x " +
                 std::to_string(shape.d_state) + (mode.gate ? ", gate" : "") + (mode.accumulate ? ", accumulate" : "") +
                 (mode.delta_is_dt ? ", dt" : "") + (mode.reverse ? ", reverse" : "") + ", shift " +
                 std::to_string(shape.shift));
    auto const few = run(dtype, shape, mode, 0);
    EXPECT_EQ(few.form, ScanForm::tile_lanes);
    shape.prefix = enough_records(shape);
    auto const many = run(dtype, shape, mode, 0);
    EXPECT_EQ(many.form, ScanForm::tiles);
    expect_equal(few, many);
    auto const whole = run(dtype, shape, mode, kLongest);
    EXPECT_EQ(whole.form, ScanForm::segments);
    expect_equal(few, whole);
}

TEST_F(SelectiveScanFormsCuda, GiveTheSameBitsWhateverRowsEndWith) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (bool const reverse : {false, true}) {
            for (bool const accumulate : {false, true}) {
                expect_same_bits(dtype, {kManyRows, 40, 16}, {true, accumulate, false, reverse});
                expect_same_bits(dtype, {kManyRows, 40, 16}, {false, accumulate, false, reverse});
                expect_same_bits(dtype, {kManyRows, 40, 16}, {true, accumulate, true, reverse});
            }
        }
    }
}

TEST_F(SelectiveScanFormsCuda, GiveTheSameBitsForAnyStatesAndChannels) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t d_state = 1; d_state <= 16; ++d_state) {
            expect_same_bits(dtype, {kManyRows, 8, d_state}, {});
        }
        for (index_t const d_inner : {1, 7, 31, 33, 136}) {
            expect_same_bits(dtype, {kManyRows, d_inner, 16}, {});
        }
        expect_same_bits(dtype, {kManyRows, 40, 16, 0, 1}, {}); // no vector loads
    }
}

/// Needs no GPU.
TEST(SelectiveScanForm, SuitsTheCall) {
    auto const form = [](index_t rows, index_t longest, index_t d_state = 16) {
        return scan_form({rows / kBlockRows, longest, 512, d_state}, 132);
    };
    index_t const wave = scan_wave_rows(512, 132);
    EXPECT_EQ(form(kBlockRows, kBlockRows), ScanForm::tile_lanes);
    EXPECT_EQ(form(kBlockRows, kBlockRows, 17), ScanForm::tiles); // the states of many stay with their thread
    EXPECT_EQ(form(wave / 8, wave / 8), ScanForm::tile_lanes);
    EXPECT_EQ(form(wave, wave), ScanForm::tiles);
    EXPECT_EQ(form(wave, wave / 2), ScanForm::tiles);      // two records leave most of the GPU idle
    EXPECT_EQ(form(wave, kScanTileRows), ScanForm::tiles); // nothing to chain
    EXPECT_EQ(form(wave, 1024), ScanForm::segments);
    EXPECT_EQ(form(wave, 1024, 17), ScanForm::tiles);
}

} // namespace
} // namespace strandwave

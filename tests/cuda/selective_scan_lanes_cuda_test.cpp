// A call of few tiles shares each channel among lanes: its bits are those of a call in which lanes do not.
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

class SelectiveScanLanesCuda : public testing::GpuTest {};

struct Mode {
    bool gate = true;
    bool accumulate = false;
    bool delta_is_dt = false;
    bool reverse = false;
};

/// All that a call leaves for its records.
struct Outcome {
    int lanes;
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

/// The records behind as many records of one row each as shape.prefix says.
Outcome run(DType dtype, Shape const& shape, Mode mode) {
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
    Problem::run(args, segments, mode.reverse);
    index_t const kept_before = shape.prefix * kBlockRows / kScanStateRows * shape.d_inner * shape.d_state;
    Outcome outcome{scan_lanes(blocks, shape.d_inner, shape.d_state, multiprocessors()),
                    {},
                    p.gpu_state.bits(),
                    download(reinterpret_cast<std::byte const*>(kept.data() + kept_before),
                             (kept.size() - kept_before) * dtype_bytes(DType::f32))};
    for (auto const& record : records) {
        outcome.y.push_back(p.y_of(record));
    }
    return outcome;
}

void expect_same_bits(DType dtype, Shape shape, Mode mode) {
    SCOPED_TRACE(std::string(dtype_name(dtype)) + " x " + std::to_string(shape.d_inner) + " x " +
                 std::to_string(shape.d_state) + (mode.gate ? ", gate" : "") + (mode.accumulate ? ", accumulate" : "") +
                 (mode.delta_is_dt ? ", dt" : "") + (mode.reverse ? ", reverse" : "") + ", shift " +
                 std::to_string(shape.shift));
    auto const few = run(dtype, shape, mode);
    shape.prefix = scan_wave_rows(shape.d_inner, multiprocessors()) / kBlockRows; // a block each
    auto const many = run(dtype, shape, mode);
    EXPECT_EQ(few.lanes, 4);
    EXPECT_EQ(many.lanes, 1);
    EXPECT_TRUE(few.states == many.states);
    EXPECT_TRUE(few.kept_states == many.kept_states);
    for (std::size_t i = 0; i < few.y.size(); ++i) {
        EXPECT_TRUE(few.y[i] == many.y[i]) << "record " << i;
    }
}

TEST_F(SelectiveScanLanesCuda, GiveTheSameBitsWhateverRowsEndWith) {
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

TEST_F(SelectiveScanLanesCuda, GiveTheSameBitsForAnyStatesAndChannels) {
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
TEST(SelectiveScanLanes, AreMoreThanOneOnlyWhereTilesAreFew) {
    EXPECT_EQ(scan_lanes(1, 512, 16, 132), 4);
    EXPECT_EQ(scan_lanes(1, 512, 17, 132), 1); // the states of many stay with their thread
    index_t const blocks = scan_wave_rows(512, 132) / kBlockRows;
    EXPECT_EQ(scan_lanes(blocks, 512, 16, 132), 1);
    EXPECT_EQ(scan_lanes(blocks / 8, 512, 16, 132), 4);
}

} // namespace
} // namespace strandwave

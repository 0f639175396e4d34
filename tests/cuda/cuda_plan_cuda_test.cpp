#include "lib/model/cuda_plan.h"

#include "lib/core/random.h"

#include <gtest/gtest.h>
#include <map>
#include <vector>

// Needs no GPU: how feeds are cut into steps.
namespace strandwave {
namespace {

/// Pieces of records on several lanes, some cut in the middle, some empty.
std::vector<Piece> random_pieces(Random& random, index_t lanes, std::vector<bool>& open) {
    std::vector<Piece> pieces;
    for (int i = 0; i < 40; ++i) {
        auto const lane = static_cast<index_t>(random.below(static_cast<std::uint64_t>(lanes)));
        bool const first = !open[static_cast<std::size_t>(lane)];
        bool const last = random.below(2) == 0;
        auto const length = static_cast<index_t>(random.below(5) == 0 ? 0 : random.below(300));
        pieces.push_back({length, lane, first, last});
        open[static_cast<std::size_t>(lane)] = !last;
    }
    return pieces;
}

/// What every plan must keep to, and that every record's state goes from part to part through its slots.
class Checker {
public:
    explicit Checker(index_t lanes, bool cut_by_plan = false)
        : cut_by_plan_(cut_by_plan), seen_(static_cast<std::size_t>(lanes), 0) {}

    void check(std::vector<Piece> const& pieces, CudaFeedPlan const& plan, StepLimits const& limits) {
        index_t input = 0;
        for (auto const& step : plan.steps) {
            check_step(step, limits);
            for (auto const& strand : step.strands) {
                EXPECT_EQ(strand.input, input) << "positions in order, none twice, none left out";
                input += strand.length;
            }
        }
        index_t total = 0;
        std::vector<index_t> ends;
        for (auto const& piece : pieces) {
            auto& seen = seen_[static_cast<std::size_t>(piece.lane)];
            seen = (piece.first ? 0 : seen) + piece.length;
            total += piece.length;
            if (piece.last) { ends.push_back(seen); }
        }
        EXPECT_EQ(input, total);
        ASSERT_EQ(plan.results.size(), ends.size());
        for (std::size_t i = 0; i < ends.size(); ++i) {
            EXPECT_EQ(plan.results[i].length, ends[i]) << "result " << i;
        }
    }

private:
    void check_step(CudaStep const& step, StepLimits const& limits) {
        EXPECT_LE(step.rows, limits.rows);
        EXPECT_LE(static_cast<index_t>(step.segments.size()), limits.segments);
        ASSERT_EQ(step.segments.size(), step.strands.size());
        ASSERT_EQ(step.segments.size(), step.pools.size());
        std::map<std::int32_t, int> taken;
        std::map<std::int32_t, int> left;
        std::map<std::int32_t, int> pooled;
        index_t row = 0;
        for (std::size_t i = 0; i < step.segments.size(); ++i) {
            auto const& segment = step.segments[i];
            EXPECT_EQ(segment.begin, row);
            EXPECT_GT(segment.length, 0);
            row += segment.length;
            EXPECT_EQ(++pooled[step.pools[i].slot], 1) << "two segments with one pool slot";
            if (segment.initial >= 0) {
                EXPECT_EQ(slot_rows_[segment.initial], step.pools[i].seen) << "state of another record";
                ++taken[segment.initial];
            } else {
                EXPECT_EQ(step.pools[i].seen, 0);
            }
            if (segment.final >= 0) {
                bool const last_of_step = i + 1 == step.segments.size();
                bool const cut_right = (step.pools[i].seen + segment.length) % kChunkUnit == 0;
                EXPECT_TRUE(cut_right || !cut_by_plan_ || !last_of_step) << "cut where bits change";
                EXPECT_EQ(++left[segment.final], 1);
                slot_rows_[segment.final] = step.pools[i].seen + segment.length;
            }
            bool const own = segment.initial == segment.final || segment.initial < 0;
            EXPECT_TRUE(own || segment.final < 0) << "a record changes slots on its way";
            EXPECT_TRUE(step.carries || (segment.initial < 0 && segment.final < 0));
        }
        EXPECT_EQ(row, step.rows);
        for (std::size_t i = 0; i < step.segments.size(); ++i) {
            auto const slot = step.segments[i].final;
            bool const another_takes_it = slot >= 0 && taken.contains(slot) && step.segments[i].initial != slot;
            EXPECT_FALSE(another_takes_it) << "left and taken in one step";
        }
    }

    bool cut_by_plan_ = false;                  ///< records are cut by the plan alone, not by pieces
    std::vector<index_t> seen_;                 ///< rows of each lane's record
    std::map<std::int32_t, index_t> slot_rows_; ///< rows behind the state in a slot
};

TEST(CudaPlan, PiecesKeepOrderBoundsAndState) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random random(seed);
        index_t const lanes = 1 + static_cast<index_t>(seed % 4);
        StepLimits const limits{kChunkUnit * (1 + static_cast<index_t>(random.below(3))),
                                3 + static_cast<index_t>(seed % 9)};
        std::vector<CudaLane> state;
        for (index_t lane = 0; lane < lanes; ++lane) {
            state.push_back({0, static_cast<std::int32_t>(2 * lane)});
        }
        std::vector<bool> open(static_cast<std::size_t>(lanes), false);
        Checker checker(lanes);
        for (int feed = 0; feed < 3; ++feed) {
            auto const pieces = random_pieces(random, lanes, open);
            SCOPED_TRACE("seed " + std::to_string(seed) + ", feed " + std::to_string(feed));
            checker.check(pieces, plan_pieces(pieces, limits, state), limits);
        }
    }
}

TEST(CudaPlan, CutsRecordsWhereBitsDoNotChange) {
    Random random(3);
    for (int round = 0; round < 50; ++round) {
        std::vector<Piece> pieces;
        for (int i = 0; i < 20; ++i) {
            pieces.push_back({static_cast<index_t>(random.below(3000)), 0, true, true});
        }
        StepLimits const limits{kChunkUnit * (1 + static_cast<index_t>(random.below(6))), 100};
        std::vector<CudaLane> state{{0, 0}};
        Checker(1, true).check(pieces, plan_pieces(pieces, limits, state), limits);
    }
}

TEST(CudaPlan, StrandsOfARecordStandTogetherIfTheyMust) {
    std::vector<Piece> const pieces{{100, 0, true, true}, {0, 0, true, true}, {900, 0, true, true}, {7, 0, true, true}};
    for (bool const together : {true, false}) {
        auto const plan = plan_records(pieces, 2, {256, 16}, 1, together);
        ASSERT_EQ(plan.results.size(), 4U);
        index_t strands = 0;
        for (auto const& step : plan.steps) {
            EXPECT_FALSE(step.carries);
            for (std::size_t i = 0; i < step.strands.size(); ++i) {
                ++strands;
                bool const beside = step.strands[i].strand == 1 && i > 0 && step.strands[i - 1].strand == 0 &&
                                    step.strands[i - 1].piece == step.strands[i].piece;
                EXPECT_TRUE(!together || step.strands[i].strand == 0 || beside);
            }
        }
        EXPECT_EQ(strands, 6) << "an empty record has no rows";
    }
}

TEST(CudaPlan, StepsFitTheMemory) {
    ModelConfig config;
    config.d_model = 256;
    config.d_inner = 512;
    config.d_state = 16;
    config.dt_rank = 16;
    config.vocab_size = 16;
    auto const rows_for = [&](index_t bytes) { return suitable_step_rows(config, DType::bf16, bytes, 132); };
    index_t const rows = rows_for(index_t{100} << 30);
    EXPECT_LE(3 * rows * device_bytes_per_row(config, DType::bf16), index_t{1000} << 20);
    EXPECT_EQ(rows % kChunkUnit, 0);
    EXPECT_LT(rows_for(64 << 20), rows);
    EXPECT_GE(rows_for(0), kChunkUnit);
}

} // namespace
} // namespace strandwave

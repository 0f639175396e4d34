#include "lib/model/session.h"

#include "lib/core/buffer.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/model/initialise.h"
#include "tests/model/model_support.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using Tokens = std::vector<std::int32_t>;
using Vector = std::vector<float>;

char const* const kCausal = R"({"model_type": "mamba", "architectures": ["MambaForCausalLM"], "hidden_size": 24,
    "num_hidden_layers": 3, "state_size": 5, "conv_kernel": 4, "expand": 2, "time_step_rank": 3, "vocab_size": 16})";
char const* const kPh = R"({"model_type": "caduceus", "architectures": ["CaduceusForMaskedLM"], "d_model": 24,
    "n_layer": 3, "vocab_size": 16, "rcps": false, "ssm_cfg": {"d_state": 5, "d_conv": 4, "expand": 2, "dt_rank": 3}})";
char const* const kPs = R"({"model_type": "caduceus", "architectures": ["CaduceusForMaskedLM"], "d_model": 24,
    "n_layer": 3, "vocab_size": 16, "rcps": true, "fused_add_norm": true,
    "complement_map": {"0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 10, "8": 9, "9": 8, "10": 7,
                       "11": 11, "12": 12, "13": 13, "14": 14, "15": 15},
    "ssm_cfg": {"d_state": 5, "d_conv": 4, "expand": 2, "dt_rank": 3}})";

std::shared_ptr<Model const> make_model(char const* config, LoadOptions const& options = {}) {
    TempDir const folder;
    std::ofstream(folder.path() / "config.json") << config;
    initialise_model(folder.path() / "config.json", 5, folder.path() / "model");
    return Model::load(folder.path() / "model", options);
}

Tokens random_tokens(index_t length, std::uint64_t seed) {
    Random random(seed);
    Tokens tokens(static_cast<std::size_t>(length));
    for (auto& token : tokens) {
        token = static_cast<std::int32_t>(7 + random.below(5));
    }
    return tokens;
}

/// Records of a feed, each one whole, in order.
std::vector<Vector> pooled_of(std::shared_ptr<Model const> const& model, std::vector<Tokens> const& records,
                              int threads, SessionOptions options = {}) {
    Threads pool(threads);
    Session session(model, pool, std::move(options));
    Tokens packed;
    std::vector<Piece> pieces;
    for (auto const& record : records) {
        packed.insert(packed.end(), record.begin(), record.end());
        pieces.push_back({static_cast<index_t>(record.size()), 0, true, true});
    }
    std::vector<Vector> pooled;
    for (auto& result : session.feed({packed, {}}, pieces)) {
        pooled.push_back(std::move(result.pooled));
    }
    return pooled;
}

Vector pooled_in_pieces(std::shared_ptr<Model const> const& model, Tokens const& record, index_t piece_length,
                        SessionOptions options = {}) {
    Threads threads(2);
    Session session(model, threads, std::move(options));
    auto const length = static_cast<index_t>(record.size());
    for (index_t begin = 0; begin < length; begin += piece_length) {
        index_t const n = std::min(piece_length, length - begin);
        Piece const piece{n, 0, begin == 0, begin + n == length};
        auto const results =
            session.feed({std::span(record).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n)), {}},
                         std::span(&piece, 1));
        if (!results.empty()) {
            EXPECT_EQ(results[0].length, length);
            return results[0].pooled;
        }
    }
    return {};
}

TEST(Session, PiecesOfAnyLengthGiveTheBitsOfOneFeed) {
    auto const model = make_model(kCausal);
    auto const record = random_tokens(1000, 1);
    for (auto const pooling : {Pooling::mean, Pooling::max, Pooling::first, Pooling::last}) {
        SessionOptions options;
        options.pooling = pooling;
        auto const whole = pooled_of(model, {record}, 2, options)[0];
        for (index_t const piece : {1, 7, 127, 128, 129, 640, 999}) {
            EXPECT_EQ(pooled_in_pieces(model, record, piece, options), whole) << "pieces of " << piece;
        }
    }
}

TEST(Session, TokenByTokenWithSmallProductsIsCloseToOneFeed) {
    auto const model = make_model(kCausal);
    auto const record = random_tokens(300, 2);
    auto const whole = pooled_of(model, {record}, 2)[0];
    SessionOptions decode;
    decode.token_block = 1;
    // Products of one row may sum in another order; over K <= 48 terms and 3 layers that is some units in the last
    // place.
    EXPECT_LE(test::relative_error(pooled_in_pieces(model, record, 1, decode), whole), 3 * 48 * 1.2e-7);
}

TEST(Session, CompanyAndThreadsDoNotChangeBits) {
    for (char const* config : {kCausal, kPh, kPs}) {
        auto const model = make_model(config);
        std::vector<Tokens> records;
        for (index_t const length : {150, 1, 0, 127, 128, 129, 40, 1023, 1024, 1025, 3, 2500, 150, 0}) {
            records.push_back(random_tokens(length, static_cast<std::uint64_t>(length)));
        }
        auto const together = pooled_of(model, records, 1);
        ASSERT_EQ(together.size(), records.size());
        for (int const threads : {2, 3, 8}) {
            EXPECT_EQ(pooled_of(model, records, threads), together) << threads;
        }
        for (std::size_t i = 0; i < records.size(); ++i) {
            EXPECT_EQ(pooled_of(model, {records[i]}, 2)[0], together[i]) << "record of " << records[i].size();
        }
    }
}

TEST(Session, LanesDoNotSeeEachOther) {
    auto const model = make_model(kCausal);
    std::vector<Tokens> records;
    for (index_t const length : {700, 90, 333}) {
        records.push_back(random_tokens(length, 9));
    }
    auto const alone = [&](std::size_t i) { return pooled_of(model, {records[i]}, 1)[0]; };
    Threads threads(2);
    SessionOptions options;
    options.lanes = 3;
    Session session(model, threads, options);
    std::map<index_t, Vector> pooled;
    // Round robin, pieces of another length for each lane, several lanes a feed; lane 1 is used twice.
    for (index_t turn = 0; turn * 50 < 700; ++turn) {
        Tokens packed;
        std::vector<Piece> pieces;
        for (index_t lane = 0; lane < 3; ++lane) {
            index_t const step = 50 - 7 * lane;
            auto const length = static_cast<index_t>(records[static_cast<std::size_t>(lane)].size());
            index_t const begin = turn * step;
            if (begin >= length) { continue; }
            index_t const n = std::min(step, length - begin);
            auto const* from = records[static_cast<std::size_t>(lane)].data() + begin;
            packed.insert(packed.end(), from, from + n);
            pieces.push_back({n, lane, turn == 0, begin + n == length});
        }
        for (auto& result : session.feed({packed, {}}, pieces)) {
            pooled[result.lane] = std::move(result.pooled);
        }
    }
    for (index_t lane = 0; lane < 3; ++lane) {
        EXPECT_EQ(pooled[lane], alone(static_cast<std::size_t>(lane))) << lane;
    }
}

/// With few layers and several threads whole records are shared out among threads, and pieces are not.
TEST(Session, WholeRecordsBetweenPiecesOfOthers) {
    auto const model = make_model(kCausal);
    std::vector<Tokens> const records{random_tokens(300, 1), random_tokens(2500, 2), random_tokens(70, 3),
                                      random_tokens(2600, 4), random_tokens(410, 5)};
    Tokens all;
    for (auto const& record : records) {
        all.insert(all.end(), record.begin(), record.end());
    }
    for (int const count : {1, 2, 4}) {
        Threads threads(count);
        test::RecordOutputs out;
        auto const positions = static_cast<index_t>(all.size());
        test::StreamCollector collector(out, {kFinalNorm}, positions, 24);
        SessionOptions options;
        options.sink = &collector;
        options.sink_layers = {kFinalNorm};
        Session session(model, threads, options);
        std::vector<Vector> pooled;
        auto const feed = [&](std::size_t begin, std::vector<Piece> const& pieces) {
            index_t length = 0;
            for (auto const& piece : pieces) {
                length += piece.length;
            }
            collector.start_feed(static_cast<index_t>(begin));
            auto const tokens = std::span(all).subspan(begin, static_cast<std::size_t>(length));
            for (auto& result : session.feed({tokens, {}}, pieces)) {
                pooled.push_back(std::move(result.pooled));
            }
        };
        feed(0, {{200, 0, true, false}});
        feed(200, {{100, 0, false, true}, {2500}, {70}, {2600}, {10, 0, true, false}});
        feed(5480, {{400, 0, false, true}});
        ASSERT_EQ(pooled.size(), records.size());
        index_t begin = 0;
        for (std::size_t i = 0; i < records.size(); ++i) {
            EXPECT_EQ(pooled[i], pooled_of(model, {records[i]}, 1)[0]) << i;
            auto const alone = test::run_record(model, threads, {records[i], {}}, 0).streams.at(kFinalNorm);
            auto const* from = out.streams.at(kFinalNorm).data() + begin * 24;
            EXPECT_EQ(Vector(from, from + alone.size()), alone) << i;
            begin += static_cast<index_t>(records[i].size());
        }
    }
}

/// Long pieces of several lanes in one feed: blocks of one lane stand between blocks of another, and a block that holds
/// the end of one piece and the start of the next has two blocks to wait for.
TEST(Session, LongPiecesOfManyLanesInOneFeed) {
    auto const model = make_model(kCausal);
    constexpr index_t kLanes = 5;
    std::vector<Tokens> records;
    for (index_t lane = 0; lane < kLanes; ++lane) {
        records.push_back(random_tokens(1500, static_cast<std::uint64_t>(20 + lane)));
    }
    Threads threads(4);
    SessionOptions options;
    options.lanes = kLanes;
    for (int round = 0; round < 5; ++round) { // a missing wait shows in some orders only
        Session session(model, threads, options);
        Tokens packed;
        std::vector<Piece> pieces;
        for (index_t begin = 0; begin < 1500; begin += 300) {
            for (index_t lane = 0; lane < kLanes; ++lane) {
                auto const* from = records[static_cast<std::size_t>(lane)].data() + begin;
                packed.insert(packed.end(), from, from + 300);
                pieces.push_back({300, lane, begin == 0, begin + 300 == 1500});
            }
        }
        for (auto const& result : session.feed({packed, {}}, pieces)) {
            EXPECT_EQ(result.pooled, pooled_of(model, {records[static_cast<std::size_t>(result.lane)]}, 1)[0]);
        }
    }
}

TEST(Session, ASavedStateGoesOnInAnotherSession) {
    auto const model = make_model(kCausal);
    auto const record = random_tokens(500, 4);
    auto const whole = pooled_of(model, {record}, 2)[0];
    Threads threads(2);
    LaneState state;
    {
        Session first(model, threads, {});
        Piece const piece{201, 0, true, false};
        EXPECT_TRUE(first.feed({std::span(record).first(201), {}}, std::span(&piece, 1)).empty());
        state = first.save(0);
    }
    EXPECT_EQ(state.length, 201);
    SessionOptions two_lanes;
    two_lanes.lanes = 2;
    Session second(model, threads, two_lanes);
    second.restore(1, state);
    Piece const rest{299, 1, false, true};
    EXPECT_EQ(second.feed({std::span(record).subspan(201), {}}, std::span(&rest, 1))[0].pooled, whole);
    EXPECT_EQ(second.save(0).length, 0);

    LaneState other = state;
    other.layers.pop_back();
    EXPECT_THROW(second.restore(0, other), Error);
}

TEST(Session, FeedsThatAreStartedAheadGiveTheBitsOfOneByOne) {
    for (char const* config : {kCausal, kPs}) {
        auto const model = make_model(config, test::load_options());
        constexpr std::size_t kFeeds = 5;
        constexpr index_t kRows =
            512; // of the record that goes on from feed to feed; a GPU's cuts are multiples of 256
        auto const record = random_tokens(static_cast<index_t>(kFeeds) * kRows, 3);
        std::vector<Tokens> inputs;
        std::vector<std::vector<Piece>> pieces;
        for (std::size_t i = 0; i < kFeeds; ++i) {
            auto const begin = record.begin() + static_cast<std::ptrdiff_t>(i) * kRows;
            auto& input = inputs.emplace_back(begin, begin + kRows);
            auto const company = random_tokens(37 + static_cast<index_t>(i), i);
            input.insert(input.end(), company.begin(), company.end());
            bool const whole = !model->causal();
            pieces.push_back({{kRows, 0, whole || i == 0, whole || i + 1 == kFeeds},
                              {static_cast<index_t>(company.size()), 1, true, true}});
        }
        SessionOptions options;
        options.lanes = 2;
        options.step_rows = 256; // so that feeds take more than one step
        Threads threads(2);
        Session one_by_one(model, threads, options);
        Session ahead(model, threads, options);
        auto const expect_same = [](std::vector<RecordResult> const& a, std::vector<RecordResult> const& b) {
            ASSERT_EQ(a.size(), b.size());
            for (std::size_t i = 0; i < a.size(); ++i) {
                EXPECT_EQ(a[i].length, b[i].length);
                EXPECT_EQ(a[i].pooled, b[i].pooled);
            }
        };
        std::vector<std::vector<RecordResult>> results;
        for (std::size_t i = 0; i < kFeeds; ++i) {
            results.push_back(one_by_one.feed({inputs[i], {}}, pieces[i]));
            ahead.start({inputs[i], {}}, pieces[i]);
            if (i >= 2) { expect_same(ahead.finish(), results[i - 2]); }
        }
        if (model->causal()) { EXPECT_EQ(ahead.save(0).length, one_by_one.save(0).length); }
        expect_same(ahead.finish(), results[kFeeds - 2]);
        expect_same(ahead.finish(), results[kFeeds - 1]);
    }
}

TEST(Model, LogitsOfAPositionDoNotDependOnHowManyThereAre) {
    auto const model = make_model(kCausal);
    constexpr index_t kMost = 40;
    index_t const width = model->hidden_width();
    index_t const vocab = model->config().vocab_size;
    Buffer<float> hidden(kMost * width);
    Random random(5);
    std::generate(hidden.begin(), hidden.end(), [&] { return static_cast<float>(random.normal()); });
    auto const logits = [&](index_t begin, index_t count) {
        Vector out(static_cast<std::size_t>(count * vocab));
        model->language_model_logits(hidden.view(kMost, width).rows_from(begin, count), {out.data(), count, vocab});
        return out;
    };
    Vector const all = logits(0, kMost);
    for (index_t const count : {1, 2, 5, 7, 15, 16, 17, 33}) {
        for (index_t const begin : {index_t{0}, index_t{3}, kMost - count}) {
            auto const first = all.begin() + begin * vocab;
            EXPECT_EQ(logits(begin, count), Vector(first, first + count * vocab)) << count << " rows from " << begin;
        }
    }
    EXPECT_THROW(model->language_model_logits(hidden.view(2, width), {hidden.data(), 1, vocab}), Error);
}

TEST(Session, AnEmptyRecordIsZerosAndLeavesNoTrace) {
    auto const model = make_model(kCausal);
    auto const record = random_tokens(200, 6);
    Threads threads(1);
    Session session(model, threads, {});
    std::vector<Piece> const pieces{{0, 0, true, true}, {0, 0, true, false}, {200, 0, false, true}, {0, 0, true, true}};
    auto const results = session.feed({record, {}}, pieces);
    ASSERT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].pooled, Vector(24, 0.0F));
    EXPECT_EQ(results[1].pooled, pooled_of(model, {record}, 1)[0]);
    EXPECT_EQ(results[2].length, 0);
}

/// Reading a record as its reverse complement exchanges the two strands of such a model: the same sums, so the same
/// bits.
TEST(Session, RcEquivariantModelsGiveBothStrandsTheSameBits) {
    auto const model = make_model(kPs);
    for (auto const pooling : {Pooling::mean, Pooling::max, Pooling::last}) {
        for (index_t const layer : {index_t{0}, index_t{1}, index_t{2}, index_t{3}, kFinalNorm}) {
            SessionOptions options;
            options.pooling = pooling;
            options.layer = layer;
            auto const record = random_tokens(777, 8);
            Tokens reverse(record.rbegin(), record.rend());
            for (auto& token : reverse) {
                token = model->config().complement_map[static_cast<std::size_t>(token)];
            }
            EXPECT_EQ(pooled_of(model, {record}, 2, options), pooled_of(model, {reverse}, 2, options)) << layer;
        }
    }
}

TEST(Session, PoolsAnyLayerAndRunsNoFurther) {
    auto const model = make_model(kCausal);
    Threads threads(2);
    auto const record = random_tokens(130, 3);
    auto const out = test::run_record(model, threads, {record, {}}, 0, kDefaultTokenBlock, {0, 1, 2, 3});
    for (index_t layer = 0; layer <= 3; ++layer) {
        SessionOptions options;
        options.layer = layer;
        options.pooling = Pooling::last;
        auto const& stream = out.streams.at(layer);
        EXPECT_EQ(pooled_of(model, {record}, 2, options)[0], Vector(stream.end() - 24, stream.end())) << layer;
    }
}

template <class Call>
ErrorCode code_of(Call const& call) {
    try {
        call();
    } catch (Error const& error) { return error.code(); }
    ADD_FAILURE() << "no error";
    return ErrorCode::io;
}

TEST(Session, RefusesWhatMakesNoSense) {
    auto const model = make_model(kCausal);
    Threads threads(1);
    Session session(model, threads, {});
    Tokens const tokens{7, 8, 99};
    Piece const whole{3, 0, true, true};
    EXPECT_EQ(code_of([&] { session.feed({tokens, {}}, std::span(&whole, 1)); }), ErrorCode::invalid_argument);
    Piece const strange_lane{2, 1, true, true};
    EXPECT_EQ(code_of([&] {
                  session.feed({std::span(tokens).first(2), {}}, std::span(&strange_lane, 1));
              }),
              ErrorCode::invalid_argument);
    EXPECT_EQ(code_of([&] {
                  session.feed({std::span(tokens).first(2), {}}, std::span(&whole, 1));
              }),
              ErrorCode::shape_mismatch);
    SessionOptions beyond;
    beyond.layer = 4;
    EXPECT_EQ(code_of([&] { Session(model, threads, beyond); }), ErrorCode::invalid_argument);

    Session bidirectional(make_model(kPh), threads, {});
    Piece const part{2, 0, true, false};
    EXPECT_EQ(code_of([&] {
                  bidirectional.feed({std::span(tokens).first(2), {}}, std::span(&part, 1));
              }),
              ErrorCode::unsupported);
    EXPECT_EQ(code_of([&] { bidirectional.save(0); }), ErrorCode::unsupported);
}

TEST(Session, AFeedThatIsRefusedLeavesThoseStartedBefore) {
    auto const model = make_model(kCausal);
    Threads threads(1);
    Session session(model, threads, {});
    EXPECT_EQ(code_of([&] { session.finish(); }), ErrorCode::invalid_argument);
    auto const record = random_tokens(40, 9);
    Piece const piece{40, 0, true, true};
    session.start({record, {}}, std::span(&piece, 1));
    Piece const longer{41, 0, true, true};
    EXPECT_EQ(code_of([&] { session.start({record, {}}, std::span(&longer, 1)); }), ErrorCode::shape_mismatch);
    EXPECT_EQ(code_of([&] { session.feed({record, {}}, std::span(&piece, 1)); }), ErrorCode::invalid_argument);
    EXPECT_EQ(session.finish().at(0).pooled, pooled_of(model, {record}, 1)[0]);
    EXPECT_EQ(code_of([&] { session.finish(); }), ErrorCode::invalid_argument);
}

} // namespace
} // namespace strandwave

#include "lib/cuda/gpus.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <set>

namespace strandwave {
namespace {

nlohmann::json bench(std::filesystem::path const& folder, std::filesystem::path const& model) {
    auto const run = run_program(folder, {"bench", model.string(), "--lengths", "50,64", "--runs", "1", "--threads",
                                          "2", "--decode-steps", "8", "--chunk", "300", "--device", "cpu", "--json",
                                          "bench.json", "--force"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_NE(run.out.find("prefill"), std::string::npos) << run.out;
    return nlohmann::json::parse(read_text(folder / "bench.json"));
}

TEST(BenchCommand, FiguresOfACausalModel) {
    TempDir const temp;
    auto const report = bench(temp.path(), make_dna_model(temp.path()));
    std::multiset<std::string> runs;
    for (auto const& row : report.at("results")) {
        runs.insert(row.at("run").get<std::string>() + " " + std::to_string(row.at("tokens").get<int>()) + " x" +
                    std::to_string(row.at("threads").get<int>()));
        EXPECT_GT(row.at("wall_s"), 0.0);
        EXPECT_GT(row.at("floor_tokens_per_s"), 0.0);
        EXPECT_GT(row.at("share_of_floor"), 0.0);
    }
    EXPECT_EQ(runs,
              (std::multiset<std::string>{"prefill 50 x1", "prefill 64 x1", "reads of 150 300 x1", "prefill 50 x2",
                                          "prefill 64 x2", "reads of 150 300 x2", "decode, 1 record 8 x1"}));
    std::set<std::string> ops;
    for (auto const& op : report.at("ops")) {
        ops.insert(op.at("op"));
        EXPECT_GT(op.at("seconds"), 0.0);
        EXPECT_EQ(op.at("calls"), 2); // layers
    }
    EXPECT_EQ(ops, (std::set<std::string>{"in_proj", "x_proj", "dt_proj", "out_proj", "selective_scan", "causal_conv1d",
                                          "rms_norm"}));
}

TEST(BenchCommand, BidirectionalModelsDoNotDecode) {
    TempDir const temp;
    auto const report = bench(temp.path(), make_caduceus_model(temp.path(), true));
    EXPECT_FALSE(report.contains("ops_decode"));
    for (auto const& op : report.at("ops")) {
        if (op.at("op") == "selective_scan") { EXPECT_EQ(op.at("calls"), 8); } // layers, strands, directions
        if (op.at("op") == "in_proj") { EXPECT_EQ(op.at("calls"), 4); }        // shared by the directions
    }
}

TEST(BenchCommand, OpsTakeAsManyRowsAsAskedFor) {
    TempDir const temp;
    auto const run = run_program(temp.path(), {"bench", "--lengths", "8", make_dna_model(temp.path()).string(),
                                               "--runs", "1", "--threads", "1", "--decode-steps", "1", "--rows", "40",
                                               "--device", "cpu", "--json", "bench.json"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    auto const report = nlohmann::json::parse(read_text(temp.path() / "bench.json"));
    for (auto const& op : report.at("ops")) {
        EXPECT_EQ(op.at("rows"), 40);
        EXPECT_EQ(op.at("in_floor"), op.at("floor_s") > 0.0);
    }
    EXPECT_EQ(report.at("device"), "cpu");
    EXPECT_FALSE(report.contains("ceilings"));
}

TEST(BenchCommand, FiguresOfAGpu) {
    auto const gpus = find_gpus();
    if (!gpus) { GTEST_SKIP() << "SKIPPED: no GPU: " << gpus.error().message(); }
    TempDir const temp;
    for (auto const& model : {make_dna_model(temp.path()), make_caduceus_model(temp.path(), true)}) {
        auto const run =
            run_program(temp.path(), {"bench", model.string(), "--lengths", "50,4096", "--runs", "1", "--decode-steps",
                                      "8", "--rows", "2048", "--device", "cuda:0", "--json", "bench.json", "--force"});
        ASSERT_EQ(run.exit_code, 0) << run.err;
        auto const report = nlohmann::json::parse(read_text(temp.path() / "bench.json"));
        std::set<std::string> ops;
        for (auto const& op : report.at("ops")) {
            ops.insert(op.at("op"));
            for (auto const* key : {"seconds", "calls", "bytes", "floor_s", "share_of_floor"}) {
                EXPECT_GT(op.at(key), 0.0) << op;
            }
        }
        EXPECT_EQ(ops, (std::set<std::string>{"embedding", "norm", "in_proj", "causal_conv1d", "x_proj", "dt_proj",
                                              "selective_scan", "out_proj", "final norm", "pooling"}));
        for (auto const* key : {"copy_bytes_per_s", "gemm_flop_per_s", "exponentials_per_s"}) {
            EXPECT_GT(report.at("ceilings").at(key), 1e9);
        }
        for (auto const& row : report.at("results")) {
            EXPECT_GT(row.at("tokens_per_s"), 0.0);
            EXPECT_GT(row.at("device_bytes"), 0);
        }
    }
}

TEST(BenchCommand, KeepsWhatIsThere) {
    TempDir const temp;
    write_text(temp.path() / "old.json", "mine");
    auto const run = run_program(temp.path(), {"bench", make_dna_model(temp.path()).string(), "--json", "old.json"});
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_EQ(read_text(temp.path() / "old.json"), "mine");
}

} // namespace
} // namespace strandwave

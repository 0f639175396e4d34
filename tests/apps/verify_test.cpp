#include "lib/checkpoint/safetensors.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <cstring>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

TEST(VerifyCommand, GoodModelsPass) {
    TempDir const temp;
    auto const& folder = temp.path();
    for (auto const& model : {make_dna_model(folder), make_frame_model(folder), make_caduceus_model(folder),
                              make_caduceus_model(folder, true)}) {
        auto const run = run_program(folder, {"verify", model.string()});
        EXPECT_EQ(run.exit_code, 0) << run.out << run.err;
        EXPECT_NE(run.out.find("packed among other records\t0\t0\tpass\n"), std::string::npos) << run.out;
        EXPECT_EQ(run.out.find("FAIL"), std::string::npos) << run.out;
    }
}

TEST(VerifyCommand, ChecksFitTheModel) {
    TempDir const temp;
    auto const causal = run_program(temp.path(), {"verify", make_dna_model(temp.path()).string(), "--length", "90"});
    EXPECT_NE(causal.out.find("pieces of 7 = one feed\t0\t0\tpass\n"), std::string::npos) << causal.out;
    EXPECT_EQ(causal.out.find("strands"), std::string::npos);
    auto const both = run_program(temp.path(), {"verify", make_caduceus_model(temp.path(), true).string()});
    EXPECT_EQ(both.out.find("pieces"), std::string::npos);
    EXPECT_NE(both.out.find("reverse complement exchanges the strands\t"), std::string::npos) << both.out;
}

TEST(VerifyCommand, ABrokenModelFails) {
    TempDir const temp;
    auto const model = make_dna_model(temp.path());
    {
        TensorStore const store = open_checkpoint(model);
        std::vector<TensorToWrite> tensors;
        auto weights = read_f32(*store.find("backbone.norm_f.weight"));
        weights[3] = std::numeric_limits<float>::quiet_NaN();
        for (auto const& [name, tensor] : store.tensors()) {
            bool const broken = name == "backbone.norm_f.weight";
            tensors.push_back(
                {name, tensor.dtype, tensor.shape, broken ? std::as_bytes(std::span(weights)) : tensor.bytes});
        }
        write_safetensors(model / "model.safetensors", tensors);
    }
    auto const run = run_program(temp.path(), {"verify", model.string()});
    EXPECT_EQ(run.exit_code, 1) << run.err;
    EXPECT_NE(run.out.find("\tinf\t0\tFAIL\n"), std::string::npos) << run.out;
}

} // namespace
} // namespace strandwave

#pragma once

#include "lib/checkpoint/safetensors.h"
#include "lib/model/model.h"
#include "tests/model/model_support.h"
#include "tests/support/temp_dir.h"

#include <cstring>
#include <gtest/gtest.h>

/// The published implementations' outputs on small random models; ../shared/golden/README.md says how they were made.
namespace strandwave::test {

struct GoldenModel {
    char const* folder;
    independent::Description description;
    bool classifier = false;
    bool pickle = false; ///< read pytorch_model.bin, not model.safetensors
};

inline std::ostream& operator<<(std::ostream& out, GoldenModel const& c) {
    return out << c.folder << (c.pickle ? " .bin" : "");
}

inline independent::Description mamba(index_t n_layer) {
    independent::Description d;
    d.n_layer = n_layer;
    return d;
}

inline independent::Description falcon_mamba(index_t n_layer) {
    independent::Description d = mamba(n_layer);
    d.mixer_rms_epsilon = 1e-6;
    return d;
}

inline independent::Description caduceus(index_t n_layer, bool rcps, bool fused) {
    independent::Description d = mamba(n_layer);
    d.caduceus = true;
    d.rcps = rcps;
    d.fused_add_norm = fused;
    d.residual_in_fp32 = false;
    d.complement = {0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15};
    return d;
}

/// The model and the inputs of its published run; skips where the checkout has no golden models beside it.
class GoldenFixture : public testing::TestWithParam<GoldenModel> {
protected:
    void SetUp() override {
        folder_ = std::filesystem::path(STRANDWAVE_SOURCE_DIR).parent_path() / "shared" / "golden" / GetParam().folder;
        if (!std::filesystem::exists(folder_)) { GTEST_SKIP() << "SKIPPED: no golden references in " << folder_; }
        read_safetensors(folder_ / "reference.safetensors", reference_);
        std::filesystem::copy(folder_ / "config.json", model_folder_.path());
        char const* const weights = GetParam().pickle ? "pytorch_model.bin" : "model.safetensors";
        std::filesystem::copy(folder_ / weights, model_folder_.path());
        model_ = Model::load(model_folder_.path(), options());
        auto const& ids = *reference_.find("input_ids");
        records_.resize(static_cast<std::size_t>(ids.shape[0]));
        length_ = ids.shape[1];
        std::vector<std::int64_t> all(static_cast<std::size_t>(ids.elements()));
        std::memcpy(all.data(), ids.bytes.data(), ids.bytes.size());
        for (std::size_t b = 0; b < records_.size(); ++b) {
            auto const first = all.begin() + static_cast<std::ptrdiff_t>(b) * length_;
            records_[b].tokens.assign(first, first + length_);
        }
    }

    virtual LoadOptions options() const { return load_options(); }

    bool causal() const { return !model_->config().bidirectional; }

    std::filesystem::path folder_;
    TempDir model_folder_;
    TensorStore reference_;
    std::shared_ptr<Model const> model_;
    Threads threads_{2};
    std::vector<Record> records_;
    index_t length_ = 0;
};

inline std::string golden_name(testing::TestParamInfo<GoldenModel> const& tested) {
    std::string name = tested.param.folder;
    std::replace(name.begin(), name.end(), '-', '_');
    return tested.param.pickle ? name + "_pickle" : name;
}

inline std::vector<GoldenModel> golden_models() {
    return {{"mamba1", mamba(4)},
            {"falcon_mamba", falcon_mamba(3)},
            {"caduceus-ph", caduceus(3, false, true)},
            {"caduceus-ph-unfused", caduceus(3, false, false)},
            {"caduceus-ps", caduceus(3, true, true)},
            {"caduceus-ps-unfused", caduceus(3, true, false)},
            {"caduceus-ph-classifier", caduceus(2, false, true), true},
            {"caduceus-ps-classifier", caduceus(2, true, true), true}};
}

/// The weights of some of them once more, as pickles; of mamba1 under the names of its authors.
inline std::vector<GoldenModel> golden_pickles() {
    return {{"mamba1-original-bin", mamba(4), false, true},
            {"caduceus-ph-classifier", caduceus(2, false, true), true, true},
            {"caduceus-ps-classifier", caduceus(2, true, true), true, true}};
}

} // namespace strandwave::test

#include "kernels/mamba_step/mamba_step_cuda.h"

#include "lib/core/random.h"
#include "tests/model/model_support.h"
#include "tests/support/gpu.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using test::relative_error;
using testing::GpuMatrix;
using testing::GuardedMatrix;

constexpr index_t kVocabulary = 7;
constexpr index_t kSlots = 3;
constexpr float kEpsilon = 1e-5F;

struct Shape {
    std::string name;
    index_t d_model, d_inner, d_state, d_conv, dt_rank;
    index_t n_layer = 2;
    bool biases = true; ///< of the convolution and of dt
};

std::ostream& operator<<(std::ostream& out, Shape const& shape) { return out << shape.name; }

std::vector<Shape> shapes() {
    return {{"dna", 256, 512, 16, 4, 16, 3},
            {"mamba_130m", 768, 1536, 16, 4, 48},
            {"mamba_370m", 1024, 2048, 16, 4, 64, 1},
            {"one_of_each", 1, 1, 1, 1, 1},
            {"small", 8, 16, 4, 4, 2, 4},
            {"odd", 13, 39, 5, 3, 3},
            {"without_biases", 24, 48, 16, 4, 2, 2, false},
            {"ranks_of_two_rows", 100, 300, 16, 2, 17},
            {"ranks_of_many_rows", 36, 72, 7, 4, 83},
            {"three_pairs_a_warp", 350, 700, 16, 4, 22},
            {"four_pairs_a_warp", 500, 1000, 15, 4, 32},
            {"eight_pairs_a_warp", 520, 1930, 16, 4, 33, 1},
            {"more_rows_than_channels", 1990, 60, 16, 4, 5}};
}

/// A layer's weights in host memory; those of the projections as the GPU gets them.
struct Layer {
    GuardedMatrix norm, in_proj, conv_weight, conv_bias, x_proj, dt_proj, dt_bias, A, D, out_proj;
};

struct Model {
    Model(Shape const& s_, DType dtype_) : s(s_), dtype(dtype_), embedding(kVocabulary, s.d_model), norm(1, s.d_model) {
        auto const around = [this](double center, double spread) {
            return [this, center, spread] { return center + spread * random.normal(); };
        };
        // Of an input of size 1, a product of size 1.
        auto const projection = [&](index_t out, index_t in) {
            GuardedMatrix m(out, in);
            m.fill(around(0.0, 1.0 / std::sqrt(static_cast<double>(in))));
            round_to(dtype, m);
            return m;
        };
        auto const other = [&](index_t rows, index_t cols, double center, double spread) {
            return std::move(GuardedMatrix(rows, cols).fill(around(center, spread)));
        };
        for (index_t i = 0; i < s.n_layer; ++i) {
            Layer layer;
            layer.norm = other(1, s.d_model, 1.0, 0.2);
            layer.in_proj = projection(2 * s.d_inner, s.d_model);
            layer.conv_weight = other(s.d_conv, s.d_inner, 0.0, 0.5);
            layer.conv_bias = other(1, s.biases ? s.d_inner : 0, 0.0, 0.3);
            layer.x_proj = projection(s.dt_rank + 2 * s.d_state, s.d_inner);
            layer.dt_proj = projection(s.d_inner, s.dt_rank);
            layer.dt_bias = other(1, s.biases ? s.d_inner : 0, -2.0, 1.5);
            layer.A = GuardedMatrix(s.d_state, s.d_inner);
            layer.A.fill([&] { return -std::exp(0.5 + random.normal()); });
            layer.D = other(1, s.d_inner, 1.0, 0.5);
            layer.out_proj = projection(s.d_model, s.d_inner);
            layers.push_back(std::move(layer));
        }
        embedding.fill(around(0.0, 1.0));
        norm.fill(around(1.0, 0.2));
    }

    MambaStepShape shape() const { return {dtype, s.n_layer, s.d_model, s.d_inner, s.d_state, s.d_conv, s.dt_rank}; }
    index_t conv_floats() const { return (s.d_conv - 1) * s.d_inner; } ///< of a slot and layer
    index_t scan_floats() const { return s.d_state * s.d_inner; }

    Shape s;
    DType dtype;
    Random random{11};
    std::vector<Layer> layers;
    GuardedMatrix embedding, norm;
};

/// The step as its contract says it, one after the other, in the arithmetic of Real.
template <class Real>
class Reference {
public:
    explicit Reference(Model& model)
        : model_(model), s_(model.s), conv_(static_cast<std::size_t>(s_.n_layer * model.conv_floats())),
          scan_(static_cast<std::size_t>(s_.n_layer * model.scan_floats())) {}

    std::vector<Real> step(std::int32_t token) {
        std::vector<Real> x = row(model_.embedding, token);
        for (index_t i = 0; i < s_.n_layer; ++i) {
            auto& layer = model_.layers[static_cast<std::size_t>(i)];
            auto const xz = product(layer.in_proj, normed(x, layer.norm));
            auto const y =
                mix(layer, xz, conv_.data() + i * model_.conv_floats(), scan_.data() + i * model_.scan_floats());
            auto const out = product(layer.out_proj, y);
            for (std::size_t c = 0; c < x.size(); ++c) {
                x[c] += out[c];
            }
        }
        return normed(x, model_.norm);
    }

    std::vector<Real> const& conv() const { return conv_; }
    std::vector<Real> const& scan() const { return scan_; }

private:
    static std::vector<Real> row(GuardedMatrix& m, index_t r) {
        auto const view = m.view();
        return {view.row(r), view.row(r) + view.cols};
    }
    static std::vector<Real> product(GuardedMatrix& m, std::vector<Real> const& x) {
        std::vector<Real> result;
        for (index_t r = 0; r < m.view().rows; ++r) {
            Real sum = 0;
            for (index_t c = 0; c < m.view().cols; ++c) {
                sum += static_cast<Real>(m.view()(r, c)) * x[static_cast<std::size_t>(c)];
            }
            result.push_back(sum);
        }
        return result;
    }
    static Real silu(Real v) { return v / (1 + std::exp(-v)); }

    std::vector<Real> normed(std::vector<Real> const& x, GuardedMatrix& weight) const {
        Real squares = 0;
        for (Real const v : x) {
            squares += v * v;
        }
        Real const scale = 1 / std::sqrt(squares / static_cast<Real>(s_.d_model) + static_cast<Real>(kEpsilon));
        std::vector<Real> result;
        for (std::size_t c = 0; c < x.size(); ++c) {
            result.push_back(x[c] * scale * static_cast<Real>(weight.data()[c]));
        }
        return result;
    }

    std::vector<Real> mix(Layer& layer, std::vector<Real> const& xz, Real* conv, Real* scan) const {
        index_t const E = s_.d_inner;
        auto const at = [&](index_t e) { return static_cast<std::size_t>(e); };
        std::vector<Real> u;
        for (index_t e = 0; e < E; ++e) {
            Real sum = s_.biases ? static_cast<Real>(layer.conv_bias.data()[e]) : 0;
            for (index_t k = 0; k < s_.d_conv; ++k) {
                bool const last = k + 1 == s_.d_conv;
                Real const input = last ? xz[at(e)] : conv[k * E + e];
                sum += static_cast<Real>(layer.conv_weight.view()(k, e)) * input;
                if (k > 0) { conv[(k - 1) * E + e] = input; }
            }
            u.push_back(silu(sum));
        }
        auto const dbc = product(layer.x_proj, u);
        auto const delta = product(layer.dt_proj, {dbc.begin(), dbc.begin() + s_.dt_rank});
        Real const* const B = dbc.data() + s_.dt_rank;
        std::vector<Real> y;
        for (index_t e = 0; e < E; ++e) {
            Real const dt =
                std::log1p(std::exp(delta[at(e)] + (s_.biases ? static_cast<Real>(layer.dt_bias.data()[e]) : 0)));
            Real sum = static_cast<Real>(layer.D.data()[e]) * u[at(e)];
            for (index_t n = 0; n < s_.d_state; ++n) {
                Real& h = scan[n * E + e];
                h = std::exp(dt * static_cast<Real>(layer.A.view()(n, e))) * h + dt * B[n] * u[at(e)];
                sum += B[s_.d_state + n] * h;
            }
            y.push_back(sum * silu(xz[at(E + e)]));
        }
        return y;
    }

    Model& model_;
    Shape const& s_;
    std::vector<Real> conv_;
    std::vector<Real> scan_;
};

/// A model's weights on the GPU, carried state, and what comes out.
class OnGpu {
public:
    explicit OnGpu(Model& model)
        : model_(model), embedding_(put(model.embedding)), norm_(put(model.norm)),
          normed(DType::f32, 1, model.s.d_model), conv(DType::f32, model.s.n_layer, kSlots * model.conv_floats()),
          scan(DType::f32, model.s.n_layer, kSlots * model.scan_floats()) {
        std::vector<MambaStepLayer> layers;
        for (auto& layer : model.layers) {
            layers.push_back({put(layer.norm), put(layer.in_proj, model.dtype), put(layer.conv_weight),
                              put(layer.conv_bias), put(layer.x_proj, model.dtype), put(layer.dt_proj, model.dtype),
                              put(layer.dt_bias), put(layer.A), put(layer.D), put(layer.out_proj, model.dtype)});
        }
        weights_ = std::make_unique<MambaStepWeights>(model.shape(), layers, norm_, kEpsilon);
    }

    MambaStepArgs args(std::int32_t token, std::int32_t initial, std::int32_t final) const {
        MambaStepArgs a;
        a.embedding = embedding_;
        a.token = token;
        a.conv_state = conv.data();
        a.scan_state = scan.data();
        a.slots = kSlots;
        a.initial = initial;
        a.final = final;
        a.normed = normed.data();
        return a;
    }

    std::vector<float> step(MambaStepArgs const& a) const {
        mamba_step_cuda(*weights_, a, nullptr);
        auto values = normed.values();
        normed.expect_guards("normed");
        conv.expect_guards("conv state");
        scan.expect_guards("scan state");
        return values;
    }
    std::vector<float> step(std::int32_t token, std::int32_t initial, std::int32_t final) const {
        return step(args(token, initial, final));
    }

    /// The states of a slot, layer by layer.
    static std::vector<float> slot(GpuMatrix const& state, index_t slot, index_t floats) {
        auto const all = state.values();
        std::vector<float> values;
        for (auto from = all.begin() + slot * floats; from < all.end(); from += kSlots * floats) {
            values.insert(values.end(), from, from + floats);
        }
        return values;
    }

private:
    /// Null for what a model has not.
    float const* put(GuardedMatrix& m) { return static_cast<float const*>(put(m, DType::f32)); }
    void const* put(GuardedMatrix& m, DType dtype) {
        if (m.view().cols == 0) { return nullptr; }
        matrices_.emplace_back(dtype, m.view().rows, m.view().cols).put(m.view());
        return matrices_.back().data();
    }

    Model& model_;
    std::vector<GpuMatrix> matrices_;
    float const* embedding_;
    float const* norm_;
    std::unique_ptr<MambaStepWeights> weights_;

public:
    GpuMatrix normed, conv, scan;
};

class MambaStepCuda : public testing::GpuTest, public ::testing::WithParamInterface<std::tuple<Shape, DType>> {
protected:
    void SetUp() override {
        GpuTest::SetUp();
        if (IsSkipped()) { return; }
        model_ = std::make_unique<Model>(std::get<Shape>(GetParam()), std::get<DType>(GetParam()));
        if (!MambaStepWeights::fit({DType::f32, 1, 8, 16, 4, 4, 2})) {
            GTEST_SKIP() << "SKIPPED: the GPU has no clusters of thread blocks";
        }
        bool const fits = MambaStepWeights::fit(model_->shape());
        if (!fits && model_->s.d_inner > 1024) { GTEST_SKIP() << "SKIPPED: the GPU has no clusters of 16 blocks"; }
        ASSERT_TRUE(fits);
        gpu_ = std::make_unique<OnGpu>(*model_);
    }

    /// In fp32 at most twice the error of plain loops, and that of exponentials (2e-7), of which a layer has four one
    /// behind the other. With bf16 weights, where exponentials are the special function unit's: the rounding of each
    /// term of a layer's chain of sums.
    template <class Plain>
    void expect_close(std::vector<float> const& ours, std::vector<double> const& truth, std::vector<Plain> const& plain,
                      char const* what) const {
        auto const& s = model_->s;
        auto const layers = static_cast<double>(s.n_layer);
        double const exact = 2 * relative_error(plain, truth) + layers * 4 * 2e-7;
        double const terms = layers * static_cast<double>(s.d_model + 2 * s.d_inner + s.dt_rank);
        double const fast = exact + terms * static_cast<double>(std::numeric_limits<float>::epsilon());
        double const bound = model_->dtype == DType::f32 ? exact : fast;
        EXPECT_LE(relative_error(ours, truth), bound) << what;
    }

    std::unique_ptr<Model> model_;
    std::unique_ptr<OnGpu> gpu_;
};

TEST_P(MambaStepCuda, EqualsTheOpsOneAfterTheOther) {
    Reference<double> exact(*model_);
    Reference<float> plain(*model_);
    // A record that starts, changes slots, stays in one, and ends.
    std::vector<std::pair<std::int32_t, std::int32_t>> const slots = {{-1, 1}, {1, 0}, {0, 0}, {0, 0}, {0, 2}, {2, -1}};
    std::int32_t token = 3;
    for (auto const& [initial, final] : slots) {
        SCOPED_TRACE(std::to_string(initial) + " to " + std::to_string(final));
        auto const others = [&] {
            std::vector<std::vector<std::byte>> bits;
            for (GpuMatrix const* state : {&gpu_->conv, &gpu_->scan}) {
                index_t const floats = state == &gpu_->conv ? model_->conv_floats() : model_->scan_floats();
                for (std::int32_t i = 0; i < kSlots; ++i) {
                    if (i == final) { continue; }
                    auto const values = OnGpu::slot(*state, i, floats);
                    auto const bytes = std::as_bytes(std::span(values));
                    bits.emplace_back(bytes.begin(), bytes.end());
                }
            }
            return bits;
        };
        auto const before = others();
        auto const ours = gpu_->step(token, initial, final);
        EXPECT_EQ(others(), before) << "another slot was written to";
        auto const truth = exact.step(token);
        auto const loops = plain.step(token);
        expect_close(ours, truth, loops, "normed");
        if (final >= 0) {
            expect_close(OnGpu::slot(gpu_->conv, final, model_->conv_floats()), exact.conv(), plain.conv(),
                         "conv state");
            expect_close(OnGpu::slot(gpu_->scan, final, model_->scan_floats()), exact.scan(), plain.scan(),
                         "scan state");
        }
        token = static_cast<std::int32_t>((token + 5) % kVocabulary);
    }
}

TEST_P(MambaStepCuda, TwiceTheSameBits) {
    std::vector<std::vector<std::byte>> first;
    for (int run = 0; run < 3; ++run) {
        std::vector<std::vector<std::byte>> bits;
        for (std::int32_t t = 0; t < 6; ++t) {
            gpu_->normed.poison();
            gpu_->step(t, t == 0 ? -1 : 0, 0);
            bits.push_back(gpu_->normed.bits());
        }
        if (run == 0) { first = bits; }
        EXPECT_EQ(bits, first);
    }
}

/// As pool_accumulate has it, to the bit.
TEST_P(MambaStepCuda, Pools) {
    index_t const d = model_->s.d_model;
    for (auto const pooling : {Pooling::mean, Pooling::max, Pooling::first, Pooling::last}) {
        SCOPED_TRACE(static_cast<int>(pooling));
        std::vector<double> expected(static_cast<std::size_t>(d));
        DeviceArray<double> const state(d);
        fill_bytes(state.data(), 0xff, d * static_cast<index_t>(sizeof(double)), nullptr);
        PinnedArray<double> const pooled(d);
        for (std::int32_t t = 0; t < 4; ++t) {
            auto args = gpu_->args(t, t == 0 ? -1 : 0, 0);
            args.pooling = pooling;
            args.seen = t;
            args.pool_state = state.data();
            args.pooled = pooled.data();
            auto const normed = gpu_->step(args); // waits
            pool_accumulate(pooling, testing::as_view(normed, 1, d), t, {expected.data(), d});
            ASSERT_EQ(testing::download(state.data(), d), expected) << "after row " << t;
            ASSERT_EQ(std::vector<double>(pooled.data(), pooled.data() + d), expected) << "after row " << t;
        }
    }
}

TEST_P(MambaStepCuda, WritesToTheHostOrNowhere) {
    auto const on_gpu = gpu_->step(1, -1, -1);
    gpu_->normed.poison();
    auto args = gpu_->args(1, -1, -1);
    PinnedArray<float> const normed(model_->s.d_model);
    args.normed = normed.data();
    gpu_->step(args); // waits
    EXPECT_EQ(std::vector<float>(normed.data(), normed.data() + normed.size()), on_gpu);
    args.normed = nullptr;
    gpu_->step(args);
    gpu_->normed.expect_row_untouched(0);
}

std::string test_name(::testing::TestParamInfo<std::tuple<Shape, DType>> const& tested) {
    return std::get<Shape>(tested.param).name + "_" + std::string(dtype_name(std::get<DType>(tested.param)));
}

class MambaStepShapes : public testing::GpuTest {};

TEST_F(MambaStepShapes, RefusesWhatDoesNotFit) {
    MambaStepShape const fits{DType::bf16, 16, 256, 512, 16, 4, 16};
    auto const refused = [&](auto const& change) {
        MambaStepShape shape = fits;
        change(shape);
        return !MambaStepWeights::fit(shape);
    };
    EXPECT_TRUE(refused([](MambaStepShape& s) { s.d_state = 17; }));
    EXPECT_TRUE(refused([](MambaStepShape& s) { s.d_conv = 5; }));
    EXPECT_TRUE(refused([](MambaStepShape& s) { s.d_inner = 4096; }));
    EXPECT_TRUE(refused([](MambaStepShape& s) { s.dtype = DType::f16; }));
    MambaStepShape wide = fits;
    wide.d_inner = 4096;
    EXPECT_THROW(MambaStepWeights(wide, std::vector<MambaStepLayer>(16), nullptr, kEpsilon), Error);
}

INSTANTIATE_TEST_SUITE_P(Shapes, MambaStepCuda,
                         ::testing::Combine(::testing::ValuesIn(shapes()), ::testing::Values(DType::f32, DType::bf16)),
                         test_name);

} // namespace
} // namespace strandwave

#include "kernels/adamw/adamw_cuda.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace strandwave {
namespace {

using testing::download;
using testing::GpuMatrix;
using testing::GuardedMatrix;

class AdamWCuda : public testing::GpuTest {};

/// The same vectors on both processors; blocks take turns in being trained and decaying.
struct Problem {
    explicit Problem(index_t blocks)
        : count(blocks * kParameterBlock), parameters(1, count), gradients(1, count), moment1(1, count),
          moment2(1, count), average(1, count), working(static_cast<std::size_t>(count)),
          gpu_parameters(DType::f32, 1, count), gpu_gradients(DType::f32, 1, count), gpu_moment1(DType::f32, 1, count),
          gpu_moment2(DType::f32, 1, count), gpu_average(DType::f32, 1, count), gpu_working(DType::bf16, 1, count),
          gpu_norm(1), scratch(squared_norm_scratch_doubles()) {
        Random random(7);
        for (index_t block = 0; block < blocks; ++block) {
            flags.push_back(static_cast<std::uint8_t>((block + 3) % 4));
        }
        parameters.fill([&] { return random.normal(); });
        moment1.fill([&] { return 0.1 * random.normal(); });
        moment2.fill([&] { return 0.1 * random.uniform(); });
        average.fill([&] { return random.normal(); });
        gpu_average.put(average.view());
        gpu_flags = upload(flags.data(), blocks);
        gpu_parameters.put(parameters.view());
        gpu_moment1.put(moment1.view());
        gpu_moment2.put(moment2.view());
    }

    void draw_gradients(int t) {
        Random random(static_cast<std::uint64_t>(t));
        gradients.fill([&] { return std::pow(10.0, random.uniform(-6.0, 0.0)) * random.normal(); });
        gpu_gradients.put(gradients.view());
        step.average_rate = 1.0F / static_cast<float>(t + 1);
        step.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(step.beta1), t));
        step.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(step.beta2), t));
        squared_norm(gradients.data(), flags.data(), count, &norm);
    }

    void run_cpu() {
        adamw({parameters.data(), gradients.data(), moment1.data(), moment2.data(), flags.data(), count, &step, &norm,
               working.data(), average.data()});
    }
    /// With the norm of the processor, which is summed in another order.
    void run_gpu() {
        auto const gpu_step = upload(&step, 1);
        auto const given_norm = upload(&norm, 1);
        adamw_cuda({gpu_parameters.data(), gpu_gradients.data(), gpu_moment1.data(), gpu_moment2.data(),
                    gpu_flags.data(), count, gpu_step.data(), given_norm.data(), gpu_working.view().as<bf16_t>(),
                    gpu_average.data()},
                   nullptr);
        wait_for_gpu();
    }

    void expect_same_bits() {
        expect_same(parameters, gpu_parameters, "parameters");
        expect_same(moment1, gpu_moment1, "moment1");
        expect_same(moment2, gpu_moment2, "moment2");
        expect_same(average, gpu_average, "average");
        auto const rounded = download(gpu_working.view().as<bf16_t>(), count);
        for (std::size_t i = 0; i < rounded.size(); ++i) {
            ASSERT_EQ(rounded[i].bits, working[i].bits) << "working copy, element " << i;
        }
        gpu_working.expect_guards("working copy");
    }
    void expect_same(GuardedMatrix& cpu, GpuMatrix const& gpu, char const* what) const {
        EXPECT_EQ(gpu.values(), std::vector<float>(cpu.data(), cpu.data() + count)) << what;
        gpu.expect_guards(what);
    }

    index_t count;
    std::vector<std::uint8_t> flags;
    AdamWStep step{.learning_rate = 0.01F, .weight_decay = 0.1F, .max_norm = 0.7F};
    double norm = 0;
    GuardedMatrix parameters, gradients, moment1, moment2, average;
    std::vector<bf16_t> working;
    GpuMatrix gpu_parameters, gpu_gradients, gpu_moment1, gpu_moment2, gpu_average, gpu_working;
    DeviceArray<std::uint8_t> gpu_flags;
    DeviceArray<double> gpu_norm, scratch;
};

TEST_F(AdamWCuda, HasTheBitsOfTheProcessor) {
    for (index_t const blocks : {1, 3, 16, 17, 1000}) {
        SCOPED_TRACE(blocks);
        Problem p(blocks);
        for (int t = 1; t <= 6; ++t) {
            p.step.max_norm = t % 2 == 0 ? 0.7F : 0.0F;
            p.draw_gradients(t);
            p.run_cpu();
            p.run_gpu();
        }
        p.expect_same_bits();
    }
}

/// More blocks than a grid has threads for.
TEST_F(AdamWCuda, GoesRoundForLongVectors) {
    Problem p(40000);
    p.draw_gradients(1);
    p.run_cpu();
    p.run_gpu();
    p.expect_same_bits();
}

TEST_F(AdamWCuda, SumsSquaresOfTrainableBlocks) {
    for (index_t const blocks : {1, 5, 700, 40000}) {
        Problem p(blocks);
        p.draw_gradients(1);
        std::vector<double> runs;
        for (int run = 0; run < 3; ++run) {
            squared_norm_cuda(p.gpu_gradients.data(), p.gpu_flags.data(), p.count, p.gpu_norm.data(), p.scratch.data(),
                              nullptr);
            runs.push_back(download(p.gpu_norm.data(), 1)[0]);
        }
        EXPECT_EQ(runs, std::vector<double>(3, runs[0]));
        // All terms are positive: additions in double, 2^-53 each, in two orders.
        EXPECT_NEAR(runs[0], p.norm, std::ldexp(2.0 * static_cast<double>(p.count) * p.norm, -53));
    }
    Problem p(2);
    squared_norm_cuda(nullptr, nullptr, 0, p.gpu_norm.data(), p.scratch.data(), nullptr);
    EXPECT_EQ(download(p.gpu_norm.data(), 1)[0], 0.0);
}

TEST_F(AdamWCuda, AStepThatOverflowedIsLeftOut) {
    Problem p(4);
    p.draw_gradients(1);
    auto const before = p.gpu_parameters.bits();
    auto const moments = p.gpu_moment1.bits();
    p.norm = std::numeric_limits<double>::infinity();
    p.run_cpu();
    p.run_gpu();
    EXPECT_EQ(p.gpu_parameters.bits(), before);
    EXPECT_EQ(p.gpu_moment1.bits(), moments);
    p.expect_same_bits(); // the working copy is written
}

TEST_F(AdamWCuda, NeedsNeitherNormNorWorkingCopyNorAverage) {
    Problem p(4);
    p.step.max_norm = 0;
    p.draw_gradients(1);
    p.run_cpu();
    auto const gpu_step = upload(&p.step, 1);
    adamw_cuda({p.gpu_parameters.data(), p.gpu_gradients.data(), p.gpu_moment1.data(), p.gpu_moment2.data(),
                p.gpu_flags.data(), p.count, gpu_step.data(), nullptr, nullptr},
               nullptr);
    p.expect_same(p.parameters, p.gpu_parameters, "parameters");
    adamw_cuda({}, nullptr);
}

/// Refused on the host: needs no GPU.
TEST(AdamWCudaArguments, RefusesAPartOfABlock) {
    AdamWArgs args;
    args.count = 100;
    EXPECT_THROW(adamw_cuda(args, nullptr), Error);
    EXPECT_THROW(squared_norm_cuda(nullptr, nullptr, 100, nullptr, nullptr, nullptr), Error);
}

} // namespace
} // namespace strandwave

#include "kernels/cross_entropy/cross_entropy_cuda.h"

#include "kernels/cross_entropy/cross_entropy_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::download;
using testing::GpuMatrix;
using testing::GuardedMatrix;

class CrossEntropyCuda : public testing::GpuTest {};

constexpr DType kTypes[] = {DType::f32, DType::bf16};
/// All team sizes of the kernels, and sizes that do not fill them.
constexpr index_t kClasses[] = {1, 2, 5, 16, 32, 33, 256, 1000, 2048, 2049, 60000};
constexpr float kScale = 0.37F;

std::vector<double> elements(View<float const, 2> matrix) {
    std::vector<double> all;
    for (index_t r = 0; r < matrix.rows; ++r) {
        all.insert(all.end(), matrix.row(r), matrix.row(r) + matrix.cols);
    }
    return all;
}

double largest_size(View<float const, 2> matrix) {
    double largest = 0;
    for (double const value : elements(matrix)) {
        largest = std::max(largest, std::abs(value));
    }
    return largest;
}

/// Relative error of a softmax in units of 2^-24, for logits within M. Strands: logits are rounded sums within 2 M,
/// which lie 4 M apart; both go through the exponential of a value and through those of the sum. A thread adds up to
/// `chain` of them, each with an exponential (two units in the last place, 4 here), a rescaling (a product, and
/// exponentials whose arguments add up to 4 M) and a sum; then eight steps put the threads together.
double softmax_error(index_t classes, double M) {
    auto const chain = static_cast<double>(classes <= 32 ? 4 : classes <= 2048 ? 64 : classes / 256 + 1);
    return 16 * M + 6 * chain + 100;
}

/// Results on the GPU next to what they are compared with.
struct Outcome {
    LossSums sums;
    std::vector<float> gradient;
    std::vector<std::byte> bits;

    void expect_within(DType dtype, std::vector<double> const& exact, std::vector<double> const& bounds) const {
        for (std::size_t i = 0; i < exact.size(); ++i) {
            double bound = bounds[i];
            if (dtype == DType::bf16) { bound += testing::half_ulp_of_bf16(std::abs(exact[i]) + bound); }
            ASSERT_LE(std::abs(static_cast<double>(gradient[i]) - exact[i]), bound)
                << "element " << i << " should be " << exact[i];
        }
    }
};

void expect_same(LossSums const& a, LossSums const& b) {
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.correct, b.correct);
    EXPECT_EQ(a.count, b.count);
}

/// Rows with targets and without. With strands every second row of the first half is a base whose other strand is as
/// far from the end; some bases have one strand only.
struct Problem {
    Problem(DType dtype, index_t rows_, index_t classes_, bool strands)
        : rows(rows_), classes(classes_), logits(rows, classes), targets(static_cast<std::size_t>(rows)),
          gpu_logits(DType::f32, rows, classes, 3), dlogits(dtype, rows, classes, 2), sums(1),
          scratch(loss_scratch_doubles()) {
        Random random(6);
        logits.fill([&] { return 3.0 * random.normal(); });
        for (auto& target : targets) {
            auto const draw = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(classes)));
            target = random.uniform() < 0.3 ? -100 : draw;
        }
        if (strands) { add_strands(); }
        gpu_logits.put(logits.view());
        gpu_targets = upload(targets.data(), rows);
        gpu_mates = upload(mates.data(), static_cast<index_t>(mates.size()));
        gpu_complement = upload(complement.data(), static_cast<index_t>(complement.size()));
        scale = upload(&kScale, 1);
    }

    void add_strands() {
        mates.assign(targets.size(), -1);
        complement.resize(static_cast<std::size_t>(classes));
        std::iota(complement.rbegin(), complement.rend(), 0);
        for (std::size_t row = 0; row < targets.size() / 2; row += 2) {
            std::size_t const mate = targets.size() - 1 - row;
            mates[row] = static_cast<std::int32_t>(mate);
            mates[mate] = static_cast<std::int32_t>(row);
            if (targets[row] >= 0) { targets[mate] = -1; }
        }
    }

    CrossEntropyArgs host() { return {logits.view(), targets, mates, complement, kScale, {}}; }
    CrossEntropyCudaArgs args() const {
        return {.logits = gpu_logits.view(),
                .targets = gpu_targets.data(),
                .mates = gpu_mates.data(),
                .complement = gpu_complement.data(),
                .scale = scale.data(),
                .dlogits = dlogits.view(),
                .sums = sums.data(),
                .scratch = scratch.data()};
    }
    LossSums run(CrossEntropyCudaArgs const& with) const {
        fill_bytes(sums.data(), 0xff, sizeof(LossSums), nullptr); // must not matter
        cross_entropy_cuda(with, nullptr);
        return download(sums.data(), 1)[0];
    }
    Outcome run() {
        dlogits.poison();
        auto const result = run(args());
        dlogits.expect_guards("dlogits");
        return {result, dlogits.values(), dlogits.bits()};
    }

    void expect_right(DType dtype) {
        auto const exact = cross_entropy_reference<double>(elements(logits.view()), host());
        auto const outcome = run();
        double const largest = largest_size(logits.view());
        double const error = softmax_error(classes, largest);
        std::vector<double> bounds;
        for (double const g : exact.gradient) {
            // p is |g| or, for the target, scale - |g|; the difference of p and 1 and the product round once more.
            double const p = g < 0 ? static_cast<double>(kScale) + g : g;
            bounds.push_back(std::ldexp(p * error + 2 * std::abs(g), -24));
        }
        outcome.expect_within(dtype, exact.gradient, bounds);
        auto const wanted = cross_entropy(host());
        EXPECT_EQ(outcome.sums.count, wanted.count);
        EXPECT_EQ(outcome.sums.correct, wanted.correct);
        // The logarithm has the relative error of its argument, and two logits are rounded sums.
        EXPECT_NEAR(outcome.sums.loss, exact.loss, std::ldexp(static_cast<double>(rows) * (error + 4 * largest), -24));
    }

    index_t rows, classes;
    GuardedMatrix logits;
    std::vector<std::int32_t> targets, mates, complement;
    GpuMatrix gpu_logits, dlogits;
    DeviceArray<std::int32_t> gpu_targets, gpu_mates, gpu_complement;
    DeviceArray<float> scale;
    DeviceArray<LossSums> sums;
    DeviceArray<double> scratch;
};

template <class Body>
void for_each_kind(Body const& body) {
    for (auto const dtype : kTypes) {
        for (bool const strands : {false, true}) {
            SCOPED_TRACE(std::string(dtype_name(dtype)) + (strands ? ", strands" : ""));
            body(dtype, strands);
        }
    }
}

TEST_F(CrossEntropyCuda, IsWithinTheBoundOfASoftmax) {
    for_each_kind([](DType dtype, bool strands) {
        for (index_t const classes : kClasses) {
            SCOPED_TRACE(std::to_string(classes) + " classes");
            Problem(dtype, 1, classes, strands).expect_right(dtype);
            Problem(dtype, 23, classes, strands).expect_right(dtype);
        }
        // More rows than a grid has teams for: 1024 thread blocks of 32, 8 or 1.
        Problem(dtype, 70001, 5, strands).expect_right(dtype);
        Problem(dtype, 9001, 40, strands).expect_right(dtype);
        Problem(dtype, 1100, 2100, strands).expect_right(dtype);
    });
}

TEST_F(CrossEntropyCuda, RunsPlacesAndEvaluationGiveTheSameBits) {
    for (bool const strands : {false, true}) {
        for (index_t const classes : kClasses) {
            SCOPED_TRACE(classes);
            Problem p(DType::f32, classes < 3000 ? 300 : 7, classes, strands);
            auto const first = p.run();
            auto const second = p.run();
            EXPECT_EQ(second.bits, first.bits);
            expect_same(second.sums, first.sums);
            auto args = p.args();
            args.dlogits = {};
            expect_same(p.run(args), first.sums);
            args.dlogits = args.logits;
            expect_same(p.run(args), first.sums);
            EXPECT_EQ(p.gpu_logits.bits(), first.bits);
            p.gpu_logits.expect_guards("logits");
        }
    }
}

TEST_F(CrossEntropyCuda, ARowsGradientDoesNotDependOnOthers) {
    for (index_t const classes : {16, 100, 3000}) {
        Problem p(DType::f32, 40, classes, false);
        auto const all = p.run();
        auto args = p.args();
        p.dlogits.poison();
        args.logits = args.logits.rows_from(17, 1);
        args.dlogits = args.dlogits.rows_from(17, 1);
        args.targets += 17;
        args.mates = nullptr;
        p.run(args);
        std::vector<std::byte> const wanted(all.bits.begin() + 17 * classes * 4, all.bits.begin() + 18 * classes * 4);
        EXPECT_EQ(p.dlogits.bits(17, 1), wanted);
        p.dlogits.expect_row_untouched(16);
        p.dlogits.expect_row_untouched(18);
    }
}

TEST_F(CrossEntropyCuda, NoRowsAndAStrangeTargetAreSeen) {
    Problem p(DType::f32, 4, 10, false);
    auto args = p.args();
    args.logits = args.logits.rows_from(0, 0);
    args.dlogits = args.dlogits.rows_from(0, 0);
    expect_same(p.run(args), {});
    std::vector<std::int32_t> const strange{1, 10, -1, -1};
    p.gpu_targets = upload(strange.data(), 4);
    EXPECT_TRUE(std::isnan(p.run(p.args()).loss));
}

TEST_F(CrossEntropyCuda, WithoutAScaleItIsOne) {
    Problem p(DType::f32, 3, 8, false);
    p.logits.fill([] { return 2.5; });
    p.gpu_logits.put(p.logits.view());
    p.targets = {7, 0, -1};
    p.gpu_targets = upload(p.targets.data(), 3);
    auto args = p.args();
    args.scale = nullptr;
    auto const sums = p.run(args);
    EXPECT_DOUBLE_EQ(sums.loss, 2 * std::log(8.0));
    EXPECT_EQ(sums.correct, 1.0); // the first of equal ones
    EXPECT_EQ(p.dlogits.values()[7], 0.125F - 1.0F);
    EXPECT_EQ(p.dlogits.values()[6], 0.125F);
}

struct RowProblem {
    RowProblem(DType dtype, index_t rows_, index_t cols_)
        : rows(rows_), cols(cols_), y(rows, cols), targets(rows, cols), host_dy(rows, cols),
          gpu_y(DType::f32, rows, cols, 1), gpu_targets(DType::f32, rows, cols, 2), dy(dtype, rows, cols, 3),
          scale(upload(&kScale, 1)), sums(1), scratch(loss_scratch_doubles()) {
        Random random(5);
        y.fill([&] { return 2.0 * random.normal(); });
        targets.fill([&] { return random.uniform(); });
        for (index_t k = 0; rows > 3 && k < cols; ++k) {
            targets.view()(2, k) = 0.0F; // does not count
        }
        gpu_y.put(y.view());
        gpu_targets.put(targets.view());
    }

    RowLossArgs host() { return {y.view(), targets.view(), kScale, host_dy.view()}; }
    RowLossCudaArgs args() const {
        return {.y = gpu_y.view(),
                .targets = gpu_targets.view(),
                .scale = scale.data(),
                .dy = dy.view(),
                .sums = sums.data(),
                .scratch = scratch.data()};
    }
    template <class Op>
    Outcome run(Op const& op) {
        dy.poison();
        fill_bytes(sums.data(), 0xff, sizeof(LossSums), nullptr);
        op(args(), nullptr);
        dy.expect_guards("dy");
        return {download(sums.data(), 1)[0], dy.values(), dy.bits()};
    }
    template <class Op>
    void expect_same_everywhere(Op const& op, Outcome const& outcome) {
        auto with = args();
        with.dy = {};
        op(with, nullptr);
        expect_same(download(sums.data(), 1)[0], outcome.sums);
        auto const again = run(op);
        expect_same(again.sums, outcome.sums);
        EXPECT_EQ(again.bits, outcome.bits);
        if (dy.view().dtype == DType::bf16) { return; }
        with.dy = with.y;
        op(with, nullptr);
        EXPECT_EQ(gpu_y.bits(), outcome.bits);
    }

    index_t rows, cols;
    GuardedMatrix y, targets, host_dy;
    GpuMatrix gpu_y, gpu_targets, dy;
    DeviceArray<float> scale;
    DeviceArray<LossSums> sums;
    DeviceArray<double> scratch;
};

TEST_F(CrossEntropyCuda, OfSoftTargetsIsWithinTheBoundOfASoftmax) {
    for (auto const dtype : kTypes) {
        for (index_t const cols : {1, 2, 10, 33, 300, 3000}) {
            for (index_t const rows : {1, 7, 1100}) {
                SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
                RowProblem p(dtype, rows, cols);
                auto const exact = soft_cross_entropy_reference<double>(elements(p.y.view()), p.host());
                auto const wanted = soft_cross_entropy(p.host());
                auto const outcome = p.run(soft_cross_entropy_cuda);
                // Beside that of the softmax the error of the sum of a row's targets, which are positive, and three
                // roundings of what may be as large as both terms of the gradient.
                double const error = 2 * softmax_error(cols, largest_size(p.y.view()));
                std::vector<double> bounds;
                for (std::size_t i = 0; i < exact.gradient.size(); ++i) {
                    auto const at = static_cast<index_t>(i);
                    double const t =
                        static_cast<double>(kScale) * static_cast<double>(p.targets.view()(at / cols, at % cols));
                    double const first = exact.gradient[i] + t;
                    bounds.push_back(std::ldexp(first * error + 3 * (first + t), -24));
                }
                outcome.expect_within(dtype, exact.gradient, bounds);
                EXPECT_EQ(outcome.sums.count, wanted.count);
                EXPECT_EQ(outcome.sums.correct, wanted.correct);
                // weight * log(sum): a weight is at most cols, a logarithm at most that of cols.
                double const weights = static_cast<double>(rows * cols);
                EXPECT_NEAR(outcome.sums.loss, exact.loss,
                            std::ldexp(weights * error * (1 + std::log(static_cast<double>(cols))), -24));
                p.expect_same_everywhere(soft_cross_entropy_cuda, outcome);
            }
        }
    }
}

TEST_F(CrossEntropyCuda, SquaredErrorHasTheGradientOfTheProcessor) {
    for (auto const dtype : kTypes) {
        for (index_t const cols : {1, 3, 40, 2500}) {
            RowProblem p(dtype, 50, cols);
            auto const wanted = squared_error(p.host());
            auto const outcome = p.run(squared_error_cuda);
            round_to(dtype, p.host_dy);
            EXPECT_EQ(outcome.gradient, std::vector<float>(p.host_dy.data(), p.host_dy.data() + 50 * cols));
            EXPECT_EQ(outcome.sums.count, 50.0);
            EXPECT_EQ(outcome.sums.correct, 0.0);
            // Positive terms in double, added in two orders.
            EXPECT_NEAR(outcome.sums.loss, wanted.loss,
                        std::ldexp(wanted.loss * 2 * static_cast<double>(50 * cols), -53));
            p.expect_same_everywhere(squared_error_cuda, outcome);
        }
    }
}

/// Refused on the host: needs no GPU.
TEST(CrossEntropyCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const y(nullptr, DType::f32, 3, 20);
    DeviceMatrix const rounded(nullptr, DType::bf16, 3, 20);
    float something = 0;
    DeviceMatrix const narrow(&something, DType::f32, 3, 19);
    EXPECT_THROW(cross_entropy_cuda({.logits = rounded}, nullptr), Error);
    EXPECT_THROW(cross_entropy_cuda({.logits = y, .dlogits = narrow}, nullptr), Error);
    EXPECT_THROW(cross_entropy_cuda({.logits = {nullptr, DType::f32, 3, 0}}, nullptr), Error);
    EXPECT_THROW(soft_cross_entropy_cuda({.y = y, .targets = narrow}, nullptr), Error);
    EXPECT_THROW(squared_error_cuda({.y = y, .targets = rounded}, nullptr), Error);
    EXPECT_THROW(squared_error_cuda({.y = y, .targets = y, .dy = narrow}, nullptr), Error);
}

} // namespace
} // namespace strandwave

#include "kernels/embedding/embedding_backward_cuda.h"

#include "kernels/embedding/embedding_backward_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"
#include "tests/support/gradients.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::GuardedMatrix;

class EmbeddingBackwardCuda : public testing::GpuTest {};

constexpr index_t kFloatBytes = sizeof(float);

struct Problem {
    Problem(DType dtype, index_t rows_, index_t vocab_, index_t d_, index_t shift = 0)
        : rows(rows_), vocab(vocab_), d(d_), dy(rows, d), dtable(vocab, d), gpu_dy(dtype, rows, d, 4, shift),
          gpu_dtable(DType::f32, vocab, d),
          scratch(DType::f32, 1, (embedding_backward_scratch_bytes(rows, vocab, d) + kFloatBytes - 1) / kFloatBytes) {
        Random random(5);
        dy.fill([&] { return random.normal(); });
        dtable.fill([&] { return random.normal(); });
        round_to(dtype, dy);
        gpu_dy.put(dy.view());
        gpu_dtable.put(dtable.view());
        for (index_t t = 0; t < rows; ++t) { // the last token does not occur, unless it is the only one
            auto const most = static_cast<std::uint64_t>(std::max<index_t>(1, vocab - 1));
            tokens.push_back(static_cast<std::int32_t>(random.below(most)));
        }
    }

    void run() {
        auto const gpu_tokens = upload(tokens.data(), rows);
        embedding_backward_cuda(gpu_tokens.data(), gpu_dy.view(), vocab, gpu_dtable.data(), scratch.data(), nullptr);
        wait_for_gpu();
        gpu_dtable.expect_guards("dtable");
        scratch.expect_guards("scratch");
    }

    index_t rows, vocab, d;
    GuardedMatrix dy, dtable;
    GpuMatrix gpu_dy, gpu_dtable, scratch;
    std::vector<std::int32_t> tokens;
};

void expect_right(DType dtype, index_t rows, index_t vocab, index_t d, index_t shift) {
    SCOPED_TRACE(std::string(dtype_name(dtype)) + ", " + std::to_string(rows) + " x " + std::to_string(d) + " of " +
                 std::to_string(vocab) + ", shifted by " + std::to_string(shift));
    Problem p(dtype, rows, vocab, d, shift);
    auto const before = testing::elements(p.dtable.view());
    auto const exact = embedding_backward_reference<double>(p.tokens, p.dy.view(), vocab);
    auto const plain = embedding_backward_reference<float>(p.tokens, p.dy.view(), vocab);
    p.run();
    auto const actual = p.gpu_dtable.values();
    double const terms =
        testing::largest_of(p.dtable.view()) + static_cast<double>(rows) * testing::largest_of(p.dy.view());
    testing::expect_sums_within_twice(as_view(actual, vocab, d), testing::on_top(before, exact).data(),
                                      testing::on_top(before, plain).data(), terms);
    for (index_t c = 0; vocab > 1 && c < d; ++c) {
        auto const last = static_cast<std::size_t>((vocab - 1) * d + c);
        EXPECT_EQ(actual[last], before[last]);
    }
}

TEST_F(EmbeddingBackwardCuda, IsWithinTheErrorOfAPlainLoop) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const vocab : {1, 2, 11, 16, 17, 64, 65, 300}) { // in quads to 16, in shared memory to 64
            for (index_t const d : {1, 7, 8, 33, 128, 130, 516}) {
                expect_right(dtype, 63, vocab, d, 0);
            }
            for (index_t const rows : {1, 2, 15, 257, 3000}) {
                expect_right(dtype, rows, vocab, 36, 0);
                expect_right(dtype, rows, vocab, 36, 1);
            }
        }
    }
}

/// Rows of ones: sums that fp32 has exactly, also where every thread block has its share.
TEST_F(EmbeddingBackwardCuda, CountsEachTokenOnce) {
    for (index_t const vocab : {4, 33, 100}) {
        Problem p(DType::f32, 70'001, vocab, 8);
        p.dy.fill([] { return 1.0; });
        p.dtable.fill([] { return 0.0; });
        p.gpu_dy.put(p.dy.view());
        p.gpu_dtable.put(p.dtable.view());
        p.run();
        std::vector<float> wanted(static_cast<std::size_t>(vocab * 8), 0.0F);
        for (auto const token : p.tokens) {
            for (std::size_t c = 0; c < 8; ++c) {
                wanted[static_cast<std::size_t>(token) * 8 + c] += 1.0F;
            }
        }
        EXPECT_EQ(p.gpu_dtable.values(), wanted);
    }
}

TEST_F(EmbeddingBackwardCuda, RunsGiveTheSameBits) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const vocab : {16, 64, 1000}) {
            Problem first(dtype, 2000, vocab, 40);
            Problem second(dtype, 2000, vocab, 40);
            first.run();
            second.run();
            EXPECT_EQ(first.gpu_dtable.bits(), second.gpu_dtable.bits());
        }
    }
}

/// The largest float and the smallest: no overflow of the fixed point, and no sum that it loses.
TEST_F(EmbeddingBackwardCuda, ExtremesOfALargeVocabularyAreKept) {
    for (float const value : {3e38F, 1e-45F, 0.0F}) {
        Problem p(DType::f32, 500, 100, 4);
        p.dy.fill([] { return 0.0; });
        p.dy.view()(17, 2) = value;
        p.dtable.fill([] { return 0.0; });
        p.gpu_dy.put(p.dy.view());
        p.gpu_dtable.put(p.dtable.view());
        p.run();
        EXPECT_EQ(p.gpu_dtable.values()[static_cast<std::size_t>(p.tokens[17] * 4 + 2)], value);
    }
}

TEST_F(EmbeddingBackwardCuda, WhatIsNotFiniteShows) {
    for (float const value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        for (index_t const vocab : {16, 64, 100}) {
            Problem p(DType::f32, 500, vocab, 4);
            p.dy.view()(17, 2) = value;
            p.gpu_dy.put(p.dy.view());
            p.run();
            EXPECT_FALSE(std::isfinite(p.gpu_dtable.values()[static_cast<std::size_t>(p.tokens[17] * 4 + 2)]));
        }
    }
}

/// Decided on the host: needs no GPU.
TEST(EmbeddingBackwardCudaArguments, RefusesWhatItCannotDoAndNeedsNoTokens) {
    embedding_backward_cuda(nullptr, {nullptr, DType::f32, 0, 8}, 16, nullptr, nullptr, nullptr);
    EXPECT_THROW(embedding_backward_cuda(nullptr, {nullptr, DType::i8, 3, 8}, 16, nullptr, nullptr, nullptr), Error);
}

} // namespace
} // namespace strandwave

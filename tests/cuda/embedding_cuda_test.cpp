#include "kernels/embedding/embedding_cuda.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

class EmbeddingCuda : public testing::GpuTest {};

constexpr std::int32_t kVocabulary = 11;

void expect_right(DType dtype, index_t rows, index_t d, index_t shift) {
    SCOPED_TRACE(std::string(dtype_name(dtype)) + ", " + std::to_string(rows) + " x " + std::to_string(d) +
                 ", shifted by " + std::to_string(shift));
    Random random(5);
    GuardedMatrix table(kVocabulary, d);
    table.fill([&] { return random.normal(); });
    std::vector<std::int32_t> tokens;
    for (index_t t = 0; t < rows; ++t) {
        tokens.push_back(static_cast<std::int32_t>(random.below(kVocabulary)));
    }
    GpuMatrix gpu_table(DType::f32, kVocabulary, d);
    gpu_table.put(table.view());
    auto const gpu_tokens = upload(tokens.data(), rows);
    GpuMatrix y(dtype, rows, d, 4, shift);
    embedding_cuda(gpu_table.data(), gpu_tokens.data(), y.view(), nullptr);
    y.expect_guards("y");

    GuardedMatrix wanted(rows, d);
    for (index_t t = 0; t < rows; ++t) {
        std::copy_n(table.view().row(tokens[static_cast<std::size_t>(t)]), d, wanted.view().row(t));
    }
    GpuMatrix rounded(dtype, rows, d);
    rounded.put(wanted.view());
    EXPECT_EQ(y.bits(), rounded.bits());
}

TEST_F(EmbeddingCuda, CopiesRowsAndRoundsThem) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const rows : {1, 2, 15, 16, 17, 63, 257}) {
            expect_right(dtype, rows, 33, 0);
            expect_right(dtype, rows, 256, 0);
        }
        for (index_t const d : {1, 7, 8, 33, 130, 512}) {
            expect_right(dtype, 63, d, 0);
            expect_right(dtype, 63, d, 1);
        }
    }
}

/// Decided on the host: needs no GPU.
TEST(EmbeddingCudaArguments, RefusesWhatItCannotDoAndNeedsNoTokens) {
    embedding_cuda(nullptr, nullptr, {nullptr, DType::f32, 0, 8}, nullptr);
    EXPECT_THROW(embedding_cuda(nullptr, nullptr, {nullptr, DType::i8, 3, 8}, nullptr), Error);
}

} // namespace
} // namespace strandwave

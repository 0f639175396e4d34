#include "formats/npy.h"
#include "lib/core/error.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <numeric>
#include <vector>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class NpyRows : public testing::Test {
protected:
    fs::path write(index_t rows, index_t width) const {
        std::vector<float> values(static_cast<std::size_t>(rows * width));
        std::iota(values.begin(), values.end(), 1.0F);
        auto const path = folder_.path() / "a.npy";
        NpyWriter writer(path, width);
        writer.append({values.data(), rows, width});
        writer.close();
        return path;
    }
    static ErrorCode opening(fs::path const& path) {
        try {
            NpyRowReader const reader(path);
        } catch (Error const& error) { return error.code(); }
        return ErrorCode::device;
    }

    TempDir folder_;
};

TEST_F(NpyRows, AnyPieceGivesTheSameRows) {
    auto const path = write(7, 3);
    for (index_t const piece : {1, 2, 7, 100}) {
        NpyRowReader reader(path);
        ASSERT_EQ(reader.rows(), 7);
        ASSERT_EQ(reader.row_size(), 3);
        std::vector<float> all;
        std::vector<float> some(static_cast<std::size_t>(piece * 3));
        while (auto const count = reader.read({some.data(), piece, 3})) {
            all.insert(all.end(), some.begin(), some.begin() + count * 3);
        }
        std::vector<float> expected(21);
        std::iota(expected.begin(), expected.end(), 1.0F);
        EXPECT_EQ(all, expected) << piece;
    }
}

TEST_F(NpyRows, NoRows) {
    NpyRowReader reader(write(0, 3));
    std::vector<float> some(3);
    EXPECT_EQ(reader.rows(), 0);
    EXPECT_EQ(reader.read({some.data(), 1, 3}), 0);
}

TEST_F(NpyRows, WhatIsNotAMatrixIsRefused) {
    auto const path = folder_.path() / "a.npy";
    NpyFile file(path, {1, 1, 1});
    float const value = 1;
    file.write(0, {&value, 1});
    file.close();
    EXPECT_EQ(opening(path), ErrorCode::malformed_input);
    EXPECT_EQ(opening(folder_.path() / "none.npy"), ErrorCode::not_found);
}

TEST_F(NpyRows, AFileThatIsCutIsAnErrorBeforeAndWhileItIsRead) {
    auto const path = write(1000, 1000);
    NpyRowReader reader(path);
    fs::resize_file(path, fs::file_size(path) - 4);
    EXPECT_EQ(opening(path), ErrorCode::truncated_input);
    std::vector<float> all(1000 * 1000);
    EXPECT_THROW(reader.read({all.data(), 1000, 1000}), Error);
}

TEST_F(NpyRows, RowsOfAnotherWidthAreRefused) {
    NpyRowReader reader(write(2, 3));
    std::vector<float> some(8);
    EXPECT_THROW(reader.read({some.data(), 2, 4}), Error);
    EXPECT_THROW(reader.read({some.data(), 2, 3, 4}), Error);
}

} // namespace
} // namespace strandwave

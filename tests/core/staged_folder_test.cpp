#include "lib/core/staged_folder.h"

#include "lib/core/error.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class StagedFolderTest : public testing::Test {
protected:
    TempDir temp_;
    fs::path const final_ = temp_.path() / "new" / "folder";
};

TEST_F(StagedFolderTest, TakesItsPlaceWhole) {
    {
        StagedFolder folder(final_ / ""); // with a slash at the end
        folder.fill([](fs::path const& path) { write_text(path / "a.txt", "a"); });
        EXPECT_FALSE(fs::exists(final_));
        folder.commit();
    }
    EXPECT_EQ(read_text(final_ / "a.txt"), "a");
    EXPECT_EQ(std::distance(fs::directory_iterator(final_.parent_path()), {}), 1);
}

TEST_F(StagedFolderTest, AFolderThatIsThereKeepsItsOtherFiles) {
    fs::create_directories(final_);
    write_text(final_ / "a.txt", "old");
    write_text(final_ / "b.txt", "other");
    StagedFolder folder(final_);
    folder.fill([](fs::path const& path) { write_text(path / "a.txt", "new"); });
    EXPECT_EQ(read_text(final_ / "a.txt"), "old");
    folder.commit();
    EXPECT_EQ(read_text(final_ / "a.txt"), "new");
    EXPECT_EQ(read_text(final_ / "b.txt"), "other");
}

TEST_F(StagedFolderTest, WithoutCommitNothingIsLeft) {
    fs::create_directories(final_.parent_path());
    { StagedFolder const folder(final_); }
    EXPECT_TRUE(fs::is_empty(final_.parent_path()));
}

TEST_F(StagedFolderTest, ErrorsNameThePlaceThatWasGiven) {
    StagedFolder const outer(final_ / "");
    try {
        outer.fill([](fs::path const& path) {
            StagedFolder const inner(path); // as where a library stages what a program stages
            inner.fill([](fs::path const& in) {
                throw Error(ErrorCode::too_large, (in / "x").string() + ": is not " + (in / "y").string());
            });
        });
        ADD_FAILURE();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::too_large);
        EXPECT_EQ(error.message(), (final_ / "x").string() + ": is not " + (final_ / "y").string());
    }
}

TEST_F(StagedFolderTest, WhatCannotBeMadeIsNamedAsGiven) {
    write_text(temp_.path() / "file", "");
    try {
        StagedFolder const folder(temp_.path() / "file" / "folder");
        ADD_FAILURE();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::io);
        EXPECT_EQ(error.message().rfind((temp_.path() / "file" / "folder").string() + ": cannot be written: ", 0), 0U)
            << error.message();
    }
}

} // namespace
} // namespace strandwave

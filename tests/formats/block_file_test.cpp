#include "formats/block_file.h"

#include "formats/bgzf_source.h"
#include "lib/core/error.h"
#include "tests/support/temp_dir.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

namespace strandwave {
namespace {

using Compression = BlockFile::Compression;

std::string bytes_of(std::filesystem::path const& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
}

std::string text_of(std::filesystem::path const& path) {
    BgzfSource source(open_file_bytes(path), "test", 0);
    std::string text;
    for (auto piece = source.next(); !piece.empty(); piece = source.next()) {
        text.append(piece.data(), piece.size());
    }
    return text;
}

/// More than one BGZF block.
std::string block_text(int number) {
    std::string text;
    for (int i = 0; i < 20000; ++i) {
        text += std::to_string(number * i) + '\n';
    }
    return text;
}

class BlockFileTest : public testing::TestWithParam<Compression> {
protected:
    std::filesystem::path path(char const* name) const { return folder_.path() / name; }
    TempDir folder_;
};

TEST_P(BlockFileTest, IsCalledPartUntilItIsWhole) {
    {
        BlockFile file(path("a"), GetParam());
        file.write("text");
    }
    EXPECT_TRUE(std::filesystem::exists(path("a.part"))) << "who ends early leaves what there is";
    BlockFile file(path("a"), GetParam());
    file.write("text");
    EXPECT_FALSE(std::filesystem::exists(path("a")));
    file.commit(".incomplete");
    EXPECT_FALSE(std::filesystem::exists(path("a.part")));
    EXPECT_EQ(text_of(path("a.incomplete")), "text");
}

TEST_P(BlockFileTest, BytesOfABlockDoNotKnowWhoWroteThoseBefore) {
    BlockFile once(path("once"), GetParam());
    index_t sizes[3];
    for (int i = 0; i < 3; ++i) {
        once.write(block_text(i));
        sizes[i] = once.end_block();
    }
    once.commit();
    {
        BlockFile first(path("twice"), GetParam());
        first.write(block_text(0));
        EXPECT_EQ(first.end_block(), sizes[0]);
        first.write(block_text(7)); // not ended: it was never there
        first.write(block_text(8));
    }
    {
        BlockFile second(path("twice"), GetParam(), sizes[0]);
        second.write(block_text(1));
        EXPECT_EQ(second.end_block(), sizes[1]);
    }
    BlockFile third(path("twice"), GetParam(), sizes[1]);
    third.write(block_text(2));
    third.commit();
    EXPECT_EQ(bytes_of(path("twice")), bytes_of(path("once")));
    EXPECT_EQ(text_of(path("twice")), block_text(0) + block_text(1) + block_text(2));
}

TEST_P(BlockFileTest, RefusesAPartThatIsShorterThanItShouldBe) {
    { BlockFile(path("a"), GetParam()).write("abc"); }
    try {
        BlockFile file(path("a"), GetParam(), 1000);
        FAIL();
    } catch (Error const& error) { EXPECT_EQ(error.code(), ErrorCode::not_found); }
}

INSTANTIATE_TEST_SUITE_P(All, BlockFileTest, testing::Values(Compression::none, Compression::bgzf),
                         [](auto const& one) { return one.param == Compression::none ? "plain" : "bgzf"; });

TEST(BlockFile, ReplacesItsStart) {
    TempDir const folder;
    BlockFile file(folder.path() / "a", Compression::none);
    file.write("0000 rows");
    file.overwrite_start("0012");
    EXPECT_THROW(file.overwrite_start("longer than what is there"), Error);
    file.commit();
    EXPECT_EQ(bytes_of(folder.path() / "a"), "0012 rows");
}

TEST(BlockFile, SaysWhereItCannotWrite) {
    try {
        BlockFile file("/no/such/folder/a", Compression::none);
        FAIL();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::io);
        EXPECT_NE(error.message().find("/no/such/folder/a"), std::string::npos);
    }
}

} // namespace
} // namespace strandwave

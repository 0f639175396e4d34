#include "formats/embedding_table.h"

#include "formats/npy.h"
#include "lib/core/error.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class EmbeddingTables : public testing::Test {
protected:
    void write_vectors(index_t rows, index_t width = 2) const {
        std::vector<float> const values(static_cast<std::size_t>(rows * width), 1.0F);
        NpyWriter writer(npy_, width);
        writer.append({values.data(), rows, width});
        writer.close();
    }
    /// What opening the table says, or nothing.
    std::optional<ErrorCode> opening(std::string const& lines) const {
        write_text(tsv_, lines);
        try {
            EmbeddingTable const table(npy_, tsv_);
        } catch (Error const& error) { return error.code(); }
        return std::nullopt;
    }

    TempDir folder_;
    fs::path npy_ = folder_.path() / "a.embeddings.npy";
    fs::path tsv_ = folder_.path() / "a.embeddings.tsv";
};

TEST_F(EmbeddingTables, LinesAreRead) {
    write_vectors(3);
    write_text(tsv_, "name\tstart\tend\nr 1\t0\t5\n\xff\xc3\xa9\t7\t4000000000\n\t0\t0\n");
    EmbeddingTable const table(npy_, tsv_);
    EXPECT_EQ(table.rows(), 3);
    EXPECT_EQ(table.width(), 2);
    EXPECT_FALSE(table.in_seconds());
    EXPECT_EQ(table.longest_name(), 3);
    table.for_each_rows([](std::span<EmbeddingRow const> rows) {
        ASSERT_EQ(rows.size(), 3U);
        EXPECT_EQ(rows[0].name, "r 1");
        EXPECT_EQ(rows[1].name, "\xef\xbf\xbd\xc3\xa9");
        EXPECT_EQ(rows[1].start, 7);
        EXPECT_EQ(rows[1].end, 4000000000);
        EXPECT_EQ(rows[2].name, "");
    });
}

TEST_F(EmbeddingTables, SoundHasSecondsToo) {
    write_vectors(1);
    write_text(tsv_, "name\tstart\tend\tstart_s\tend_s\na.wav\t8000\t16000\t0.5\t1\n");
    EmbeddingTable const table(npy_, tsv_);
    EXPECT_TRUE(table.in_seconds());
    table.for_each_rows([](std::span<EmbeddingRow const> rows) {
        EXPECT_EQ(rows[0].start_s, 0.5);
        EXPECT_EQ(rows[0].end_s, 1);
    });
}

TEST_F(EmbeddingTables, PartsAreOfOneKindAndHaveTheirTexts) {
    write_vectors(1);
    write_text(tsv_, "name\tstart\tend\na\t0\t5\n");
    auto const wide = folder_.path() / "wide.npy";
    NpyWriter(wide, 3).close();
    auto const sound = write_text(folder_.path() / "sound.tsv", "name\tstart\tend\tstart_s\tend_s\n");
    auto const none = write_text(folder_.path() / "none.tsv", "name\tstart\tend\n");
    auto const empty = folder_.path() / "empty.npy";
    NpyWriter(empty, 2).close();
    auto const opened = [&](std::vector<EmbeddingPart> parts) { return EmbeddingTable(std::move(parts), {"input"}); };
    EmbeddingPart const part{npy_, tsv_, {"x"}};
    EXPECT_THROW(opened({}), Error);
    EXPECT_THROW(opened({{npy_, tsv_, {}}}), Error);
    EXPECT_THROW(opened({part, {wide, none, {"x"}}}), Error);
    EXPECT_THROW(opened({part, {empty, sound, {"x"}}}), Error);
    auto const table = opened({part, {empty, none, {"y"}}, {npy_, tsv_, {"long"}}});
    EXPECT_EQ(table.rows(), 2);
    EXPECT_EQ(table.longest_text(0), 4);
    std::string texts;
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        for (auto const& row : rows) {
            texts += row.name + row.texts[0] + ' ';
        }
    });
    EXPECT_EQ(texts, "ax along ");
}

TEST_F(EmbeddingTables, AnotherNumberOfLinesThanOfVectorsIsMalformed) {
    write_vectors(2);
    std::string const head = "name\tstart\tend\n";
    EXPECT_EQ(opening(head), ErrorCode::malformed_input);
    EXPECT_EQ(opening(head + "a\t0\t1\n"), ErrorCode::malformed_input);
    EXPECT_EQ(opening(head + "a\t0\t1\nb\t0\t1\n"), std::nullopt);
    EXPECT_EQ(opening(head + "a\t0\t1\nb\t0\t1\nc\t0\t1\n"), ErrorCode::malformed_input);
}

TEST_F(EmbeddingTables, LinesThatCannotBeUnderstoodAreMalformed) {
    write_vectors(1);
    std::string const head = "name\tstart\tend\n";
    for (std::string const line : {"", "a", "a\t0", "a\t0\t", "a\tx\t1", "a\t0\t1.5", "a\t0\t1\t2", "a\t 0\t1",
                                   "a\t0\t99999999999999999999", "a\rb\t0\t1", "a\x7f\t0\t1"}) {
        EXPECT_EQ(opening(head + line + "\n"), ErrorCode::malformed_input) << line;
    }
    EXPECT_EQ(opening(head + std::string("a\0b", 3) + "\t0\t1\n"), ErrorCode::malformed_input);
    for (std::string const line : {"a\t0\t1", "a\t0\t1\tx\t1", "a\t0\t1\tinf\t1"}) {
        EXPECT_EQ(opening("name\tstart\tend\tstart_s\tend_s\n" + line + "\n"), ErrorCode::malformed_input) << line;
    }
    EXPECT_EQ(opening("name\tstart\tend\tlabel\na\t0\t1\tx\n"), ErrorCode::malformed_input);
}

TEST_F(EmbeddingTables, EveryCutIsAnError) {
    write_vectors(2);
    std::string const whole = "name\tstart\tend\na\t0\t1\nb\t10\t20\n";
    ASSERT_EQ(opening(whole), std::nullopt);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        auto const code = opening(whole.substr(0, size));
        bool const between_lines = size > 0 && whole[size - 1] == '\n';
        EXPECT_EQ(code, between_lines ? ErrorCode::malformed_input : ErrorCode::truncated_input) << size;
    }
}

TEST_F(EmbeddingTables, VectorsOfNoNumbersAreMalformed) {
    write_text(npy_, npy_header({0, 0}));
    EXPECT_EQ(opening("name\tstart\tend\n"), ErrorCode::malformed_input);
}

TEST_F(EmbeddingTables, FilesThatChangeAreNoticed) {
    write_vectors(1);
    write_text(tsv_, "name\tstart\tend\na\t0\t1\n");
    EmbeddingTable const table(npy_, tsv_);
    write_vectors(2);
    write_text(tsv_, "name\tstart\tend\na\t0\t1\nb\t0\t1\n");
    EXPECT_THROW(table.for_each_vectors([](View<float const, 2>) {}), Error);
    EXPECT_THROW(table.for_each_rows([](std::span<EmbeddingRow const>) {}), Error);
}

} // namespace
} // namespace strandwave

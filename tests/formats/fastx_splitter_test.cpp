#include "formats/fastx_splitter.h"
#include "tests/formats/read_records.h"

#include <functional>

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

FastxSplitter::Sink into(std::string& text) {
    return [&text](std::string_view piece) { text += piece; };
}

std::string format_of(fs::path const& path) { return std::string(open_input(path, {}).value().format); }

std::vector<TestRecord> records_of(fs::path const& path) {
    auto const result = read_file(path);
    if (result.error) { throw *result.error; }
    return result.records;
}

/// The text of each record, as it is split.
Strings split(fs::path const& path) {
    FastxSplitter splitter(path, format_of(path));
    Strings texts;
    index_t ordinal = 0;
    for (auto const& record : records_of(path)) {
        splitter.copy(ordinal++, record.name, into(texts.emplace_back()));
    }
    return texts;
}

Strings split_text(std::string const& content, std::string const& name) {
    TemporaryFolder const folder;
    return split(folder.write(name, content));
}

std::string joined(Strings const& texts) {
    std::string all;
    for (auto const& text : texts) {
        all += text;
    }
    return all;
}

Error error_of(std::function<void()> const& call) {
    try {
        call();
    } catch (Error const& error) { return error; }
    throw std::logic_error("no error");
}

std::string const kFasta = ">a first\nACGT\nAC\n\n>b\n>c\tx\r\nAC GT\r\n\r\n>a first\nA\n";
std::string const kFastq =
    "@a first\nACGT\n+\n@@+I\n@b\n\n+\n\n@c\tx\r\nAC\r\nGT\r\n+c\r\nII\r\n@+\r\n@a first\nA\n+\n!\n";

TEST(FastxSplitter, gives_the_text_as_it_stands_in_the_file) {
    EXPECT_EQ(split_text(kFasta, "a.fa"),
              (Strings{">a first\nACGT\nAC\n\n", ">b\n", ">c\tx\r\nAC GT\r\n\r\n", ">a first\nA\n"}));
    EXPECT_EQ(split_text(kFastq, "a.fq"), (Strings{"@a first\nACGT\n+\n@@+I\n", "@b\n\n+\n\n",
                                                   "@c\tx\r\nAC\r\nGT\r\n+c\r\nII\r\n@+\r\n", "@a first\nA\n+\n!\n"}));
}

TEST(FastxSplitter, leaves_out_what_belongs_to_no_record) {
    EXPECT_EQ(split_text("\r\n \n\n>a\nAC\n", "a.fa"), (Strings{">a\nAC\n"}));
    EXPECT_EQ(split_text("\n \n@a\nAC\n+\nII\n\n\r\n\n@b\n+\n@c\n\n+\n\r\n\n", "a.fq"),
              (Strings{"@a\nAC\n+\nII\n", "@b\n+\n", "@c\n\n+\n\r\n"}));
    EXPECT_EQ(split_text("", "a.fa"), Strings());
}

TEST(FastxSplitter, keeps_empty_lines_inside_a_record) {
    EXPECT_EQ(split_text("@a\nAC\n\nG\n\n+\nI\n\nII\n@b\nA\n+\nI\n", "a.fq"),
              (Strings{"@a\nAC\n\nG\n\n+\nI\n\nII\n", "@b\nA\n+\nI\n"}));
}

TEST(FastxSplitter, adds_the_line_end_that_the_file_lacks) {
    EXPECT_EQ(split_text(">a\nAC", "a.fa"), (Strings{">a\nAC\n"}));
    EXPECT_EQ(split_text(">a\nAC\r", "a.fa"), (Strings{">a\nAC\r\n"}));
    EXPECT_EQ(split_text("@a\nAC\n+\nII", "a.fq"), (Strings{"@a\nAC\n+\nII\n"}));
    EXPECT_EQ(split_text("@a\r\nAC\r\n+\r\nII\r", "a.fq"), (Strings{"@a\r\nAC\r\n+\r\nII\r\n"}));
}

TEST(FastxSplitter, agrees_with_the_readers_on_what_is_a_record) {
    TemporaryFolder const folder;
    std::vector<fs::path> files = {data_folder() / ".." / "samples" / "reads.fastq.gz",
                                   data_folder() / ".." / "samples" / "genomes.fa.gz"};
    for (auto const* const format : {"fasta", "fastq"}) {
        for (auto const& entry : fs::directory_iterator(data_folder() / format)) {
            if (entry.path().filename().string().rfind("valid", 0) == 0) { files.push_back(entry.path()); }
        }
    }
    for (auto const& file : files) {
        auto const records = records_of(file);
        auto const texts = split(file);
        ASSERT_EQ(texts.size(), records.size()) << file;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            auto const name = format_of(file) == "fasta" ? "one.fa" : "one.fq";
            EXPECT_EQ(records_of(folder.write(name, texts[i])), std::vector<TestRecord>{records[i]})
                << file << ": " << texts[i];
        }
    }
}

TEST(FastxSplitter, passes_over_records_in_between_and_before) {
    TemporaryFolder const folder;
    for (auto const& [content, name] : {std::pair(kFasta, "a.fa"), std::pair(kFastq, "a.fq")}) {
        auto const path = folder.write(name, content);
        auto const texts = split(path);
        std::string text;
        FastxSplitter splitter(path, format_of(path));
        splitter.copy(0, "a", into(text));
        splitter.copy(2, "c", into(text));
        EXPECT_EQ(text, texts[0] + texts[2]);
        FastxSplitter second(path, format_of(path));
        second.begin_block(3);
        text.clear();
        second.copy(3, "a", into(text));
        EXPECT_EQ(text, texts[3]);
        second.begin_block(4);
    }
}

TEST(FastxSplitter, hands_out_long_records_in_bounded_pieces) {
    TemporaryFolder const folder;
    constexpr std::size_t kLength = 1'500'000;
    std::string bases, wrapped;
    for (std::size_t i = 0; i < kLength; ++i) {
        bases += "ACGTTA"[i * 7 % 6];
    }
    for (std::size_t i = 0; i < kLength; i += 61) {
        wrapped += bases.substr(i, 61) + "\r\n";
    }
    for (auto const& text :
         {">one line\n" + bases + "\n", ">lines\n" + wrapped, "@one line\n" + bases + "\n+\n" + bases + "\n",
          "@lines\r\n" + wrapped + "+\n" + wrapped}) {
        auto const path = folder.write("a", text);
        FastxSplitter splitter(path, format_of(path));
        std::string got;
        std::size_t largest = 0;
        splitter.copy(0, text.substr(1, text.find_first_of(" \r\n") - 1), [&](std::string_view piece) {
            got += piece;
            largest = std::max(largest, piece.size());
        });
        EXPECT_TRUE(got == text);
        EXPECT_LE(largest, std::size_t{512} * 1024);
    }
}

TEST(FastxSplitter, notices_that_the_file_is_another_one_now) {
    TemporaryFolder const folder;
    auto const path = folder.write("a.fq", kFastq);
    std::string text;
    auto const renamed = error_of([&] { FastxSplitter(path, "fastq").copy(1, "x", into(text)); });
    EXPECT_EQ(renamed.code(), ErrorCode::malformed_input);
    EXPECT_NE(renamed.message().find("a.fq: record 2 was 'x' and is now 'b'"), std::string::npos) << renamed.message();
    auto const gone = error_of([&] { FastxSplitter(path, "fastq").copy(4, "x", into(text)); });
    EXPECT_EQ(gone.code(), ErrorCode::malformed_input);
    EXPECT_NE(gone.message().find("record 5 ('x') is gone"), std::string::npos) << gone.message();
    EXPECT_EQ(error_of([&] { FastxSplitter(path, "fastq").begin_block(5); }).code(), ErrorCode::malformed_input);
    EXPECT_EQ(text, "");
}

TEST(FastxSplitter, refuses_what_is_not_made_of_records) {
    TemporaryFolder const folder;
    std::string text;
    auto const code = [&](std::string const& content, std::string const& format, index_t ordinal) {
        auto const path = folder.write("a", content);
        return error_of([&] { FastxSplitter(path, format).copy(ordinal, "a", into(text)); }).code();
    };
    EXPECT_EQ(code("ACGT\n>a\nAC\n", "fasta", 0), ErrorCode::malformed_input);
    EXPECT_EQ(code(">a\nAC\n", "fastq", 0), ErrorCode::malformed_input);
    EXPECT_EQ(code("@a\nAC\n+\nIII\n", "fastq", 0), ErrorCode::malformed_input);
    EXPECT_EQ(code("@a\nAC\n+\nI\n", "fastq", 0), ErrorCode::truncated_input);
    EXPECT_EQ(code("@a\nAC\n", "fastq", 0), ErrorCode::truncated_input);
    EXPECT_EQ(code("@a\nAC\n+\nII\nII\n@a\nA\n+\nI\n", "fastq", 1), ErrorCode::malformed_input);
    EXPECT_EQ(code("a\tACGT\n", "tsv", 0), ErrorCode::unsupported);
}

TEST(FastxSplitter, refuses_to_go_back_or_to_read_a_pipe) {
    TemporaryFolder const folder;
    FastxSplitter splitter(folder.write("a.fa", kFasta), "fasta");
    splitter.begin_block(2);
    EXPECT_EQ(error_of([&] { splitter.begin_block(1); }).code(), ErrorCode::invalid_argument);
    Pipe const pipe(kFasta);
    EXPECT_EQ(error_of([&] { FastxSplitter(pipe.path(), "fasta"); }).code(), ErrorCode::unsupported);
    EXPECT_EQ(error_of([&] { FastxSplitter("-", "fasta"); }).code(), ErrorCode::unsupported);
}

TEST(FastxSplitter, compressed_text_is_text) {
    TemporaryFolder const folder;
    auto const samples = data_folder() / ".." / "samples";
    for (auto const* const name : {"reads.fastq.gz", "genomes.fa.gz"}) {
        BgzfSource source(open_file_bytes(samples / name), name, 0);
        std::string text;
        for (auto piece = source.next(); !piece.empty(); piece = source.next()) {
            text.append(piece.data(), piece.size());
        }
        EXPECT_TRUE(joined(split(samples / name)) == text) << name;
    }
    auto const bytes = file_bytes(samples / "reads.fastq.gz");
    auto const cut = folder.write("cut.fq.gz", bytes.substr(0, bytes.size() / 2));
    EXPECT_EQ(error_of([&] { FastxSplitter(cut, "fastq").begin_block(1'000'000); }).code(), ErrorCode::truncated_input);
}

} // namespace
} // namespace strandwave

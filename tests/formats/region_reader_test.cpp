#include "formats/region_reader.h"
#include "tests/formats/read_records.h"

#include <cstdlib>

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using Records = std::vector<TestRecord>;

template <class Action>
Error error_of(Action action) {
    try {
        action();
    } catch (Error const& error) { return error; }
    return {ErrorCode::io, "no error"};
}

class RegionReader : public testing::Test {
protected:
    Records read(std::vector<std::string> const& texts, index_t max_symbols = kWhole) const {
        std::vector<Region> regions;
        for (auto const& text : texts) {
            regions.push_back(parse_region(text));
        }
        auto result = read_all(*open_regions(fasta_, regions), max_symbols);
        EXPECT_FALSE(result.error) << result.error->message();
        return result.records;
    }
    ErrorCode refusal(std::string const& text) const {
        return error_of([&] { open_regions(fasta_, {parse_region(text)}); }).code();
    }

    TemporaryFolder folder_;
    fs::path fasta_ =
        folder_.write("a.fa", ">chr1 x\nACGTACGTAC\nGTTTTTTTTT\nacgtn\n>HLA:01\nCCCC\n>empty\n>chr2\nGATTACA\n");
};

TEST(ParseRegion, reads_what_samtools_reads) {
    auto const expect = [](std::string const& text, std::string const& sequence, index_t start, index_t end) {
        auto const region = parse_region(text);
        EXPECT_EQ(region.sequence, sequence) << text;
        EXPECT_EQ(region.start, start) << text;
        EXPECT_EQ(region.end, end) << text;
    };
    expect("chr1", "chr1", 0, Region::kToEnd);
    expect("chr1:5-9", "chr1", 4, 9);
    expect("chr1:5", "chr1", 4, Region::kToEnd);
    expect("chr1:5-", "chr1", 4, Region::kToEnd);
    expect("chr1:-9", "chr1", 0, 9);
    expect("chr1:1,000,001-3,000,000,000", "chr1", 1000000, 3000000000);
    expect("HLA:A*01:01", "HLA:A*01", 0, Region::kToEnd);
    expect("HLA:A*01:x", "HLA:A*01:x", 0, Region::kToEnd);
}

TEST(ParseRegion, refuses_what_makes_no_sense) {
    for (auto const* text : {"", ":5-9", "chr1:0-9", "chr1:9-5"}) {
        EXPECT_EQ(error_of([&] { parse_region(text); }).code(), ErrorCode::invalid_argument) << text;
    }
}

TEST_F(RegionReader, gives_the_bases_of_each_region_in_any_chunks) {
    for (index_t const max_symbols : {index_t{1}, index_t{2}, index_t{7}, kWhole}) {
        EXPECT_EQ(read({"chr1:8-12", "chr2", "chr1:21-", "chr1:25", "chr1:-3"}, max_symbols),
                  (Records{{"chr1:8-12", "", "TACGT"},
                           {"chr2:1-7", "", "GATTACA"},
                           {"chr1:21-25", "", "acgtn"},
                           {"chr1:25-25", "", "n"},
                           {"chr1:1-3", "", "ACG"}}));
    }
}

TEST_F(RegionReader, tells_where_the_region_starts) {
    auto const reader = open_regions(fasta_, {parse_region("chr1:8-12")});
    SequenceChunk chunk;
    EXPECT_EQ(reader->next(chunk, 2).value(), ReadOutcome::chunk);
    EXPECT_EQ(chunk.start, 7);
    EXPECT_EQ(reader->next(chunk, 2).value(), ReadOutcome::chunk);
    EXPECT_EQ(chunk.start, 7);
    EXPECT_EQ(chunk.offset, 2);
}

TEST_F(RegionReader, widens_regions_up_to_the_ends_of_their_sequence) {
    auto const widened_to = [&](std::string const& region, index_t flank) {
        auto const result = read_all(*open_regions(fasta_, {parse_region(region)}, flank), 2);
        EXPECT_FALSE(result.error) << result.error->message();
        return result.records.at(0);
    };
    EXPECT_EQ(widened_to("chr1:8-12", 0), (TestRecord{"chr1:8-12", "", "TACGT"}));
    EXPECT_EQ(widened_to("chr1:8-12", 3), (TestRecord{"chr1:5-15", "", "ACGTACGTTTT"}));
    EXPECT_EQ(widened_to("chr2:3-4", 2), (TestRecord{"chr2:1-6", "", "GATTAC"}));
    EXPECT_EQ(widened_to("chr2:3-4", 3), (TestRecord{"chr2:1-7", "", "GATTACA"}));
    EXPECT_EQ(widened_to("chr2:6", 3), (TestRecord{"chr2:3-7", "", "TTACA"}));
    EXPECT_EQ(widened_to("chr2:3-4", kWhole), (TestRecord{"chr2:1-7", "", "GATTACA"}));
}

TEST_F(RegionReader, widens_bed_regions_and_tells_where_they_start) {
    auto const bed = folder_.write("a.bed", "chr1\t7\t12\tgene\nchr2\t7\t7\n");
    auto const reader = open_regions(fasta_, read_bed(bed), 4);
    SequenceChunk chunk;
    EXPECT_EQ(reader->next(chunk, kWhole).value(), ReadOutcome::chunk);
    EXPECT_EQ(chunk.name + " " + chunk.description, "chr1:4-16 gene");
    EXPECT_EQ(chunk.start, 3);
    EXPECT_EQ(reader->next(chunk, kWhole).value(), ReadOutcome::chunk);
    EXPECT_EQ(chunk.name + " " + chunk.symbols, "chr2:4-7 TACA");
}

TEST_F(RegionReader, checks_regions_before_they_are_widened) {
    EXPECT_EQ(error_of([&] { open_regions(fasta_, {parse_region("chr2:1-8")}, 10); }).code(),
              ErrorCode::invalid_argument);
    EXPECT_EQ(error_of([&] { open_regions(fasta_, {parse_region("chr2")}, -1); }).code(), ErrorCode::invalid_argument);
}

TEST_F(RegionReader, a_name_may_end_like_a_range) {
    EXPECT_EQ(read({"HLA:01", "HLA:01:2-3"}), (Records{{"HLA:01:1-4", "", "CCCC"}, {"HLA:01:2-3", "", "CC"}}));
}

TEST_F(RegionReader, refuses_regions_that_are_not_there) {
    EXPECT_EQ(refusal("chr3"), ErrorCode::not_found);
    EXPECT_EQ(refusal("empty"), ErrorCode::not_found);
    EXPECT_EQ(refusal("chr2:1-8"), ErrorCode::invalid_argument);
    EXPECT_EQ(refusal("chr2:9"), ErrorCode::invalid_argument);
    EXPECT_EQ(refusal("chr2:8"), ErrorCode::invalid_argument);
}

TEST_F(RegionReader, builds_the_index_and_leaves_nothing_else) {
    read({"chr2"});
    std::vector<std::string> files;
    for (auto const& entry : fs::directory_iterator(folder_.path())) {
        files.push_back(entry.path().filename());
    }
    std::sort(files.begin(), files.end());
    EXPECT_EQ(files, (std::vector<std::string>{"a.fa", "a.fa.fai"}));
}

TEST_F(RegionReader, refuses_a_file_that_does_not_fit_its_index) {
    read({"chr2"});
    auto const text = file_bytes(fasta_);
    for (auto const& other : {text.substr(0, text.size() - 5), ">longer header than before\n" + text}) {
        folder_.write("a.fa", other);
        auto const result = read_all(*open_regions(fasta_, {parse_region("chr2")}), kWhole);
        ASSERT_TRUE(result.error);
        EXPECT_EQ(result.error->code(), ErrorCode::malformed_input) << result.error->message();
    }
}

TEST_F(RegionReader, refuses_files_that_cannot_be_indexed) {
    auto const refuse = [&](fs::path const& path) {
        return error_of([&] { open_regions(path, {parse_region("a")}); }).code();
    };
    EXPECT_EQ(refuse(folder_.path() / "missing.fa"), ErrorCode::not_found);
    EXPECT_EQ(refuse(folder_.path()), ErrorCode::io);
    EXPECT_EQ(refuse("-"), ErrorCode::unsupported);
    EXPECT_EQ(refuse(folder_.write("b.fa", ">a\nACGT\nAC\nACGT\n")), ErrorCode::malformed_input);
    EXPECT_EQ(refuse(folder_.write("c.fa.gz", file_bytes(data_folder() / "fasta" / "valid.fa.gz"))),
              ErrorCode::malformed_input);
    EXPECT_FALSE(fs::exists(folder_.path() / "b.fa.fai"));
}

TEST_F(RegionReader, reads_fasta_compressed_by_bgzip) {
    auto const path = folder_.write("d.fa.gz", file_bytes(data_folder() / "fasta" / "valid_bgzf.fa.gz"));
    auto const result = read_all(*open_regions(path, {parse_region("two:6-10")}), 3);
    EXPECT_FALSE(result.error);
    ASSERT_EQ(result.records.size(), 1U);
    EXPECT_EQ(result.records[0].symbols.substr(2, 2), "-*");
}

TEST_F(RegionReader, reads_bed) {
    auto const bed = folder_.write(
        "a.bed", "# comment\ntrack name=x\nbrowser y\n\nchr1\t7\t12\tgene one\t0\t+\r\nchr2 0 7\nchr2\t3\t3\n");
    auto const result = read_all(*open_regions(fasta_, read_bed(bed)), kWhole);
    EXPECT_EQ(result.records,
              (Records{{"chr1:8-12", "gene one", "TACGT"}, {"chr2:1-7", "", "GATTACA"}, {"chr2:4-3", "", ""}}));
}

TEST_F(RegionReader, refuses_malformed_bed_with_its_line) {
    for (auto const* line : {"chr1\t1", "chr1\tx\t5", "chr1\t5\t1", "chr1\t-1\t5", "\t1\t5", "chr1\t1.5\t5"}) {
        auto const bed = folder_.write("a.bed", "chr1\t1\t5\n" + std::string(line) + "\n");
        auto const error = error_of([&] { read_bed(bed); });
        EXPECT_EQ(error.code(), ErrorCode::malformed_input) << line;
        EXPECT_NE(error.message().find("line 2"), std::string::npos) << error.message();
    }
}

TEST_F(RegionReader, names_the_bed_line_that_reaches_too_far) {
    auto const bed = folder_.write("a.bed", "chr1\t1\t5\nchr1\t1\t26\n");
    auto const error = error_of([&] { open_regions(fasta_, read_bed(bed)); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(error.message().find("line 2"), std::string::npos) << error.message();
}

} // namespace
} // namespace strandwave

#include "formats/alignment_tagger.h"
#include "tests/formats/file_size_limit.h"
#include "tests/formats/odd_alignments.h"
#include "tests/formats/samtools.h"

#include <algorithm>
#include <functional>
#include <htslib/sam.h>
#include <sstream>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

constexpr index_t kBlock = 10; ///< records

AlignmentTaggerOptions const kOptions{.reading = {}, .threads = 0, .version = "9.9", .command = "strandwave batch x"};

AlignmentTaggerOptions with_reference(fs::path const& reference) {
    auto options = kOptions;
    options.reading.reference = reference;
    return options;
}

std::vector<TestRecord> records_of(fs::path const& input, AlignmentTaggerOptions const& options) {
    InputOptions reading;
    reading.sequence = options.reading;
    auto const result = read_file(input, kWhole, reading);
    if (result.error) { throw *result.error; }
    return result.records;
}

/// As a classifier that has no answer for every fourth record.
void tag_record(AlignmentTagger& tagger, std::vector<TestRecord> const& records, index_t ordinal) {
    if (ordinal % 4 == 3) { return; }
    tagger.tag(ordinal, records[static_cast<std::size_t>(ordinal)].name, "class " + std::to_string(ordinal % 3), 0.5);
}

index_t block_count(std::vector<TestRecord> const& records) {
    return (static_cast<index_t>(records.size()) + kBlock - 1) / kBlock;
}

/// The size of the part with the block.
index_t tag_block(AlignmentTagger& tagger, std::vector<TestRecord> const& records, index_t block) {
    auto const end = std::min(static_cast<index_t>(records.size()), (block + 1) * kBlock);
    tagger.begin_block(block * kBlock);
    for (auto ordinal = block * kBlock; ordinal < end; ++ordinal) {
        tag_record(tagger, records, ordinal);
    }
    auto const bytes = tagger.end_block(end);
    return block + 1 < block_count(records) ? bytes : tagger.copy_rest();
}

/// Tags all of `input` from `first_block` on, behind what is kept of an earlier try, and completes the file.
fs::path tag_all(fs::path const& input, fs::path const& output, AlignmentTaggerOptions const& options,
                 index_t first_block = 0, index_t keep_bytes = 0) {
    auto const records = records_of(input, options);
    AlignmentTagger tagger(input, output, keep_bytes, options);
    for (auto block = first_block; block < block_count(records); ++block) {
        tag_block(tagger, records, block);
    }
    if (records.empty()) { tagger.copy_rest(); }
    tagger.commit();
    return output;
}

bool is_our_tag(std::string_view field) { return field.rfind("xl:", 0) == 0 || field.rfind("xp:", 0) == 0; }

/// Of each SAM line the fields that are wanted.
std::string fields_of(std::string const& sam, std::function<bool(std::string_view field, int number)> const& wanted) {
    std::istringstream lines(sam);
    std::string text;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream fields(line);
        int number = 0;
        for (std::string field; std::getline(fields, field, '\t'); ++number) {
            if (wanted(field, number)) { text += (number > 0 ? "\t" : "") + field; }
        }
        text += "\n";
    }
    return text;
}

std::string without_our_tags(std::string const& sam) {
    return fields_of(sam, [](std::string_view field, int) { return !is_our_tag(field); });
}

std::string name_and_our_tags(std::string const& sam) {
    return fields_of(sam, [](std::string_view field, int number) { return number == 0 || is_our_tag(field); });
}

/// The lines of `text` that are not among those of `other`; both are in the same order otherwise.
std::vector<std::string> lines_beyond(std::string const& text, std::string const& other) {
    std::istringstream lines(text), expected(other);
    std::vector<std::string> beyond;
    std::string wanted;
    std::getline(expected, wanted);
    for (std::string line; std::getline(lines, line);) {
        if (line == wanted) {
            wanted.clear();
            std::getline(expected, wanted);
        } else {
            beyond.push_back(line);
        }
    }
    if (!wanted.empty()) { beyond.push_back("lost: " + wanted); }
    return beyond;
}

Error error_of(std::function<void()> const& call) {
    try {
        call();
    } catch (Error const& error) { return error; }
    throw std::logic_error("no error");
}

class AlignmentTaggerTest : public WithSamtools {
protected:
    fs::path odd_bam(int reads = 100) const {
        auto const sam = folder_.write("odd.sam", odd_sam(reads));
        samtools({"view", "-b", "--no-PG", "-o", (folder_.path() / "odd.bam").string(), sam.string()});
        return folder_.path() / "odd.bam";
    }

    void expect_copy_with_tags(fs::path const& input, AlignmentTaggerOptions const& options) const {
        SCOPED_TRACE(input);
        auto const output = tag_all(input, folder_.path() / "tagged.bam", options);
        auto const input_header = header(input);
        bool const has_sequences = input_header.find("@SQ") != std::string::npos;
        samtools({"quickcheck", has_sequences ? "-v" : "-vu", output.string()});
        auto const tagged = alignments(output);
        EXPECT_EQ(without_our_tags(tagged), without_our_tags(alignments(input, options.reading.reference)));
        auto const added = lines_beyond(header(output), input_header);
        ASSERT_EQ(added.size(), 1U);
        EXPECT_EQ(added[0].rfind("@PG\tID:strandwave", 0), 0U) << added[0];
    }
};

TEST_F(AlignmentTaggerTest, changes_nothing_but_its_tags_and_its_program_line) {
    auto const data = data_folder();
    auto with_secondary = kOptions;
    with_secondary.reading.keep_secondary = true;
    for (auto const& input :
         {data / "bam" / "valid.bam", data / "bam" / "valid_uncompressed.bam", data / "bam" / "empty.bam",
          data / "sam" / "valid.sam", data / "sam" / "valid_bgzf.sam.gz", data / "sam" / "valid_no_header.sam",
          data / "cram" / "valid_no_reference.cram", data / ".." / "samples" / "reads.bam", odd_bam(),
          folder_.path() / "odd.sam"}) {
        expect_copy_with_tags(input, kOptions);
        expect_copy_with_tags(input, with_secondary);
    }
    expect_copy_with_tags(data / "cram" / "valid.cram", with_reference(data / "cram" / "reference.fa"));
}

TEST_F(AlignmentTaggerTest, tags_the_records_that_were_classified) {
    auto const input = folder_.write("a.sam", "@SQ\tSN:c\tLN:9\n"
                                              "a\t256\tc\t1\t0\t*\t*\t0\t0\t*\t*\txl:Z:old\txp:f:1\n"
                                              "a\t0\tc\t1\t0\t*\t*\t0\t0\t*\t*\txp:f:1\tXX:i:1\txl:Z:old\n"
                                              "b\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\txl:Z:old\n"
                                              "a\t2048\tc\t1\t0\t*\t*\t0\t0\t*\t*\n"
                                              "c\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*\n");
    AlignmentTagger tagger(input, folder_.path() / "out.bam", 0, kOptions);
    tagger.tag(0, "a", "E. coli", 0.75);
    tagger.tag(2, "c", "", 1);
    tagger.end_block(3);
    tagger.copy_rest();
    tagger.commit();
    EXPECT_EQ(name_and_our_tags(alignments(folder_.path() / "out.bam")), "a\n"
                                                                         "a\txl:Z:E. coli\txp:f:0.75\n"
                                                                         "b\n"
                                                                         "a\n"
                                                                         "c\txl:Z:\txp:f:1\n");
}

TEST_F(AlignmentTaggerTest, its_program_line_ends_the_chain_and_fits_in_a_line) {
    auto options = kOptions;
    options.command = "strandwave batch 'a\tb\nc'";
    auto const output = tag_all(odd_bam(), folder_.path() / "out.bam", options);
    EXPECT_NE(header(output).find("@PG\tID:strandwave.1\tPN:strandwave\tPP:strandwave\tVN:9.9\t"
                                  "CL:strandwave batch 'a b c'\n"),
              std::string::npos)
        << header(output);
}

TEST_F(AlignmentTaggerTest, threads_do_not_show_in_the_bytes) {
    auto const input = odd_bam();
    auto const bytes = file_bytes(tag_all(input, folder_.path() / "out.bam", kOptions));
    auto options = kOptions;
    options.threads = 3;
    options.reading.decompression_threads = 2;
    EXPECT_EQ(bytes, file_bytes(tag_all(input, folder_.path() / "out.bam", options)));
}

TEST_F(AlignmentTaggerTest, a_part_that_was_left_is_gone_on_with) {
    auto const input = odd_bam();
    auto const records = records_of(input, kOptions);
    auto const bytes = file_bytes(tag_all(input, folder_.path() / "whole.bam", kOptions));
    for (index_t done = 0; done <= block_count(records); ++done) {
        index_t kept = 0;
        {
            AlignmentTagger tagger(input, folder_.path() / "out.bam", 0, kOptions);
            kept = tagger.bytes();
            for (index_t block = 0; block < done; ++block) {
                kept = tag_block(tagger, records, block);
            }
            if (done < block_count(records)) { tag_record(tagger, records, done * kBlock); } // is lost
        }
        EXPECT_EQ(bytes, file_bytes(tag_all(input, folder_.path() / "out.bam", kOptions, done, kept))) << done;
    }
}

TEST_F(AlignmentTaggerTest, blocks_of_several_processes_are_the_file_of_one) {
    auto const input = odd_bam();
    auto const records = records_of(input, kOptions);
    std::vector<std::string> blocks;
    for (index_t block = 0; block < block_count(records); ++block) {
        AlignmentTagger tagger(input, folder_.path() / "shard.bam", 0, kOptions);
        auto const header_bytes = tagger.bytes();
        auto const end = tag_block(tagger, records, block);
        auto const part = file_bytes(folder_.path() / "shard.bam.part");
        EXPECT_EQ(static_cast<index_t>(part.size()), end);
        if (block == 0) { blocks.push_back(part.substr(0, static_cast<std::size_t>(header_bytes))); }
        blocks.push_back(part.substr(static_cast<std::size_t>(header_bytes)));
    }
    std::string joined;
    for (auto const& block : blocks) {
        joined += block;
    }
    auto const whole = file_bytes(tag_all(input, folder_.path() / "whole.bam", kOptions));
    constexpr std::size_t kEndMarker = 28;
    EXPECT_EQ(joined, whole.substr(0, whole.size() - kEndMarker));
}

TEST_F(AlignmentTaggerTest, an_unfinished_file_has_another_name_but_is_whole) {
    auto const input = odd_bam();
    AlignmentTagger tagger(input, folder_.path() / "out.bam", 0, kOptions);
    tagger.end_block(5);
    tagger.commit(".incomplete");
    samtools({"quickcheck", (folder_.path() / "out.bam.incomplete").string()});
    EXPECT_FALSE(fs::exists(folder_.path() / "out.bam"));
    EXPECT_FALSE(fs::exists(folder_.path() / "out.bam.part"));
}

TEST(AlignmentTagger, notices_that_the_file_is_another_one_now) {
    TemporaryFolder const folder;
    std::string const read = "\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\t*\n";
    auto const input = folder.write("a.sam", "a" + read + "b" + read);
    auto const open = [&] { return AlignmentTagger(input, folder.path() / "out.bam", 0, kOptions); };
    auto const renamed = error_of([&] { open().tag(1, "x", "y", 1); });
    EXPECT_EQ(renamed.code(), ErrorCode::malformed_input);
    EXPECT_NE(renamed.message().find("a.sam: record 2 was 'x' and is now 'b'"), std::string::npos) << renamed.message();
    auto const shorter = error_of([&] { open().tag(2, "c", "y", 1); });
    EXPECT_NE(shorter.message().find("record 3 ('c') is gone"), std::string::npos) << shorter.message();
    EXPECT_EQ(error_of([&] { open().end_block(3); }).code(), ErrorCode::malformed_input);
    EXPECT_EQ(error_of([&] { open().begin_block(3); }).code(), ErrorCode::malformed_input);
    auto const longer = error_of([&] {
        auto tagger = open();
        tagger.end_block(1);
        tagger.copy_rest();
    });
    EXPECT_EQ(longer.code(), ErrorCode::malformed_input);
    EXPECT_NE(longer.message().find("'b'"), std::string::npos) << longer.message();
}

TEST(AlignmentTagger, refuses_what_it_cannot_do) {
    TemporaryFolder const folder;
    auto const bam = data_folder() / "bam" / "valid.bam";
    auto const out = folder.path() / "out.bam";
    AlignmentTagger tagger(bam, out, 0, kOptions);
    EXPECT_EQ(error_of([&] { tagger.tag(0, "pair", "tab\tin it", 1); }).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(error_of([&] { tagger.tag(0, "pair", "\xc3\xa4", 1); }).code(), ErrorCode::invalid_argument);
    tagger.tag(1, "pair", "x", 1);
    EXPECT_EQ(error_of([&] { tagger.tag(1, "pair", "x", 1); }).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(error_of([&] { tagger.begin_block(1); }).code(), ErrorCode::invalid_argument);
    auto const written = tagger.end_block(2);
    EXPECT_EQ(error_of([&] { AlignmentTagger(bam, out, written + 1, kOptions); }).code(), ErrorCode::not_found);
    EXPECT_EQ(error_of([&] { AlignmentTagger(bam, folder.path() / "no" / "out.bam", 0, kOptions); }).code(),
              ErrorCode::io);
    EXPECT_EQ(error_of([&] { AlignmentTagger("-", out, 0, kOptions); }).code(), ErrorCode::unsupported);
    Pipe const pipe(file_bytes(bam));
    EXPECT_EQ(error_of([&] { AlignmentTagger(pipe.path(), out, 0, kOptions); }).code(), ErrorCode::unsupported);
}

TEST(AlignmentTagger, damage_is_the_error_of_the_reader) {
    TemporaryFolder const folder;
    for (auto const* const kind : {"bam", "cram", "sam"}) {
        for (auto const* const damage : {"truncated", "malformed"}) {
            auto const input = data_folder() / kind / (std::string(damage) + "." + kind);
            auto const options = with_reference(data_folder() / "cram" / "reference.fa");
            InputOptions reading;
            reading.sequence = options.reading;
            auto const expected = read_file(input, kWhole, reading);
            ASSERT_TRUE(expected.error) << input;
            auto const error = error_of([&] {
                AlignmentTagger tagger(input, folder.path() / "out.bam", 0, options);
                tagger.end_block(1000);
            });
            EXPECT_EQ(error.message(), expected.error->message());
            EXPECT_EQ(error.code(), expected.error->code());
        }
    }
}

TEST(AlignmentTagger, tags_without_an_end_are_malformed) {
    TemporaryFolder const folder;
    auto const input = folder.path() / "a.bam";
    htsFile* const file = hts_open(input.c_str(), "wb");
    sam_hdr_t* const header = sam_hdr_init();
    bam1_t* const alignment = bam_init1();
    EXPECT_EQ(sam_hdr_write(file, header), 0);
    EXPECT_GE(bam_set1(alignment, 1, "a", 4, -1, -1, 0, 0, nullptr, -1, -1, 0, 0, nullptr, nullptr, 0), 0);
    EXPECT_EQ(bam_aux_append(alignment, "XA", 'Z', 3, reinterpret_cast<std::uint8_t const*>("abc")), 0);
    EXPECT_GE(sam_write1(file, header, alignment), 0);
    bam_destroy1(alignment);
    sam_hdr_destroy(header);
    hts_close(file);
    AlignmentTagger tagger(input, folder.path() / "out.bam", 0, kOptions);
    auto const error = error_of([&] { tagger.tag(0, "a", "x", 1); });
    EXPECT_EQ(error.code(), ErrorCode::malformed_input);
    EXPECT_NE(error.message().find("record 1 has malformed tags"), std::string::npos) << error.message();
}

TEST(AlignmentTagger, a_full_disk_is_an_error) {
    TemporaryFolder const folder;
    auto const input = folder.write("odd.sam", odd_sam(100));
    for (int const threads : {0, 2}) {
        auto options = kOptions;
        options.threads = threads;
        AlignmentTagger tagger(input, folder.path() / "out.bam", 0, options);
        FileSizeLimit const limit(static_cast<rlim_t>(tagger.bytes() + 100));
        auto const error = error_of([&] { tagger.end_block(10); });
        EXPECT_EQ(error.code(), ErrorCode::io);
        EXPECT_NE(error.message().find("out.bam: cannot be written"), std::string::npos) << error.message();
    }
}

} // namespace
} // namespace strandwave

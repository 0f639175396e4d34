#include "formats/open_input.h"
#include "tests/formats/read_records.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class OpenInput : public testing::Test {
protected:
    std::string_view format_of(std::string const& name, std::string const& content) const {
        auto input = open_input(folder_.write(name, content), {});
        return input ? input->format : error_code_name(input.error().code());
    }
    ErrorCode code_of(fs::path const& path) const {
        auto const input = open_input(path, {});
        return input ? ErrorCode::already_exists : input.error().code();
    }

    TemporaryFolder folder_;
};

TEST_F(OpenInput, finds_the_kind_by_content_whatever_the_name) {
    for (auto const* name : {"a", "a.txt", "a.wav", "a.bam", "a.fa", "a.fq.gz"}) {
        EXPECT_EQ(format_of(name, ">a\nACGT\n"), "fasta") << name;
        EXPECT_EQ(format_of(name, "\n\n>a\nACGT\n"), "fasta") << name;
        EXPECT_EQ(format_of(name, "@a\nACGT\n+\nIIII\n"), "fastq") << name;
        EXPECT_EQ(format_of(name, "@SQ\tSN:a\tLN:5\n"), "sam") << name;
        EXPECT_EQ(format_of(name, "a\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII\n"), "sam") << name;
        EXPECT_EQ(format_of(name, file_bytes(data_folder() / "bam" / "valid.bam")), "bam") << name;
        EXPECT_EQ(format_of(name, file_bytes(data_folder() / "cram" / "valid.cram")), "cram") << name;
        EXPECT_EQ(format_of(name, file_bytes(data_folder() / "fastq" / "valid_bgzf.fq.gz")), "fastq") << name;
        EXPECT_EQ(format_of(name, file_bytes(data_folder() / "sam" / "valid_gzip.sam.gz")), "sam") << name;
    }
}

TEST_F(OpenInput, an_empty_text_file_has_no_records_and_others_are_cut_short) {
    for (auto const* name : {"a.fa", "a.FASTA", "a.fna", "a.fq", "a.fastq"}) {
        auto const result = read_file(folder_.write(name, ""));
        EXPECT_FALSE(result.error) << name;
        EXPECT_TRUE(result.records.empty()) << name;
    }
    for (auto const* name : {"a", "a.fa.gz", "a.sam", "a.bam", "a.cram", "a.wav", "a.flac"}) {
        EXPECT_EQ(format_of(name, ""), "truncated_input") << name;
    }
    EXPECT_EQ(code_of("/dev/null"), ErrorCode::truncated_input);
}

TEST_F(OpenInput, text_before_the_first_record_is_named_when_the_name_says_what_was_meant) {
    auto const result = read_file(folder_.write("a.fa", "ACGT\n>a\nACGT\n"));
    ASSERT_TRUE(result.error);
    EXPECT_NE(result.error->message().find("line 1, byte 0"), std::string::npos) << result.error->message();
}

TEST_F(OpenInput, refuses_kinds_that_it_does_not_read) {
    EXPECT_EQ(format_of("a", "hello"), "malformed_input");
    EXPECT_EQ(format_of("a", std::string(100, '\0')), "malformed_input");
    EXPECT_EQ(format_of("a.vcf", "##fileformat=VCFv4.2\n"), "malformed_input");
    EXPECT_EQ(format_of("a.bed", "chr1\t5\t9\n"), "malformed_input");
    EXPECT_EQ(format_of("a.fa.bz2", "BZh91AY&SY\x01\x02\x03\x04"), "unsupported");
    EXPECT_EQ(format_of("a.fa.zst", "\x28\xb5\x2f\xfd\x04"), "unsupported");
    EXPECT_EQ(format_of("a.bam", "{\"htsget\": {\"urls\": [{\"url\": \"http://x.invalid/\"}]}}"), "malformed_input");
}

TEST_F(OpenInput, says_why_a_path_cannot_be_read) {
    EXPECT_EQ(code_of(folder_.path() / "missing.fa"), ErrorCode::not_found);
    EXPECT_EQ(code_of(folder_.write("a.fa", ">a\nA\n") / "b"), ErrorCode::not_found);
    EXPECT_EQ(code_of(folder_.path()), ErrorCode::io);
    EXPECT_EQ(code_of("http://host.invalid/a.fa"), ErrorCode::not_found);
    if (geteuid() == 0) { GTEST_SKIP() << "root may read everything"; }
    auto const secret = folder_.write("secret.fa", ">a\nA\n");
    fs::permissions(secret, fs::perms::none);
    EXPECT_EQ(code_of(secret), ErrorCode::io);
}

TEST_F(OpenInput, reads_stdin) {
    Pipe const pipe(">a\nACGT\n");
    int const old_stdin = dup(STDIN_FILENO);
    int const text = open(pipe.path().c_str(), O_RDONLY);
    dup2(text, STDIN_FILENO);
    auto const result = read_file("-", 3);
    dup2(old_stdin, STDIN_FILENO);
    close(old_stdin);
    close(text);
    EXPECT_EQ(result.records, (std::vector<TestRecord>{{"a", "", "ACGT"}}));
}

TEST_F(OpenInput, reads_a_named_pipe) {
    auto const path = folder_.path() / "pipe";
    ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    std::thread writer([&path] { std::ofstream(path) << "@a\nACGT\n+\nIIII\n"; });
    auto const result = read_file(path, 3);
    writer.join();
    EXPECT_EQ(result.records, (std::vector<TestRecord>{{"a", "", "ACGT"}}));
}

TEST_F(OpenInput, sound_in_a_pipe_goes_on_from_its_first_byte) {
    std::string wav("RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0",
                    44);
    wav += std::string("\0\0\0\x40\0\xc0\0\x20", 8);
    Pipe const pipe(wav);
    auto input = open_input(pipe.path(), {});
    ASSERT_TRUE(input.has_value()) << input.error().message();
    EXPECT_EQ(input->format, "wav");
    ASSERT_TRUE(input->audio);
    AudioChunk chunk;
    EXPECT_EQ(input->audio->next(chunk, 100).value(), ReadOutcome::chunk);
    EXPECT_EQ(chunk.samples, (std::vector<float>{0.0F, 0.5F, -0.5F, 0.25F}));

    Pipe const flac("fLaC" + std::string(1000, '\0'));
    auto const refused = open_input(flac.path(), {});
    ASSERT_FALSE(refused.has_value());
    EXPECT_NE(refused.error().message().find("--raw"), std::string::npos) << refused.error().message();
}

TEST_F(OpenInput, reads_raw_samples_whatever_they_look_like) {
    InputOptions options;
    options.raw_audio = RawAudioFormat::parse("s8:8000:1").value();
    auto input = open_input(folder_.write("a.fa", ">a\nACGT\n"), options);
    ASSERT_TRUE(input.has_value());
    EXPECT_EQ(input->format, "raw");
    EXPECT_TRUE(input->audio);
}

TEST_F(OpenInput, refuses_to_trim_what_has_no_qualities) {
    InputOptions options;
    options.sequence.trim_quality = 20;
    for (auto const& path : {folder_.write("a.fa", ">a\nACGT\n"), folder_.write("a.csv", "sequence,label\nACGT,0\n")}) {
        auto const input = open_input(path, options);
        ASSERT_FALSE(input) << path;
        EXPECT_EQ(input.error().code(), ErrorCode::unsupported);
        EXPECT_NE(input.error().message().find("has no qualities"), std::string::npos) << input.error().message();
    }
    EXPECT_TRUE(open_input(folder_.write("a.fq", "@a\nACGT\n+\nIIII\n"), options));
}

} // namespace
} // namespace strandwave

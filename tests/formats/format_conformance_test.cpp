// What every DNA format promises, over the fixtures in data/formats/<format>/: expected.tsv (name, description, bases),
// valid* (each gives the expected records), empty* (no records), truncated*, malformed*.

#include "tests/formats/read_records.h"

#include <algorithm>
#include <sstream>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

struct Format {
    std::string name;
    fs::path folder;
    InputOptions options;
    std::vector<TestRecord> expected;
};

std::ostream& operator<<(std::ostream& out, Format const& format) { return out << format.name; }

std::vector<Format> all_formats() {
    std::vector<Format> formats;
    for (auto const& entry : fs::directory_iterator(data_folder())) {
        if (!fs::exists(entry.path() / "expected.tsv")) { continue; } // sound
        Format format{entry.path().filename(), entry.path(), {}, {}};
        auto const reference = entry.path() / "reference.fa";
        if (fs::exists(reference)) { format.options.sequence.reference = reference; }
        std::ifstream file(entry.path() / "expected.tsv");
        for (std::string line; std::getline(file, line);) {
            std::istringstream columns(line);
            TestRecord record;
            std::getline(columns, record.name, '\t');
            std::getline(columns, record.description, '\t');
            std::getline(columns, record.symbols, '\t');
            format.expected.push_back(record);
        }
        formats.push_back(format);
    }
    std::sort(formats.begin(), formats.end(), [](auto const& a, auto const& b) { return a.name < b.name; });
    return formats;
}

std::vector<fs::path> files_of(Format const& format, std::string const& prefix) {
    std::vector<fs::path> files;
    for (auto const& entry : fs::directory_iterator(format.folder)) {
        if (entry.path().filename().string().rfind(prefix, 0) == 0) { files.push_back(entry.path()); }
    }
    return files;
}

/// Plain text can lose its end without a trace; everything else has checksums, lengths or an end marker.
bool is_plain_text(fs::path const& path) {
    auto const extension = path.extension();
    return extension == ".fa" || extension == ".fq" || extension == ".sam";
}

/// What a cut may leave of plain text: whole records only, but FASTA's last, which ends where the file does.
bool is_honest_prefix(std::vector<TestRecord> const& got, std::vector<TestRecord> const& whole, bool fasta) {
    if (got.size() > whole.size()) { return false; }
    for (std::size_t i = 0; i < got.size(); ++i) {
        if (got[i] == whole[i]) { continue; }
        bool const shorter = got[i].name == whole[i].name && got[i].description == whole[i].description &&
                             whole[i].symbols.rfind(got[i].symbols, 0) == 0;
        if (!fasta || i + 1 != got.size() || !shorter) { return false; }
    }
    return true;
}

class FormatConformance : public testing::TestWithParam<Format> {};

TEST_P(FormatConformance, has_its_fixtures) {
    for (auto const* prefix : {"valid", "empty", "truncated", "malformed"}) {
        EXPECT_FALSE(files_of(GetParam(), prefix).empty()) << prefix;
    }
}

TEST_P(FormatConformance, records_do_not_depend_on_the_cut_into_chunks) {
    auto const& format = GetParam();
    for (auto const& file : files_of(format, "valid")) {
        for (index_t const max_symbols : {index_t{1}, index_t{2}, index_t{7}, index_t{4096}, kWhole}) {
            auto const result = read_file(file, max_symbols, format.options);
            EXPECT_FALSE(result.error) << file << ": " << result.error->message();
            EXPECT_EQ(result.records, format.expected) << file << " in chunks of " << max_symbols;
        }
    }
}

TEST_P(FormatConformance, threads_change_nothing) {
    auto options = GetParam().options;
    options.sequence.decompression_threads = 2;
    for (auto const& file : files_of(GetParam(), "valid")) {
        auto const result = read_file(file, 7, options);
        EXPECT_FALSE(result.error) << file << ": " << result.error->message();
        EXPECT_EQ(result.records, GetParam().expected) << file;
    }
}

TEST_P(FormatConformance, a_pipe_gives_the_same_records) {
    for (auto const& file : files_of(GetParam(), "valid")) {
        Pipe const pipe(file_bytes(file));
        auto const result = read_file(pipe.path(), 7, GetParam().options);
        EXPECT_FALSE(result.error) << file << ": " << result.error->message();
        EXPECT_EQ(result.records, GetParam().expected) << file;
    }
}

TEST_P(FormatConformance, an_empty_file_has_no_records) {
    for (auto const& file : files_of(GetParam(), "empty")) {
        auto const result = read_file(file, kWhole, GetParam().options);
        EXPECT_FALSE(result.error) << file << ": " << result.error->message();
        EXPECT_TRUE(result.records.empty()) << file;
    }
}

TEST_P(FormatConformance, truncated_fixtures_are_refused) {
    for (auto const& file : files_of(GetParam(), "truncated")) {
        auto const result = read_file(file, kWhole, GetParam().options);
        ASSERT_TRUE(result.error) << file;
        EXPECT_NE(result.error->message().find(file.filename()), std::string::npos) << result.error->message();
        // SAM and CRAM have no way to tell a cut from damage in the last line or container.
        if (GetParam().name != "sam") { EXPECT_EQ(result.error->code(), ErrorCode::truncated_input) << file; }
    }
}

TEST_P(FormatConformance, malformed_fixtures_are_refused_with_the_place) {
    for (auto const& file : files_of(GetParam(), "malformed")) {
        auto const result = read_file(file, kWhole, GetParam().options);
        ASSERT_TRUE(result.error) << file;
        EXPECT_EQ(result.error->code(), ErrorCode::malformed_input) << file;
        auto const& message = result.error->message();
        EXPECT_NE(message.find(file.filename()), std::string::npos) << message;
        EXPECT_TRUE(message.find("line ") != std::string::npos || message.find("record ") != std::string::npos)
            << message;
    }
}

void expect_refused_or_honest(ReadResult const& result, Format const& format, fs::path const& file, std::size_t cut) {
    if (result.error) {
        EXPECT_NE(result.error->code(), ErrorCode::io) << result.error->message();
        return;
    }
    EXPECT_TRUE(is_plain_text(file)) << file << " cut to " << cut << " bytes passed for whole";
    EXPECT_TRUE(is_honest_prefix(result.records, format.expected, format.name == "fasta")) << file << " cut to " << cut;
}

TEST_P(FormatConformance, a_cut_at_any_byte_is_never_a_shorter_file) {
    TemporaryFolder const folder;
    for (auto const& file : files_of(GetParam(), "valid")) {
        auto const bytes = file_bytes(file);
        auto const cut_file = folder.path() / file.filename();
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            folder.write(file.filename(), bytes.substr(0, cut));
            auto const result = read_file(cut_file, 4096, GetParam().options);
            // Line ends behind the last record, and a gzip stream that ends with its first member, are whole files.
            bool const only_line_ends = bytes.find_first_not_of("\r\n", cut) == std::string::npos;
            bool const member_end = file.filename() == "valid_two_members.fa.gz" && !result.error;
            if (only_line_ends) { continue; }
            if (member_end) {
                EXPECT_EQ(bytes.substr(cut, 2), "\x1f\x8b") << "cut to " << cut;
                continue;
            }
            expect_refused_or_honest(result, GetParam(), file, cut);
        }
    }
}

TEST_P(FormatConformance, a_pipe_cut_at_any_byte_is_never_a_shorter_file) {
    for (auto const& file : files_of(GetParam(), "valid")) {
        if (is_plain_text(file) || file.filename() == "valid_two_members.fa.gz") { continue; } // as from a file
        auto const bytes = file_bytes(file);
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            Pipe const pipe(bytes.substr(0, cut));
            auto const result = read_file(pipe.path(), 4096, GetParam().options);
            EXPECT_TRUE(result.error) << file << " cut to " << cut << " bytes passed for whole";
        }
    }
}

TEST_P(FormatConformance, a_changed_byte_never_gives_other_bases) {
    if (GetParam().name == "cram") { GTEST_SKIP() << "htslib 1.16 leaves CRAM's plain blocks unchecked"; }
    for (auto const& file : files_of(GetParam(), "valid")) {
        if (is_plain_text(file) || file.filename() == "valid_uncompressed.bam") { continue; } // nothing guards these
        auto const bytes = file_bytes(file);
        TemporaryFolder const folder;
        for (std::size_t position = 0; position < bytes.size(); ++position) {
            auto changed = bytes;
            changed[position] = static_cast<char>(changed[position] ^ 0x10);
            auto const path = folder.write(file.filename(), changed);
            auto const result = read_file(path, 4096, GetParam().options);
            if (!result.error) { EXPECT_EQ(result.records, GetParam().expected) << file << " at byte " << position; }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Dna, FormatConformance, testing::ValuesIn(all_formats()),
                         [](auto const& suite) { return suite.param.name; });

} // namespace
} // namespace strandwave

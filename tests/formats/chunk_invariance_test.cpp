// Random records, written in random layouts, are read back as they were, whatever the chunks.

#include "lib/core/random.h"
#include "tests/formats/read_records.h"

namespace strandwave {
namespace {

index_t below(Random& random, index_t bound) {
    return static_cast<index_t>(random.bits() % static_cast<std::uint64_t>(bound));
}

std::string random_text(Random& random, index_t length, std::string const& alphabet) {
    std::string text;
    for (index_t i = 0; i < length; ++i) {
        text += alphabet[static_cast<std::size_t>(below(random, static_cast<index_t>(alphabet.size())))];
    }
    return text;
}

std::vector<TestRecord> random_records(Random& random) {
    std::vector<TestRecord> records(static_cast<std::size_t>(below(random, 6)));
    for (auto& record : records) {
        record.name = random_text(random, 1 + below(random, 12), "ab>@+:-1.");
        record.description = below(random, 2) == 0 ? "" : random_text(random, 1 + below(random, 12), "x>@+=");
        index_t const length = below(random, 3) == 0 ? below(random, 3) : below(random, 3000);
        record.symbols = random_text(random, length, "ACGTNacgtn*-");
    }
    return records;
}

/// In lines of random length; empty text is one empty line or none.
std::string wrap(Random& random, std::string const& text, std::string const& line_end) {
    if (text.empty()) { return below(random, 2) == 0 ? "" : line_end; }
    std::string wrapped;
    for (std::size_t at = 0; at < text.size();) {
        auto const length = static_cast<std::size_t>(1 + below(random, below(random, 2) == 0 ? 80 : 3000));
        wrapped += text.substr(at, length) + line_end;
        at += length;
    }
    return wrapped;
}

std::string header(TestRecord const& record) {
    return record.description.empty() ? record.name : record.name + " " + record.description;
}

std::string as_fasta(Random& random, std::vector<TestRecord> const& records, std::string const& line_end) {
    std::string text;
    for (auto const& record : records) {
        text += ">" + header(record) + line_end + wrap(random, record.symbols, line_end);
    }
    return text;
}

std::string as_fastq(Random& random, std::vector<TestRecord> const& records, std::string const& line_end) {
    std::string text;
    for (auto const& record : records) {
        auto const quality = random_text(random, static_cast<index_t>(record.symbols.size()), "@+>!~IJ5");
        text += "@" + header(record) + line_end + wrap(random, record.symbols, line_end) + "+" +
                (below(random, 2) == 0 ? header(record) : "") + line_end + wrap(random, quality, line_end);
    }
    return text;
}

void expect_read_back(std::filesystem::path const& path, std::vector<TestRecord> const& records, Random& random) {
    for (index_t const max_symbols : {index_t{1}, 1 + below(random, 100), 1 + below(random, 4000), kWhole}) {
        auto const result = read_file(path, max_symbols);
        ASSERT_FALSE(result.error) << result.error->message() << " in chunks of " << max_symbols;
        ASSERT_EQ(result.records, records) << "in chunks of " << max_symbols;
    }
}

class ChunkInvariance : public testing::TestWithParam<std::uint64_t> {}; // seed

TEST_P(ChunkInvariance, holds_for_random_records) {
    Random random(GetParam());
    TemporaryFolder const folder;
    auto const records = random_records(random);
    std::string const line_end = below(random, 2) == 0 ? "\n" : "\r\n";
    expect_read_back(folder.write("a.fa", as_fasta(random, records, line_end)), records, random);
    expect_read_back(folder.write("a.fq", as_fastq(random, records, line_end)), records, random);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChunkInvariance, testing::Range(std::uint64_t{1}, std::uint64_t{61}));

} // namespace
} // namespace strandwave

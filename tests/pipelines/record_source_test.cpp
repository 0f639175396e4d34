#include "pipelines/record_source.h"

#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

/// A unit with all its pieces put together.
struct WholeUnit {
    Unit unit;
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
    int pieces = 0;
};

struct Units {
    std::vector<WholeUnit> whole;
    std::vector<UnitPiece> failures;
    SourceCounts counts;
};

Units read_units(std::vector<std::filesystem::path> files, RecordSourceOptions const& options,
                 index_t max_positions = 100) {
    RecordSource source(std::move(files), options);
    Units units;
    bool open = false;
    for (UnitPiece piece; source.next(piece, max_positions);) {
        if (piece.failure) {
            if (open) { units.whole.pop_back(); }
            open = false;
            units.failures.push_back(piece);
            continue;
        }
        EXPECT_EQ(piece.first, !open);
        EXPECT_TRUE(options.whole_units || piece.positions <= max_positions);
        if (piece.first) { units.whole.emplace_back(); }
        auto& unit = units.whole.back();
        unit.unit = piece.unit;
        unit.tokens.insert(unit.tokens.end(), piece.tokens.begin(), piece.tokens.end());
        unit.frames.insert(unit.frames.end(), piece.frames.begin(), piece.frames.end());
        ++unit.pieces;
        open = !piece.last;
    }
    EXPECT_FALSE(open) << "the last unit did not end";
    units.counts = source.counts();
    return units;
}

std::vector<std::int32_t> tokens_of(std::string const& letters) {
    std::vector<std::int32_t> tokens;
    NucleotideCounts counts;
    NucleotideEncoder({}).encode(letters, tokens, counts).value();
    return tokens;
}

class RecordSourceTest : public testing::Test {
protected:
    std::filesystem::path file(std::string const& name, std::string const& content) {
        return write_text(folder_.path() / name, content);
    }

    TempDir folder_;
    RecordSourceOptions options_;
};

TEST_F(RecordSourceTest, RecordsComeWholeAtAnyPieceLength) {
    auto const letters = bases(70000);
    auto const path = file("two.fa", fasta("one first", letters) + fasta("two", "ACGT"));
    for (index_t const length : {1, 7, 65536, 1000000}) {
        auto const units = read_units({path}, options_, length);
        ASSERT_EQ(units.whole.size(), 2U) << length;
        EXPECT_EQ(units.whole[0].tokens, tokens_of(letters)) << length;
        EXPECT_EQ(units.whole[0].unit.name, "one");
        EXPECT_EQ(units.whole[0].unit.start, 0);
        EXPECT_EQ(units.whole[0].unit.end, 70000);
        EXPECT_EQ(units.whole[1].tokens, tokens_of("ACGT"));
        EXPECT_EQ(units.whole[1].unit.record, 1);
        if (length == 1) { break; } // 70,000 pieces once are enough
    }
}

TEST_F(RecordSourceTest, WindowsAreTheirPieceOfTheRecord) {
    auto const letters = bases(1250);
    options_.window = Extent::parse("500");
    options_.stride = Extent::parse("300");
    auto const units = read_units({file("a.fa", fasta("a", letters))}, options_);
    ASSERT_EQ(units.whole.size(), 4U);
    index_t const starts[] = {0, 300, 600, 900};
    index_t const ends[] = {500, 800, 1100, 1250};
    for (std::size_t i = 0; i < 4; ++i) {
        EXPECT_EQ(units.whole[i].unit.start, starts[i]);
        EXPECT_EQ(units.whole[i].unit.end, ends[i]);
        EXPECT_EQ(units.whole[i].unit.record, 0);
        auto const begin = static_cast<std::size_t>(starts[i]);
        EXPECT_EQ(units.whole[i].tokens, tokens_of(letters.substr(begin, static_cast<std::size_t>(ends[i]) - begin)));
    }
}

TEST_F(RecordSourceTest, TheLastWindowIsKeptFromHalfOn) {
    auto const ends = [&](index_t length, std::string const& stride) {
        options_.window = Extent::parse("10");
        options_.stride = Extent::parse(stride);
        std::vector<index_t> list;
        for (auto const& unit : read_units({file("a.fa", fasta("a", bases(length)))}, options_).whole) {
            list.push_back(unit.unit.end);
        }
        return list;
    };
    using List = std::vector<index_t>;
    EXPECT_EQ(ends(3, "10"), List({3})) << "the only window of its record";
    EXPECT_EQ(ends(10, "10"), List({10}));
    EXPECT_EQ(ends(14, "10"), List({10}));
    EXPECT_EQ(ends(15, "10"), List({10, 15}));
    EXPECT_EQ(ends(20, "10"), List({10, 20}));
    EXPECT_EQ(ends(15, "5"), List({10, 15})) << "none starts once one has reached the end";
    EXPECT_EQ(ends(40, "25"), List({10, 35})) << "a stride beyond the window leaves bases out";
    EXPECT_EQ(ends(30, "25"), List({10, 30}));
}

TEST_F(RecordSourceTest, StrandsAreTheReverseComplement) {
    auto const path = file("a.fa", fasta("a", "AACGTN") + fasta("b", "C"));
    options_.preprocessor.strand = StrandPolicy::both;
    auto const both = read_units({path}, options_, 4);
    ASSERT_EQ(both.whole.size(), 4U);
    EXPECT_EQ(both.whole[0].tokens, tokens_of("AACGTN"));
    EXPECT_FALSE(both.whole[0].unit.reverse);
    EXPECT_EQ(both.whole[1].tokens, tokens_of("NACGTT"));
    EXPECT_TRUE(both.whole[1].unit.reverse);
    EXPECT_EQ(both.whole[1].unit.record, 0);
    EXPECT_EQ(both.whole[3].tokens, tokens_of("G"));
    EXPECT_EQ(both.counts.letters.symbols, 7) << "letters count once";

    options_.preprocessor.strand = StrandPolicy::reverse;
    auto const reverse = read_units({path}, options_);
    ASSERT_EQ(reverse.whole.size(), 2U);
    EXPECT_EQ(reverse.whole[0].tokens, tokens_of("NACGTT"));
}

TEST_F(RecordSourceTest, SpecialTokensStayOutsideOfTheStrand) {
    options_.preprocessor.special_tokens = true;
    options_.preprocessor.strand = StrandPolicy::both;
    auto const units = read_units({file("a.fa", fasta("a", "AAC"))}, options_);
    NucleotideEncoder const encoder({});
    auto const wrapped = [&](std::string const& letters) {
        auto tokens = encoder.prefix_tokens();
        auto const middle = tokens_of(letters);
        auto const suffix = encoder.suffix_tokens();
        tokens.insert(tokens.end(), middle.begin(), middle.end());
        tokens.insert(tokens.end(), suffix.begin(), suffix.end());
        return tokens;
    };
    ASSERT_EQ(units.whole.size(), 2U);
    EXPECT_EQ(units.whole[0].tokens, wrapped("AAC"));
    EXPECT_EQ(units.whole[1].tokens, wrapped("GTT"));
    EXPECT_GT(units.whole[0].tokens.size(), 3U);
}

TEST_F(RecordSourceTest, ShortAndEmptyRecordsAreSkippedAndCounted) {
    auto const path = file("a.fa", ">none\n" + fasta("short", "ACG") + fasta("long", "ACGTACGT"));
    auto const all = read_units({path}, options_);
    ASSERT_EQ(all.whole.size(), 2U);
    EXPECT_EQ(all.counts.too_short, 1);
    options_.min_length = 4;
    auto const some = read_units({path}, options_);
    ASSERT_EQ(some.whole.size(), 1U);
    EXPECT_EQ(some.whole[0].unit.name, "long");
    EXPECT_EQ(some.whole[0].unit.record, 0);
    EXPECT_EQ(some.counts.too_short, 2);
}

TEST_F(RecordSourceTest, LimitCountsRecordsOverFiles) {
    auto const a = file("a.fa", fasta("a1", "ACGT") + fasta("a2", "ACGT"));
    auto const b = file("b.fa", fasta("b1", "ACGT") + fasta("b2", "ACGT"));
    options_.limit = 3;
    auto const units = read_units({a, b}, options_);
    ASSERT_EQ(units.whole.size(), 3U);
    EXPECT_EQ(units.whole[2].unit.name, "b1");
    EXPECT_EQ(units.counts.records, 3);
}

TEST_F(RecordSourceTest, ARefusedLetterFailsItsRecordOnly) {
    auto const path = file("a.fa", fasta("good", "ACGT") + fasta("bad", "ACJT") + fasta("fine", "AC"));
    auto const units = read_units({path}, options_, 2);
    ASSERT_EQ(units.whole.size(), 2U);
    EXPECT_EQ(units.whole[1].unit.name, "fine");
    ASSERT_EQ(units.failures.size(), 1U);
    auto const& message = units.failures[0].failure->message();
    EXPECT_NE(message.find("a.fa"), std::string::npos) << message;
    EXPECT_NE(message.find("record bad"), std::string::npos) << message;
    EXPECT_NE(message.find("'J' at offset 2"), std::string::npos) << message;
    EXPECT_EQ(units.failures[0].unit.record, 1);
    EXPECT_FALSE(units.failures[0].file_broken);
}

TEST_F(RecordSourceTest, AFileThatFailsDoesNotStopTheRun) {
    auto const good = file("good.fa", fasta("good", "ACGT"));
    auto const torn = file("torn.fq", "@a\nACGT\n+\nIIII\n@b\nACGTACGT\n+\nIII");
    auto const units = read_units({folder_.path() / "missing.fa", torn, folder_.path(), good}, options_);
    ASSERT_EQ(units.failures.size(), 3U);
    EXPECT_EQ(units.failures[0].failure->code(), ErrorCode::not_found);
    EXPECT_EQ(units.failures[0].unit.record, -1);
    EXPECT_EQ(units.failures[1].failure->code(), ErrorCode::truncated_input);
    EXPECT_TRUE(units.failures[0].file_broken && units.failures[1].file_broken);
    ASSERT_EQ(units.whole.size(), 2U);
    EXPECT_EQ(units.whole[0].unit.name, "a");
    EXPECT_EQ(units.whole[1].unit.name, "good");
}

TEST_F(RecordSourceTest, AUnitThatMustLieInMemoryHasALimit) {
    auto const path = file("a.fa", fasta("long", bases(200000)) + fasta("short", "ACGT"));
    options_.whole_units = true;
    options_.max_unit_symbols = 100000;
    auto const units = read_units({path}, options_);
    ASSERT_EQ(units.failures.size(), 1U);
    EXPECT_EQ(units.failures[0].failure->code(), ErrorCode::too_large);
    EXPECT_NE(units.failures[0].failure->message().find("--window"), std::string::npos);
    ASSERT_EQ(units.whole.size(), 1U);
    EXPECT_EQ(units.whole[0].unit.name, "short");
    EXPECT_EQ(units.whole[0].pieces, 1);

    options_.whole_units = false;
    EXPECT_EQ(read_units({path}, options_).whole.size(), 2U) << "a causal model streams it";
}

TEST_F(RecordSourceTest, RegionsHaveThePlacesOfTheirSequence) {
    auto const letters = bases(1000);
    auto const path = file("a.fa", fasta("chr1", letters) + fasta("chr2", "ACGTACGT"));
    options_.bed = file("a.bed", "chr2\t2\t6\nchr1\t100\t350\n");
    options_.regions = {"chr1:11-20"};
    auto const units = read_units({path}, options_);
    ASSERT_EQ(units.whole.size(), 3U);
    EXPECT_EQ(units.whole[0].unit.name, "chr2");
    EXPECT_EQ(units.whole[0].unit.start, 2);
    EXPECT_EQ(units.whole[0].unit.end, 6);
    EXPECT_EQ(units.whole[0].tokens, tokens_of("GTAC"));
    EXPECT_EQ(units.whole[1].unit.start, 100);
    EXPECT_EQ(units.whole[1].tokens, tokens_of(letters.substr(100, 250)));
    EXPECT_EQ(units.whole[2].unit.start, 10);
    EXPECT_EQ(units.whole[2].tokens, tokens_of(letters.substr(10, 10)));

    options_.window = Extent::parse("100");
    auto const windows = read_units({path}, options_);
    ASSERT_EQ(windows.whole.size(), 5U);
    EXPECT_EQ(windows.whole[3].unit.start, 300);
    EXPECT_EQ(windows.whole[3].unit.end, 350);
}

TEST_F(RecordSourceTest, ARegionThatIsNotThereIsAnErrorOfSetUp) {
    options_.regions = {"chr9:1-5"};
    RecordSource source({file("a.fa", fasta("chr1", "ACGT"))}, options_);
    UnitPiece piece;
    EXPECT_THROW(source.next(piece, 10), Error);
}

TEST_F(RecordSourceTest, ChannelsAreMixedPickedOrReadOneByOne) {
    auto const path = file("a.wav", wav(400, 2, 8000));
    options_.preprocessor.input = InputKind::audio;
    options_.preprocessor.audio.sampling_rate_hz = 8000;
    auto const units = [&](ChannelPolicy policy) {
        options_.preprocessor.audio.channels = policy;
        return read_units({path}, options_).whole;
    };
    auto const mix = units(ChannelPolicy::mix);
    auto const first = units(ChannelPolicy::first);
    auto const each = units(ChannelPolicy::each);
    ASSERT_EQ(mix.size(), 1U);
    ASSERT_EQ(first.size(), 1U);
    ASSERT_EQ(each.size(), 2U);
    EXPECT_EQ(first[0].tokens.size(), 400U);
    EXPECT_EQ(first[0].unit.name, path.string());
    EXPECT_EQ(each[0].tokens, first[0].tokens);
    EXPECT_NE(each[1].tokens, first[0].tokens);
    EXPECT_NE(mix[0].tokens, first[0].tokens);
    EXPECT_EQ(each[1].unit.name, path.string() + ":channel2");
    EXPECT_EQ(each[1].unit.record, 1);
    EXPECT_EQ(each[1].unit.end, 400);
}

TEST_F(RecordSourceTest, WindowsOfSoundMayBeSeconds) {
    options_.preprocessor.input = InputKind::audio;
    options_.preprocessor.audio.sampling_rate_hz = 8000;
    options_.window = Extent::parse("0.02s");
    auto const units = read_units({file("a.wav", wav(400, 1, 8000))}, options_);
    ASSERT_EQ(units.whole.size(), 3U);
    EXPECT_EQ(units.whole[1].unit.start, 160);
    EXPECT_EQ(units.whole[1].tokens.size(), 160U);
    EXPECT_EQ(units.whole[2].unit.end, 400);
}

TEST_F(RecordSourceTest, FramesComeInWholeRows) {
    options_.preprocessor.input = InputKind::audio;
    auto& audio = options_.preprocessor.audio;
    audio.sampling_rate_hz = 8000;
    audio.encoding = AudioEncoding::frames;
    audio.frame_length = 16;
    audio.frame_hop = 8;
    options_.frame_length = 16;
    auto const path = file("a.wav", wav(401, 1, 8000));
    auto const whole = read_units({path}, options_, 1000);
    auto const pieces = read_units({path}, options_, 3);
    ASSERT_EQ(whole.whole.size(), 1U);
    EXPECT_EQ(whole.whole[0].frames.size() % 16, 0U);
    EXPECT_GT(pieces.whole[0].pieces, 10);
    EXPECT_EQ(pieces.whole[0].frames, whole.whole[0].frames);
}

TEST_F(RecordSourceTest, FilesOfTheWrongKindFail) {
    auto const units = read_units({file("a.wav", wav(100, 1, 8000)), file("a.fa", fasta("a", "ACGT"))}, options_);
    ASSERT_EQ(units.failures.size(), 1U);
    EXPECT_EQ(units.failures[0].failure->code(), ErrorCode::unsupported);
    EXPECT_EQ(units.whole.size(), 1U);
}

TEST_F(RecordSourceTest, OptionsThatContradictOneAnotherAreRefused) {
    auto const refused = [](auto const& change) {
        RecordSourceOptions options;
        change(options);
        EXPECT_THROW(RecordSource({"a", "b"}, options), Error);
    };
    refused([](auto& o) { o.stride = Extent::parse("5"); });
    refused([](auto& o) { o.window = Extent::parse("5s"); });
    refused([](auto& o) { o.min_length = 0; });
    refused([](auto& o) { o.limit = -1; });
    refused([](auto& o) { o.frame_length = 16; });
    refused([](auto& o) { o.regions = {"chr1:1-5"}; }); // two inputs
    refused([](auto& o) { o.input.raw_audio.emplace(); });
    refused([](auto& o) {
        o.preprocessor.input = InputKind::audio;
        o.preprocessor.strand = StrandPolicy::both;
    });
    EXPECT_THROW(RecordSource({"-", "-"}, RecordSourceOptions{}), Error);
}

} // namespace
} // namespace strandwave

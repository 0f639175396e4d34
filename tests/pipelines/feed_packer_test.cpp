#include "pipelines/feed_packer.h"

#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <sstream>

namespace strandwave {
namespace {

using Strings = std::vector<std::string>;

/// "0: <a 4 of 4> <b 6": to session 0 goes all of a, four positions, and the first six of b. "!c": c cannot be read.
std::string describe(Feed const& feed) {
    std::ostringstream text;
    text << feed.session << ':';
    index_t size = 0;
    for (std::size_t i = 0; i < feed.pieces.size(); ++i) {
        auto const& piece = feed.pieces[i];
        text << (piece.first ? " <" : " ") << feed.units[i].name << ' ' << piece.length;
        if (piece.last) { text << " of " << feed.units[i].end << '>'; }
        size += piece.length;
    }
    EXPECT_EQ(feed.size, size);
    EXPECT_EQ(static_cast<index_t>(feed.tokens.size()), size);
    if (feed.unread) { text << " !" << feed.unread->unit.name; }
    return text.str();
}

class FeedPackerTest : public testing::Test {
protected:
    Strings pack(std::string const& text, std::size_t sessions, RecordSourceOptions const& options = {},
                 index_t cut_unit = 1) {
        RecordSource source({write_text(folder_.path() / "a.fa", text)}, options);
        FeedPacker packer(source, 10, sessions, cut_unit);
        Feed feed; // used again and again, as a run does
        Strings feeds;
        std::string tokens;
        while (packer.pack(feed)) {
            feeds.push_back(describe(feed));
            for (auto const token : feed.tokens) {
                tokens += "ACGT"[token - 7];
            }
        }
        tokens_ = tokens;
        return feeds;
    }

    TempDir folder_;
    std::string tokens_;
};

TEST_F(FeedPackerTest, OneSessionGetsFullFeeds) {
    auto const text = fasta("a", bases(4)) + fasta("b", bases(8)) + fasta("long", bases(25)) + fasta("c", "ACG");
    EXPECT_EQ(pack(text, 1), (Strings{"0: <a 4 of 4> <b 6", "0: b 2 of 8> <long 8", "0: long 10",
                                      "0: long 7 of 25> <c 3 of 3>", "0:"}));
    EXPECT_EQ(tokens_, bases(4) + bases(8) + bases(25) + "ACG");
}

TEST_F(FeedPackerTest, UnitsAreCutAtMultiplesOfTheCutUnit) {
    auto const text = fasta("a", bases(4)) + fasta("b", bases(8)) + fasta("long", bases(25)) + fasta("c", "ACG");
    EXPECT_EQ(pack(text, 1, {}, 4), (Strings{"0: <a 4 of 4> <b 4", "0: b 4 of 8> <long 4", "0: long 8", "0: long 8",
                                             "0: long 5 of 25> <c 3 of 3>", "0:"}));
    EXPECT_EQ(tokens_, bases(4) + bases(8) + bases(25) + "ACG");
    EXPECT_EQ(pack(text, 1, {}, 11), pack(text, 1)) << "a feed has not as many";
}

TEST_F(FeedPackerTest, SeveralSessionsTakeTurnsAndOnlyLongUnitsAreCut) {
    auto const text = fasta("a", bases(4)) + fasta("b", bases(8)) + fasta("long", bases(25)) + fasta("c", "ACG") +
                      fasta("d", bases(3)) + fasta("e", bases(10)) + fasta("f", bases(7));
    EXPECT_EQ(pack(text, 2),
              (Strings{"0: <a 4 of 4>", "1: <b 8 of 8>", "0: <long 10", "0: long 10", "0: long 5 of 25> <c 3 of 3>",
                       "1: <d 3 of 3>", "0: <e 10 of 10>", "1: <f 7 of 7>"}));
    EXPECT_EQ(tokens_, bases(4) + bases(8) + bases(25) + "ACG" + bases(3) + bases(10) + bases(7));
    EXPECT_EQ(pack(text, 3),
              (Strings{"0: <a 4 of 4>", "1: <b 8 of 8>", "2: <long 10", "2: long 10", "2: long 5 of 25> <c 3 of 3>",
                       "0: <d 3 of 3>", "1: <e 10 of 10>", "2: <f 7 of 7>"}));
}

TEST_F(FeedPackerTest, WhatCannotBeReadEndsAFeedAndTakesNoTurn) {
    auto const text = fasta("bad", "J") + fasta("worse", "AJ") + fasta("a", bases(4)) + fasta("long", bases(12) + "J") +
                      fasta("b", bases(4)) + fasta("c", bases(8));
    EXPECT_EQ(pack(text, 2),
              (Strings{"0: !bad", "0: !worse", "0: <a 4 of 4> !long", "1: <b 4 of 4>", "0: <c 8 of 8>"}));
    EXPECT_EQ(tokens_, bases(4) + bases(4) + bases(8));
}

TEST_F(FeedPackerTest, UnitsThatHaveToBeWholeAreNeverCut) {
    RecordSourceOptions options;
    options.whole_units = true;
    auto const text =
        fasta("a", bases(4)) + fasta("long", bases(25)) + fasta("b", bases(6)) + fasta("c", bases(4)) + fasta("d", "A");
    EXPECT_EQ(pack(text, 1, options),
              (Strings{"0: <a 4 of 4>", "0: <long 25 of 25>", "0: <b 6 of 6> <c 4 of 4>", "0: <d 1 of 1>"}));
    EXPECT_EQ(pack(text, 2, options),
              (Strings{"0: <a 4 of 4>", "1: <long 25 of 25>", "0: <b 6 of 6> <c 4 of 4>", "1: <d 1 of 1>"}));
}

} // namespace
} // namespace strandwave

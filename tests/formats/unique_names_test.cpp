#include "formats/unique_names.h"

#include <gtest/gtest.h>
#include <set>

namespace strandwave {
namespace {

using Names = std::vector<std::string>;

Names made_unique(Names const& names) {
    UniqueNames unique;
    for (auto const& name : names) {
        unique.note(name);
    }
    unique.settle();
    Names made;
    for (auto const& name : names) {
        made.push_back(unique.next(name));
    }
    return made;
}

TEST(UniqueNames, DifferentNamesStay) {
    EXPECT_EQ(made_unique({}), Names());
    EXPECT_EQ(made_unique({"b", "", "a", "a-1"}), (Names{"b", "", "a", "a-1"}));
}

TEST(UniqueNames, RepeatedNamesAreNumberedFromTheSecond) {
    EXPECT_EQ(made_unique({"a", "b", "a", "a", "b"}), (Names{"a", "b", "a-1", "a-2", "b-1"}));
    EXPECT_EQ(made_unique({"", ""}), (Names{"", "-1"}));
}

TEST(UniqueNames, ANumberThatIsTakenIsPassedOver) {
    EXPECT_EQ(made_unique({"a", "a", "a-2", "a", "a-1"}), (Names{"a", "a-3", "a-2", "a-4", "a-1"}));
    EXPECT_EQ(made_unique({"a", "a", "a-1", "a-1"}), (Names{"a", "a-2", "a-1", "a-1-1"}));
}

TEST(UniqueNames, ManyNamesAllDiffer) {
    Names names;
    for (int i = 0; i < 20000; ++i) {
        names.push_back(std::to_string(i % 7) + (i % 3 == 0 ? "-" + std::to_string(i % 50) : ""));
    }
    auto const made = made_unique(names);
    EXPECT_EQ(std::set<std::string>(made.begin(), made.end()).size(), made.size());
}

} // namespace
} // namespace strandwave

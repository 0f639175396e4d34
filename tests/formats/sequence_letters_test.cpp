#include "formats/sequence_letters.h"

#include "tests/support/simd_targets.h"

#include <cctype>
#include <functional>
#include <string>

namespace strandwave {
namespace {

struct Kind {
    std::size_t (*count)(std::string_view) noexcept;
    std::function<bool(unsigned char)> accepts;
};

std::vector<Kind> kinds() {
    return {{count_sequence_letters,
             [](unsigned char byte) { return (byte < 128 && std::isalpha(byte) != 0) || byte == '*' || byte == '-'; }},
            {count_qualities, [](unsigned char byte) { return byte >= 33 && byte <= 126; }},
            {count_header_bytes, [](unsigned char byte) { return (byte >= 32 && byte != 127) || byte == '\t'; }}};
}

TEST(SequenceLetters, every_byte_at_every_place_is_taken_or_ends_the_count) {
    testing::on_every_simd_target([] {
        for (auto const& [count, accepts] : kinds()) {
            for (std::size_t const length : {1, 15, 64, 65, 130}) {
                for (std::size_t place = 0; place<length; place += length> 64 ? 13 : 1) {
                    for (int byte = 0; byte < 256; ++byte) {
                        std::string text(length, 'C');
                        text[place] = static_cast<char>(byte);
                        ASSERT_EQ(count(text), accepts(static_cast<unsigned char>(byte)) ? length : place)
                            << "byte " << byte << " at " << place << " of " << length;
                    }
                }
            }
            ASSERT_EQ(count(""), 0U);
        }
    });
}

TEST(SequenceLetters, what_stands_behind_the_text_is_not_read) {
    testing::on_every_simd_target([] {
        for (auto const& [count, accepts] : kinds()) {
            std::string const text(200, 'C');
            for (std::size_t length = 0; length < text.size(); ++length) {
                ASSERT_EQ(count(std::string_view(text).substr(0, length)), length);
            }
        }
    });
}

} // namespace
} // namespace strandwave

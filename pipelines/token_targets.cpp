#include "pipelines/token_targets.h"

#include <algorithm>
#include <cmath>

namespace strandwave {

TokenAlphabet TokenAlphabet::nucleotides(Vocabulary vocabulary) {
    std::vector<std::int32_t> ids;
    NucleotideCounts counts;
    NucleotideEncoder({.vocabulary = vocabulary}).encode("ACGTN", ids, counts).value();
    TokenAlphabet alphabet;
    for (std::size_t i = 0; i < alphabet.bases.size(); ++i) {
        alphabet.bases[i] = ids[i];
        alphabet.learned[static_cast<std::size_t>(ids[i])] = true;
    }
    switch (vocabulary) {
    case Vocabulary::caduceus: alphabet.mask = 3; break;
    case Vocabulary::plantcaduceus: alphabet.mask = 1; break;
    case Vocabulary::nucleotide: alphabet.mask = ids[4]; break;
    }
    return alphabet;
}

TokenAlphabet TokenAlphabet::mulaw() {
    TokenAlphabet alphabet{};
    alphabet.learned.fill(true);
    return alphabet;
}

void next_token_targets(TokenAlphabet const& alphabet, View<std::int32_t const, 1> tokens,
                        View<std::int32_t, 1> targets) noexcept {
    if (tokens.empty()) { return; }
    for (index_t t = 0; t + 1 < tokens.size; ++t) {
        std::int32_t const next = tokens(t + 1);
        targets(t) = alphabet.learned[static_cast<std::uint8_t>(next)] ? next : -1;
    }
    targets(tokens.size - 1) = -1;
}

void mask_tokens(TokenAlphabet const& alphabet, double share, Random& random, View<std::int32_t, 1> tokens,
                 View<std::int32_t, 1> targets) noexcept {
    // The upper half of a draw chooses the position, the lower half what becomes of it.
    auto const threshold = static_cast<std::uint64_t>(std::llround(std::clamp(share, 0.0, 1.0) * 0x1p32));
    for (index_t t = 0; t < tokens.size; ++t) {
        std::uint64_t const draw = random.bits();
        std::int32_t const token = tokens(t);
        targets(t) = -1;
        if ((draw >> 32) >= threshold || !alphabet.learned[static_cast<std::uint8_t>(token)]) { continue; }
        targets(t) = token;
        std::uint64_t const low = draw & 0xffffffffU;
        std::uint64_t const tenth = low * 10 >> 32;
        if (tenth < 8) {
            tokens(t) = alphabet.mask;
        } else if (tenth == 8) {
            tokens(t) = alphabet.bases[low & 3U];
        }
    }
}

void substitute_bases(TokenAlphabet const& alphabet, double share, Random& random,
                      View<std::int32_t, 1> tokens) noexcept {
    for (index_t t = 0; t < tokens.size; ++t) {
        bool const hit = random.uniform() < share;
        if (!hit || !alphabet.learned[static_cast<std::uint8_t>(tokens(t))]) { continue; }
        auto const own = std::find(alphabet.bases.begin(), alphabet.bases.end(), tokens(t)) - alphabet.bases.begin();
        auto const other = (static_cast<std::size_t>(own) + 1 + random.below(3)) % alphabet.bases.size();
        tokens(t) = alphabet.bases[other];
    }
}

} // namespace strandwave

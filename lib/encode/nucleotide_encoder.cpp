#include "lib/encode/nucleotide_encoder.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <numeric>

namespace strandwave {
namespace {

/// What a vocabulary has: ids of A, C, G, T, of N and of letters that it does not know.
struct Ids {
    index_t size;
    std::uint8_t a, c, g, t, n, unknown;
};

Ids ids_of(Vocabulary vocabulary) {
    switch (vocabulary) {
    case Vocabulary::caduceus: return {12, 7, 8, 9, 10, 11, 6};
    case Vocabulary::plantcaduceus: return {7, 3, 4, 5, 6, 2, 2};
    case Vocabulary::nucleotide: break;
    }
    return {5, 0, 1, 2, 3, 4, 4};
}

constexpr std::size_t kBlock = 32; ///< letters that are looked up at once, where not all are A, C, G and T

// One 64-bit word counts five kinds of letters at once: 12 bits each.
constexpr int kLaneBits = 12;
constexpr std::uint64_t kLaneMask = (1U << kLaneBits) - 1;
enum Lane { kLower, kN, kIupac, kUracil, kSpecial };

constexpr std::uint64_t one(Lane lane) { return std::uint64_t{1} << (lane * kLaneBits); }
index_t lane(std::uint64_t sums, Lane lane) { return static_cast<index_t>(sums >> (lane * kLaneBits) & kLaneMask); }

// Ids of letters that need a look: they are in the special lane.
constexpr std::int32_t kSkip = -1;
constexpr std::int32_t kRefused = -2; ///< a code of the alphabet that the policy refuses
constexpr std::int32_t kUnknown = -3; ///< no nucleotide code at all

std::string printable(char letter) {
    auto const byte = static_cast<unsigned char>(letter);
    if (std::isprint(byte) != 0) { return std::string("'") + letter + "'"; }
    std::array<char, 16> text;
    std::snprintf(text.data(), text.size(), "byte 0x%02x", static_cast<unsigned>(byte));
    return text.data();
}

Error refusal(char letter, std::int32_t id, index_t offset) {
    auto const reason = id == kUnknown ? "is no nucleotide code (A C G T U N, R Y S W K M B D H V)"
                                       : "is refused by the policy in force (lower case, N, IUPAC codes or U)";
    return Error(ErrorCode::malformed_input, printable(letter) + " at offset " + std::to_string(offset) + " " + reason);
}

} // namespace

NucleotideEncoder::NucleotideEncoder(NucleotidePolicy policy) : policy_(policy) { fill_tables(); }

void NucleotideEncoder::fill_tables() {
    auto const ids = ids_of(policy_.vocabulary);
    plain_ = {ids.a, ids.c, ids.g, ids.t};
    std::int32_t const n = policy_.n == AmbiguousBase::token  ? ids.n
                           : policy_.n == AmbiguousBase::skip ? kSkip
                                                              : kRefused;
    std::int32_t const iupac = policy_.iupac == IupacCode::n         ? n
                               : policy_.iupac == IupacCode::unknown ? ids.unknown
                                                                     : kRefused;
    ids_.fill(kUnknown);
    auto const set = [&](char upper, std::int32_t id, std::uint64_t kind) {
        auto const lower = static_cast<unsigned char>(std::tolower(upper));
        auto const lower_id = policy_.lower_case == LowerCase::upper  ? id
                              : policy_.lower_case == LowerCase::mask ? n
                                                                      : kRefused;
        ids_[static_cast<unsigned char>(upper)] = id;
        lanes_[static_cast<unsigned char>(upper)] = kind;
        ids_[lower] = lower_id;
        lanes_[lower] = kind | one(kLower);
    };
    set('A', ids.a, 0);
    set('C', ids.c, 0);
    set('G', ids.g, 0);
    set('T', ids.t, 0);
    set('U', policy_.uracil == Uracil::t ? ids.t : kRefused, one(kUracil));
    set('N', n, one(kN));
    for (char const letter : std::string_view("RYSWKMBDHV")) {
        set(letter, iupac, one(kIupac));
    }
    for (std::size_t letter = 0; letter < ids_.size(); ++letter) {
        if (ids_[letter] < 0) { lanes_[letter] |= one(kSpecial); }
    }
}

/// Any letters, at most a block; returns where the ids end, or null at one that is refused, whose id is then in `out`.
std::int32_t* NucleotideEncoder::encode_any(std::string_view letters, std::int32_t* out,
                                            NucleotideCounts& counts) const {
    std::uint64_t sums = 0;
    auto* end = out;
    for (char const letter : letters) {
        auto const byte = static_cast<unsigned char>(letter);
        *end++ = ids_[byte];
        sums += lanes_[byte];
    }
    if (lane(sums, kSpecial) > 0) {
        if (std::any_of(out, end, [](std::int32_t id) { return id < kSkip; })) { return nullptr; }
        end = std::remove(out, end, kSkip);
    }
    counts.add({static_cast<index_t>(letters.size()), lane(sums, kLower), lane(sums, kN), lane(sums, kIupac),
                lane(sums, kUracil)});
    return end;
}

Result<void> NucleotideEncoder::encode(std::string_view symbols, std::vector<std::int32_t>& tokens,
                                       NucleotideCounts& counts) const {
    auto const before = tokens.size();
    tokens.resize(before + symbols.size());
    auto* out = tokens.data() + before;
    NucleotideCounts found; // of letters that were looked up
    index_t plain = 0;
    std::size_t done = 0;
    while (done < symbols.size()) {
        auto const count = encode_plain_letters(symbols.substr(done), plain_, out);
        plain += static_cast<index_t>(count);
        done += count;
        out += count;
        if (done == symbols.size()) { break; }
        auto const letters = symbols.substr(done, kBlock);
        out = encode_any(letters, out, found);
        if (out == nullptr) {
            auto const* const bad = std::find_if(letters.begin(), letters.end(),
                                                 [this](unsigned char letter) { return ids_[letter] < kSkip; });
            tokens.resize(before);
            return refusal(*bad, ids_[static_cast<unsigned char>(*bad)], bad - symbols.begin());
        }
        done += letters.size();
    }
    tokens.resize(static_cast<std::size_t>(out - tokens.data()));
    counts.symbols += plain;
    if (found.symbols > 0) { counts.add(found); }
    return {};
}

index_t NucleotideEncoder::vocabulary_size() const noexcept { return ids_of(policy_.vocabulary).size; }

std::vector<std::int32_t> NucleotideEncoder::complement_map(index_t vocab_size) const {
    if (vocab_size < vocabulary_size()) {
        throw Error(ErrorCode::invalid_argument, "a vocabulary of " + std::to_string(vocab_size) +
                                                     " ids has no room for the " + std::to_string(vocabulary_size()) +
                                                     " tokens of this alphabet");
    }
    auto const ids = ids_of(policy_.vocabulary);
    std::vector<std::int32_t> map(static_cast<std::size_t>(vocab_size));
    std::iota(map.begin(), map.end(), 0);
    std::swap(map[ids.a], map[ids.t]);
    std::swap(map[ids.c], map[ids.g]);
    return map;
}

// CaduceusTokenizer appends [SEP] and puts nothing in front; PlantCaduceus is read without special tokens.
std::vector<std::int32_t> NucleotideEncoder::prefix_tokens() const { return {}; }
std::vector<std::int32_t> NucleotideEncoder::suffix_tokens() const {
    constexpr std::int32_t kSep = 1;
    if (policy_.vocabulary == Vocabulary::caduceus) { return {kSep}; }
    return {};
}

void NucleotideEncoder::reverse_complement(std::vector<std::int32_t>& tokens) const {
    auto const map = complement_map(vocabulary_size());
    std::reverse(tokens.begin(), tokens.end());
    for (auto& token : tokens) {
        if (token >= 0 && token < static_cast<std::int32_t>(map.size())) { token = map[token]; }
    }
}

} // namespace strandwave

#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"
#include "lib/encode/plain_letters.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// caduceus: [CLS]0 [SEP]1 [BOS]2 [MASK]3 [PAD]4 [RESERVED]5 [UNK]6 A7 C8 G9 T10 N11 (shared with HyenaDNA).
/// plantcaduceus: [PAD]0 [MASK]1 [UNK]2 a3 c4 g5 t6; N is [UNK].
/// nucleotide: A0 C1 G2 T3 N4, ours.
enum class Vocabulary : std::uint8_t { caduceus, plantcaduceus, nucleotide };

enum class LowerCase : std::uint8_t { upper, mask, error };     ///< soft mask: read as upper case | as N | refuse
enum class AmbiguousBase : std::uint8_t { token, skip, error }; ///< N: its token | left out | refuse
enum class IupacCode : std::uint8_t { n, unknown, error }; ///< R Y S W K M B D H V: as N | the [UNK] token | refuse
enum class Uracil : std::uint8_t { t, error };             ///< U: as T | refuse

struct NucleotidePolicy {
    Vocabulary vocabulary = Vocabulary::caduceus;
    LowerCase lower_case = LowerCase::upper;
    AmbiguousBase n = AmbiguousBase::token;
    IupacCode iupac = IupacCode::n;
    Uracil uracil = Uracil::t;
};

/// How many letters of each kind came by, whatever the policy made of them; goes into the summary of a run. A letter
/// can be of two kinds (a lower-case n).
struct NucleotideCounts {
    index_t symbols = 0;
    index_t lower_case = 0;
    index_t n = 0;
    index_t iupac = 0;
    index_t uracil = 0;

    void add(NucleotideCounts const& other) noexcept {
        symbols += other.symbols;
        lower_case += other.lower_case;
        n += other.n;
        iupac += other.iupac;
        uracil += other.uracil;
    }
};

/// Turns letters into token ids, one to one (but for `skip`). Stateless: the cut into chunks never matters.
/// Thread-safe.
class NucleotideEncoder {
public:
    explicit NucleotideEncoder(NucleotidePolicy policy);

    /// Appends the ids of `symbols` to `tokens`. A letter that is no nucleotide code, or that a policy refuses, is an
    /// error (malformed_input) that names the letter and its offset in `symbols`; `tokens` is then as it was.
    Result<void> encode(std::string_view symbols, std::vector<std::int32_t>& tokens, NucleotideCounts& counts) const;

    index_t vocabulary_size() const noexcept; ///< before padding: 12, 7, 5
    std::vector<std::int32_t>
    complement_map(index_t vocab_size) const;        ///< id -> id of the complement, [vocab_size]; throws
                                                     ///< invalid_argument if that is too small
    std::vector<std::int32_t> prefix_tokens() const; ///< what the published tokenizer puts before,
    std::vector<std::int32_t> suffix_tokens() const; ///< and behind, for --special-tokens

    /// Reverse complement in place, by the complement map of this vocabulary.
    void reverse_complement(std::vector<std::int32_t>& tokens) const;

private:
    void fill_tables();
    std::int32_t* encode_any(std::string_view letters, std::int32_t* out, NucleotideCounts& counts) const;

    NucleotidePolicy policy_;
    PlainIds plain_{};
    std::array<std::int32_t, 256> ids_{};    ///< letter -> id; meaningless where `lanes_` says special
    std::array<std::uint64_t, 256> lanes_{}; ///< letter -> what it counts as, one counter a lane of the word
};

} // namespace strandwave

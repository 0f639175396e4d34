#pragma once

#include "lib/core/random.h"
#include "lib/core/view.h"
#include "lib/encode/nucleotide_encoder.h"

#include <array>
#include <cstdint>

namespace strandwave {

/// What objectives of tokens have to know of an alphabet.
struct TokenAlphabet {
    std::array<bool, 256> learned{};   ///< ids that are targets: A C G T, not N or special tokens; of sound all
    std::array<std::int32_t, 4> bases; ///< ids of A, C, G, T; of sound none is read
    std::int32_t mask = -1;            ///< [MASK]; of Vocabulary::nucleotide, which has none, N; -1: none

    static TokenAlphabet nucleotides(Vocabulary vocabulary);
    static TokenAlphabet mulaw();
};

/// targets[t] = tokens[t + 1]; -1 at the last position and where that is no token to be learned. Same lengths.
void next_token_targets(TokenAlphabet const& alphabet, View<std::int32_t const, 1> tokens,
                        View<std::int32_t, 1> targets) noexcept;

/// Masked-token objective as BERT (Devlin et al. 2018, arXiv:1810.04805, section 3.1) and Caduceus have it: each
/// position whose token is to be learned is chosen with probability `share`; its token becomes the target and is
/// replaced by the mask token (80 %), by one of A C G T (10 %, maybe itself), or left as it is (10 %). targets[t] is -1
/// elsewhere. One draw of `random` a position, in order.
void mask_tokens(TokenAlphabet const& alphabet, double share, Random& random, View<std::int32_t, 1> tokens,
                 View<std::int32_t, 1> targets) noexcept;

/// Noise of a sequencer: each token to be learned becomes another one of A C G T with probability `share`.
void substitute_bases(TokenAlphabet const& alphabet, double share, Random& random,
                      View<std::int32_t, 1> tokens) noexcept;

} // namespace strandwave

#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// Sequence tasks made by rule, that show what a model can learn to remember.
///
/// "selective-copying" (Gu & Dao 2023, arXiv:2312.00752, section 4.1.1 and appendix E.1; tokens as in the `copying`
/// data set with `variable` of github.com/state-spaces/s4): `length` positions of noise (token 0) with `items` data
/// tokens, each of [1, vocab - 2], at random places; behind them `items` markers (token vocab - 1). The target of
/// marker j is data token j. An example has length + items tokens. Defaults: length=4096, items=16, vocab=16.
///
/// "induction-heads" (appendix E.1 there; Olsson et al. 2022, arXiv:2209.11895): tokens of [0, vocab - 2]; the special
/// token vocab - 1 stands at one random place and again at the end. The target of the last position is the token that
/// followed the first. An example has `length` tokens. Defaults: length=256, vocab=16.
///
/// "mqar", multi-query associative recall (Arora et al. 2023, arXiv:2312.04927; `multiquery_ar` of
/// github.com/HazyResearch/zoology): `items` pairs of a key, of [1, vocab/2), and a value, of [vocab/2, vocab), all of
/// them different; behind them every key once more, at gap g (places 2g of what is left), drawn without replacement
/// with p(g) ~ (g + 1)^(power - 1). The target of a query is its value. The other tokens are 0 or, with fill=1, any. An
/// example has `length` tokens. Defaults: length=64, vocab=8192, items=4, power=0.01, fill=0.
struct SyntheticTask {
    std::string name;
    index_t length = 0;
    index_t vocab = 0;   ///< token ids are below it, so that it is the model's vocab_size
    index_t items = 0;   ///< data tokens or key-value pairs; as many targets. induction-heads: 1
    double power = 0.01; ///< mqar only
    bool fill = false;   ///< mqar only
};

/// "name" or "name:key=value,key=value" with the members of SyntheticTask as keys. Throws invalid_argument with the
/// names or keys that there are, or with what a value must be.
SyntheticTask parse_synthetic_task(std::string_view text);

/// Tokens of every example of the task.
index_t example_length(SyntheticTask const& task);

/// Series (`seed` of make_example) that share no example by design, with that of training, which is the run's seed
/// itself: what `evaluate` asks, and what a validation asks of a run with this seed. kEvaluationSeries is no run's
/// seed.
inline constexpr std::uint64_t kEvaluationSeries = ~std::uint64_t{0};
std::uint64_t validation_series(std::uint64_t seed);

/// Example `index` of the series `seed`: a function of the three arguments alone, so that examples can be made in any
/// order and by any thread. `tokens` and `targets` become of equal length; targets[i] is what the model has to give at
/// position i (there is nothing to shift), -1 where nothing is asked. Throws invalid_argument as parsing does.
void make_example(SyntheticTask const& task, std::uint64_t seed, std::uint64_t index, std::vector<std::int32_t>& tokens,
                  std::vector<std::int32_t>& targets);

} // namespace strandwave

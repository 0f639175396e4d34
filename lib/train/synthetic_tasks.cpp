#include "lib/train/synthetic_tasks.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

namespace strandwave {
namespace {

using Tokens = std::span<std::int32_t>;

constexpr index_t kLargestLength = index_t{1} << 32;
constexpr index_t kLargestVocab = index_t{1} << 24;

void require(SyntheticTask const& task, bool holds, std::string const& what) {
    if (!holds) { throw Error(ErrorCode::invalid_argument, task.name + ": " + what); }
}

std::int32_t token_of(Random& random, index_t low, index_t high) { // in [low, high)
    return static_cast<std::int32_t>(low + static_cast<index_t>(random.below(static_cast<std::uint64_t>(high - low))));
}

// --- selective copying ---

void check_selective_copying(SyntheticTask const& task) {
    require(task, task.vocab >= 3, "vocab has to be 3 at least: noise, marker and a data token");
    require(task, task.items >= 1 && task.items <= task.length, "items has to be in [1, length]");
}

void make_selective_copying(SyntheticTask const& task, Random& random, Tokens tokens, Tokens targets) {
    index_t placed = 0;
    for (index_t i = 0; i < task.length; ++i) {
        // Selection sampling (Knuth, TAOCP 3.4.2, algorithm S): every set of places is equally likely.
        auto const left = static_cast<std::uint64_t>(task.length - i);
        bool const is_data = random.below(left) < static_cast<std::uint64_t>(task.items - placed);
        tokens[i] = is_data ? token_of(random, 1, task.vocab - 1) : 0;
        if (is_data) { targets[task.length + placed++] = tokens[i]; }
    }
    std::ranges::fill(tokens.subspan(task.length), static_cast<std::int32_t>(task.vocab - 1));
}

// --- induction heads ---

void check_induction_heads(SyntheticTask const& task) {
    require(task, task.vocab >= 2, "vocab has to be 2 at least: the special token and another");
    require(task, task.length >= 3, "length has to be 3 at least");
    require(task, task.items == 1, "items is 1");
}

void make_induction_heads(SyntheticTask const& task, Random& random, Tokens tokens, Tokens targets) {
    for (auto& token : tokens) {
        token = token_of(random, 0, task.vocab - 1);
    }
    auto const special = static_cast<std::int32_t>(task.vocab - 1);
    auto const place = random.below(static_cast<std::uint64_t>(task.length - 2)); // what follows is not the last token
    tokens[place] = special;
    tokens.back() = special;
    targets.back() = tokens[place + 1];
}

// --- multi-query associative recall ---

void check_recall(SyntheticTask const& task) {
    require(task, task.items >= 1 && task.items <= task.length / 4, "items has to be in [1, length / 4]");
    require(task, task.length % 2 == 0, "length has to be even");
    require(task, task.items < task.vocab / 2, "vocab has to be above 2 * items + 1, for as many different keys");
    require(task, std::abs(task.power) <= 100, "power has to be in [-100, 100]");
}

/// `count` different tokens of [low, high), in random order.
std::vector<std::int32_t> different_tokens(Random& random, index_t low, index_t high, index_t count) {
    std::vector<std::int32_t> tokens(high - low);
    std::iota(tokens.begin(), tokens.end(), static_cast<std::int32_t>(low));
    for (index_t i = 0; i < count; ++i) {
        std::swap(tokens[i], tokens[token_of(random, i, high - low)]);
    }
    tokens.resize(count);
    return tokens;
}

/// `count` of `space` gaps one after the other without replacement, in proportion to (gap + 1)^(power - 1): the order
/// in which clocks ring that are exponentially distributed with these rates (Efraimidis & Spirakis 2006).
std::vector<index_t> power_law_gaps(Random& random, index_t space, index_t count, double power) {
    std::vector<std::pair<double, index_t>> clocks(space);
    for (index_t gap = 0; gap < space; ++gap) {
        // In logarithms: the powers themselves could overflow.
        double const exponential = -std::log(1.0 - random.uniform());
        clocks[gap] = {std::log(exponential) - (power - 1) * std::log(static_cast<double>(gap + 1)), gap};
    }
    std::ranges::partial_sort(clocks, clocks.begin() + count);
    std::vector<index_t> gaps(count);
    std::ranges::transform(clocks.begin(), clocks.begin() + count, gaps.begin(),
                           [](auto const& c) { return c.second; });
    return gaps;
}

void make_recall(SyntheticTask const& task, Random& random, Tokens tokens, Tokens targets) {
    index_t const context = 2 * task.items;
    for (auto& token : tokens) {
        token = task.fill ? token_of(random, 0, task.vocab) : 0;
    }
    auto const keys = different_tokens(random, 1, task.vocab / 2, task.items);
    auto const values = different_tokens(random, task.vocab / 2, task.vocab, task.items);
    auto const gaps = power_law_gaps(random, (task.length - context) / 2, task.items, task.power);
    for (index_t i = 0; i < task.items; ++i) {
        tokens[2 * i] = keys[i];
        tokens[2 * i + 1] = values[i];
        index_t const query = context + 2 * gaps[i];
        tokens[query] = keys[i];
        targets[query] = values[i];
    }
}

// --- all of them ---

struct Rule {
    SyntheticTask defaults;
    std::vector<std::string_view> keys;
    void (*check)(SyntheticTask const&);
    void (*make)(SyntheticTask const&, Random&, Tokens tokens, Tokens targets);
};

std::array<Rule, 3> const& rules() {
    static std::array<Rule, 3> const all = {
        {{.defaults = {.name = "selective-copying", .length = 4096, .vocab = 16, .items = 16},
          .keys = {"length", "vocab", "items"},
          .check = check_selective_copying,
          .make = make_selective_copying},
         {.defaults = {.name = "induction-heads", .length = 256, .vocab = 16, .items = 1},
          .keys = {"length", "vocab"},
          .check = check_induction_heads,
          .make = make_induction_heads},
         {.defaults = {.name = "mqar", .length = 64, .vocab = 8192, .items = 4},
          .keys = {"length", "vocab", "items", "power", "fill"},
          .check = check_recall,
          .make = make_recall}}};
    return all;
}

Rule const& rule_of(std::string_view name) {
    std::string names;
    for (auto const& rule : rules()) {
        if (rule.defaults.name == name) { return rule; }
        names += (names.empty() ? "" : ", ") + rule.defaults.name;
    }
    throw Error(ErrorCode::invalid_argument, "there is no synthetic task '" + std::string(name) + "', but " + names);
}

Rule const& checked_rule(SyntheticTask const& task) {
    auto const& rule = rule_of(task.name);
    require(task, task.length >= 1 && task.length <= kLargestLength,
            "length has to be in [1, " + std::to_string(kLargestLength) + "]");
    require(task, task.vocab <= kLargestVocab, "vocab has to be " + std::to_string(kLargestVocab) + " at most");
    rule.check(task);
    return rule;
}

template <class T>
void read_number(SyntheticTask const& task, std::string_view text, std::string_view key, T& value) {
    auto const [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    require(task, error == std::errc{} && stop == text.data() + text.size(),
            "'" + std::string(text) + "' is not a number that " + std::string(key) + " can be");
}

void set_key(SyntheticTask& task, Rule const& rule, std::string_view key, std::string_view value) {
    if (std::ranges::find(rule.keys, key) == rule.keys.end()) {
        std::string keys;
        for (auto const& known : rule.keys) {
            keys += (keys.empty() ? "" : ", ") + std::string(known);
        }
        require(task, false, "there is no key '" + std::string(key) + "', but " + keys + ", as in length=256");
    }
    if (key == "power") {
        read_number(task, value, key, task.power);
    } else if (key == "fill") {
        require(task, value == "0" || value == "1", "fill is 0 or 1");
        task.fill = value == "1";
    } else {
        read_number(task, value, key, key == "length" ? task.length : key == "vocab" ? task.vocab : task.items);
    }
}

} // namespace

SyntheticTask parse_synthetic_task(std::string_view text) {
    auto const colon = text.find(':');
    auto const& rule = rule_of(text.substr(0, colon));
    SyntheticTask task = rule.defaults;
    auto rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    while (!rest.empty()) {
        auto const comma = std::min(rest.find(','), rest.size());
        auto const entry = rest.substr(0, comma);
        auto const equals = std::min(entry.find('='), entry.size());
        set_key(task, rule, entry.substr(0, equals), entry.substr(std::min(equals + 1, entry.size())));
        rest = rest.substr(std::min(comma + 1, rest.size()));
    }
    checked_rule(task);
    return task;
}

index_t example_length(SyntheticTask const& task) {
    bool const has_markers = checked_rule(task).make == make_selective_copying;
    return task.length + (has_markers ? task.items : 0);
}

std::uint64_t validation_series(std::uint64_t seed) {
    return seed == 0 ? 1 : ~seed; // ~0 is kEvaluationSeries
}

void make_example(SyntheticTask const& task, std::uint64_t seed, std::uint64_t index, std::vector<std::int32_t>& tokens,
                  std::vector<std::int32_t>& targets) {
    auto const count = static_cast<std::size_t>(example_length(task));
    tokens.resize(count);
    targets.assign(count, -1);
    // SplitMix64 permutes its states: no two examples of a seed share one, and none begins within another's numbers but
    // by chance.
    Random random(Random(Random(seed).bits() + index).bits());
    rule_of(task.name).make(task, random, tokens, targets);
}

} // namespace strandwave

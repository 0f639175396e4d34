#include "pipelines/batch_sampler.h"

#include "lib/core/error.h"
#include "tests/pipelines/training_support.h"

#include <algorithm>
#include <array>

namespace strandwave {
namespace {

Tokens reverse_complement(Tokens tokens) {
    NucleotideEncoder({}).reverse_complement(tokens);
    return tokens;
}

bool contains(Tokens const& whole, Tokens const& part) {
    return std::search(whole.begin(), whole.end(), part.begin(), part.end()) != whole.end();
}

class TokenBatches : public testing::Test, public TrainingFiles {
protected:
    BatchOptions options_;
    TrainBatch batch_;
};

TEST_F(TokenBatches, HalfOfTheRecordsAreReadFromTheOtherStrandWithTargetsToMatch) {
    auto const set = dna({200});
    auto const forward = stored_tokens(set, 0);
    auto const reverse = reverse_complement(forward);
    options_.batch_size = 1;
    options_.crop = 40;
    options_.reverse_complement = true;
    for (auto const objective : {Objective::next_token, Objective::masked_token}) {
        options_.objective = objective;
        BatchSampler const sampler(set, {0}, options_);
        int turned = 0;
        constexpr int kSteps = 1000;
        for (index_t step = 0; step < kSteps; ++step) {
            sampler.make(step, batch_);
            auto tokens = batch_.tokens;
            for (std::size_t t = 0; t < tokens.size(); ++t) {
                if (objective == Objective::next_token) {
                    EXPECT_EQ(batch_.token_targets[t], t + 1 < tokens.size() ? tokens[t + 1] : -1);
                } else if (batch_.token_targets[t] >= 0) {
                    tokens[t] = batch_.token_targets[t];
                }
            }
            bool const is_reverse = contains(reverse, tokens);
            ASSERT_NE(is_reverse, contains(forward, tokens));
            turned += is_reverse ? 1 : 0;
        }
        expect_share(turned, kSteps, 0.5, "reverse");
    }
}

TEST_F(TokenBatches, MasksAsBertDoes) {
    write("n.fa", fasta("a", bases(150000) + std::string(50000, 'N')));
    auto const set = read();
    options_.objective = Objective::masked_token;
    options_.batch_size = 1;
    BatchSampler(set, {0}, options_).make(0, batch_);
    auto const original = stored_tokens(set, 0);
    double chosen = 0, masked = 0, changed = 0, kept = 0;
    for (std::size_t t = 0; t < original.size(); ++t) {
        auto const target = batch_.token_targets[t];
        auto const token = batch_.tokens[t];
        if (target < 0) {
            ASSERT_EQ(token, original[t]);
            continue;
        }
        ASSERT_LT(t, 150000U) << "N is never chosen";
        ASSERT_EQ(target, original[t]);
        ++chosen;
        masked += token == 3 ? 1 : 0;
        kept += token == target ? 1 : 0;
        changed += token != 3 && token != target ? 1 : 0;
        ASSERT_TRUE(token == 3 || (token >= 7 && token <= 10));
    }
    expect_share(chosen, 150000, 0.15, "chosen");
    expect_share(masked, chosen, 0.8, "masked");
    expect_share(changed, chosen, 0.075, "another base: three quarters of a tenth");
    expect_share(kept, chosen, 0.125, "kept, or the same base by chance");
}

TEST_F(TokenBatches, SubstitutedBasesAreOtherOnes) {
    auto const original = tokens_of(bases(100000) + std::string(20000, 'N'));
    auto const alphabet = TokenAlphabet::nucleotides(Vocabulary::caduceus);
    Random random(3);
    auto tokens = original;
    substitute_bases(alphabet, 0.2, random, {tokens.data(), static_cast<index_t>(tokens.size())});
    double changed = 0;
    std::array<double, 4> steps{};
    for (std::size_t t = 0; t < tokens.size(); ++t) {
        if (tokens[t] == original[t]) { continue; }
        ASSERT_LT(t, 100000U) << "N is left as it is";
        ASSERT_TRUE(tokens[t] >= 7 && tokens[t] <= 10);
        ++changed;
        ++steps[static_cast<std::size_t>(tokens[t] - original[t] + 4) % 4];
    }
    expect_share(changed, 100000, 0.2, "replaced, always by another base");
    for (std::size_t step = 1; step < 4; ++step) {
        expect_share(steps[step], changed, 1.0 / 3, "each of the three others");
    }

    auto all = original;
    substitute_bases(alphabet, 1, random, {all.data(), static_cast<index_t>(all.size())});
    for (std::size_t t = 0; t < 100000; ++t) {
        ASSERT_NE(all[t], original[t]);
    }
    auto none = original;
    substitute_bases(alphabet, 0, random, {none.data(), static_cast<index_t>(none.size())});
    EXPECT_EQ(none, original);
}

TEST_F(TokenBatches, EveryRecordIsReadWithAShareOfSubstitutionsOfItsOwn) {
    auto const set = dna({5000, 5000});
    options_.batch_size = 2;
    options_.substitutions = 0.3;
    BatchSampler const sampler(set, every_example(set), options_);
    double changed = 0;
    double least = 1;
    double most = 0;
    constexpr index_t kSteps = 100;
    for (index_t step = 0; step < kSteps; ++step) {
        sampler.make(step, batch_);
        auto const records = records_of(batch_, batch_.tokens);
        for (std::size_t i = 0; i < records.size(); ++i) {
            auto const original = stored_tokens(set, batch_.examples[i]);
            ASSERT_EQ(records[i].size(), original.size());
            double count = 0;
            for (std::size_t t = 0; t < original.size(); ++t) {
                count += records[i][t] != original[t] ? 1 : 0;
            }
            least = std::min(least, count / 5000);
            most = std::max(most, count / 5000);
            changed += count / 5000 / (2 * kSteps);
        }
    }
    // The mean of 200 draws of U(0, 0.3), whose standard deviation is 0.3 / sqrt(12); that of the bases is far smaller.
    EXPECT_NEAR(changed, 0.15, 5 * 0.3 / std::sqrt(12.0 * 2 * kSteps));
    EXPECT_LT(least, 0.05);
    EXPECT_GT(most, 0.25);

    auto const last = batch_.tokens;
    sampler.make(0, batch_);
    sampler.make(kSteps - 1, batch_);
    EXPECT_EQ(batch_.tokens, last) << "a batch is a function of its number";
    sampler.make_evaluation(0, batch_);
    EXPECT_EQ(records_of(batch_, batch_.tokens)[0], stored_tokens(set, 0)) << "an evaluation reads what is there";

    options_.objective = Objective::next_token;
    EXPECT_THROW(BatchSampler(set, every_example(set), options_), Error);
}

TEST_F(TokenBatches, NextTokensEndWithTheirRecordAndLeaveNOut) {
    write("a.fa", fasta("a", "ACNGT"));
    write("b.fa", fasta("b", "GG"));
    auto const set = read();
    options_.objective = Objective::next_token;
    BatchSampler const sampler(set, every_example(set), options_);
    EXPECT_EQ(sampler.targets_per_record(), 0);
    EXPECT_EQ(sampler.make_evaluation(0, batch_), 2);
    EXPECT_EQ(batch_.token_targets, (Tokens{8, -1, 9, 10, -1, 9, -1}));
    EXPECT_TRUE(batch_.pooled_targets.empty());
    EXPECT_EQ(batch_.records(), 2);
    EXPECT_EQ(batch_.positions(), 7);
}

TEST_F(TokenBatches, AStreamOfCropsFillsItsPositionsByLength) {
    auto const set = dna({3000, 1000, 7, 1});
    options_.objective = Objective::next_token;
    options_.crop = 10;
    options_.batch_tokens = 200;
    BatchSampler const sampler(set, every_example(set), options_);
    EXPECT_EQ(sampler.positions(), 4008);
    EXPECT_EQ(sampler.steps_per_epoch(), 21);
    std::vector<double> drawn(4, 0.0);
    double draws = 0;
    for (index_t step = 0; step < 500; ++step) {
        sampler.make(step, batch_);
        ASSERT_EQ(batch_.positions(), 200);
        auto const records = records_of(batch_, batch_.tokens);
        ASSERT_EQ(batch_.examples.size(), records.size());
        for (std::size_t i = 0; i < records.size(); ++i) {
            ASSERT_LE(records[i].size(), 10U);
            ASSERT_TRUE(contains(stored_tokens(set, batch_.examples[i]), records[i]));
            ++drawn[static_cast<std::size_t>(batch_.examples[i])];
            ++draws;
        }
    }
    expect_share(drawn[0], draws, 3000.0 / 4008, "the longest");
    expect_share(drawn[2], draws, 7.0 / 4008, "a short one");
    expect_share(drawn[3], draws, 1.0 / 4008, "the shortest");
}

TEST_F(TokenBatches, EvaluationKeepsToItsPositionsAndMasksByExample) {
    auto const set = dna({200, 90, 300, 110, 50});
    options_.objective = Objective::masked_token;
    options_.crop = 100;
    options_.batch_tokens = 300;
    BatchSampler const sampler(set, every_example(set), options_);
    std::vector<index_t> taken;
    Tokens targets;
    for (index_t first = 0; first < 5; first += taken.back()) {
        taken.push_back(sampler.make_evaluation(first, batch_));
        targets.insert(targets.end(), batch_.token_targets.begin(), batch_.token_targets.end());
    }
    EXPECT_EQ(taken, (std::vector<index_t>{2, 1, 2}));
    options_.batch_tokens = 0;
    BatchSampler(set, every_example(set), options_).make_evaluation(0, batch_);
    EXPECT_EQ(batch_.token_targets, targets);
}

} // namespace
} // namespace strandwave

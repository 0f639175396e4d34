#pragma once

#include "lib/model/config.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// Writes the config.json of `from` to `to` as that of a classifier of these classes.
void write_classifier_config(std::filesystem::path const& from, std::filesystem::path const& to,
                             std::vector<std::string> const& classes);

/// Writes the weights of `from` to `to` with this head, `[classes, d_model]` and `[classes]`, in place of any other.
void write_classifier_weights(std::filesystem::path const& from, std::filesystem::path const& to,
                              std::span<float const> weight, std::span<float const> bias);

/// What the model in `from` is, with its weights or without. Throws what reading throws; not_found.
ModelConfig starting_config(std::filesystem::path const& from);

/// What a model in training is to answer.
struct WantedHead {
    std::vector<std::string> classes; ///< one of them; empty: tokens, or
    bool number = false;              ///< a number
};

struct StartingModel {
    std::string origin;      ///< what was done, for the log
    bool fresh_head = false; ///< the head is not one of `from`
};

/// Writes to `to` (a folder) the model that a training begins with: config.json and model.safetensors.
/// `from` without weights gives fresh ones, drawn by `seed`. A head for the same classes, or for a number, is kept; any
/// other is replaced by one of small random numbers. The head of a language model has to be there. Throws what reading
/// and initialise_model throw.
StartingModel write_starting_model(std::filesystem::path const& from, std::filesystem::path const& to,
                                   WantedHead const& wanted, std::uint64_t seed);

} // namespace strandwave

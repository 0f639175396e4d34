#pragma once

#include <filesystem>
#include <span>

namespace strandwave {

// Asked before any work is done, so that no run ends in vain.

/// Throws already_exists, naming --force, when `path` is there and `force` was not given; and whatever was given,
/// invalid_argument for a folder, a device or a pipe, whose place no file can take, and for one of `inputs`.
void check_output_file(std::filesystem::path const& path, bool force,
                       std::span<std::filesystem::path const> inputs = {});

/// Throws already_exists as above, and invalid_argument for what is no folder.
void check_output_folder(std::filesystem::path const& path, bool force);

/// Throws invalid_argument when both are one folder: the model would be lost while it is needed.
void check_not_the_model(std::filesystem::path const& output, std::filesystem::path const& model);

} // namespace strandwave

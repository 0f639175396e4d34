#pragma once

#include <filesystem>
#include <string>

namespace strandwave {

/// Size and time of the last change of a file, and of that with its mates where there is one, in a word: another word
/// means that it is not what it was. Empty where that tells nothing (a pipe, a file that is not there).
std::string input_identity(std::filesystem::path const& file, std::filesystem::path const& mates);

} // namespace strandwave

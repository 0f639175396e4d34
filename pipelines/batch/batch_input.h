#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// One input of a batch: a file, or two with the mates of pairs.
struct BatchInput {
    std::filesystem::path path;
    std::filesystem::path mates;  ///< empty: none
    std::filesystem::path output; ///< what its outputs begin with, below the output folder
    std::string sample;           ///< of a sheet; may be empty
    std::string label;            ///< the class it is known to be, of a sheet; may be empty

    bool operator==(BatchInput const&) const = default;
};

struct InputSearch {
    bool sound = false;              ///< which endings a folder is searched for
    bool paired = false;             ///< files that differ by _R1 and _R2, or _1 and _2, before their ending are mates
    std::filesystem::path leave_out; ///< a folder, the output's: what lies below it is no input
};

/// The files that `arguments` name: files, "-" (stdin), folders (all files below with an ending of the right kind, in
/// the order of their names; links to folders are not followed) and patterns of glob(7) that no file is called.
/// Outputs are named like the file: by its path below the folder that was given, or where several things are given,
/// below the folder that all files share. Throws not_found (an argument that names nothing), io (a folder that cannot
/// be searched), invalid_argument (a file twice, `paired` and a file without its mate).
std::vector<BatchInput> find_inputs(std::vector<std::filesystem::path> const& arguments, InputSearch const& search);

/// A table with a header line, parted by tabs, or by commas if that line has no tab. Columns, in any order: path (as
/// seen from the folder of the sheet), and as wanted mate, sample (names the outputs; else as find_inputs), label.
/// Nothing is quoted. Throws not_found, io, malformed_input (naming the line), invalid_argument (a file or sample
/// twice).
std::vector<BatchInput> read_sample_sheet(std::filesystem::path const& sheet);

} // namespace strandwave

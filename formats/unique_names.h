#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace strandwave {

/// Makes the names of a long list differ, as anndata does: the first of equal ones stays, those behind it get `-1`,
/// `-2`, ... and a number that gives a name of the list is passed over. The list is gone through twice, so that 8 bytes
/// a name are kept and not the names: of hashes of 64 bits, for which two different names are equal in one of 10^7
/// lists of a million; then a `-1` stands where none was needed, and all names differ still.
class UniqueNames {
public:
    void note(std::string const& name); ///< first all names,
    void settle();                      ///< then this,
    std::string next(std::string name); ///< then all names again, in their order

private:
    std::vector<std::size_t> hashes_;                        ///< sorted by settle()
    std::unordered_map<std::size_t, std::int64_t> repeated_; ///< how many were met, of those that come again
};

} // namespace strandwave

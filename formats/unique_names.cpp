#include "formats/unique_names.h"

#include <algorithm>
#include <functional>

namespace strandwave {
namespace {

std::size_t hash_of(std::string const& name) { return std::hash<std::string>()(name); }

} // namespace

void UniqueNames::note(std::string const& name) { hashes_.push_back(hash_of(name)); }

void UniqueNames::settle() {
    std::sort(hashes_.begin(), hashes_.end());
    for (std::size_t i = 1; i < hashes_.size(); ++i) {
        if (hashes_[i] == hashes_[i - 1]) { repeated_[hashes_[i]] = -1; }
    }
}

std::string UniqueNames::next(std::string name) {
    auto const found = repeated_.find(hash_of(name));
    if (found == repeated_.end()) { return name; }
    auto& number = found->second;
    if (number < 0) {
        number = 0;
        return name;
    }
    for (;;) {
        auto tentative = name + "-" + std::to_string(++number);
        if (!std::binary_search(hashes_.begin(), hashes_.end(), hash_of(tentative))) { return tentative; }
    }
}

} // namespace strandwave

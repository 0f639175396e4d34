#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

namespace strandwave {

/// Of two runs' settings, by name: "window (500, was 1000), stride (none, was 100)" for each that differs, where an
/// empty value and one that is not there are none. Of `names_alone` the values would say nothing to anybody.
std::string differences(std::map<std::string, std::string> const& now, std::map<std::string, std::string> const& then,
                        std::span<std::string_view const> names_alone = {});

} // namespace strandwave

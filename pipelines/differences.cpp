#include "pipelines/differences.h"

#include <algorithm>

namespace strandwave {

std::string differences(std::map<std::string, std::string> const& now, std::map<std::string, std::string> const& then,
                        std::span<std::string_view const> names_alone) {
    auto all = then;
    all.insert(now.begin(), now.end());
    auto const value = [](auto const& settings, std::string const& name) {
        auto const found = settings.find(name);
        return found == settings.end() || found->second.empty() ? std::string("none") : found->second;
    };
    std::string text;
    for (auto const& [name, ignored] : all) {
        if (value(now, name) == value(then, name)) { continue; }
        text += (text.empty() ? "" : ", ") + name;
        if (std::find(names_alone.begin(), names_alone.end(), name) != names_alone.end()) { continue; }
        text += " (" + value(now, name) + ", was " + value(then, name) + ")";
    }
    return text;
}

} // namespace strandwave

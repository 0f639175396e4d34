#include "lib/core/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace strandwave {
namespace {

constexpr index_t kUnknown = std::numeric_limits<index_t>::max();

index_t mem_available() {
    std::ifstream meminfo("/proc/meminfo");
    for (std::string key, unit; meminfo >> key;) {
        index_t kibibytes = 0;
        if (!(meminfo >> kibibytes)) { break; }
        if (key == "MemAvailable:") { return kibibytes * 1024; }
        std::getline(meminfo, unit);
    }
    return kUnknown;
}

/// The number in a file of the control group; kUnknown for "max" or no such file.
index_t cgroup_number(char const* path) {
    std::ifstream file(path);
    index_t value = 0;
    return file >> value ? value : kUnknown;
}

} // namespace

index_t available_memory_bytes() {
    index_t const limit = cgroup_number("/sys/fs/cgroup/memory.max");
    index_t const used = cgroup_number("/sys/fs/cgroup/memory.current");
    index_t const in_group = limit == kUnknown || used == kUnknown ? kUnknown : std::max<index_t>(limit - used, 0);
    return std::min(mem_available(), in_group);
}

} // namespace strandwave

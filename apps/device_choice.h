#pragma once

#include "lib/core/device.h"

#include <cstdint>
#include <string>
#include <vector>

namespace strandwave {

/// What --device asks for.
struct DeviceChoice {
    enum class Kind : std::uint8_t { automatic, cpu, gpu, all_gpus };
    Kind kind = Kind::automatic;
    int gpu = 0; ///< of Kind::gpu

    /// "auto", "cpu", "cuda" (the same as cuda:0), "cuda:N" or "cuda:all"; invalid_argument for anything else.
    static DeviceChoice parse(std::string const& word);
};

/// Where a run computes.
struct ChosenDevices {
    std::vector<Device> devices; ///< one; of cuda:all every GPU
    std::string why_no_gpu;      ///< set where `auto` fell back to the processor: "no driver", "no GPU", ...
};

/// What `word` means on this machine. Throws device, naming `word` and the reason, if a GPU was asked for that is not
/// there, and what DeviceChoice::parse throws.
ChosenDevices choose_devices(std::string const& word);

/// For the log: "cpu (AVX3)", "cuda:0 (NVIDIA H200, 138.9 GiB free)".
std::string describe(Device device);
std::string describe(std::vector<Device> const& devices); ///< all of them, "and" between

} // namespace strandwave

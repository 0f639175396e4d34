#include "apps/device_choice.h"

#include "kernels/simd/simd_target.h"
#include "lib/core/error.h"
#include "lib/cuda/gpus.h"

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <sstream>
#include <system_error>

#if STRANDWAVE_HAS_CUDA
#include "lib/cuda/device_memory.h"
#include "lib/cuda/stream.h"
#endif

namespace strandwave {
namespace {

/// "NVIDIA H200, 138.9 GiB free"; of a GPU that find_gpus has found.
std::string gpu_text(int gpu) {
    std::ostringstream text;
    text << find_gpu(gpu).name;
#if STRANDWAVE_HAS_CUDA
    use_gpu(gpu);
    double const gib = static_cast<double>(free_device_bytes()) / (1 << 30);
    text << ", " << std::fixed << std::setprecision(1) << gib << " GiB free";
#endif
    return text.str();
}

[[noreturn]] void refuse(std::string const& word, std::string const& reason) {
    throw Error(ErrorCode::device, "--device " + word + ": " + reason);
}

std::string names_of(std::vector<Gpu> const& gpus) {
    std::string names;
    for (Gpu const& gpu : gpus) {
        names += (names.empty() ? "" : ", ") + Device{gpu.index}.name();
    }
    return names;
}

} // namespace

DeviceChoice DeviceChoice::parse(std::string const& word) {
    if (word == "auto") { return {Kind::automatic, 0}; }
    if (word == "cpu") { return {Kind::cpu, 0}; }
    if (word == "cuda") { return {Kind::gpu, 0}; }
    if (word == "cuda:all") { return {Kind::all_gpus, 0}; }
    std::string const prefix = "cuda:";
    int gpu = 0;
    if (word.rfind(prefix, 0) == 0) {
        char const* const end = word.data() + word.size();
        auto const [stop, error] = std::from_chars(word.data() + prefix.size(), end, gpu);
        if (error == std::errc() && stop == end && gpu >= 0) { return {Kind::gpu, gpu}; }
    }
    throw Error(ErrorCode::invalid_argument,
                "'" + word + "' is not a device; give auto, cpu, cuda, cuda:N or cuda:all");
}

ChosenDevices choose_devices(std::string const& word) {
    auto const choice = DeviceChoice::parse(word);
    Device const cpu;
    if (choice.kind == DeviceChoice::Kind::cpu) { return {{cpu}, ""}; }
    auto found = find_gpus();
    if (!found) {
        if (choice.kind != DeviceChoice::Kind::automatic) { refuse(word, found.error().message()); }
        return {{cpu}, found.error().message()};
    }
    std::vector<Device> devices;
    for (Gpu const& gpu : *found) {
        bool const wanted = choice.kind != DeviceChoice::Kind::gpu || choice.gpu == gpu.index;
        if (wanted) { devices.push_back({gpu.index}); }
    }
    if (devices.empty()) { refuse(word, "this machine has " + names_of(*found)); }
    if (choice.kind == DeviceChoice::Kind::automatic) { devices.resize(1); }
    return {devices, ""};
}

std::string describe(Device device) {
    return device.name() + " (" + (device.is_gpu() ? gpu_text(device.gpu) : simd_target_name()) + ")";
}

std::string describe(std::vector<Device> const& devices) {
    std::string text;
    for (Device const device : devices) {
        text += (text.empty() ? "" : " and ") + describe(device);
    }
    return text;
}

} // namespace strandwave

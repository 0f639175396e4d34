#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

namespace strandwave {

/// Why something failed. One closed list for the whole toolkit; `error_code_name` gives the word that
/// logs and JSON carry.
enum class ErrorCode : std::uint8_t {
    invalid_argument,     ///< a caller or a flag asked for something that makes no sense
    shape_mismatch,       ///< extents of tensors that belong together differ
    unsupported,          ///< well-formed, but not something this build or model can do
    not_found,            ///< a file, tensor, region or label does not exist
    already_exists,       ///< an output exists and --force was not given
    io,                   ///< the operating system refused a read, write, open or map
    malformed_input,      ///< a data file breaks its format
    truncated_input,      ///< a data file ends before its format says it does
    malformed_checkpoint, ///< a model directory breaks its format, or disagrees with itself
    too_large,            ///< does not fit in memory or on the disk; checked before allocation
    device,               ///< a GPU, its driver or its libraries are missing or failed
};

std::string_view error_code_name(ErrorCode code) noexcept;

/// The one error type. Thrown for bad arguments, set-up and devices; carried in `Result<T>` for bad
/// input data, which is expected and concerns one record or file only.
class Error : public std::exception {
public:
    Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

    ErrorCode code() const noexcept { return code_; }
    std::string const& message() const noexcept { return message_; }
    char const* what() const noexcept override { return message_.c_str(); }

private:
    ErrorCode code_;
    std::string message_;
};

} // namespace strandwave

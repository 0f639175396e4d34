#include "lib/core/error.h"

namespace strandwave {

std::string_view error_code_name(ErrorCode code) noexcept {
    switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::shape_mismatch: return "shape_mismatch";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::already_exists: return "already_exists";
    case ErrorCode::io: return "io";
    case ErrorCode::malformed_input: return "malformed_input";
    case ErrorCode::truncated_input: return "truncated_input";
    case ErrorCode::malformed_checkpoint: return "malformed_checkpoint";
    case ErrorCode::too_large: return "too_large";
    case ErrorCode::device: return "device";
    }
    return "unknown";
}

} // namespace strandwave

#include "formats/second_read.h"

#include "formats/byte_source.h"

namespace strandwave {
namespace {

Error changed(std::string const& file, index_t ordinal, std::string const& what) {
    return {ErrorCode::malformed_input,
            file + ": record " + std::to_string(ordinal + 1) + " " + what +
                "; the file was changed while it was read. Run again when nothing writes to it"};
}

} // namespace

FileBytes open_second_time(std::filesystem::path const& path) {
    if (is_read_only_once(path)) {
        throw Error(ErrorCode::unsupported, input_name(path) +
                                                ": can be read only once, and this output needs its records a "
                                                "second time; store it in a file first");
    }
    return open_file_bytes(path);
}

Error changed_meanwhile(std::string const& file, index_t ordinal, std::string_view name, std::string_view found_name) {
    return changed(file, ordinal, "was '" + std::string(name) + "' and is now '" + std::string(found_name) + "'");
}

Error ended_meanwhile(std::string const& file, index_t ordinal, std::string_view name) {
    return changed(file, ordinal, (name.empty() ? "" : "('" + std::string(name) + "') ") + std::string("is gone"));
}

} // namespace strandwave

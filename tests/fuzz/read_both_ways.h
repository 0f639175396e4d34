#pragma once

#include "formats/open_input.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace strandwave {

/// What a DNA input gave: all that its chunks said, in one text, and how it ended.
struct FuzzReading {
    std::string records;
    std::string partial; ///< of the record that the error came in
    std::optional<Error> error;
};

inline FuzzReading fuzz_read(std::string const& path, InputOptions const& options, index_t max_symbols) {
    FuzzReading reading;
    auto input = open_input(path, options);
    if (!input) {
        reading.error = input.error();
        return reading;
    }
    if (!input->sequence) { return reading; }
    SequenceChunk chunk;
    while (true) {
        auto const outcome = input->sequence->next(chunk, max_symbols);
        if (!outcome.has_value()) {
            reading.error = outcome.error();
            return reading;
        }
        if (Result<ReadOutcome>(outcome).value() == ReadOutcome::end_of_stream) { return reading; }
        if (chunk.first) { reading.partial = "\n" + chunk.name + "\t" + chunk.description + "\t"; }
        reading.partial += chunk.symbols;
        if (chunk.last) {
            reading.records += reading.partial;
            reading.partial.clear();
        }
    }
}

/// The differential check: the same bytes read whole and in small chunks are the same records, with the same ending.
inline void fuzz_read_both_ways(std::uint8_t const* data, std::size_t size, InputOptions const& options = {}) {
    int const file = memfd_create("fuzz", MFD_CLOEXEC);
    if (file < 0 || write(file, data, size) != static_cast<ssize_t>(size)) { std::abort(); }
    auto const path = "/dev/fd/" + std::to_string(file);
    auto const whole = fuzz_read(path, options, std::numeric_limits<index_t>::max());
    auto const pieces = fuzz_read(path, options, 1 + static_cast<index_t>(size % 7));
    close(file);
    bool const same_end = whole.error.has_value() == pieces.error.has_value() &&
                          (!whole.error || whole.error->code() == pieces.error->code());
    if (whole.records != pieces.records || !same_end) {
        std::fprintf(stderr, "whole:%s\n(%s)\npieces:%s\n(%s)\n", whole.records.c_str(),
                     whole.error ? whole.error->what() : "end", pieces.records.c_str(),
                     pieces.error ? pieces.error->what() : "end");
        std::abort();
    }
}

} // namespace strandwave

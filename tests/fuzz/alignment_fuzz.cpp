// SAM, BAM and CRAM by htslib: no crash, no hang, and the same records whatever the chunks.

#include "tests/fuzz/read_both_ways.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    strandwave::InputOptions options;
    options.sequence.keep_secondary = true;
    strandwave::fuzz_read_both_ways(data, size, options);
    return 0;
}

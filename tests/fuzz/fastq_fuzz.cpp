// FASTQ, plain or compressed, as it is and trimmed by quality: no crash, no hang, and the same records whatever the
// chunks.

#include "tests/fuzz/read_both_ways.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    strandwave::fuzz_read_both_ways(data, size);
    strandwave::InputOptions trimmed;
    trimmed.sequence.trim_quality = 20;
    strandwave::fuzz_read_both_ways(data, size, trimmed);
    return 0;
}

// FASTA, plain or compressed: no crash, no hang, and the same records whatever the chunks.

#include "tests/fuzz/read_both_ways.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    strandwave::fuzz_read_both_ways(data, size);
    return 0;
}

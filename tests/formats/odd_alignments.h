#pragma once

#include <string>

namespace strandwave {

/// SAM with what a copy could lose: a chain of programs with ours in it, comments, read groups, secondary and
/// supplementary alignments also at both ends of the file, tags of all types in odd order and with our names, long
/// CIGAR strings that BAM keeps in a tag, reads without bases or qualities.
inline std::string odd_sam(int reads) {
    std::string text = "@HD\tVN:1.6\tSO:unsorted\tGO:query\n@SQ\tSN:chr1\tLN:500000\tAS:x\n@SQ\tSN:chr2\tLN:70\n"
                       "@CO\tkept as it is\n@RG\tID:g\tSM:s\tPL:ONT\n@PG\tID:bwa\tPN:bwa\tCL:bwa mem\n"
                       "@PG\tID:strandwave\tPN:strandwave\tPP:bwa\n@CO\tbehind\n";
    auto const line = [&text](std::string const& name, int flag, std::string const& fields, std::string const& tags) {
        text += name + "\t" + std::to_string(flag) + "\t" + fields + tags + "\n";
    };
    std::string const place = "chr1\t7\t60\t4M\t*\t0\t0\tACGT\tIII!";
    std::string const paired = "chr1\t7\t60\t4M\t=\t40\t37\tACGT\tIII!";
    line("first", 256, place, "\txl:Z:old");
    for (int i = 0; i < reads; ++i) {
        auto const number = std::to_string(i);
        switch (i % 8) {
        case 0: line("r" + number, 99, paired, "\tNM:i:1\txp:f:0.25\tXA:A:c\txl:Z:old\tXB:B:S,1,65535"); break;
        case 1: line("r" + number, 16, "chr1\t9\t0\t2S2M3H\t*\t0\t0\tACGT\t*", "\txp:i:3\tRG:Z:g"); break;
        case 2: line("r" + number, 4, "*\t0\t0\t*\t*\t0\t0\t*\t*", ""); break;
        case 3: line("r" + number, 2129, paired, "\tSA:Z:chr2,1,+,4M,0,0;\txl:Z:older"); break;
        case 4: line("r" + number, 4, "chr2\t5\t0\t*\t*\t0\t0\tNNACGT\tIIIIII", "\tXf:f:1.5e-10\tXH:H:1AFF"); break;
        case 5: line("r" + number, 256, "chr1\t9\t0\t4M\t*\t0\t0\t*\t*", "\tNM:i:-70000"); break;
        case 6: line("r" + number, 0, place, "\tXZ:Z:with space\tXz:Z:\tXc:B:f,0.5,-1"); break;
        default: line("r" + number, 77, "*\t0\t0\t*\t*\t0\t0\tRYKM\tABCD", "\tXl:Z:not ours"); break;
        }
    }
    std::string cigar, bases;
    for (int i = 0; i < 35'000; ++i) {
        cigar += "1M1I";
        bases += "AC";
    }
    line("long", 0, "chr1\t1\t60\t" + cigar + "\t*\t0\t0\t" + bases + "\t*", "\tNM:i:5");
    line("last", 2048, place, "");
    return text;
}

} // namespace strandwave

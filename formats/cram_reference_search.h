#pragma once

#include <filesystem>
#include <string>
#include <string_view>

struct htsFile;

namespace strandwave {

/// Settles where htslib finds the bases that an opened CRAM was written against; call it before the header is read.
/// - `reference`, a FASTA (plain or compressed by bgzip, with its index, which is written when missing), if given;
/// - else the local folders of the environment variable REF_PATH, in the layout of htslib: files named by the MD5 sum
///   (M5 in the header) of the sequence that they hold, found by folder or by a pattern such as "refs/%2s/%2s/%s".
///   REF_CACHE, one more such folder, is looked into first when both are set, and htslib copies to it what it finds.
/// Never a place that the file names (UR, or an M5 that is no checksum), and never the network: without a local folder
/// in REF_PATH the file has to hold all bases itself. htslib compares checksums, so bases of another reference are an
/// error and no other read. `name` is what messages call the CRAM. Throws not_found, io (the reference).
void set_cram_reference(htsFile& cram, std::string const& name, std::filesystem::path const& reference);

/// The elements of a search path in the manner of REF_PATH (parted by ':') that are local folders or patterns, made
/// absolute. URLs are left out, and so is whatever else holds a colon ("::" in a search path).
std::string local_search_path(std::string_view search_path);

} // namespace strandwave

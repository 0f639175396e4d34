#include "formats/cram_reference_search.h"

#include "lib/core/error.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <htslib/cram.h>
#include <htslib/hts.h>
#include <htslib/kstring.h>
#include <htslib/sam.h>

namespace strandwave {
namespace {

constexpr char const* kSearchPath = "REF_PATH";

/// An MD5 sum in digits. Anything else (an absolute path, say) could make htslib open a file of the CRAM's choice.
bool is_checksum(std::string_view text) {
    return text.size() == 32 && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c); });
}

/// A line may have a tag twice; htslib removes one at a time.
void forget_tag(sam_hdr_t* header, char const* sequence, char const* tag) {
    while (sam_hdr_remove_tag_id(header, "SQ", "SN", sequence, tag) == 1) {}
}

/// Takes away the places that the file names and, where they are not to be looked up, its checksums.
void forget_references(sam_hdr_t* header, bool keep_checksums) {
    kstring_t value = KS_INITIALIZE;
    for (int i = 0; i < sam_hdr_nref(header); ++i) {
        char const* const sequence = sam_hdr_tid2name(header, i);
        forget_tag(header, sequence, "UR");
        bool const keep = keep_checksums && sam_hdr_find_tag_id(header, "SQ", "SN", sequence, "M5", &value) == 0 &&
                          is_checksum({value.s, value.l});
        if (!keep) { forget_tag(header, sequence, "M5"); }
    }
    ks_free(&value);
}

/// True if htslib, which reads the variable whenever it needs a sequence, will find local folders in it and nothing
/// else. A variable that is there is changed in place, once for the process: other threads may read it at that time.
bool restrict_search_path() {
    char const* const search_path = std::getenv(kSearchPath);
    if (search_path == nullptr) { return false; }
    auto const local = local_search_path(search_path);
    if (!local.empty() && local != search_path) { setenv(kSearchPath, local.c_str(), 1); }
    return !local.empty();
}

/// What a search path begins with. The colons of a URL, and doubled ones, are part of an element.
std::string_view first_element(std::string_view path) {
    auto const colon_from = [path](std::size_t start) { return std::min(path.find(':', start), path.size()); };
    auto end = colon_from(0);
    if (path.substr(end, 3) == "://") {
        auto const host_end = std::min(path.find_first_of(":/", end + 3), path.size());
        auto const digits = path.substr(host_end).find_first_of("0123456789");
        end = colon_from(host_end + (path.substr(host_end, 1) == ":" && digits == 1 ? 1 : 0));
    }
    while (path.substr(end, 2) == "::") {
        end = colon_from(end + 2);
    }
    return path.substr(0, end);
}

} // namespace

std::string local_search_path(std::string_view search_path) {
    std::string local;
    while (!search_path.empty()) {
        auto const element = first_element(search_path);
        search_path.remove_prefix(std::min(element.size() + 1, search_path.size()));
        if (element.empty()) { continue; }
        // An absolute path without a colon cannot be taken for a URL or for two elements, whatever it holds.
        auto const absolute = std::filesystem::absolute(element).string();
        if (absolute.find(':') == std::string::npos) { local += (local.empty() ? "" : ":") + absolute; }
    }
    return local;
}

void set_cram_reference(htsFile& cram, std::string const& name, std::filesystem::path const& reference) {
    forget_references(cram_fd_get_header(cram.fp.cram), reference.empty() && restrict_search_path());
    if (reference.empty()) { return; }
    if (!std::filesystem::is_regular_file(reference)) {
        throw Error(ErrorCode::not_found,
                    reference.string() + ": is no file, so it cannot be the reference for " + name);
    }
    auto const absolute = std::filesystem::absolute(reference).string(); // never taken for a URL
    if (hts_set_opt(&cram, CRAM_OPT_REFERENCE, absolute.c_str()) != 0) {
        throw Error(ErrorCode::io, reference.string() +
                                       ": cannot be used as reference; it must be FASTA, plain or compressed by "
                                       "bgzip, in a folder where its index (" +
                                       reference.string() + ".fai) lies or can be written");
    }
}

} // namespace strandwave

#include "formats/cram_writer.h"

#include "formats/alignment_file.h"
#include "formats/discard_output.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <htslib/faidx.h>
#include <htslib/hfile.h>
#include <htslib/hts.h>
#include <htslib/sam.h>
#include <memory>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using Header = std::unique_ptr<sam_hdr_t, void (*)(sam_hdr_t*)>;

[[noreturn]] void fail(std::filesystem::path const& cram) {
    throw Error(ErrorCode::io, cram.string() + ": cannot be written" +
                                   (errno == 0 ? std::string() : std::string(": ") + std::strerror(errno)));
}

/// A CRAM that is being written, and appears when it is closed.
class Output {
public:
    explicit Output(std::filesystem::path const& path)
        : whole_(path), descriptor_(::open(whole_.partial_path().c_str(), O_WRONLY | O_CLOEXEC)) {
        bytes_ = descriptor_ < 0 ? nullptr : hdopen(descriptor_, "w");
        if (bytes_ == nullptr) { fail(path); }
        // The name goes into the file.
        file_ = hts_hopen(bytes_, "strandwave.cram", "wc,version=3.0");
        if (file_ == nullptr) {
            hclose_abruptly(bytes_);
            fail(path);
        }
    }
    ~Output() {
        if (rest_ >= 0) { ::close(rest_); }
        if (file_ == nullptr) { return; }
        discard_output(bytes_, descriptor_);
        hts_close(file_);
    }
    Output(Output const&) = delete;
    Output& operator=(Output const&) = delete;

    htsFile* file() const noexcept { return file_; }

    void check(bool written) const {
        if (!written) { fail(whole_.path()); }
    }

    /// On a full disk htslib 1.16 calls itself without end when it closes a CRAM. So what it still has to write then,
    /// a container at most, goes to memory first.
    void close() {
        auto const size = static_cast<index_t>(std::filesystem::file_size(whole_.partial_path()));
        rest_ = ::memfd_create("cram", MFD_CLOEXEC);
        check(rest_ >= 0 && ::dup2(rest_, descriptor_) >= 0);
        check(hts_close(std::exchange(file_, nullptr)) == 0);
        std::vector<char> buffer(std::size_t{1} << 20);
        ssize_t got = 0;
        for (index_t done = 0; (got = ::pread(rest_, buffer.data(), buffer.size(), done)) > 0; done += got) {
            whole_.write_at(buffer.data(), got, size + done);
        }
        check(got == 0);
        whole_.commit();
    }

private:
    PartialFile whole_;
    int descriptor_; ///< belongs to bytes_, and that to file_
    hFILE* bytes_ = nullptr;
    htsFile* file_ = nullptr;
    int rest_ = -1; ///< memory with what htslib wrote when it closed the file
};

/// Lacking or other sequences would send htslib to look for them in REF_PATH and on the network.
bool has_all_sequences(std::string const& reference, sam_hdr_t* header) {
    std::unique_ptr<faidx_t, void (*)(faidx_t*)> const index(fai_load(reference.c_str()), fai_destroy);
    if (!index) {
        throw Error(ErrorCode::io, reference +
                                       ": cannot be used as reference; it must be FASTA, plain or compressed by "
                                       "bgzip, in a folder where its index (" +
                                       reference + ".fai) lies or can be written");
    }
    for (int i = 0; i < sam_hdr_nref(header); ++i) {
        auto const length = faidx_seq_len(index.get(), sam_hdr_tid2name(header, i));
        if (length != sam_hdr_tid2len(header, i)) { return false; }
    }
    return true;
}

void use_reference(htsFile* file, std::filesystem::path const& reference, sam_hdr_t* header) {
    if (!reference.empty() && !std::filesystem::is_regular_file(reference)) {
        throw Error(ErrorCode::not_found, reference.string() + ": is no file, so it cannot be the reference of a CRAM");
    }
    auto const absolute = reference.empty() ? "" : std::filesystem::absolute(reference).string(); // never a URL
    bool const usable = !reference.empty() && has_all_sequences(absolute, header);
    int const outcome =
        usable ? hts_set_opt(file, CRAM_OPT_REFERENCE, absolute.c_str()) : hts_set_opt(file, CRAM_OPT_NO_REF, 1);
    hts_set_opt(file, CRAM_OPT_STORE_MD, 1);
    hts_set_opt(file, CRAM_OPT_STORE_NM, 1);
    if (outcome != 0) { throw Error(ErrorCode::io, absolute + ": cannot be used as reference"); }
}

} // namespace

void write_cram(std::filesystem::path const& bam, std::filesystem::path const& cram,
                std::filesystem::path const& reference, int threads) {
    SequenceReaderOptions reading;
    reading.decompression_threads = threads;
    AlignmentFile input(open_file_bytes(bam), bam.string(), reading);
    Header const header(sam_hdr_dup(input.header()), sam_hdr_destroy);
    errno = 0;
    Output output(cram);
    use_reference(output.file(), reference, header.get());
    output.check(sam_hdr_write(output.file(), header.get()) == 0);
    while (input.next()) {
        output.check(sam_write1(output.file(), header.get(), input.current()) >= 0);
    }
    output.close();
}

} // namespace strandwave

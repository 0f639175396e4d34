#include "formats/alignment_tagger.h"

#include "formats/block_file.h"
#include "formats/byte_source.h"
#include "formats/discard_output.h"
#include "formats/second_read.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <htslib/bgzf.h>
#include <htslib/hfile.h>
#include <htslib/sam.h>
#include <unistd.h>

namespace strandwave {
namespace {

constexpr char const* kLabelTag = "xl";
constexpr char const* kProbabilityTag = "xp";

/// A header line cannot hold line ends nor tabs, which file names in a command can.
std::string as_header_text(std::string text) {
    auto const is_control = [](char byte) { return (byte >= 0 && byte < ' ') || byte == 0x7f; };
    std::replace_if(text.begin(), text.end(), is_control, ' ');
    return text;
}

/// All of them, should an alignment have one twice.
void remove_tag(bam1_t* alignment, char const* tag) {
    while (auto* const found = bam_aux_get(alignment, tag)) {
        if (bam_aux_del(alignment, found) != 0) { return; }
    }
}

/// False where the tags before are damaged, so that these would be taken for a part of them, or there is no room.
bool add_tags(bam1_t* alignment, std::string_view label, double probability) {
    return bam_aux_update_str(alignment, kLabelTag, static_cast<int>(label.size()), label.data()) == 0 &&
           bam_aux_update_float(alignment, kProbabilityTag, static_cast<float>(probability)) == 0 &&
           bam_aux_get(alignment, kLabelTag) != nullptr;
}

} // namespace

bool is_tag_text(std::string_view text) noexcept {
    return std::all_of(text.begin(), text.end(), [](char byte) { return byte >= ' ' && byte <= '~'; });
}

void AlignmentTagger::Close::operator()(BGZF* file) const noexcept { bgzf_close(file); }

AlignmentTagger::AlignmentTagger(std::filesystem::path const& input, std::filesystem::path path, index_t keep_bytes,
                                 AlignmentTaggerOptions const& options)
    : input_(open_second_time(input), input_name(input), options.reading), path_(std::move(path)),
      kept_bytes_(keep_bytes), bytes_(keep_bytes) {
    descriptor_ = open_part(path_, keep_bytes);
    hFILE* const file = hdopen(descriptor_, "w");
    if (file == nullptr) {
        ::close(descriptor_);
        write_failed();
    }
    output_.reset(bgzf_hopen(file, "w"));
    if (!output_) {
        hclose_abruptly(file);
        write_failed();
    }
    constexpr int kBlocksAhead = 64; // per thread
    if (options.threads > 0) { bgzf_mt(output_.get(), options.threads, kBlocksAhead); }
    if (keep_bytes == 0) { write_header(options); }
}

AlignmentTagger::~AlignmentTagger() {
    if (!output_) { return; }
    discard_output(output_->fp, descriptor_);
    output_->is_compressed = 0; // there is nothing to compress, so that threads are ended even after an error
}

void AlignmentTagger::write_header(AlignmentTaggerOptions const& options) {
    std::unique_ptr<sam_hdr_t, void (*)(sam_hdr_t*)> const header(sam_hdr_dup(input_.header()), sam_hdr_destroy);
    auto const command = as_header_text(options.command);
    auto const version = as_header_text(options.version);
    char const* const end = nullptr;
    if (!header || sam_hdr_add_pg(header.get(), "strandwave", "VN", version.c_str(), command.empty() ? end : "CL",
                                  command.c_str(), end) != 0) {
        throw Error(ErrorCode::malformed_input, input_.name() + ": its header is malformed, so no @PG line can be "
                                                                "added to it");
    }
    errno = 0;
    if (bam_hdr_write(output_.get(), header.get()) != 0) { write_failed(); }
    flush();
}

void AlignmentTagger::begin_block(index_t first_ordinal) {
    if (first_ordinal < next_) {
        throw Error(ErrorCode::invalid_argument, path_.string() + ": records are tagged in their order only");
    }
    while (next_ < first_ordinal) {
        if (!next_record(false)) { throw ended_meanwhile(input_.name(), next_, {}); }
        ++next_;
    }
}

/// Goes to the next record, over what a reader does not give.
bool AlignmentTagger::next_record(bool copy) {
    while (input_.next()) {
        if (input_.is_given()) { return true; }
        if (copy) {
            remove_old_tags();
            write_alignment();
        }
    }
    return false;
}

void AlignmentTagger::copy_through(index_t ordinal) {
    while (next_ <= ordinal) {
        if (!next_record(true)) { throw ended_meanwhile(input_.name(), next_, {}); }
        remove_old_tags();
        write_alignment();
        ++next_;
    }
}

void AlignmentTagger::tag(index_t ordinal, std::string_view name, std::string_view label, double probability) {
    if (ordinal < next_ || !is_tag_text(label)) {
        throw Error(ErrorCode::invalid_argument, path_.string() + ": record " + std::to_string(ordinal + 1) +
                                                     " cannot be tagged '" + std::string(label) + "'");
    }
    copy_through(ordinal - 1);
    if (!next_record(true)) { throw ended_meanwhile(input_.name(), ordinal, name); }
    auto* const alignment = input_.current();
    std::string_view const found_name = bam_get_qname(alignment);
    if (found_name != name) { throw changed_meanwhile(input_.name(), ordinal, name, found_name); }
    remove_old_tags();
    if (!add_tags(alignment, label, probability)) {
        throw Error(ErrorCode::malformed_input,
                    input_.name() + ": " + input_.where() + " has malformed tags, so none can be added to them");
    }
    write_alignment();
    ++next_;
}

void AlignmentTagger::remove_old_tags() {
    remove_tag(input_.current(), kLabelTag);
    remove_tag(input_.current(), kProbabilityTag);
}

void AlignmentTagger::write_alignment() {
    errno = 0;
    if (bam_write1(output_.get(), input_.current()) < 0) { write_failed(); }
}

index_t AlignmentTagger::end_block(index_t end_ordinal) {
    copy_through(end_ordinal - 1);
    flush();
    return bytes_;
}

index_t AlignmentTagger::copy_rest() {
    if (next_record(true)) {
        throw changed_meanwhile(input_.name(), next_, "the end of the file", bam_get_qname(input_.current()));
    }
    flush();
    return bytes_;
}

void AlignmentTagger::commit(std::string_view suffix) {
    flush();
    if (bgzf_close(output_.release()) != 0) { write_failed(); }
    put_part_in_place(path_, suffix);
}

void AlignmentTagger::flush() {
    errno = 0;
    if (bgzf_flush(output_.get()) != 0 || hflush(output_->fp) != 0) { write_failed(); }
    bytes_ = kept_bytes_ + static_cast<index_t>(htell(output_->fp));
}

/// A thread that writes keeps the reason of the system to itself.
void AlignmentTagger::write_failed() const {
    throw Error(ErrorCode::io,
                path_.string() + ": cannot be written" +
                    (errno == 0 ? std::string("; is the disk full?") : std::string(": ") + std::strerror(errno)));
}

} // namespace strandwave

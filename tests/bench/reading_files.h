#pragma once

#include "lib/core/random.h"
#include "lib/core/view.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <htslib/bgzf.h>
#include <htslib/sam.h>
#include <sndfile.h>
#include <stdexcept>
#include <string>
#include <vector>

namespace strandwave {

/// Files to time reading with: the same every time, compressible as a sequencer's and a microphone's are. They lie in
/// STRANDWAVE_BENCH_FOLDER and are kept there; without it in a temporary folder that goes. STRANDWAVE_BENCH_MB is how
/// much text a file has (64).
class ReadingFiles {
public:
    ReadingFiles() : bytes_(megabytes() << 20) {
        auto const* const kept = std::getenv("STRANDWAVE_BENCH_FOLDER");
        keep_ = kept != nullptr;
        auto name = (std::filesystem::temp_directory_path() / "strandwave-bench-XXXXXX").string();
        if (!keep_ && ::mkdtemp(name.data()) == nullptr) { throw std::runtime_error("no temporary folder"); }
        folder_ = keep_ ? std::string(kept) : name;
        std::filesystem::create_directories(folder_);
    }
    ~ReadingFiles() {
        std::error_code ignored;
        if (!keep_) { std::filesystem::remove_all(folder_, ignored); }
    }
    ReadingFiles(ReadingFiles const&) = delete;
    ReadingFiles& operator=(ReadingFiles const&) = delete;

    /// FASTQ of reads of `bases`; `mode` is htslib's: "wu" plain, "wg" gzip, "w" BGZF.
    std::filesystem::path fastq(std::string const& name, index_t bases, char const* mode) const {
        return made(name, [&](std::string const& path) { write_text(path, fastq_text(bases), mode); });
    }

    /// One chromosome in lines of 60, half of it in lower case, in runs as repeats are masked.
    std::filesystem::path fasta(std::string const& name, char const* mode) const {
        return made(name, [&](std::string const& path) {
            Random random(3);
            std::string text = ">chromosome\n";
            bool masked = false;
            while (text.size() < bytes_) {
                for (int i = 0; i < 60; ++i) {
                    if (random.below(300) == 0) { masked = !masked; }
                    text += (masked ? "acgt" : "ACGT")[random.below(4)];
                }
                text += '\n';
            }
            write_text(path, text, mode);
        });
    }

    /// The reads of a FASTQ as unmapped (every other one as reverse) records.
    std::filesystem::path bam(std::string const& name, index_t bases) const {
        return made(name, [&](std::string const& path) { write_bam(path, bases); });
    }

    /// A noisy melody of 16 bits a sample; `format` is libsndfile's.
    std::filesystem::path sound(std::string const& name, int format, int rate_hz, int channels) const {
        return made(name, [&](std::string const& path) {
            Random random(4);
            std::vector<short> samples(bytes_ / sizeof(short) / static_cast<unsigned>(channels) *
                                       static_cast<unsigned>(channels));
            for (std::size_t i = 0; i < samples.size(); ++i) {
                auto const t = static_cast<double>(i) / rate_hz;
                samples[i] = static_cast<short>(8000 * std::sin(2000 * t) * std::sin(3 * t) + 300 * random.normal());
            }
            SF_INFO info{0, rate_hz, channels, format, 0, 0};
            auto* const file = sf_open(path.c_str(), SFM_WRITE, &info);
            sf_write_short(file, samples.data(), static_cast<sf_count_t>(samples.size()));
            sf_close(file);
        });
    }

private:
    struct Read {
        std::string name, letters, qualities;
    };

    static std::size_t megabytes() {
        auto const* const text = std::getenv("STRANDWAVE_BENCH_MB");
        return text != nullptr ? std::strtoul(text, nullptr, 10) : 64;
    }

    /// Under another name until it is whole.
    template <class Write>
    std::filesystem::path made(std::string const& name, Write const& write) const {
        auto const path = folder_ / name;
        if (std::filesystem::exists(path)) { return path; }
        write(path.string() + ".part");
        std::filesystem::rename(path.string() + ".part", path);
        return path;
    }

    /// Reads from a genome of 4 Mb at random places, with substitutions and four levels of quality in runs.
    template <class Take>
    void make_reads(index_t bases, Take const& take) const {
        Random random(1);
        std::string genome(std::size_t{4} << 20, 'A');
        for (char& base : genome) {
            base = "ACGT"[random.below(4)];
        }
        std::size_t made = 0;
        for (index_t number = 0; made < bytes_; ++number) {
            auto const length = static_cast<std::size_t>(bases);
            Read read{"A00123:45:HXYZ5DSX2:1:1101:" + std::to_string(1000 + number / 997) + ":" +
                          std::to_string(1000 + random.below(30000)) + " 1:N:0:ATCACG+TTAGGC",
                      genome.substr(random.below(genome.size() - length), length), std::string(length, 'F')};
            for (std::size_t i = 0; i < length; ++i) {
                auto const chance = random.below(200);
                if (chance < 30) { read.qualities[i] = ":,#F"[chance % 4]; }
                if (chance == 0) { read.letters[i] = "ACGTN"[random.below(5)]; }
            }
            take(read);
            made += read.name.size() + 2 * length + 6;
        }
    }

    std::string fastq_text(index_t bases) const {
        std::string text;
        make_reads(bases, [&](Read const& read) {
            text += '@' + read.name + '\n' + read.letters + "\n+\n" + read.qualities + '\n';
        });
        return text;
    }

    static void write_text(std::string const& path, std::string const& text, char const* mode) {
        BGZF* const file = bgzf_open(path.c_str(), mode);
        if (file == nullptr || bgzf_write(file, text.data(), text.size()) < 0) { throw std::runtime_error(path); }
        bgzf_close(file);
    }

    void write_bam(std::string const& path, index_t bases) const {
        htsFile* const file = hts_open(path.c_str(), "wb");
        sam_hdr_t* const header = sam_hdr_init();
        sam_hdr_add_line(header, "HD", "VN", "1.6", nullptr);
        bam1_t* const record = bam_init1();
        if (sam_hdr_write(file, header) != 0) { throw std::runtime_error(path); }
        index_t number = 0;
        make_reads(bases, [&](Read& read) {
            auto const name = read.name.substr(0, read.name.find(' '));
            for (char& quality : read.qualities) {
                quality = static_cast<char>(quality - '!');
            }
            auto const flag = static_cast<std::uint16_t>(BAM_FUNMAP | (number++ % 2 == 0 ? 0 : BAM_FREVERSE));
            bam_set1(record, name.size(), name.c_str(), flag, -1, -1, 0, 0, nullptr, -1, -1, 0, read.letters.size(),
                     read.letters.c_str(), read.qualities.c_str(), 0);
            if (sam_write1(file, header, record) < 0) { throw std::runtime_error(path); }
        });
        bam_destroy1(record);
        sam_hdr_destroy(header);
        hts_close(file);
    }

    std::size_t bytes_;
    bool keep_;
    std::filesystem::path folder_;
};

} // namespace strandwave

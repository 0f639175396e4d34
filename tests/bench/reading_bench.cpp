// The reading path by its stages, each beside its peer (a program that only decompresses, or plain libsndfile): an
// iteration runs the peer and then the stage, so that both see the same neighbours on the machine.
// "MB/s" counts text or 16-bit samples, decompressed; "ratio" is the median time of the peer over that of the stage;
// "cpu" is the processor seconds of the stage over those of the peer (its own and its children's).
#include "formats/open_input.h"
#include "lib/encode/nucleotide_encoder.h"
#include "pipelines/feed_packer.h"
#include "pipelines/table_writer.h"
#include "tests/bench/reading_files.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <chrono>
#include <functional>
#include <string>
#include <sys/resource.h>
#include <vector>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

constexpr index_t kRead = index_t{1} << 16; // what RecordSource asks for

/// What a run of a stage has seen.
struct Seen {
    index_t bytes = 0; ///< of text or samples
    index_t records = 0;
};
using Stage = std::function<Seen()>;

struct Seconds {
    double wall = 0;
    double processor = 0;
};

double processor_seconds() {
    double seconds = 0;
    for (auto const who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
        rusage usage{};
        getrusage(who, &usage);
        for (auto const& time : {usage.ru_utime, usage.ru_stime}) {
            seconds += static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
        }
    }
    return seconds;
}

template <class Body>
Seconds time_of(Body const& body) {
    auto const processor = processor_seconds();
    auto const begin = std::chrono::steady_clock::now();
    body();
    std::chrono::duration<double> const wall = std::chrono::steady_clock::now() - begin;
    return {wall.count(), processor_seconds() - processor};
}

double median(std::vector<double> values) {
    auto const middle = values.begin() + static_cast<index_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

void beside(benchmark::State& state, std::function<void()> const& peer, Stage const& stage) {
    std::vector<double> peer_wall, wall, peer_processor, processor;
    Seen seen;
    for (auto _ : state) { // NOLINT: Google Benchmark's loop
        auto const theirs = time_of(peer);
        auto const ours = time_of([&] { seen = stage(); });
        state.SetIterationTime(ours.wall);
        peer_wall.push_back(theirs.wall);
        peer_processor.push_back(theirs.processor);
        wall.push_back(ours.wall);
        processor.push_back(ours.processor);
    }
    state.counters["MB/s"] = static_cast<double>(seen.bytes) * 1e-6 / median(wall);
    state.counters["records/s"] = static_cast<double>(seen.records) / median(wall);
    state.counters["ratio"] = median(peer_wall) / median(wall);
    state.counters["cpu"] = median(processor) / median(peer_processor);
}

std::function<void()> command(std::string const& text) {
    return [text] {
        if (std::system(text.c_str()) != 0) { throw std::runtime_error("failed: " + text); }
    };
}

InputOptions with_threads(int threads) {
    InputOptions options;
    options.sequence.decompression_threads = threads;
    return options;
}

/// Reads a DNA file to its end; `take` sees each chunk.
template <class Take>
index_t read_all(fs::path const& path, int threads, Take const& take) {
    auto input = open_input(path, with_threads(threads)).value();
    SequenceChunk chunk;
    index_t records = 0;
    while (input.sequence->next(chunk, kRead).value() == ReadOutcome::chunk) {
        records += chunk.last ? 1 : 0;
        take(chunk);
    }
    return records;
}

Stage reader(fs::path const& path, int threads, index_t bytes) {
    return [=] {
        return Seen{bytes, read_all(path, threads, [](SequenceChunk const& chunk) {
                        benchmark::DoNotOptimize(chunk.symbols.data());
                    })};
    };
}

Stage reader_and_encoder(fs::path const& path, int threads, index_t bytes) {
    return [=] {
        NucleotideEncoder const encoder{NucleotidePolicy()};
        NucleotideCounts counts;
        std::vector<std::int32_t> tokens;
        return Seen{bytes, read_all(path, threads, [&](SequenceChunk const& chunk) {
                        tokens.clear();
                        encoder.encode(chunk.symbols, tokens, counts).value();
                    })};
    };
}

/// All that comes before a model: files to feeds.
Stage feeds(fs::path const& path, RecordSourceOptions const& options, index_t bytes) {
    return [=] {
        RecordSource source({path}, options);
        FeedPacker packer(source, UnitRunOptions().chunk, 1);
        Feed feed;
        while (packer.pack(feed)) {}
        return Seen{bytes, source.counts().records};
    };
}

RecordSourceOptions dna_options(int threads) {
    RecordSourceOptions options;
    options.preprocessor.input = InputKind::dna;
    options.input = with_threads(threads);
    return options;
}

/// At the rate of the file: nothing is resampled.
RecordSourceOptions sound_options(int rate_hz, AudioEncoding encoding, int threads) {
    constexpr index_t kFrame = 64;
    RecordSourceOptions options;
    options.input = with_threads(threads);
    options.preprocessor.input = InputKind::audio;
    auto& audio = options.preprocessor.audio;
    audio.encoding = encoding;
    audio.sampling_rate_hz = rate_hz;
    if (encoding == AudioEncoding::frames) { options.frame_length = audio.frame_length = audio.frame_hop = kFrame; }
    return options;
}

void libsndfile(fs::path const& path) {
    SF_INFO info{};
    auto* const file = sf_open(path.c_str(), SFM_READ, &info);
    std::vector<float> samples(static_cast<std::size_t>(kRead * info.channels));
    while (sf_readf_float(file, samples.data(), kRead) > 0) {}
    sf_close(file);
}

Stage sound_reader(fs::path const& path, int threads, index_t bytes) {
    return [=] {
        auto input = open_input(path, with_threads(threads)).value();
        AudioChunk chunk;
        while (input.audio->next(chunk, kRead).value() == ReadOutcome::chunk) {
            benchmark::DoNotOptimize(chunk.samples.data());
        }
        return Seen{bytes, 1};
    };
}

/// Files are made when they are first needed.
using MakeFile = std::function<fs::path()>;

template <class MakePeer, class MakeStage>
void add(std::string const& name, MakePeer const& make_peer, MakeStage const& make_stage) {
    auto const run = [=](benchmark::State& state) {
        try {
            beside(state, make_peer(), make_stage());
        } catch (std::exception const& error) { state.SkipWithError(error.what()); } // no such program, for one
    };
    benchmark::RegisterBenchmark(name.c_str(), run)->UseManualTime()->Iterations(9)->Unit(benchmark::kMillisecond);
}

/// `text` is the same uncompressed.
void add_dna(std::string const& name, MakeFile const& file, MakeFile const& text, std::string const& peer,
             int threads) {
    auto const bytes = [text] { return static_cast<index_t>(fs::file_size(text())); };
    auto const run_peer = [=] { return command(peer + " '" + file().string() + "' > /dev/null 2>&1"); };
    auto const prefix = name + "/threads:" + std::to_string(threads);
    add(prefix + "/reader", run_peer, [=] { return reader(file(), threads, bytes()); });
    add(prefix + "/encoder", run_peer, [=] { return reader_and_encoder(file(), threads, bytes()); });
    add(prefix + "/feeds", run_peer, [=] { return feeds(file(), dna_options(threads), bytes()); });
}

void add_sound(std::string const& name, MakeFile const& file, MakeFile const& wav, int rate_hz, int threads) {
    auto const peer = [file] { return [path = file()] { libsndfile(path); }; };
    auto const bytes = [wav] { return static_cast<index_t>(fs::file_size(wav())); };
    auto const prefix = name + "/threads:" + std::to_string(threads);
    add(prefix + "/reader", peer, [=] { return sound_reader(file(), threads, bytes()); });
    for (auto const encoding : {AudioEncoding::frames, AudioEncoding::mulaw}) {
        add(prefix + (encoding == AudioEncoding::frames ? "/feeds_frames" : "/feeds_mulaw"), peer,
            [=] { return feeds(file(), sound_options(rate_hz, encoding, threads), bytes()); });
    }
}

/// What becomes of a read's result, without the model.
void rows(benchmark::State& state, TableFormat format) {
    ClassRow row;
    row.unit.file = "reads.fastq.gz";
    row.unit.name = "A00123:45:HXYZ5DSX2:1:1101:1042:21558";
    row.unit.end = 150;
    row.label = "Escherichia coli";
    row.probability = 0.987654321;
    ClassTable const table(format, {row.label, "Homo sapiens"}, false, false);
    std::string text;
    for (auto _ : state) { // NOLINT
        text.clear();
        table.append(row, text);
        benchmark::DoNotOptimize(text.data());
    }
    state.counters["records/s"] = benchmark::Counter(1, benchmark::Counter::kIsIterationInvariantRate);
}

void register_dna(ReadingFiles const& files) {
    auto const fastq = [&files](char const* name, index_t bases, char const* mode) {
        return [=, &files] { return files.fastq(name, bases, mode); };
    };
    auto const fasta = [&files](char const* name, char const* mode) {
        return [=, &files] { return files.fasta(name, mode); };
    };
    auto const reads = fastq("reads.fastq", 150, "wu");
    auto const long_reads = fastq("long.fastq", 10000, "wu");
    auto const chromosome = fasta("chromosome.fa", "wu");
    add_dna("fastq", reads, reads, "cat", 0);
    add_dna("fasta", chromosome, chromosome, "cat", 0);
    benchmark::RegisterBenchmark("rows/tsv", rows, TableFormat::tsv);
    benchmark::RegisterBenchmark("rows/jsonl", rows, TableFormat::jsonl);
    for (int const threads : {0, 1}) {
        add_dna("fastq.gz", fastq("reads.fastq.gz", 150, "wg"), reads, "gzip -dc", threads);
        add_dna("fastq.gz_10kb", fastq("long.fastq.gz", 10000, "wg"), long_reads, "gzip -dc", threads);
        add_dna("fasta.gz", fasta("chromosome.fa.gz", "wg"), chromosome, "gzip -dc", threads);
    }
    for (int const threads : {0, 1, 2}) {
        auto const at = threads > 0 ? " -@" + std::to_string(threads) : std::string();
        add_dna("bgzf", fastq("reads.bgzf.fastq.gz", 150, "w"), reads, "bgzip -dc" + at, threads);
        add_dna(
            "bam", [&files] { return files.bam("reads.bam", 150); }, reads, "samtools fastq" + at, threads);
    }
}

void register_sound(ReadingFiles const& files) {
    auto const sound = [&files](char const* name, int format, int rate_hz, int channels) {
        return [=, &files] { return files.sound(name, format | SF_FORMAT_PCM_16, rate_hz, channels); };
    };
    auto const mono = sound("mono.wav", SF_FORMAT_WAV, 16000, 1);
    auto const stereo = sound("stereo.wav", SF_FORMAT_WAV, 44100, 2);
    add_sound("wav_mono", mono, mono, 16000, 0);
    add_sound("wav_stereo", stereo, stereo, 44100, 0);
    for (int const threads : {0, 1}) {
        add_sound("flac_mono", sound("mono.flac", SF_FORMAT_FLAC, 16000, 1), mono, 16000, threads);
        add_sound("flac_stereo", sound("stereo.flac", SF_FORMAT_FLAC, 44100, 2), stereo, 44100, threads);
    }
}

} // namespace
} // namespace strandwave

int main(int argc, char** argv) {
    strandwave::ReadingFiles const files;
    strandwave::register_dna(files);
    strandwave::register_sound(files);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

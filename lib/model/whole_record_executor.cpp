#include "kernels/pooling/pooling.h"
#include "lib/core/error.h"
#include "lib/core/memory.h"
#include "lib/model/executor.h"
#include "lib/model/whole_record_plan.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>

namespace strandwave {
namespace {

/// Activations of one run, whole: [rows, ...] each.
struct RunBuffers {
    Buffer<float> residual; ///< [rows, d_model]
    Buffer<float> xz[2];    ///< [rows, 2 d_inner]; the second only if the directions have projections of their own
    Buffer<float> y[2];     ///< [rows, d_inner] of each direction

    static index_t bytes(ModelConfig const& config, bool shared, index_t rows) {
        index_t const directions = config.bidirectional ? 2 : 1;
        index_t const xz_copies = shared ? 1 : directions;
        index_t const floats = config.d_model + config.d_inner * (2 * xz_copies + directions);
        return rows * floats * static_cast<index_t>(sizeof(float));
    }

    RunBuffers(ModelConfig const& config, bool shared, index_t rows)
        : residual(rows * config.d_model), xz{Buffer<float>(rows * 2 * config.d_inner), {}},
          y{Buffer<float>(rows * config.d_inner), {}} {
        if (!config.bidirectional) { return; }
        y[1] = Buffer<float>(rows * config.d_inner);
        if (!shared) { xz[1] = Buffer<float>(rows * 2 * config.d_inner); }
    }
};

/// What one thread needs beside a run's buffers, for one block.
struct BlockScratch {
    BlockScratch(ModelConfig const& config, index_t rows)
        : frames(rows * config.frame_floats()), tokens(rows), normed(rows * config.d_model),
          other(rows * config.d_model),
          mixer(config, rows), conv_state{Buffer<float>((config.d_conv - 1) * config.d_inner),
                                          Buffer<float>((config.d_conv - 1) * config.d_inner)},
          scan_state{Buffer<float>(config.d_state * config.d_inner), Buffer<float>(config.d_state * config.d_inner)} {}

    Buffer<float> frames;
    Buffer<std::int32_t> tokens;
    Buffer<float> normed;
    Buffer<float> other;
    MambaScratch mixer;
    MambaSegments segments;
    Buffer<float> conv_state[2]; ///< carried from block to block of a section: even blocks read the first and leave
    Buffer<float> scan_state[2]; ///< the second, odd ones the other way round
};

/// Hands out scratch to whoever runs; makes more when all is out.
class ScratchPool {
public:
    ScratchPool(ModelConfig const& config, index_t rows) : config_(config), rows_(rows) {}

    template <class Body>
    void use(Body const& body) {
        auto scratch = take();
        body(*scratch);
        std::lock_guard const lock(mutex_);
        free_.push_back(std::move(scratch));
    }

private:
    std::unique_ptr<BlockScratch> take() {
        {
            std::lock_guard const lock(mutex_);
            if (!free_.empty()) {
                auto scratch = std::move(free_.back());
                free_.pop_back();
                return scratch;
            }
        }
        return std::make_unique<BlockScratch>(config_, rows_);
    }

    ModelConfig const& config_;
    index_t rows_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<BlockScratch>> free_;
};

/// Runs bidirectional models: layer by layer over whole records. Within a layer, blocks are independent before and
/// behind the scan, and the scan's chains are: a section in one direction.
class WholeRecordExecutor : public CpuExecutor {
public:
    WholeRecordExecutor(std::shared_ptr<Model const> model, Threads& threads, SessionOptions const& options)
        : model_(std::move(model)), parts_(model_->parts()), config_(parts_.config), threads_(threads),
          options_(options), taps_(options, config_.n_layer), scratch_(config_, options.token_block),
          shared_(std::all_of(parts_.layers.begin(), parts_.layers.end(),
                              [](auto const& layer) { return layer.shared_projections; })) {}

    std::vector<RecordResult> feed(FeedInput input, std::span<Piece const> pieces) override {
        auto const runs = plan_whole_records(pieces, static_cast<int>(config_.strands()), options_.token_block);
        check_memory(runs, pieces);
        std::vector<RecordResult> results;
        for (auto const& piece : pieces) {
            results.push_back({piece.lane, piece.length, {}});
        }
        threads_.parallel_for(static_cast<index_t>(runs.size()),
                              [&](index_t i) { run(runs[static_cast<std::size_t>(i)], input, results); });
        return results;
    }

    LaneState save(index_t) const override { throw no_state(); }
    void restore(index_t, LaneState const&) override { throw no_state(); }

private:
    static Error no_state() {
        return {ErrorCode::unsupported, "a bidirectional model carries no state from piece to piece"};
    }

    void check_memory(std::vector<Run> const& runs, std::span<Piece const> pieces) const {
        index_t largest = 0;
        for (auto const& run : runs) {
            largest = std::max(largest, RunBuffers::bytes(config_, shared_, run.blocks * options_.token_block));
        }
        index_t const available = available_memory_bytes();
        if (largest <= available) { return; }
        index_t length = 0;
        for (auto const& piece : pieces) {
            length = std::max(length, piece.length);
        }
        constexpr index_t kMiB = index_t{1} << 20;
        throw Error(ErrorCode::too_large, "a bidirectional model needs a record of " + std::to_string(length) +
                                              " positions whole in memory: " + std::to_string(largest / kMiB) +
                                              " MiB, but " + std::to_string(available / kMiB) +
                                              " MiB are available. Cut the input into windows (--window)");
    }

    void run(Run const& run, FeedInput const& input, std::vector<RecordResult>& results) {
        RunBuffers buffers(config_, shared_, run.blocks * options_.token_block);
        embed(run, input, buffers);
        tap(0, run, buffers, results);
        for (index_t number = 1; number <= taps_.layers(); ++number) {
            auto const& layer = parts_.layers[static_cast<std::size_t>(number - 1)];
            project_in(layer, run, buffers);
            scan(layer, run, buffers);
            project_out(layer, run, buffers);
            tap(number, run, buffers, results);
        }
        if (!taps_.final_norm()) { return; }
        for_each_block(run, [&](index_t block, BlockScratch&) {
            auto const x = rows_of(buffers.residual, block, config_.d_model);
            parts_.final_norm.apply(x, x);
        });
        tap(kFinalNorm, run, buffers, results);
    }

    template <class Body>
    void for_each_block(Run const& run, Body const& body) {
        threads_.parallel_for(run.blocks,
                              [&](index_t block) { scratch_.use([&](BlockScratch& s) { body(block, s); }); });
    }

    View<float, 2> rows_of(Buffer<float>& buffer, index_t block, index_t width) const {
        return {buffer.data() + block * options_.token_block * width, options_.token_block, width};
    }

    void embed(Run const& run, FeedInput const& input, RunBuffers& buffers) {
        std::fill(buffers.residual.begin(), buffers.residual.end(), 0.0F); // padding between sections
        for (auto const& section : run.sections) {
            for (auto const& strand : section.strands) {
                for (index_t done = 0; done < strand.length; done += options_.token_block) {
                    scratch_.use([&](BlockScratch& s) { embed_strand(strand, done, input, s, buffers); });
                }
            }
        }
    }

    /// Rows done .. done + token_block of a strand.
    void embed_strand(StrandRows const& strand, index_t done, FeedInput const& input, BlockScratch& s,
                      RunBuffers& buffers) {
        index_t const count = std::min(options_.token_block, strand.length - done);
        auto const block = s.normed.view(options_.token_block, config_.d_model);
        if (strand.strand == 0) {
            embed_rows(parts_, input, strand.input + done, count, s.frames, block);
        } else {
            auto const* tokens = input.tokens.data() + strand.input + strand.length - 1 - done;
            for (index_t t = 0; t < count; ++t) {
                s.tokens[t] = config_.complement_map[static_cast<std::size_t>(tokens[-t])];
            }
            FeedInput const complement{{s.tokens.data(), static_cast<std::size_t>(count)}, {}};
            embed_rows(parts_, complement, 0, count, s.frames, block);
        }
        std::copy_n(block.data, count * config_.d_model,
                    buffers.residual.data() + (strand.begin + done) * config_.d_model);
    }

    void project_in(ModelLayer const& layer, Run const& run, RunBuffers& buffers) {
        for_each_block(run, [&](index_t block, BlockScratch& s) {
            auto const normed = s.normed.view(options_.token_block, config_.d_model);
            layer.norm.apply(rows_of(buffers.residual, block, config_.d_model), normed);
            std::size_t const copies = layer.shared_projections ? 1 : layer.directions.size();
            for (std::size_t d = 0; d < copies; ++d) {
                layer.directions[d].mixer.projections().in.apply(normed,
                                                                 rows_of(buffers.xz[d], block, 2 * config_.d_inner));
            }
        });
    }

    void scan(ModelLayer const& layer, Run const& run, RunBuffers& buffers) {
        auto const sections = static_cast<index_t>(run.sections.size());
        auto const directions = static_cast<index_t>(layer.directions.size());
        threads_.parallel_for(sections * directions, [&](index_t chain) {
            scratch_.use([&](BlockScratch& s) {
                auto const& section = run.sections[static_cast<std::size_t>(chain / directions)];
                scan_section(layer, section, static_cast<std::size_t>(chain % directions), buffers, s);
            });
        });
    }

    void scan_section(ModelLayer const& layer, Section const& section, std::size_t d, RunBuffers& buffers,
                      BlockScratch& s) {
        auto const& direction = layer.directions[d];
        auto& xz = buffers.xz[layer.shared_projections ? 0 : d];
        index_t const blocks = section.end_block - section.begin_block;
        for (index_t i = 0; i < blocks; ++i) {
            index_t const block = direction.reverse ? section.end_block - 1 - i : section.begin_block + i;
            find_segments(section, block, direction.reverse, i % 2 != 0, s);
            auto const y = rows_of(buffers.y[d], block, config_.d_inner);
            zero_padding(section, block, y);
            direction.mixer.scan(rows_of(xz, block, 2 * config_.d_inner), s.segments, direction.reverse, s.mixer, y);
        }
    }

    /// The strands that have rows in a block. One that goes on in the next block (in the order of time) leaves its
    /// state in the scratch, where that block finds it; only one can.
    void find_segments(Section const& section, index_t block, bool reverse, bool odd, BlockScratch& s) const {
        index_t const block_begin = block * options_.token_block;
        index_t const block_end = block_begin + options_.token_block;
        s.segments.conv.clear();
        s.segments.scan.clear();
        for (auto const& strand : section.strands) {
            index_t const strand_end = strand.begin + strand.length;
            index_t const begin = std::max(strand.begin, block_begin);
            index_t const end = std::min(strand_end, block_end);
            if (begin >= end) { continue; }
            bool const starts = reverse ? strand_end <= block_end : strand.begin >= block_begin;
            bool const ends = reverse ? strand.begin >= block_begin : strand_end <= block_end;
            s.segments.conv.push_back({begin - block_begin, end - begin, starts ? nullptr : s.conv_state[odd].data(),
                                       ends ? nullptr : s.conv_state[!odd].data()});
            s.segments.scan.push_back({begin - block_begin, end - begin, starts ? nullptr : s.scan_state[odd].data(),
                                       ends ? nullptr : s.scan_state[!odd].data()});
        }
    }

    /// Rows behind a section's last strand are read by projections, but no kernel writes them.
    void zero_padding(Section const& section, index_t block, View<float, 2> y) const {
        index_t const used = section.strands.back().begin + section.strands.back().length;
        index_t const row = std::max<index_t>(used - block * options_.token_block, 0);
        if (row < y.rows) { std::fill_n(y.row(row), (y.rows - row) * y.cols, 0.0F); }
    }

    void project_out(ModelLayer const& layer, Run const& run, RunBuffers& buffers) {
        for_each_block(run, [&](index_t block, BlockScratch& s) {
            auto const residual = rows_of(buffers.residual, block, config_.d_model);
            auto const y = rows_of(buffers.y[0], block, config_.d_inner);
            if (layer.directions.size() == 1) {
                layer.directions[0].mixer.projections().out.apply(y, residual, true);
                return;
            }
            auto const y_other = rows_of(buffers.y[1], block, config_.d_inner);
            if (layer.shared_projections) {
                for (index_t i = 0; i < y.rows * y.cols; ++i) {
                    y.data[i] += y_other.data[i];
                }
                layer.directions[0].mixer.projections().out.apply(y, residual, true);
                return;
            }
            combine(layer, y, y_other, s, residual);
        });
    }

    /// residual += out_0(y_0) + out_1(y_1), or their product.
    void combine(ModelLayer const& layer, View<float const, 2> y, View<float const, 2> y_other, BlockScratch& s,
                 View<float, 2> residual) const {
        auto const a = s.normed.view(residual.rows, residual.cols);
        auto const b = s.other.view(residual.rows, residual.cols);
        layer.directions[0].mixer.projections().out.apply(y, a);
        layer.directions[1].mixer.projections().out.apply(y_other, b);
        bool const add = config_.strategy == BidirectionalStrategy::add;
        for (index_t i = 0; i < residual.rows * residual.cols; ++i) {
            residual.data[i] += add ? a.data[i] + b.data[i] : a.data[i] * b.data[i];
        }
    }

    void tap(index_t layer, Run const& run, RunBuffers& buffers, std::vector<RecordResult>& results) {
        bool const mirrored = parts_.mirrored(layer == kFinalNorm ? config_.n_layer : layer);
        for (auto const& section : run.sections) {
            for (std::size_t i = 0; i < section.strands.size(); ++i) {
                auto const& strand = section.strands[i];
                if (strand.strand != 0) { continue; }
                auto const* other = config_.strands() == 1 ? nullptr : other_strand(run, strand);
                if (taps_.pools(layer)) { pool(strand, other, mirrored, buffers, results); }
                if (taps_.sinks(layer)) { show(layer, strand, other, mirrored, buffers); }
            }
        }
    }

    static StrandRows const* other_strand(Run const& run, StrandRows const& strand) {
        for (auto const& section : run.sections) {
            for (auto const& candidate : section.strands) {
                if (candidate.piece == strand.piece && candidate.strand == 1) { return &candidate; }
            }
        }
        return nullptr;
    }

    std::vector<float> pool_strand(StrandRows const& strand, bool mirrored, RunBuffers const& buffers) const {
        Pooling const pooling = pooling_of_stream(options_.pooling, mirrored);
        std::vector<double> running(static_cast<std::size_t>(config_.d_model));
        std::vector<float> pooled(running.size());
        View<float const, 2> const rows(buffers.residual.data() + strand.begin * config_.d_model, strand.length,
                                        config_.d_model);
        pool_accumulate(pooling, rows, 0, {running.data(), config_.d_model});
        pool_finish(pooling, {running.data(), config_.d_model}, strand.length, {pooled.data(), config_.d_model});
        if (mirrored) { std::reverse(pooled.begin(), pooled.end()); }
        return pooled;
    }

    void pool(StrandRows const& strand, StrandRows const* other, bool mirrored, RunBuffers const& buffers,
              std::vector<RecordResult>& results) const {
        auto pooled = pool_strand(strand, mirrored, buffers);
        if (other != nullptr) {
            auto const second = pool_strand(*other, mirrored, buffers);
            for (std::size_t c = 0; c < pooled.size(); ++c) {
                pooled[c] = 0.5F * (pooled[c] + second[c]);
            }
        }
        results[static_cast<std::size_t>(strand.piece)].pooled = std::move(pooled);
    }

    void show(index_t layer, StrandRows const& strand, StrandRows const* other, bool mirrored, RunBuffers& buffers) {
        index_t const blocks = (strand.length + options_.token_block - 1) / options_.token_block;
        threads_.parallel_for(blocks, [&](index_t block) {
            index_t const begin = block * options_.token_block;
            index_t const count = std::min(options_.token_block, strand.length - begin);
            auto const rows = [&](index_t first) {
                return View<float const, 2>(buffers.residual.data() + first * config_.d_model, count, config_.d_model);
            };
            auto const own = rows(strand.begin + begin);
            if (other == nullptr) {
                options_.sink->positions(layer, strand.input + begin, own);
                return;
            }
            auto const opposite = rows(other->begin + other->length - begin - count);
            auto const hidden = both_strands(own, opposite, mirrored);
            options_.sink->positions(layer, strand.input + begin, hidden.view(count, 2 * config_.d_model));
        });
    }

    std::shared_ptr<Model const> model_;
    Model::Parts const& parts_;
    ModelConfig const& config_;
    Threads& threads_;
    SessionOptions options_;
    Taps taps_;
    ScratchPool scratch_;
    bool shared_; ///< every layer's directions share their projections
};

} // namespace

std::unique_ptr<CpuExecutor> make_whole_record_executor(std::shared_ptr<Model const> model, Threads& threads,
                                                        SessionOptions const& options) {
    return std::make_unique<WholeRecordExecutor>(std::move(model), threads, options);
}

} // namespace strandwave

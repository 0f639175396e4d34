#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output_path.h"
#include "formats/npy.h"
#include "lib/core/error.h"
#include "lib/core/folder.h"
#include "lib/model/session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>

namespace strandwave {
namespace {

struct ForwardOptions {
    ModelOptions model;
    ComputeOptions compute;
    LogOptions log;
    OutputOptions output;
    std::filesystem::path tokens;
    std::filesystem::path frames;
    std::filesystem::path hidden_states;
    std::string pool;
};

/// What goes in: B sequences of L positions.
struct Batch {
    index_t sequences = 0;
    index_t length = 0;
    index_t frame_length = 0;
    std::vector<std::int32_t> tokens; ///< [B, L], or
    std::vector<float> frames;        ///< [B, L, frame_length]
};

[[noreturn]] void bad_argument(std::string const& message) { throw Error(ErrorCode::invalid_argument, message); }

std::string shape_of(std::vector<index_t> const& shape) {
    std::string text;
    for (index_t const extent : shape) {
        text += (text.empty() ? "" : ", ") + std::to_string(extent);
    }
    return "[" + text + "]";
}

Batch read_tokens(std::filesystem::path const& path, ModelConfig const& config) {
    auto array = read_npy_i64(path).value();
    if (array.shape.size() != 2) {
        bad_argument(path.string() + ": token ids have shape [B, L], not " + shape_of(array.shape));
    }
    Batch batch{array.shape[0], array.shape[1], 0, {}, {}};
    batch.tokens.reserve(array.values.size());
    for (std::size_t i = 0; i < array.values.size(); ++i) {
        if (array.values[i] < 0 || array.values[i] >= config.vocab_size) {
            auto const length = static_cast<std::size_t>(batch.length);
            bad_argument(path.string() + ": id " + std::to_string(array.values[i]) + " at [" +
                         std::to_string(i / length) + ", " + std::to_string(i % length) +
                         "] is outside the vocabulary of " + std::to_string(config.vocab_size));
        }
        batch.tokens.push_back(static_cast<std::int32_t>(array.values[i]));
    }
    return batch;
}

Batch read_frames(std::filesystem::path const& path, ModelConfig const& config) {
    auto array = read_npy_f32(path).value();
    if (array.shape.size() != 3 || array.shape[2] != config.frame_length) {
        bad_argument(path.string() + ": frames of this model have shape [B, L, " + std::to_string(config.frame_length) +
                     "], not " + shape_of(array.shape));
    }
    return {array.shape[0], array.shape[1], config.frame_length, {}, std::move(array.values)};
}

Batch read_batch(ForwardOptions const& options, ModelConfig const& config) {
    if (options.tokens.empty() == options.frames.empty()) { bad_argument("give either --tokens or --frames"); }
    bool const wants_frames = config.frame_length > 0;
    if (wants_frames != options.tokens.empty()) {
        bad_argument(wants_frames ? "this model reads frames: give --frames"
                                  : "this model reads tokens: give --tokens");
    }
    return wants_frames ? read_frames(options.frames, config) : read_tokens(options.tokens, config);
}

/// Takes vectors of positions as they come and puts them, or the logits made of them, where they belong in the files.
class FileSink final : public PositionSink {
public:
    FileSink(std::shared_ptr<Model const> model, index_t sequence_length)
        : model_(std::move(model)), length_(sequence_length) {}

    void keep_hidden_states(std::filesystem::path const& directory, index_t sequences) {
        make_folder(directory);
        std::vector<index_t> const shape = {sequences, length_, model_->hidden_width()};
        for (auto const& [layer, name] : hidden_state_files(model_->config())) {
            hidden_[layer] = std::make_unique<NpyFile>(directory / name, shape);
        }
    }

    void keep_logits(std::filesystem::path const& path, index_t sequences) {
        logits_ = std::make_unique<NpyFile>(path, std::vector<index_t>{sequences, length_, vocab()});
    }

    static std::map<index_t, std::string> hidden_state_files(ModelConfig const& config) {
        std::map<index_t, std::string> names = {{kFinalNorm, "final_norm.npy"}};
        for (index_t k = 0; k <= config.n_layer; ++k) {
            names[k] = "layer_" + std::to_string(k) + ".npy";
        }
        return names;
    }

    std::vector<index_t> layers() const {
        std::vector<index_t> wanted;
        for (auto const& entry : hidden_) {
            wanted.push_back(entry.first);
        }
        if (wanted.empty() && logits_) { wanted.push_back(kFinalNorm); }
        return wanted;
    }

    /// The next feed holds `count` positions, from `position` on, of each sequence from `sequence` on.
    void start_feed(index_t sequence, index_t position, index_t count) {
        sequence_ = sequence;
        position_ = position;
        count_ = count;
    }

    void positions(index_t layer, index_t begin, View<float const, 2> hidden) override {
        if (auto const file = hidden_.find(layer); file != hidden_.end()) { store(*file->second, begin, hidden); }
        if (layer == kFinalNorm && logits_) {
            std::vector<float> logits(static_cast<std::size_t>(hidden.rows * vocab()));
            View<float, 2> const view(logits.data(), hidden.rows, vocab());
            model_->language_model_logits(hidden, view);
            store(*logits_, begin, view);
        }
    }

    void close() {
        for (auto const& entry : hidden_) {
            entry.second->close();
        }
        if (logits_) { logits_->close(); }
    }

private:
    index_t vocab() const { return model_->config().vocab_size; }

    void store(NpyFile& file, index_t begin, View<float const, 2> rows) const {
        index_t const together = rows.row_stride == rows.cols ? rows.rows : 1;
        for (index_t i = 0, n = 0; i < rows.rows; i += n) {
            index_t const sequence = sequence_ + (begin + i) / count_;
            index_t const piece_row = (begin + i) % count_;
            n = std::min({together, rows.rows - i, count_ - piece_row}); // rows that follow one another in the file too
            file.write((sequence * length_ + position_ + piece_row) * rows.cols, {rows.row(i), n * rows.cols});
        }
    }

    std::shared_ptr<Model const> model_;
    index_t length_;
    std::map<index_t, std::unique_ptr<NpyFile>> hidden_;
    std::unique_ptr<NpyFile> logits_;
    index_t sequence_ = 0;
    index_t position_ = 0;
    index_t count_ = 1;
};

/// Feeds the batch in pieces of `chunk` positions, every sequence a lane; pooled vectors `[B, d_model]` come back.
class BatchRunner {
public:
    BatchRunner(OpenedModel const& opened, Batch const& batch, index_t chunk, FileSink& sink, Pooling pooling,
                LogOptions const& log)
        : batch_(batch), chunk_(chunk), sink_(sink), pooled_(static_cast<std::size_t>(batch.sequences)),
          // As many sequences at once as fill a default feed: memory stays bounded, and short pieces go together.
          group_(std::clamp<index_t>(kDefaultChunk / chunk, 1, std::max<index_t>(batch.sequences, 1))),
          session_(opened.model, *opened.threads, session_options(pooling, log)) {}

    std::vector<std::vector<float>> run() {
        for (index_t first = 0; first < batch_.sequences; first += group_) {
            index_t const count = std::min(group_, batch_.sequences - first);
            for (index_t begin = 0; begin < batch_.length; begin += chunk_) {
                feed(first, count, begin, std::min(chunk_, batch_.length - begin));
            }
        }
        return std::move(pooled_);
    }

private:
    SessionOptions session_options(Pooling pooling, LogOptions const& log) const {
        SessionOptions options;
        options.lanes = group_;
        options.pooling = pooling;
        options.token_block = std::min(chunk_, kDefaultTokenBlock);
        options.sink_layers = sink_.layers();
        options.sink = options.sink_layers.empty() ? nullptr : &sink_;
        options.notice = [&log](std::string const& line) { log_line(log, line); };
        return options;
    }

    void feed(index_t first, index_t sequences, index_t begin, index_t count) {
        std::vector<Piece> pieces;
        tokens_.clear();
        frames_.clear();
        for (index_t i = 0; i < sequences; ++i) {
            pieces.push_back({count, i, begin == 0, begin + count == batch_.length});
            index_t const from = (first + i) * batch_.length + begin;
            if (batch_.frame_length > 0) {
                auto const at = batch_.frames.begin() + from * batch_.frame_length;
                frames_.insert(frames_.end(), at, at + count * batch_.frame_length);
            } else {
                auto const at = batch_.tokens.begin() + from;
                tokens_.insert(tokens_.end(), at, at + count);
            }
        }
        FeedInput input;
        input.tokens = tokens_;
        if (batch_.frame_length > 0) { input.frames = {frames_.data(), sequences * count, batch_.frame_length}; }
        sink_.start_feed(first, begin, count);
        for (RecordResult& result : session_.feed(input, pieces)) {
            pooled_[static_cast<std::size_t>(first + result.lane)] = std::move(result.pooled);
        }
    }

    Batch const& batch_;
    index_t chunk_;
    FileSink& sink_;
    std::vector<std::vector<float>> pooled_;
    index_t group_;
    Session session_;
    std::vector<std::int32_t> tokens_;
    std::vector<float> frames_;
};

/// Positions a piece: a bidirectional model reads sequences whole.
index_t piece_length(OpenedModel const& opened, ForwardOptions const& options, index_t length) {
    index_t const whole = std::max<index_t>(length, 1);
    if (!opened.model->config().bidirectional) { return std::min(opened.chunk, whole); }
    if (options.compute.chunk > 0 && options.compute.chunk < length) {
        throw Error(ErrorCode::unsupported, "a bidirectional model reads a sequence whole: --chunk " +
                                                std::to_string(options.compute.chunk) + " is shorter than the " +
                                                std::to_string(length) + " positions of each sequence; leave it out");
    }
    return whole;
}

void write_class_logits(std::filesystem::path const& path, Model const& model,
                        std::vector<std::vector<float>> const& pooled) {
    auto const labels = static_cast<index_t>(model.config().labels.size());
    NpyFile file(path, {static_cast<index_t>(pooled.size()), labels});
    std::vector<float> const zeros(static_cast<std::size_t>(model.config().d_model), 0.0F); // of an empty sequence
    for (std::size_t i = 0; i < pooled.size(); ++i) {
        auto const& vector = pooled[i].empty() ? zeros : pooled[i];
        auto const logits = model.classify({vector.data(), static_cast<index_t>(vector.size())});
        file.write(static_cast<index_t>(i) * labels, {logits.data(), labels});
    }
    file.close();
}

void check_outputs(ForwardOptions const& options, ModelConfig const& config) {
    bool const logits = !options.output.path.empty();
    if (!logits && options.hidden_states.empty()) { bad_argument("give -o, --hidden-states or both"); }
    if (logits && config.head == HeadKind::none) {
        throw Error(ErrorCode::unsupported,
                    "this model has no head that makes logits; give --hidden-states DIR instead of -o");
    }
    std::array const inputs{options.tokens, options.frames};
    if (logits) { check_output_file(options.output.path, options.output.force, inputs); }
    if (options.hidden_states.empty()) { return; }
    check_output_folder(options.hidden_states, true);
    for (auto const& entry : FileSink::hidden_state_files(config)) {
        check_output_file(options.hidden_states / entry.second, options.output.force, inputs);
    }
}

void run(ForwardOptions const& options) {
    OpenedModel const opened = open_model(options.model, options.compute, options.log);
    ModelConfig const& config = opened.model->config();
    check_outputs(options, config);
    if (!options.pool.empty() && config.head != HeadKind::classifier) {
        bad_argument("--pool is for a classifier, whose logits are of a whole sequence");
    }
    Batch const batch = read_batch(options, config);
    Pooling const pooling = options.pool.empty() ? read_preprocessor_config(options.model.directory, config).pooling
                                                 : parse_pooling(options.pool);
    index_t const chunk = piece_length(opened, options, batch.length);

    FileSink sink(opened.model, batch.length);
    bool const logits = !options.output.path.empty();
    if (logits && config.head == HeadKind::language_model) { sink.keep_logits(options.output.path, batch.sequences); }
    if (!options.hidden_states.empty()) { sink.keep_hidden_states(options.hidden_states, batch.sequences); }
    auto const pooled = BatchRunner(opened, batch, chunk, sink, pooling, options.log).run();
    sink.close();
    if (logits && config.head == HeadKind::classifier) {
        write_class_logits(options.output.path, *opened.model, pooled);
    }
}

} // namespace

void add_forward_command(CLI::App& program, CommandResult& result) {
    auto const options = std::make_shared<ForwardOptions>();
    CLI::App* command = program.add_subcommand("forward", "Run token ids or frames through a model, to compare it");
    add_model_options(*command, options->model);
    command->add_option("--tokens", options->tokens, "Token ids, int64 [B, L]")->type_name("IDS.npy");
    command->add_option("--frames", options->frames, "Frames, float32 [B, L, frame_length]")->type_name("X.npy");
    add_output_options(*command, options->output, false,
                       "Logits to write, float32 [B, L, vocab], or [B, labels] of a classifier");
    command->add_option("--hidden-states", options->hidden_states, "Folder for the vectors behind each layer")
        ->type_name("DIR");
    command->add_option("--pool", options->pool, "Of a classifier: mean, max, last or first (default: the model's)")
        ->check(CLI::IsMember({"mean", "max", "last", "first"}));
    add_compute_options(*command, options->compute);
    add_log_options(*command, options->log);
    command->footer(
        "--hidden-states writes layer_0.npy (the embedding), layer_K.npy (the residual stream after K layers) and\n"
        "final_norm.npy, float32 [B, L, channels]. A reverse-complement equivariant model (Caduceus-PS) has\n"
        "2 * d_model channels: first the strand as given, then the other strand at the same base, its channels in\n"
        "that strand's own order (the published code keeps them backwards).\n"
        "--chunk 1 is decoding, token by token. Bidirectional models read sequences whole.\n"
        "\nExample:\n"
        "  strandwave forward --model model/ --tokens ids.npy -o logits.npy");
    command->callback([options, &result] {
        run(*options);
        result.exit_code = ExitCode::done;
    });
}

} // namespace strandwave

#include "lib/model/initialise.h"

#include "lib/checkpoint/mapped_file.h"
#include "lib/checkpoint/safetensors.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"
#include "lib/core/random.h"
#include "lib/core/staged_folder.h"
#include "lib/model/declared_config.h"
#include "lib/model/tensor_layout.h"
#include "lib/model/tensor_names.h"

#include <cmath>
#include <deque>
#include <functional>
#include <numbers>
#include <unistd.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

using Draw = std::function<void(Random&, std::span<float>)>;

/// One tensor to come: what it is called, its shape, and how its numbers are drawn.
struct PlannedTensor {
    std::string name;
    std::vector<index_t> shape;
    Draw draw;
};

Draw constant(float value) {
    return [value](Random&, std::span<float> out) { std::fill(out.begin(), out.end(), value); };
}

Draw uniform(double limit) {
    return [limit](Random& random, std::span<float> out) {
        for (float& value : out) {
            value = static_cast<float>(random.uniform(-limit, limit));
        }
    };
}

Draw normal(double deviation) {
    return [deviation](Random& random, std::span<float> out) {
        for (float& value : out) {
            value = static_cast<float>(deviation * random.normal());
        }
    };
}

/// torch's default of nn.Linear and nn.Conv1d: kaiming_uniform(a = sqrt(5)) comes to U(+-1/sqrt(fan_in)).
Draw kaiming(index_t fan_in, double scale = 1.0) { return uniform(scale / std::sqrt(static_cast<double>(fan_in))); }

/// A = -(1, 2, .., d_state) in every row, the real part of S4D.
Draw log_of_ramp(index_t d_state) {
    return [d_state](Random&, std::span<float> out) {
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = static_cast<float>(std::log(static_cast<double>(static_cast<index_t>(i) % d_state + 1)));
        }
    };
}

/// dt log-uniform in [dt_min, dt_max], not below the floor; stored as the inverse of its softplus.
Draw inverse_softplus_of_dt(DeclaredInitialisation const& fresh) {
    return [fresh](Random& random, std::span<float> out) {
        for (float& value : out) {
            double const log_dt = random.uniform(std::log(fresh.dt_min), std::log(fresh.dt_max));
            double const dt = std::max(std::exp(log_dt), fresh.dt_floor);
            value = static_cast<float>(dt + std::log(-std::expm1(-dt)));
        }
    };
}

/// Filters in quadrature in the middle of the frame: cosines, behind them sines, of `bands` frequencies that are spaced
/// like the mel scale at 16 kHz up to half the sampling rate, under Hann windows as long as two periods of the distance
/// from one frequency to the next, or as the frame.
Draw filter_bank(index_t bands, index_t frame_length) {
    return [bands, frame_length](Random&, std::span<float> out) {
        constexpr double kPi = std::numbers::pi;
        constexpr double kKnee = 700.0 / 16000; // of the mel scale, in cycles a sample
        double const step = std::log1p(0.5 / kKnee) / static_cast<double>(bands + 1);
        auto const frequency = [&](index_t band) { return kKnee * std::expm1(step * static_cast<double>(band + 1)); };
        for (index_t band = 0; band < bands; ++band) {
            double const spacing = frequency(band + 1) - frequency(band);
            double const window = std::min(2.0 / spacing, static_cast<double>(frame_length));
            for (index_t i = 0; i < frame_length; ++i) {
                double const t = static_cast<double>(i) + 0.5 - 0.5 * static_cast<double>(frame_length);
                double const hann = 2 * std::abs(t) < window ? 0.5 + 0.5 * std::cos(2 * kPi * t / window) : 0.0;
                double const phase = 2 * kPi * frequency(band) * t;
                auto const place = static_cast<std::size_t>(band * frame_length + i);
                out[place] = static_cast<float>(hann * std::cos(phase));
                out[place + static_cast<std::size_t>(bands * frame_length)] =
                    static_cast<float>(hann * std::sin(phase));
            }
        }
    };
}

/// The published extents: what the config states, and the class defaults for the rest.
ModelConfig complete_config(DeclaredConfig const& declared) {
    auto const required = [&](DeclaredExtent const& extent) {
        if (!extent.value) {
            throw Error(ErrorCode::malformed_checkpoint, declared.path + ": key '" + extent.key + "' is missing");
        }
        return *extent.value;
    };
    ModelConfig config = declared.model;
    config.d_model = required(declared.d_model);
    config.n_layer = required(declared.n_layer);
    config.frame_length = declared.frame_length.value.value_or(0);
    config.n_bands = declared.n_bands.value.value_or(0);
    if (config.frame_length == 0) {
        config.vocab_size = required(declared.vocab_size);
        if (declared.dialect != Dialect::hugging_face) {
            config.vocab_size = declared.padded_vocab_size(config.vocab_size);
        }
    }
    config.d_inner = declared.d_inner(config.d_model).value_or(2 * config.d_model);
    config.d_state = declared.d_state.value.value_or(16);
    config.d_conv = declared.d_conv.value.value_or(4);
    config.dt_rank = declared.rank(config.d_model).value_or((config.d_model + 15) / 16);
    config.bias = declared.bias.value_or(false);
    config.conv_bias = declared.conv_bias.value_or(true);
    config.head = declared.head.value_or(config.frame_length > 0 ? HeadKind::none : HeadKind::language_model);
    return config;
}

TensorLayout published_layout(DeclaredConfig const& declared, ModelConfig const& config) {
    TensorLayout layout;
    bool const bare = config.head == HeadKind::none && config.frame_length == 0;
    if (declared.dialect == Dialect::caduceus) {
        layout.wrapping = config.rcps ? TensorLayout::Wrapping::strands : TensorLayout::Wrapping::directions;
        layout.wrapped_norm = config.rcps && !config.fused_add_norm;
        layout.backbone = bare ? "backbone." : "caduceus.backbone.";
    } else {
        layout.plural_embeddings = declared.dialect == Dialect::hugging_face;
        layout.backbone = bare ? "" : "backbone.";
    }
    return layout;
}

/// The list of tensors of a fresh model, in the order in which they are drawn.
class Plan {
public:
    explicit Plan(DeclaredConfig const& declared)
        : fresh_(declared.initialisation), config_(complete_config(declared)),
          layout_(published_layout(declared, config_)), normal_linears_(declared.dialect == Dialect::hugging_face) {
        add_embedding();
        for (index_t i = 0; i < config_.n_layer; ++i) {
            add_norm(layout_.norm(i));
            add_mixer(layout_.forward_mixer(i), true);
            if (config_.bidirectional) { add_mixer(layout_.reverse_mixer(i), !config_.tied_projections); }
        }
        add_norm(layout_.final_norm());
        add_head(declared);
    }

    std::vector<PlannedTensor> const& tensors() const noexcept { return tensors_; }

    /// The buffers that an RC-equivariant model saves beside its parameters; empty for others.
    std::vector<std::string> complement_map_names() const {
        if (!config_.rcps) { return {}; }
        std::vector<std::string> names = {layout_.embedding_complement_map()};
        if (config_.head == HeadKind::language_model) { names.push_back(TensorLayout::head_complement_map()); }
        return names;
    }

    std::vector<std::int64_t> complement_map() const {
        std::vector<std::int64_t> map(config_.complement_map.begin(), config_.complement_map.end());
        for (auto id = static_cast<index_t>(map.size()); id < config_.vocab_size; ++id) {
            map.push_back(id);
        }
        return map;
    }

private:
    void add(std::string name, std::vector<index_t> shape, Draw draw) {
        tensors_.push_back({std::move(name), std::move(shape), std::move(draw)});
    }

    /// transformers draws its linear layers from a normal distribution, the original code leaves torch's default.
    Draw linear(index_t fan_in) const { return normal_linears_ ? normal(fresh_.range) : kaiming(fan_in); }

    void add_embedding() {
        if (config_.frame_length > 0) {
            if (config_.n_bands > 0) {
                add(layout_.filter_bank(), {2 * config_.n_bands, config_.frame_length},
                    filter_bank(config_.n_bands, config_.frame_length));
            }
            add(layout_.frame_embedding() + "weight", {config_.d_model, config_.frame_inputs()},
                kaiming(config_.frame_inputs()));
            add(layout_.frame_embedding() + "bias", {config_.d_model}, constant(0));
        } else {
            add(layout_.embedding(), {config_.vocab_size, config_.d_model}, normal(fresh_.range));
        }
    }

    void add_norm(std::string const& name) {
        add(name + "weight", {config_.d_model}, constant(1));
        if (config_.norm == NormKind::layer_norm) { add(name + "bias", {config_.d_model}, constant(0)); }
    }

    void add_mixer(std::string const& name, bool own_projections) {
        auto const inner = config_.d_inner;
        auto const rank = config_.dt_rank;
        auto const dt_limit = fresh_.dt_scale / std::sqrt(static_cast<double>(rank));
        add(name + "A_log", {inner, config_.d_state}, log_of_ramp(config_.d_state));
        add(name + "D", {inner}, constant(1));
        if (own_projections) { add_projections(name); }
        add(name + "conv1d.weight", {inner, 1, config_.d_conv}, kaiming(config_.d_conv));
        if (config_.conv_bias) {
            add(name + "conv1d.bias", {inner}, normal_linears_ ? constant(0) : kaiming(config_.d_conv));
        }
        add(name + "x_proj.weight", {rank + 2 * config_.d_state, inner}, linear(inner));
        add(name + "dt_proj.weight", {inner, rank},
            fresh_.dt_constant ? constant(static_cast<float>(dt_limit)) : uniform(dt_limit));
        add(name + "dt_proj.bias", {inner}, inverse_softplus_of_dt(fresh_));
    }

    void add_projections(std::string const& name) {
        auto const residuals = static_cast<double>(fresh_.residuals_per_layer * config_.n_layer);
        auto const scale = fresh_.rescale_residual ? 1.0 / std::sqrt(residuals) : 1.0;
        add(name + "in_proj.weight", {2 * config_.d_inner, config_.d_model}, linear(config_.d_model));
        add(name + "out_proj.weight", {config_.d_model, config_.d_inner}, kaiming(config_.d_inner, scale));
        if (config_.bias) {
            add(name + "in_proj.bias", {2 * config_.d_inner}, constant(0));
            add(name + "out_proj.bias", {config_.d_model}, constant(0));
        }
    }

    void add_head(DeclaredConfig const& declared) {
        if (config_.head == HeadKind::classifier) {
            auto const stated = static_cast<index_t>(config_.labels.size());
            auto const labels = stated > 0 ? stated : declared.num_labels.value.value_or(2);
            add(TensorLayout::classifier(), {labels, config_.d_model}, normal(fresh_.range));
        } else if (config_.head == HeadKind::language_model && !config_.tied_head) {
            add(layout_.head(), {config_.vocab_size, config_.d_model}, linear(config_.d_model));
        }
    }

    DeclaredInitialisation fresh_;
    ModelConfig config_;
    TensorLayout layout_;
    bool normal_linears_;
    std::vector<PlannedTensor> tensors_;
};

void check_size(Plan const& plan, std::string const& path) {
    double bytes = 0;
    bool valid = true;
    for (auto const& tensor : plan.tensors()) {
        auto const size = tensor_bytes(DType::f32, tensor.shape);
        valid = valid && size > 0;
        bytes += static_cast<double>(size);
    }
    auto const memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
    if (!valid || bytes > memory) {
        throw Error(ErrorCode::too_large, path + ": a model of these sizes has " + std::to_string(bytes / 1e9) +
                                              " GB of parameters, more than this machine's memory of " +
                                              std::to_string(memory / 1e9) + " GB");
    }
}

void write_weights(Plan const& plan, std::uint64_t seed, fs::path const& path) {
    Random random(seed);
    std::deque<std::vector<float>> numbers;
    std::vector<TensorToWrite> tensors;
    auto const map = plan.complement_map();
    for (auto const& name : plan.complement_map_names()) {
        tensors.push_back({name, DType::i64, {static_cast<index_t>(map.size())}, std::as_bytes(std::span(map))});
    }
    for (auto const& tensor : plan.tensors()) {
        auto const size = tensor_bytes(DType::u8, tensor.shape);
        auto& values = numbers.emplace_back(static_cast<std::size_t>(size));
        tensor.draw(random, values);
        tensors.push_back({tensor.name, DType::f32, tensor.shape, std::as_bytes(std::span(values))});
    }
    write_safetensors(path, tensors);
}

/// What was written must load: a config that contradicts itself is found here, before anything is in its place.
void check_loads(fs::path const& directory) {
    auto const store = open_checkpoint(directory);
    find_model_tensors(read_model_config(directory, store), store);
}

} // namespace

ModelConfig fresh_model_config(fs::path const& config_json) {
    return complete_config(read_declared_config(config_json));
}

void initialise_model(fs::path const& config_json, std::uint64_t seed, fs::path const& out_directory, bool force) {
    auto const out = out_directory.has_filename() ? out_directory : out_directory.parent_path(); // "dir/" is "dir"
    std::error_code error;
    if (!force && fs::exists(out, error)) {
        throw Error(ErrorCode::already_exists, out.string() + ": is there already; --force replaces the model in it");
    }
    auto const declared = read_declared_config(config_json);
    auto const& fresh = declared.initialisation;
    if (!(fresh.dt_min > 0 && fresh.dt_max >= fresh.dt_min && fresh.dt_floor > 0)) {
        throw Error(ErrorCode::malformed_checkpoint, declared.path + ": the bounds of dt must be above 0 and in order");
    }
    Plan const plan(declared);
    check_size(plan, declared.path);

    StagedFolder staged(out);
    staged.fill([&](fs::path const& folder) {
        MappedFile const config(config_json);
        auto const config_bytes = config.bytes();
        write_file_whole(folder / "config.json", {&config_bytes, 1});
        write_weights(plan, seed, folder / "model.safetensors");
        check_loads(folder);
    });
    staged.commit();
}

} // namespace strandwave

#pragma once

#include "lib/core/view.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// The whole forward pass once more, in the plainest loops and any precision, straight from the published formulas
/// (Mamba: Gu & Dao 2023, arXiv:2312.00752, and mamba_ssm's mixer_seq_simple.py; Falcon-Mamba: transformers;
/// Caduceus: kuleshov-group/caduceus modeling_caduceus.py, modeling_rcps.py). It shares no code with the library, so a
/// misunderstanding there does not repeat itself here. `T = double` is the truth, `T = float` the yardstick of what
/// plain single precision may lose, `T = float` with `Stored = AsBf16` that of what plain bf16 may.
namespace strandwave::independent {

struct Tensor {
    std::vector<index_t> shape;
    std::vector<float> values;
};
using Tensors = std::map<std::string, Tensor>; ///< by their published names

/// What the tensors alone cannot tell.
struct Description {
    index_t n_layer = 0;
    bool caduceus = false;
    bool rcps = false;
    bool fused_add_norm = true;
    bool multiply = false; ///< "ew_multiply"
    bool layer_norm = false;
    bool residual_in_fp32 = true; ///< only a run in bf16 asks
    double epsilon = 1e-5;
    double mixer_rms_epsilon = 0;         ///< > 0: Falcon-Mamba
    std::vector<std::int32_t> complement; ///< for rcps
};

template <class T>
using Rows = std::vector<std::vector<T>>; ///< [positions][channels]

/// All in the published layout: for rcps 2 * d_model channels, the second half flipped in length and channels.
template <class T>
struct Outputs {
    std::vector<Rows<T>> streams; ///< 0 the embedding, K the residual stream after K layers
    std::vector<Rows<T>> mixers;  ///< output of every mixer, without the residual
    Rows<T> final_norm;
    Rows<T> logits;              ///< language model; empty without such a head
    std::vector<T> class_logits; ///< mean pooling; empty without such a head
};

/// Memory keeps what was computed.
struct AsComputed {
    template <class T>
    static T kept(T x) {
        return x;
    }
};

/// Memory keeps 8 significant bits: the nearest of them, of two equally near the even one. What a run rounds is what
/// mamba_ssm's `MambaLMHeadModel.from_pretrained(dtype=torch.bfloat16)` writes to memory on its fused path:
/// - The output of each kernel: embedding, norm, every product, convolution with silu (causal_conv1d), the scan with D
///   and gate (selective_scan_fwd_kernel.cuh), and in Caduceus the sum of two directions or strands and the pool. Sums
///   within a kernel are fp32, and so are the states of the scan. The step sizes are rounded as the product of dt_proj;
///   the scan adds their bias, in fp32.
/// - The residual stream if `residual_in_fp32` is false. The fused norm goes on with the fp32 sum that it stores
///   (layer_norm.py), the other reads what was stored.
/// - Embedding and matrices. A_log and D stay fp32 (`# Keep in fp32` in mamba_simple.py). Norm weights, taps and biases
///   would be rounded there too; here they stay fp32, as they do under autocast and in our bf16 mode, which makes this
///   yardstick shorter than the published one (mamba1: 1.38e-2 of the logits, with them rounded 1.61e-2).
struct AsBf16 {
    static float kept(float x) {
        int exponent = 0;
        float const mantissa = std::frexp(x, &exponent); // in [0.5, 1)
        return std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
    }
};

template <class T, class Stored = AsComputed>
class Forward {
public:
    Forward(Description description, Tensors const& tensors) : d_(std::move(description)), tensors_(tensors) {
        prefix_ = d_.caduceus ? "caduceus.backbone." : "backbone.";
    }

    Outputs<T> tokens(std::vector<std::int32_t> const& ids) const {
        auto const table = load(embedding_name());
        auto look_up = [&](std::int32_t id) {
            auto const row = table.begin() + static_cast<std::ptrdiff_t>(id * width());
            return kept(std::vector<T>(row, row + static_cast<std::ptrdiff_t>(width())));
        };
        Rows<T> embedded;
        for (std::size_t t = 0; t < ids.size(); ++t) {
            auto row = look_up(ids[t]);
            if (d_.rcps) { // flip_{L,C}(embedding(rc_ids)): position t again, complemented, channels backwards
                auto const other = look_up(d_.complement[static_cast<std::size_t>(ids[t])]);
                row.insert(row.end(), other.rbegin(), other.rend());
            }
            embedded.push_back(std::move(row));
        }
        return layers(std::move(embedded));
    }

    /// Frames go through one linear layer instead of a table, or through the powers of a filter bank and that layer.
    Outputs<T> frames(Rows<float> const& frames) const {
        Rows<T> in;
        for (auto const& frame : frames) {
            in.push_back(kept(std::vector<T>(frame.begin(), frame.end())));
        }
        if (has(prefix_ + "filter_bank.weight")) {
            T const samples = static_cast<T>(in.front().size());
            in = band_powers(apply_linear(in, prefix_ + "filter_bank"), samples);
        }
        return layers(apply_linear(in, prefix_ + "frame_embedding"));
    }

private:
    /// Decadic logarithms of the power a sample of pairs of filters, those of a pair half a row apart, from 10^-3 on.
    static Rows<T> band_powers(Rows<T> const& pairs, T samples) {
        Rows<T> powers;
        for (auto const& row : pairs) {
            auto& out = powers.emplace_back(row.size() / 2);
            for (std::size_t k = 0; k < out.size(); ++k) {
                T const power = (row[k] * row[k] + row[k + out.size()] * row[k + out.size()]) / samples;
                out[k] = std::log10(static_cast<T>(1e-6) + power) + T{3};
            }
        }
        return powers;
    }

    std::string embedding_name() const {
        if (!d_.caduceus) {
            return tensors_.count("backbone.embedding.weight") ? "backbone.embedding.weight"
                                                               : "backbone.embeddings.weight";
        }
        return prefix_ + "embeddings.word_embeddings." + (d_.rcps ? "embedding.weight" : "weight");
    }

    index_t width() const { return static_cast<index_t>(tensors_.at(final_norm_name() + ".weight").values.size()); }

    std::string wrapped(std::string const& name) const {
        return d_.rcps && !d_.fused_add_norm ? name + ".submodule" : name;
    }
    std::string final_norm_name() const { return prefix_ + wrapped("norm_f"); }

    static std::vector<T> kept(std::vector<T> x) {
        for (T& v : x) {
            v = Stored::kept(v);
        }
        return x;
    }

    static Rows<T> kept(Rows<T> x) {
        for (auto& row : x) {
            row = kept(std::move(row));
        }
        return x;
    }

    Rows<T> kept_stream(Rows<T> x) const { return d_.residual_in_fp32 ? x : kept(std::move(x)); }

    bool has(std::string const& name) const { return tensors_.count(name) != 0; }

    std::vector<T> load(std::string const& name) const {
        auto const& values = tensors_.at(name).values;
        return std::vector<T>(values.begin(), values.end());
    }

    Rows<T> apply_linear(Rows<T> const& x, std::string const& name) const {
        return apply_linear(x, load(name + ".weight"), has(name + ".bias") ? load(name + ".bias") : std::vector<T>{});
    }

    static Rows<T> apply_linear(Rows<T> const& x, std::vector<T> const& weight, std::vector<T> const& bias) {
        auto const matrix = kept(weight);
        Rows<T> y;
        for (auto const& in : x) {
            std::vector<T> out(weight.size() / in.size());
            for (std::size_t o = 0; o < out.size(); ++o) {
                out[o] = Stored::kept(
                    dot(matrix.data() + o * in.size(), in.data(), in.size(), bias.empty() ? T(0) : bias[o]));
            }
            y.push_back(std::move(out));
        }
        return y;
    }

    /// Bare pointers: the sanitizers' builds spend most of their time here.
    static T dot(T const* a, T const* b, std::size_t n, T sum) {
        for (std::size_t k = 0; k < n; ++k) {
            sum += a[k] * b[k];
        }
        return sum;
    }

    std::vector<T> norm_row(std::vector<T> x, std::string const& name) const {
        auto const weight = load(name + ".weight");
        auto const bias = has(name + ".bias") ? load(name + ".bias") : std::vector<T>(weight.size(), T(0));
        T const n = static_cast<T>(x.size());
        if (d_.layer_norm) {
            T mean = 0;
            for (T const v : x) {
                mean += v / n;
            }
            for (T& v : x) {
                v -= mean;
            }
        }
        T const scale = inverse_rms(x, d_.epsilon);
        for (std::size_t k = 0; k < x.size(); ++k) {
            x[k] = Stored::kept(x[k] * scale * weight[k] + bias[k]);
        }
        return x;
    }

    static T inverse_rms(std::vector<T> const& x, double epsilon) {
        T squares = 0;
        for (T const v : x) {
            squares += v * v;
        }
        return T(1) / std::sqrt(squares / static_cast<T>(x.size()) + static_cast<T>(epsilon));
    }

    static std::vector<T> half(std::vector<T> const& row, bool second) {
        auto const middle = row.begin() + static_cast<std::ptrdiff_t>(row.size() / 2);
        return second ? std::vector<T>(middle, row.end()) : std::vector<T>(row.begin(), middle);
    }
    static std::vector<T> backwards(std::vector<T> const& row) { return {row.rbegin(), row.rend()}; }
    static std::vector<T> join(std::vector<T> a, std::vector<T> const& b) {
        a.insert(a.end(), b.begin(), b.end());
        return a;
    }

    /// The norm of both strands; `swap` is the published fused path of a block.
    Rows<T> norm(Rows<T> const& x, std::string const& name, bool swap) const {
        Rows<T> y;
        for (auto const& row : x) {
            if (d_.rcps) {
                auto const forward = norm_row(half(row, swap), name);
                auto const reverse = norm_row(backwards(half(row, !swap)), name);
                y.push_back(join(forward, backwards(reverse)));
            } else {
                y.push_back(norm_row(row, name));
            }
        }
        return y;
    }

    static T silu(T x) { return x / (T(1) + std::exp(-x)); }
    static T softplus(T x) { return x > T(20) ? x : std::log1p(std::exp(x)); }

    /// One causal Mamba mixer; `shared` holds the projections where they are tied (Caduceus).
    Rows<T> mamba(Rows<T> const& u, std::string const& own, std::string const& shared) const {
        auto const projection = [&](char const* name) { return (has(own + name + ".weight") ? own : shared) + name; };
        auto const a_log = load(own + "A_log");
        auto const skip = load(own + "D");
        auto const E = skip.size();
        auto const N = a_log.size() / E;
        auto const R = static_cast<std::size_t>(tensors_.at(own + "dt_proj.weight").shape[1]);
        Rows<T> const xz = apply_linear(u, projection("in_proj"));
        Rows<T> const x = convolve(xz, own, E);
        Rows<T> dt_low;
        Rows<T> B;
        Rows<T> C;
        for (auto const& row : apply_linear(x, own + "x_proj")) {
            auto const at = [&](std::size_t i) { return row.begin() + static_cast<std::ptrdiff_t>(i); };
            dt_low.push_back(weightless_rms({at(0), at(R)}));
            B.push_back(weightless_rms({at(R), at(R + N)}));
            C.push_back(weightless_rms({at(R + N), at(R + 2 * N)}));
        }
        Rows<T> const dt = apply_linear(dt_low, load(own + "dt_proj.weight"), {});
        auto const dt_bias = load(own + "dt_proj.bias");
        std::vector<T> h(E * N, T(0));
        Rows<T> y;
        for (std::size_t t = 0; t < u.size(); ++t) {
            std::vector<T> out(E);
            for (std::size_t e = 0; e < E; ++e) {
                T const step = softplus(dt[t][e] + dt_bias[e]);
                T const in = x[t][e];
                T const* const log_a = a_log.data() + e * N;
                T* const state = h.data() + e * N;
                for (std::size_t n = 0; n < N; ++n) {
                    state[n] = std::exp(-step * std::exp(log_a[n])) * state[n] + step * B[t][n] * in;
                }
                T const sum = dot(C[t].data(), state, N, skip[e] * in);
                out[e] = Stored::kept(sum * silu(xz[t][E + e]));
            }
            y.push_back(std::move(out));
        }
        return apply_linear(y, projection("out_proj"));
    }

    /// silu(causal depthwise convolution of the first E channels); the last tap is the present.
    Rows<T> convolve(Rows<T> const& xz, std::string const& own, std::size_t E) const {
        auto const taps = load(own + "conv1d.weight");
        auto const bias = has(own + "conv1d.bias") ? load(own + "conv1d.bias") : std::vector<T>(E, T(0));
        auto const W = taps.size() / E;
        Rows<T> x;
        for (std::size_t t = 0; t < xz.size(); ++t) {
            std::vector<T> out(E);
            for (std::size_t e = 0; e < E; ++e) {
                T sum = bias[e];
                for (std::size_t back = 0; back < W && back <= t; ++back) {
                    sum += taps[e * W + W - 1 - back] * xz[t - back][e];
                }
                out[e] = Stored::kept(silu(sum));
            }
            x.push_back(std::move(out));
        }
        return x;
    }

    std::vector<T> weightless_rms(std::vector<T> x) const {
        if (d_.mixer_rms_epsilon > 0) {
            T const scale = inverse_rms(x, d_.mixer_rms_epsilon);
            for (T& v : x) {
                v = Stored::kept(v * scale);
            }
        }
        return x;
    }

    Rows<T> bidirectional(Rows<T> const& x, std::string const& name) const {
        auto const forward = mamba(x, name + "mamba_fwd.", name + "mamba_fwd.");
        auto const reverse = mamba({x.rbegin(), x.rend()}, name + "mamba_rev.", name + "mamba_fwd.");
        Rows<T> y = forward;
        for (std::size_t t = 0; t < y.size(); ++t) {
            for (std::size_t k = 0; k < y[t].size(); ++k) {
                T const other = reverse[y.size() - 1 - t][k];
                y[t][k] = Stored::kept(d_.multiply ? y[t][k] * other : y[t][k] + other);
            }
        }
        return y;
    }

    Rows<T> mixer(Rows<T> const& x, std::string const& layer) const {
        if (!d_.caduceus) { return mamba(x, layer + "mixer.", layer + "mixer."); }
        if (!d_.rcps) { return bidirectional(x, layer + "mixer."); }
        Rows<T> first;
        Rows<T> second; // the other strand, read from its own start
        for (std::size_t t = 0; t < x.size(); ++t) {
            first.push_back(half(x[t], false));
            second.push_back(backwards(half(x[x.size() - 1 - t], true)));
        }
        first = bidirectional(first, layer + "mixer.submodule.");
        second = bidirectional(second, layer + "mixer.submodule.");
        Rows<T> y;
        for (std::size_t t = 0; t < x.size(); ++t) {
            y.push_back(join(first[t], backwards(second[x.size() - 1 - t])));
        }
        return y;
    }

    static void add(Rows<T>& x, Rows<T> const& y) {
        for (std::size_t t = 0; t < x.size(); ++t) {
            for (std::size_t k = 0; k < x[t].size(); ++k) {
                x[t][k] += y[t][k];
            }
        }
    }

    Outputs<T> layers(Rows<T> sum) const {
        Outputs<T> out;
        Rows<T> residual = kept_stream(sum);
        out.streams.push_back(residual);
        bool const swap = d_.rcps && d_.fused_add_norm;
        for (index_t i = 0; i < d_.n_layer; ++i) {
            std::string const layer = prefix_ + "layers." + std::to_string(i) + ".";
            Rows<T> const normed = norm(d_.fused_add_norm ? sum : residual, layer + wrapped("norm"), swap);
            if (swap) { // the fused path hands the strands' residuals over as well
                for (auto& row : residual) {
                    row = join(half(row, true), half(row, false));
                }
            }
            out.mixers.push_back(mixer(normed, layer));
            sum = residual;
            add(sum, out.mixers.back());
            residual = kept_stream(sum);
            out.streams.push_back(residual);
        }
        out.final_norm = norm(d_.fused_add_norm ? sum : residual, final_norm_name(), false);
        heads(out);
        return out;
    }

    void heads(Outputs<T>& out) const {
        if (has("score.weight")) {
            out.class_logits = classify(out.final_norm);
            return;
        }
        std::string const own = d_.rcps ? "lm_head.lm_head.weight" : "lm_head.weight";
        if (!has(own) && !has(embedding_name())) { return; }
        auto const weight = load(has(own) ? own : embedding_name());
        if (!d_.rcps) {
            out.logits = apply_linear(out.final_norm, weight, {});
            return;
        }
        Rows<T> first;
        Rows<T> second;
        for (auto const& row : out.final_norm) {
            first.push_back(half(row, false));
            second.push_back(backwards(half(row, true)));
        }
        out.logits = apply_linear(first, weight, {});
        Rows<T> const other = apply_linear(second, weight, {});
        for (std::size_t t = 0; t < other.size(); ++t) {
            for (std::size_t v = 0; v < other[t].size(); ++v) {
                T& logit = out.logits[t][v];
                logit = Stored::kept(logit + other[t][static_cast<std::size_t>(d_.complement[v])]);
            }
        }
    }

    std::vector<T> classify(Rows<T> const& hidden) const {
        auto const D = static_cast<std::size_t>(width());
        std::vector<T> pooled(D, T(0));
        T const share = T(1) / static_cast<T>(hidden.size()) / static_cast<T>(d_.rcps ? 2 : 1);
        for (auto const& row : hidden) {
            for (std::size_t k = 0; k < D; ++k) {
                pooled[k] += share * row[k];
                if (d_.rcps) { pooled[k] += share * row[2 * D - 1 - k]; }
            }
        }
        return apply_linear({kept(std::move(pooled))}, "score").front();
    }

    Description d_;
    Tensors const& tensors_;
    std::string prefix_;
};

} // namespace strandwave::independent

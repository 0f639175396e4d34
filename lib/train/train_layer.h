#pragma once

#include "lib/train/train_memory.h"

#include <vector>

namespace strandwave {

/// What a layer's forward pass leaves for its backward pass. With recomputation one serves all layers.
struct LayerActivations {
    struct Mixer {
        Matrix u;                ///< [rows, d_inner] behind the convolution
        Matrix dbc;              ///< [rows, dt_rank + 2 d_state] out of x_proj
        Matrix dbc_n;            ///< its normed form (Falcon-Mamba); else dbc itself
        Matrix delta;            ///< [rows, d_inner] as TrainOps::project_dt leaves it
        float* states = nullptr; ///< of the scan, see ScanCall::kept_states
    };
    struct Branch {
        Matrix xz; ///< [rows, 2 d_inner]
        std::vector<Mixer> mixers;
    };
    Matrix normed; ///< [rows, d_model], behind the dropout
    std::vector<Branch> branches;

    /// `states`: TrainOps::kept_states, or 0 where the scan's are not kept.
    LayerActivations(ModelConfig const& config, LayerParameters const& layer, DType type, index_t rows, index_t states,
                     MatrixStore& store);
};

/// What one layer at a time works in.
struct LayerScratch {
    Matrix y, dy, du, ddelta; ///< [rows, d_inner]
    Matrix dxz;               ///< [rows, 2 d_inner]
    Matrix ddbc, ddbc_n;      ///< [rows, dt_rank + 2 d_state]
    Matrix dout, dnormed;     ///< [rows, d_model]
    Matrix ones;              ///< [rows, 1]

    LayerScratch(ModelConfig const& config, DType type, index_t rows, TrainOps& ops, MatrixStore& store);
};

/// Carried state of one mixer and its gradient, [slots][..] by the slots of the records; null: nothing is carried.
struct MixerState {
    float* conv = nullptr;
    float* scan = nullptr;
    float* d_conv = nullptr;
    float* d_scan = nullptr;
};

/// Of a direction: A = -exp(A_log), and the gradient of A.
struct MixerA {
    Matrix A;  ///< [d_state, d_inner]
    Matrix dA; ///< [d_state, d_inner]
};

/// How the rows of a step pass through a layer.
struct LayerRun {
    index_t rows = 0;
    float dropout = 0;
    std::uint64_t const* seed = nullptr; ///< of the dropout, device memory
    std::uint64_t site = 0;
    MixerState state;
};

/// One block, x += sum of branches of mixer(dropout(norm(x))), forward and backward.
class TrainLayer {
public:
    TrainLayer(DeviceParameters const& parameters, LayerParameters const& layer, TrainOps& ops, MatrixStore& store);

    /// A out of A_log, and dA = 0. Before the first forward pass with new parameters.
    void refresh();

    /// `out` = `residual` + the block of it; `out` empty: only what the backward pass needs.
    void forward(Matrix residual, Matrix out, LayerActivations const& kept, LayerScratch& s, LayerRun const& run);

    /// `d_residual` `[rows, d_model]` fp32: gradient of `out` in, of `residual` out. Adds to the gradients.
    void backward(Matrix residual, Matrix d_residual, LayerActivations const& kept, LayerScratch& s,
                  LayerRun const& run);

    /// Hands the gradient of A on to A_log. Behind the last backward pass of a step.
    void finish_gradients();

private:
    struct Pass; ///< rows and references of one call
    void scan(Pass const& pass, std::size_t branch, std::size_t mixer);
    void scan_backward(Pass const& pass, std::size_t branch, std::size_t mixer);
    void norm_dbc(LayerActivations::Mixer const& m, index_t rows);
    void norm_dbc_backward(LayerActivations::Mixer const& m, LayerScratch& s, index_t rows);
    ScanCall scan_call(Pass const& pass, std::size_t branch, std::size_t mixer) const;
    ConvCall conv_call(Pass const& pass, std::size_t branch, std::size_t mixer) const;
    void add_bias(Matrix y, ParameterId bias, LayerScratch const& s);

    DeviceParameters const& p_;
    LayerParameters const& layer_;
    ModelConfig const& config_;
    TrainOps& ops_;
    NormCall norm_;
    std::vector<std::vector<MixerA>> A_; ///< [branches][mixers]
};

} // namespace strandwave

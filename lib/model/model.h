#pragma once

#include "lib/core/device.h"
#include "lib/core/dtype.h"
#include "lib/core/view.h"
#include "lib/model/config.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

struct LoadOptions {
    DType dtype = DType::f32;  ///< of the matrix products: f32 or bf16. Norms, scan, state and sums are fp32 always
    bool ignore_extra = false; ///< tensors that the architecture does not know are passed over
    Device device;             ///< where its sessions compute
};

/// A model, loaded and immutable; share it between sessions and threads.
class Model {
public:
    /// Throws not_found, io, malformed_checkpoint (naming the tensor), unsupported.
    static std::shared_ptr<Model const> load(std::filesystem::path const& directory, LoadOptions const& options = {});
    ~Model();

    ModelConfig const& config() const noexcept;
    DType dtype() const noexcept;
    Device device() const noexcept;
    index_t parameters() const noexcept;   ///< learned numbers, a tied tensor counted once
    index_t state_bytes() const noexcept;  ///< carried state of one lane, conv and scan, all layers
    index_t hidden_width() const noexcept; ///< strands * d_model: the rows that a PositionSink sees
    bool causal() const noexcept;          ///< reads left to right only, so that a record may come in pieces

    /// Logits of the classifier: `pooled` is `[d_model]`, result `[labels]`. Throws unsupported without such a head.
    std::vector<float> classify(View<float const, 1> pooled) const;

    /// Logits of the language model at `hidden.rows` positions: `hidden` is `[n, hidden_width()]` of the final norm,
    /// `logits` `[n, vocab_size]`, rows tight. A row's bits do not depend on how many there are. Throws unsupported
    /// without such a head.
    void language_model_logits(View<float const, 2> hidden, View<float, 2> logits) const;

    struct Parts; ///< the layers; private to lib/model
    Parts const& parts() const noexcept { return *parts_; }

private:
    explicit Model(std::unique_ptr<Parts const> parts);
    std::unique_ptr<Parts const> parts_;
};

} // namespace strandwave

#pragma once

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/random.h"
#include "lib/train/trainer.h"
#include "tests/model/model_support.h"
#include "tests/model/random_model.h"
#include "tests/support/temp_dir.h"

#include <vector>

namespace strandwave::test {

/// A random model on disk and the state that a training of it begins with.
struct Beginning {
    RandomModel shape;
    TempDir folder;
    TensorStore store;
    ModelParameters parameters;
    TrainerState state;

    Beginning(Dialect dialect, index_t labels, std::uint64_t seed) {
        shape.dialect = dialect;
        shape.labels = labels;
        shape.d_model = 16;
        shape.write(folder.path(), shape.tensors(seed));
        store = open_checkpoint(folder.path());
        parameters = find_parameters(read_model_config(folder.path(), store), store);
        state.values = read_parameters(parameters, store);
        state.moment1.assign(state.values.size(), 0.0F);
        state.moment2 = state.moment1;
    }
};

/// A random model and its parameters on the device that tests are told to use, with gradients of zero.
class ModelInTraining {
public:
    ModelInTraining(RandomModel const& shape, independent::Tensors const& tensors, TrainModelOptions const& options)
        : ops_(make_train_ops(load_options().device, DType::f32)), memory_(*ops_) {
        shape.write(folder_.path(), tensors);
        store_ = open_checkpoint(folder_.path());
        model_ = find_parameters(read_model_config(folder_.path(), store_), store_);
        auto const values = read_parameters(model_, store_);
        parameters_.model = &model_;
        parameters_.values = memory_.array<float>(model_.size);
        parameters_.gradients = memory_.array<float>(model_.size);
        parameters_.working = parameters_.values;
        ops_->upload(parameters_.values, values.data(), bytes());
        ops_->zero(parameters_.gradients, bytes());
        train_.emplace(parameters_, *ops_, options);
        train_->refresh();
    }

    TrainModel& train() { return *train_; }
    ModelParameters const& parameters() const { return model_; }
    TensorStore const& store() const { return store_; }

    /// After finish_gradients: by the names and in the layouts of the checkpoint.
    independent::Tensors gradients() {
        std::vector<float> values(static_cast<std::size_t>(model_.size));
        ops_->download(values.data(), parameters_.gradients, bytes());
        write_parameters(model_, values, store_, folder_.path() / "gradients.safetensors");
        auto const written = open_checkpoint(folder_.path() / "gradients.safetensors");
        independent::Tensors all;
        for (auto const& p : model_.tensors) {
            auto const* tensor = written.find(p.name);
            all[p.name] = {tensor->shape, read_f32(*tensor)};
        }
        return all;
    }

private:
    index_t bytes() const { return model_.size * dtype_bytes(DType::f32); }

    TempDir folder_;
    TensorStore store_;
    ModelParameters model_;
    std::unique_ptr<TrainOps> ops_;
    MatrixStore memory_;
    DeviceParameters parameters_;
    std::optional<TrainModel> train_;
};

inline Objective objective_of(RandomModel const& shape) {
    if (shape.labels > 0) { return Objective::classification; }
    return shape.caduceus() ? Objective::masked_token : Objective::next_token;
}

/// Records of odd lengths with targets of every kind that the objective has.
inline TrainBatch random_batch(RandomModel const& shape, std::vector<index_t> const& lengths, std::uint64_t seed) {
    Random random(seed);
    TrainBatch batch;
    batch.lengths = lengths;
    for (index_t t = 0; t < batch.positions(); ++t) {
        for (index_t i = 0; i < shape.frame_length; ++i) {
            batch.frames.push_back(static_cast<float>(random.normal()));
        }
        auto const token = [&] {
            return static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(shape.vocab_size)));
        };
        if (shape.frame_length == 0) { batch.tokens.push_back(token()); }
        if (shape.labels == 0) { batch.token_targets.push_back(random.uniform() < 0.3 ? -1 : token()); }
    }
    for (index_t i = 0; i < batch.records() * shape.labels; ++i) {
        batch.pooled_targets.push_back(static_cast<float>(random.uniform()));
    }
    return batch;
}

} // namespace strandwave::test

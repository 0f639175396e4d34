#include "lib/train/training_checkpoint.h"

#include "lib/checkpoint/safetensors.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"

#include <array>
#include <cstring>
#include <vector>

namespace strandwave {
namespace {

std::vector<float> read_vector(TensorStore const& store, std::string const& name, index_t size) {
    auto const* const tensor = store.find(name);
    if (tensor == nullptr || tensor->dtype != DType::f32 || tensor->elements() != size) {
        throw Error(ErrorCode::malformed_checkpoint,
                    "'" + name + "' is not there with " + std::to_string(size) + " numbers: of another model?");
    }
    return read_f32(*tensor);
}

template <class T>
T read_number(TensorStore const& store, std::string const& name) {
    auto const* const tensor = store.find(name);
    T value{};
    if (tensor == nullptr || tensor->bytes.size() != sizeof(T)) {
        throw Error(ErrorCode::malformed_checkpoint, "'" + name + "' is not there as one number");
    }
    std::memcpy(&value, tensor->bytes.data(), sizeof(T));
    return value;
}

} // namespace

void write_checkpoint(std::filesystem::path const& path, TrainingCheckpoint const& checkpoint) {
    auto const& state = checkpoint.state;
    auto const size = static_cast<index_t>(state.values.size());
    std::array<std::int64_t, 3> const numbers = {state.step, checkpoint.best_step, checkpoint.data};
    std::vector<TensorToWrite> tensors = {
        {"values", DType::f32, {size}, std::as_bytes(std::span(state.values))},
        {"moment1", DType::f32, {size}, std::as_bytes(std::span(state.moment1))},
        {"moment2", DType::f32, {size}, std::as_bytes(std::span(state.moment2))},
        {"step", DType::i64, {1}, std::as_bytes(std::span(numbers).subspan(0, 1))},
        {"best_step", DType::i64, {1}, std::as_bytes(std::span(numbers).subspan(1, 1))},
        {"best_score", DType::f64, {1}, std::as_bytes(std::span(&checkpoint.best_score, 1))},
        {"data", DType::i64, {1}, std::as_bytes(std::span(numbers).subspan(2, 1))},
        {"run", DType::u8, {static_cast<index_t>(checkpoint.run.size())}, std::as_bytes(std::span(checkpoint.run))},
    };
    if (!state.average.empty()) {
        tensors.push_back({"average", DType::f32, {size}, std::as_bytes(std::span(state.average))});
    }
    write_safetensors(path, tensors);
}

TrainingCheckpoint read_checkpoint(std::filesystem::path const& path, index_t size) {
    TensorStore store;
    read_safetensors(path, store);
    try {
        TrainingCheckpoint checkpoint;
        checkpoint.state.values = read_vector(store, "values", size);
        checkpoint.state.moment1 = read_vector(store, "moment1", size);
        checkpoint.state.moment2 = read_vector(store, "moment2", size);
        if (store.find("average") != nullptr) { checkpoint.state.average = read_vector(store, "average", size); }
        checkpoint.state.step = read_number<std::int64_t>(store, "step");
        checkpoint.best_step = read_number<std::int64_t>(store, "best_step");
        checkpoint.best_score = read_number<double>(store, "best_score");
        if (store.find("data") != nullptr) { checkpoint.data = read_number<std::int64_t>(store, "data"); }
        if (auto const* run = store.find("run")) {
            checkpoint.run.assign(reinterpret_cast<char const*>(run->bytes.data()), run->bytes.size());
        }
        return checkpoint;
    } catch (Error const& error) { throw Error(error.code(), path.string() + ": " + error.message()); }
}

} // namespace strandwave

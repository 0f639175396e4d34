#pragma once

#include "kernels/linear/linear.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/threads.h"
#include "lib/model/session.h"
#include "tests/model/independent_reference.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace strandwave::test {

/// Where and how the models of these tests run: on the processor in fp32, or on the first GPU if the environment says
/// STRANDWAVE_TEST_DEVICE=cuda.
inline LoadOptions load_options() {
    LoadOptions options;
    char const* const device = std::getenv("STRANDWAVE_TEST_DEVICE");
    if (device != nullptr && std::string(device) == "cuda") { options.device.gpu = 0; }
    return options;
}

/// The same place in bf16; `bf16_runs` says whether it can.
inline LoadOptions bf16_options() {
    LoadOptions options = load_options();
    options.dtype = DType::bf16;
    return options;
}

inline bool bf16_runs() { return load_options().device.is_gpu() || bf16_is_supported(); }

/// Relative Frobenius error |a - b| / |b|; infinity if the sizes differ or something is not a number.
template <class A, class B>
double relative_error(std::vector<A> const& a, std::vector<B> const& b) {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        double const d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        difference += d * d;
        norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    }
    if (a.size() == b.size() && difference == 0) { return 0; } // of nothing, or of zeros, too
    double const error = std::sqrt(difference / norm);
    return a.size() == b.size() && std::isfinite(error) ? error : HUGE_VAL;
}

/// An error for a table, "1.38e-02".
inline std::string figure(double error) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2e", error);
    return text;
}

/// Rows one behind the other.
template <class T>
std::vector<T> flat(independent::Rows<T> const& rows) {
    std::vector<T> all;
    for (auto const& row : rows) {
        all.insert(all.end(), row.begin(), row.end());
    }
    return all;
}

/// What a Session gave for one record: the wanted streams `[L, hidden_width]`, the language model's logits, the pool.
struct RecordOutputs {
    std::map<index_t, std::vector<float>> streams; ///< kFinalNorm is always there
    std::vector<float> logits;                     ///< [L, vocab_size], empty without a language-model head
    std::vector<float> pooled;
};

/// One record, as tokens or as frames `[L, frame_length]`.
struct Record {
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
};

class StreamCollector final : public PositionSink {
public:
    StreamCollector(RecordOutputs& out, std::vector<index_t> const& layers, index_t length, index_t width)
        : out_(out), width_(width) {
        for (index_t const layer : layers) {
            out_.streams[layer].assign(static_cast<std::size_t>(length * width), std::nanf(""));
        }
    }
    void start_feed(index_t position) { offset_ = position; }
    void positions(index_t layer, index_t begin, View<float const, 2> hidden) override {
        auto& stream = out_.streams.at(layer);
        for (index_t i = 0; i < hidden.rows; ++i) {
            std::copy_n(hidden.row(i), hidden.cols, stream.data() + (offset_ + begin + i) * width_);
        }
    }

private:
    RecordOutputs& out_;
    index_t width_;
    index_t offset_ = 0;
};

/// Runs one record through a Session in pieces of `chunk` positions (0: in one feed), `token_block` as Session has it.
inline RecordOutputs run_record(std::shared_ptr<Model const> const& model, Threads& threads, Record const& record,
                                index_t chunk, index_t token_block = kDefaultTokenBlock,
                                std::vector<index_t> layers = {}) {
    index_t const frame_length = model->config().frame_length;
    auto const length = frame_length > 0 ? static_cast<index_t>(record.frames.size()) / frame_length
                                         : static_cast<index_t>(record.tokens.size());
    layers.push_back(kFinalNorm);
    RecordOutputs out;
    StreamCollector collector(out, layers, length, model->hidden_width());
    SessionOptions options;
    options.token_block = token_block;
    options.sink = &collector;
    options.sink_layers = layers;
    Session session(model, threads, options);
    index_t const step = chunk > 0 ? chunk : length;
    for (index_t begin = 0; begin < length; begin += step) {
        index_t const n = std::min(step, length - begin);
        Piece const piece{n, 0, begin == 0, begin + n == length};
        FeedInput input;
        if (frame_length > 0) {
            input.frames = {record.frames.data() + begin * frame_length, n, frame_length};
        } else {
            input.tokens = {record.tokens.data() + begin, static_cast<std::size_t>(n)};
        }
        collector.start_feed(begin);
        for (auto& result : session.feed(input, std::span(&piece, 1))) {
            out.pooled = std::move(result.pooled);
        }
    }
    if (model->config().head == HeadKind::language_model) {
        index_t const vocab = model->config().vocab_size;
        out.logits.resize(static_cast<std::size_t>(length * vocab));
        View<float const, 2> const hidden(out.streams[kFinalNorm].data(), length, model->hidden_width());
        model->language_model_logits(hidden, {out.logits.data(), length, vocab});
    }
    return out;
}

/// Turns our rows (second strand in its own channel order) into the published ones (channels flipped), or back.
inline std::vector<float> published_layout(std::vector<float> rows, ModelConfig const& config) {
    if (!config.rcps) { return rows; }
    auto const width = static_cast<std::ptrdiff_t>(2 * config.d_model);
    for (auto row = rows.begin(); row != rows.end(); row += width) {
        std::reverse(row + width / 2, row + width);
    }
    return rows;
}

inline independent::Tensors to_tensors(TensorStore const& store) {
    independent::Tensors tensors;
    for (auto const& [name, stored] : store.tensors()) {
        tensors[name] = {stored.shape, read_f32(stored)};
    }
    return tensors;
}

} // namespace strandwave::test

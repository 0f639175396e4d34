#include "apps/cuda_bench_measure.h"

#include "kernels/band_power/band_power_cuda.h"
#include "kernels/dt_projection/dt_projection_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/linear/linear_cuda.h"
#include "kernels/multiply_add/multiply_add_cuda.h"
#include "kernels/norm/norm_cuda.h"
#include "kernels/pooling/pooling_cuda.h"
#include "lib/core/buffer.h"
#include "lib/core/random.h"
#include "lib/model/frame_embedding.h"

#include <algorithm>
#include <utility>

namespace strandwave {
namespace {

constexpr double kFloat = sizeof(float);

/// Times each op in the order in which a model runs them. `calls` is how often, in a layer or in the model.
class GpuOpBench {
public:
    GpuOpBench(Model const& model, GpuCeilings const& ceilings, index_t rows, int runs)
        : config_(model.config()), dtype_(model.dtype()), causal_(model.causal()), ceilings_(ceilings), rows_(rows),
          runs_(runs), random_(1) {}

    std::vector<OpTiming> run() {
        auto const& c = config_;
        double const strands = static_cast<double>(c.strands());
        double const layer_strands = strands * static_cast<double>(c.n_layer);
        double const directions = layer_strands * (c.bidirectional ? 2.0 : 1.0);
        // Tied projections need to run only once for both directions.
        double const projections = c.tied_projections ? layer_strands : directions;
        bool const multiplies = c.bidirectional && c.strategy == BidirectionalStrategy::multiply;
        index_t const dbc = c.dt_rank + 2 * c.d_state;

        c.frame_length > 0 ? embed_frames(strands) : embed_tokens(strands);
        norm("norm", c.d_model, DType::f32, dtype_, true, layer_strands);
        linear("in_proj", {c.d_model, 2 * c.d_inner, dtype_, c.bias}, projections);
        add(time_conv(shape(), dtype_, runs_), directions);
        linear("x_proj", {c.d_inner, dbc, dtype_}, directions);
        if (c.mixer_rms_epsilon) { norm("norm of dt B C", dbc, dtype_, dtype_, false, directions); }
        project_dt(dbc, directions);
        add(time_scan(shape(), dtype_, runs_, true), directions);
        linear("out_proj", {c.d_inner, c.d_model, DType::f32, c.bias, !multiplies}, projections);
        if (multiplies) { multiply_add(layer_strands); }
        norm("final norm", c.d_model, DType::f32, DType::f32, true, strands);
        pool(strands);
        return std::move(ops_);
    }

private:
    /// y = (or +=) x W^T (+ bias)
    struct Product {
        index_t in = 0;
        index_t out = 0;
        DType y = DType::f32;
        bool bias = false;
        bool accumulate = false;
    };

    PackedShape shape() const {
        auto const& c = config_;
        return {1, rows_, c.d_inner, c.d_state, c.d_conv, c.dt_rank, causal_};
    }

    double row_bytes(index_t cols, DType dtype) const {
        return static_cast<double>(rows_ * cols) * static_cast<double>(dtype_bytes(dtype));
    }

    void add(OpTiming op, double calls) {
        op.calls = calls;
        set_floor(op, ceilings_);
        ops_.push_back(std::move(op));
    }

    void time(std::string name, double calls, OpWork work, std::function<void()> const& body) {
        add({std::move(name), rows_, calls, time_on_gpu(runs_, stream_.get(), body), work}, calls);
    }

    void embed_tokens(double calls) {
        index_t const vocab = config_.vocab_size;
        std::vector<std::int32_t> ids(static_cast<std::size_t>(rows_));
        for (auto& id : ids) {
            id = static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(vocab)));
        }
        DeviceArray<std::int32_t> const tokens(rows_);
        copy_to_device(tokens.data(), ids.data(), rows_ * static_cast<index_t>(sizeof(std::int32_t)), stream_.get());
        stream_.wait();
        RandomMatrix const table(DType::f32, vocab, config_.d_model);
        RandomMatrix const y(DType::f32, rows_, config_.d_model);
        double const rows_of_table = static_cast<double>(std::min(vocab, rows_));
        double const width = kFloat * static_cast<double>(config_.d_model);
        OpWork const work{width * rows_of_table + y.bytes() + row_bytes(1, DType::f32), 0, 0};
        time("embedding", calls, work,
             [&] { embedding_cuda(table.floats(), tokens.data(), y.matrix(), stream_.get()); });
    }

    /// Reads fp32 and multiplies in it, whatever the model's type.
    void embed_frames(double calls) {
        DType const dtype = std::exchange(dtype_, DType::f32);
        index_t const bands = config_.n_bands;
        if (bands > 0) {
            linear("filter_bank", {config_.frame_length, 2 * bands, DType::f32, false}, calls);
            band_powers(calls);
        }
        linear("embedding", {config_.frame_inputs(), config_.d_model, DType::f32, true}, calls);
        dtype_ = dtype;
    }

    void band_powers(double calls) {
        RandomMatrix const pairs(DType::f32, rows_, 2 * config_.n_bands);
        RandomMatrix const powers(DType::f32, rows_, config_.n_bands);
        time("band_power", calls, {pairs.bytes() + powers.bytes(), 0, 0}, [&] {
            band_power_cuda(pairs.matrix(), power_scale(config_.frame_length), powers.matrix(), stream_.get());
        });
    }

    void linear(std::string name, Product const& product, double calls) {
        Buffer<float> weight(product.out * product.in);
        for (float& value : weight) {
            value = static_cast<float>(random_.uniform(-1.0, 1.0));
        }
        View<float const, 1> const bias{weight.data(), product.bias ? product.out : 0};
        LinearCuda const op(weight.view(product.out, product.in), bias, dtype_, product.y);
        RandomMatrix const x(dtype_, rows_, product.in);
        RandomMatrix const y(product.y, rows_, product.out);
        OpWork work;
        work.flop = 2 * static_cast<double>(rows_) * static_cast<double>(product.in * product.out);
        work.bytes = row_bytes(product.in, dtype_) + (product.accumulate ? 2 : 1) * y.bytes() +
                     static_cast<double>(product.in * product.out * dtype_bytes(dtype_));
        time(std::move(name), calls, work,
             [&] { op.apply(x.matrix(), y.matrix(), product.accumulate, stream_.get()); });
    }

    /// With bias and softplus.
    void project_dt(index_t x_stride, double calls) {
        index_t const R = config_.dt_rank;
        index_t const E = config_.d_inner;
        RandomMatrix const x(dtype_, rows_, x_stride);
        RandomMatrix const weight(dtype_, E, R);
        RandomMatrix const bias(DType::f32, 1, E);
        RandomMatrix const dt(dtype_, rows_, E);
        OpWork work;
        work.flop = 2 * static_cast<double>(rows_) * static_cast<double>(R * E);
        work.bytes = row_bytes(R, dtype_) + dt.bytes() + weight.bytes();
        DtProjectionCudaArgs const args{x.matrix().cols_from(0, R), weight.matrix().data, bias.floats(), dt.matrix()};
        time("dt_proj", calls, work, [&] { dt_projection_cuda(args, stream_.get()); });
    }

    void norm(std::string name, index_t d, DType x_type, DType y_type, bool weighted, double calls) {
        RandomMatrix const x(x_type, rows_, d);
        RandomMatrix const y(y_type, rows_, d);
        RandomMatrix const weight(DType::f32, 1, d);
        NormCudaArgs args;
        args.x = x.matrix();
        args.y = y.matrix();
        args.weight = weighted ? weight.floats() : nullptr;
        args.epsilon = config_.norm_epsilon;
        args.centred = weighted && config_.norm == NormKind::layer_norm;
        time(std::move(name), calls, {x.bytes() + y.bytes(), 0, 0}, [&] { norm_cuda(args, stream_.get()); });
    }

    void multiply_add(double calls) {
        RandomMatrix const a(DType::f32, rows_, config_.d_model);
        RandomMatrix const b(DType::f32, rows_, config_.d_model);
        RandomMatrix const y(DType::f32, rows_, config_.d_model);
        time("multiply_add", calls, {4 * y.bytes(), 0, 0},
             [&] { multiply_add_cuda(a.matrix(), b.matrix(), y.matrix(), stream_.get()); });
    }

    void pool(double calls) {
        index_t const d = config_.d_model;
        RandomMatrix const x(DType::f32, rows_, d);
        DeviceArray<PoolSegment> const segment(1);
        PoolSegment const all{0, rows_, 0, 0};
        copy_to_device(segment.data(), &all, sizeof(PoolSegment), stream_.get());
        stream_.wait();
        DeviceArray<double> const state(d);
        DeviceArray<float> const partial(pool_partial_floats(rows_, 1, d));
        time("pooling", calls, {x.bytes(), 0, 0}, [&] {
            pool_cuda(Pooling::mean, x.matrix(), segment.data(), 1, state.data(), partial.data(), stream_.get());
        });
    }

    ModelConfig const& config_;
    DType dtype_;
    bool causal_;
    GpuCeilings ceilings_;
    index_t rows_;
    int runs_;
    Random random_;
    Stream stream_;
    std::vector<OpTiming> ops_;
};

} // namespace

std::vector<OpTiming> time_gpu_ops(Model const& model, GpuCeilings const& ceilings, index_t rows, int runs) {
    use_gpu(model.device().gpu);
    return GpuOpBench(model, ceilings, rows, runs).run();
}

} // namespace strandwave

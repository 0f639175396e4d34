#include "kernels/band_power/band_power.h"
#include "kernels/causal_conv1d/causal_conv1d_backward.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_backward.h"
#include "kernels/gemm/gemm.h"
#include "kernels/norm/norm.h"
#include "kernels/norm/norm_backward.h"
#include "kernels/selective_scan/selective_scan_backward.h"
#include "lib/core/buffer.h"
#include "lib/train/train_ops.h"

#include <cstring>
#include <vector>

namespace strandwave {
namespace {

View<float, 2> view(Matrix const& m) { return {m.as<float>(), m.rows, m.cols, m.row_stride}; }
View<float const, 2> input(Matrix const& m) { return view(m); }
View<float, 1> vector(float* data, index_t size) { return {data, data == nullptr ? 0 : size}; }
View<float const, 1> vector(float const* data, index_t size) { return {data, data == nullptr ? 0 : size}; }

/// Where a slot's numbers begin; null for a negative slot or no memory.
template <class T>
T* slot(T* base, std::int32_t number, index_t size) {
    return base == nullptr || number < 0 ? nullptr : base + number * size;
}

/// Training on the calling thread of the processor, in fp32.
class CpuTrainOps final : public TrainOps {
public:
    DType activation() const noexcept override { return DType::f32; }

    std::shared_ptr<void> allocate(index_t bytes) override {
        auto buffer = std::make_shared<Buffer<char>>(bytes);
        return {buffer, buffer->data()};
    }

    void reserve(TrainCapacity const& capacity) override {
        scan_output_ = Buffer<float>(capacity.rows * capacity.d_inner);
    }

    void upload(void* to, void const* from, index_t bytes) override { copy_bytes(to, from, bytes); }
    void download(void* to, void const* from, index_t bytes) override { copy_bytes(to, from, bytes); }
    void copy_bytes(void* to, void const* from, index_t bytes) override {
        if (bytes > 0) { std::memcpy(to, from, static_cast<std::size_t>(bytes)); }
    }
    void zero(void* to, index_t bytes) override { std::memset(to, 0, static_cast<std::size_t>(bytes)); }

    void set_records(std::span<PackedSegment const> segments) override {
        segments_.assign(segments.begin(), segments.end());
    }
    void set_pools(std::span<PooledSegment const> pools) override { pools_.assign(pools.begin(), pools.end()); }

    void replay(std::uint64_t, std::function<void()> const& body) override { body(); }

    void embed(float const* table, index_t vocab, std::int32_t const* tokens, Matrix y) override {
        embedding({table, vocab, y.cols}, {tokens, static_cast<std::size_t>(y.rows)}, view(y));
    }
    void embed_backward(std::int32_t const* tokens, Matrix dy, index_t vocab, float* dtable) override {
        embedding_backward({tokens, static_cast<std::size_t>(dy.rows)}, input(dy), {dtable, vocab, dy.cols});
    }

    void band_power(Matrix x, float scale, Matrix y) override { strandwave::band_power({input(x), scale, view(y)}); }
    void band_power_backward(Matrix x, float scale, Matrix dy, Matrix dx) override {
        strandwave::band_power_backward({input(x), scale, input(dy), view(dx)});
    }

    void gemm(Matrix a, bool transpose_a, Matrix b, bool transpose_b, Matrix c, bool accumulate) override {
        strandwave::gemm({input(a), transpose_a, input(b), transpose_b, view(c), accumulate});
    }

    void norm(NormCall const& norm, Matrix x, Matrix y) override {
        NormArgs const args{.x = input(x),
                            .weight = vector(norm.weight, x.cols),
                            .bias = vector(norm.bias, x.cols),
                            .epsilon = norm.epsilon,
                            .y = view(y)};
        norm.centred ? layer_norm(args) : rms_norm(args);
    }
    void norm_backward(NormCall const& norm, Matrix x, Matrix dy, Matrix dx, bool accumulate, float* dweight,
                       float* dbias) override {
        NormBackwardArgs const args{.x = input(x),
                                    .weight = vector(norm.weight, x.cols),
                                    .epsilon = norm.epsilon,
                                    .dy = input(dy),
                                    .accumulate = accumulate,
                                    .dx = view(dx),
                                    .dweight = vector(dweight, x.cols),
                                    .dbias = vector(dbias, x.cols)};
        norm.centred ? layer_norm_backward(args) : rms_norm_backward(args);
    }

    void conv(ConvCall const& call, Matrix y) override {
        index_t const size = (call.d_conv - 1) * call.x.cols;
        std::vector<ConvSegment> segments;
        for (auto const& s : segments_) {
            segments.push_back({s.begin, s.length, slot(call.state, s.initial, size), slot(call.state, s.final, size)});
        }
        causal_conv1d({input(call.x),
                       {call.weight, call.d_conv, call.x.cols},
                       vector(call.bias, call.x.cols),
                       segments,
                       call.reverse,
                       view(y)});
    }
    void conv_backward(ConvBackwardCall const& call) override {
        auto const& f = call.forward;
        index_t const size = (f.d_conv - 1) * f.x.cols;
        std::vector<ConvBackwardSegment> segments;
        for (auto const& s : segments_) {
            segments.push_back({s.begin, s.length, slot(f.state, s.initial, size), slot(call.d_state, s.final, size),
                                slot(call.d_state, s.initial, size)});
        }
        causal_conv1d_backward({.x = input(f.x),
                                .weight = {f.weight, f.d_conv, f.x.cols},
                                .bias = vector(f.bias, f.x.cols),
                                .dy = input(call.dy),
                                .segments = segments,
                                .reverse = f.reverse,
                                .accumulate = call.accumulate,
                                .dx = view(call.dx),
                                .dweight = {call.dweight, f.d_conv, f.x.cols},
                                .dbias = vector(call.dbias, f.x.cols)});
    }

    void project_dt(Matrix x, Matrix weight, float const*, Matrix delta) override {
        gemm(x, false, weight, true, delta, false);
    }
    index_t kept_states(TrainCapacity const& c) const override {
        return scan_kept_states(c.rows, c.segments, c.d_inner, c.d_state);
    }
    void scan(ScanCall const& call, Matrix y, bool accumulate) override {
        index_t const size = call.d_state * call.u.cols;
        std::vector<ScanSegment> segments;
        for (auto const& s : segments_) {
            segments.push_back({s.begin, s.length, slot(call.state, s.initial, size), slot(call.state, s.final, size)});
        }
        auto const out = accumulate ? scan_output_.view(y.rows, y.cols) : view(y);
        selective_scan({.u = input(call.u),
                        .delta = input(call.delta),
                        .A = {call.A, call.d_state, call.u.cols},
                        .B = input(call.B),
                        .C = input(call.C),
                        .D = {call.D, call.u.cols},
                        .delta_bias = vector(call.delta_bias, call.u.cols),
                        .z = input(call.z),
                        .segments = segments,
                        .reverse = call.reverse,
                        .y = out,
                        .kept_states = call.kept_states});
        if (accumulate) { strandwave::add(out, view(y)); }
    }
    void scan_backward(ScanBackwardCall const& call) override {
        auto const& f = call.forward;
        index_t const size = f.d_state * f.u.cols;
        std::vector<ScanBackwardSegment> segments;
        for (auto const& s : segments_) {
            segments.push_back({s.begin, s.length, slot(f.state, s.initial, size), slot(call.d_state, s.final, size),
                                slot(call.d_state, s.initial, size)});
        }
        selective_scan_backward({.u = input(f.u),
                                 .delta = input(f.delta),
                                 .A = {f.A, f.d_state, f.u.cols},
                                 .B = input(f.B),
                                 .C = input(f.C),
                                 .D = {f.D, f.u.cols},
                                 .delta_bias = vector(f.delta_bias, f.u.cols),
                                 .z = input(f.z),
                                 .dy = input(call.dy),
                                 .segments = segments,
                                 .reverse = f.reverse,
                                 .accumulate_gate = call.accumulate_gate,
                                 .kept_states = f.kept_states,
                                 .du = view(call.du),
                                 .ddelta = view(call.ddelta),
                                 .dB = view(call.dB),
                                 .dC = view(call.dC),
                                 .dz = view(call.dz),
                                 .y = view(call.y),
                                 .dA = {call.dA, f.d_state, f.u.cols},
                                 .dD = vector(call.dD, f.u.cols),
                                 .ddelta_bias = vector(call.ddelta_bias, f.u.cols)});
    }

    void copy(Matrix from, Matrix to) override { strandwave::copy(input(from), view(to)); }
    void add(Matrix from, Matrix to) override { strandwave::add(input(from), view(to)); }
    void column_sum(Matrix x, float* sum) override { strandwave::column_sum(input(x), {sum, x.cols}); }
    void dropout(Matrix x, float probability, std::uint64_t const* seed, std::uint64_t site) override {
        strandwave::dropout({input(x), view(x), probability, seed, site, 0});
    }
    void negative_exp(Matrix A_log, Matrix A) override { strandwave::negative_exp(input(A_log), view(A)); }
    void negative_exp_backward(Matrix A, Matrix dA, Matrix dA_log) override {
        strandwave::negative_exp_backward(input(A), input(dA), view(dA_log));
    }

    void pool(Pooling pooling, Matrix x, Matrix pooled) override {
        segment_pooling({pooling, input(x), pools_, view(pooled)});
    }
    void pool_backward(Pooling pooling, Matrix x, Matrix dpooled, Matrix dx) override {
        segment_pooling_backward({pooling, input(x), pools_, input(dpooled), view(dx)});
    }

    void cross_entropy(HardTargets const& targets, Matrix logits, float const* scale, Matrix dlogits,
                       LossSums* sums) override {
        auto const rows = static_cast<std::size_t>(logits.rows);
        auto const classes = static_cast<std::size_t>(logits.cols);
        *sums = strandwave::cross_entropy({input(logits),
                                           {targets.targets, rows},
                                           {targets.mates, targets.mates == nullptr ? 0 : rows},
                                           {targets.complement, targets.mates == nullptr ? 0 : classes},
                                           *scale,
                                           view(dlogits)});
    }
    void soft_cross_entropy(Matrix logits, Matrix targets, float const* scale, Matrix dlogits,
                            LossSums* sums) override {
        *sums = strandwave::soft_cross_entropy({input(logits), input(targets), *scale, view(dlogits)});
    }
    void squared_error(Matrix outputs, Matrix targets, float const* scale, Matrix doutputs, LossSums* sums) override {
        *sums = strandwave::squared_error({input(outputs), input(targets), *scale, view(doutputs)});
    }

    void squared_norm(float const* gradients, std::uint8_t const* flags, index_t count, double* norm) override {
        strandwave::squared_norm(gradients, flags, count, norm);
    }
    void adamw(AdamWArgs const& args) override { strandwave::adamw(args); }

private:
    std::vector<PackedSegment> segments_;
    std::vector<PooledSegment> pools_;
    Buffer<float> scan_output_; ///< of a second direction, before it is added
};

} // namespace

std::unique_ptr<TrainOps> make_cpu_train_ops() { return std::make_unique<CpuTrainOps>(); }

} // namespace strandwave

#include "apps/bench_measure.h"

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/linear/linear.h"
#include "kernels/norm/norm.h"
#include "kernels/selective_scan/selective_scan.h"
#include "lib/core/buffer.h"
#include "lib/core/random.h"
#include "lib/cuda/device_memory.h"
#include "lib/model/session.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <sys/resource.h>

namespace strandwave {
namespace {

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto const seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double wall_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Seconds of one call of something short: repeated until a run lasts long enough for the clock.
double time_call(int runs, std::function<void()> const& body) {
    constexpr double kShortestRun = 0.01;
    body(); // warms caches and lets a library make its kernels
    index_t repeats = 1;
    for (;;) {
        double const begin = wall_seconds();
        for (index_t i = 0; i < repeats; ++i) {
            body();
        }
        if (wall_seconds() - begin >= kShortestRun) { break; }
        repeats *= 2;
    }
    Timing const timing = time_median(runs, [&] {
        for (index_t i = 0; i < repeats; ++i) {
            body();
        }
    });
    return timing.cpu_s / static_cast<double>(repeats);
}

Buffer<float> random_buffer(index_t size, Random& random, double low = -1.0, double high = 1.0) {
    Buffer<float> buffer(size);
    for (float& value : buffer) {
        value = static_cast<float>(random.uniform(low, high));
    }
    return buffer;
}

/// Times each op; `passes` is how often a layer runs it.
class OpBench {
public:
    OpBench(Model const& model, index_t rows, int runs)
        : config_(model.config()), dtype_(model.dtype()), rows_(rows), runs_(runs), random_(1) {}

    std::vector<OpTiming> run() {
        double const strands = static_cast<double>(config_.strands());
        double const directions = strands * (config_.bidirectional ? 2.0 : 1.0);
        index_t const E = config_.d_inner;
        // Tied projections need to run only once for both directions.
        double const projections = config_.tied_projections ? strands : directions;
        linear("in_proj", config_.d_model, 2 * E, dtype_, projections);
        linear("x_proj", E, config_.dt_rank + 2 * config_.d_state, dtype_, directions);
        linear("dt_proj", config_.dt_rank, E, DType::f32, directions);
        linear("out_proj", E, config_.d_model, dtype_, projections);
        scan(directions);
        conv(directions);
        norm(strands);
        return std::move(ops_);
    }

private:
    OpTiming& add(std::string name, double passes, double seconds) {
        ops_.push_back({std::move(name), rows_, passes * static_cast<double>(config_.n_layer), seconds, {}});
        return ops_.back();
    }

    void linear(std::string name, index_t in, index_t out, DType dtype, double passes) {
        auto const weight = random_buffer(out * in, random_);
        auto const x = random_buffer(rows_ * in, random_);
        Buffer<float> y(rows_ * out);
        Linear const op(weight.view(out, in), {}, dtype);
        double const seconds = time_call(runs_, [&] { op.apply(x.view(rows_, in), y.view(rows_, out)); });
        OpTiming& timing = add(std::move(name), passes, seconds);
        timing.work.flop = 2 * static_cast<double>(rows_ * in * out);
        timing.floor_s = seconds;
    }

    void scan(double passes) {
        index_t const E = config_.d_inner;
        index_t const N = config_.d_state;
        auto const u = random_buffer(rows_ * E, random_);
        auto const delta = random_buffer(rows_ * E, random_, -5.0, -2.0);
        auto const z = random_buffer(rows_ * E, random_);
        auto const A = random_buffer(N * E, random_, -16.0, -1.0);
        auto const B = random_buffer(rows_ * N, random_);
        auto const C = random_buffer(rows_ * N, random_);
        auto const D = random_buffer(E, random_);
        Buffer<float> y(rows_ * E);
        Buffer<float> state(N * E);
        std::fill(state.begin(), state.end(), 0.0F);
        ScanSegment const segment{0, rows_, state.data(), state.data()};
        SelectiveScanArgs args;
        args.u = u.view(rows_, E);
        args.delta = delta.view(rows_, E);
        args.A = A.view(N, E);
        args.B = B.view(rows_, N);
        args.C = C.view(rows_, N);
        args.D = D.view();
        args.delta_bias = D.view();
        args.z = z.view(rows_, E);
        args.segments = std::span(&segment, 1);
        args.y = y.view(rows_, E);
        double const seconds = time_call(runs_, [&] { selective_scan(args); });
        OpTiming& timing = add("selective_scan", passes, seconds);
        timing.work.exps = static_cast<double>(rows_ * E * N);
        timing.floor_s = seconds;
    }

    void conv(double passes) {
        index_t const E = config_.d_inner;
        auto const x = random_buffer(rows_ * E, random_);
        auto const weight = random_buffer(config_.d_conv * E, random_);
        auto const bias = random_buffer(E, random_);
        Buffer<float> y(rows_ * E);
        ConvSegment segment;
        segment.length = rows_;
        CausalConv1dArgs args;
        args.x = x.view(rows_, E);
        args.weight = weight.view(config_.d_conv, E);
        args.bias = bias.view();
        args.segments = std::span(&segment, 1);
        args.y = y.view(rows_, E);
        add("causal_conv1d", passes, time_call(runs_, [&] { causal_conv1d(args); }));
    }

    void norm(double passes) {
        index_t const d = config_.d_model;
        auto const x = random_buffer(rows_ * d, random_);
        auto const weight = random_buffer(d, random_);
        Buffer<float> y(rows_ * d);
        NormArgs const args{x.view(rows_, d), weight.view(), {}, config_.norm_epsilon, y.view(rows_, d)};
        bool const rms = config_.norm == NormKind::rms_norm;
        add(rms ? "rms_norm" : "layer_norm", passes,
            time_call(runs_, [&] { rms ? rms_norm(args) : layer_norm(args); }));
    }

    ModelConfig const& config_;
    DType dtype_;
    index_t rows_;
    int runs_;
    Random random_;
    std::vector<OpTiming> ops_;
};

/// Random input of `positions` positions for any model.
struct RandomInput {
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
    index_t frame_length = 0;

    RandomInput(ModelConfig const& config, index_t positions) : frame_length(config.frame_length) {
        Random random(1);
        for (index_t i = 0; frame_length == 0 && i < positions; ++i) {
            tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(config.vocab_size))));
        }
        for (index_t i = 0; i < positions * frame_length; ++i) {
            frames.push_back(static_cast<float>(random.uniform(-1.0, 1.0)));
        }
    }

    FeedInput part(index_t begin, index_t count) const {
        FeedInput input;
        if (frame_length > 0) {
            input.frames = {frames.data() + begin * frame_length, count, frame_length};
        } else {
            input.tokens = {tokens.data() + begin, static_cast<std::size_t>(count)};
        }
        return input;
    }
};

void feed_record(Session& session, RandomInput const& input, index_t length, index_t chunk) {
    for (index_t begin = 0; begin < length; begin += chunk) {
        index_t const n = std::min(chunk, length - begin);
        Piece const piece{n, 0, begin == 0, begin + n == length};
        session.feed(input.part(begin, n), std::span(&piece, 1));
    }
}

/// The runs of a session, and what they leave free on its GPU. A GPU's first run loads kernels and chooses algorithms:
/// it is left out by a first feed that is not timed.
Timing time_session(Model const& model, int runs, std::function<void()> const& first,
                    std::function<void()> const& body) {
    if (!model.device().is_gpu()) { return time_median(runs, body); }
    first();
    Timing timing = time_median(runs, body);
    if constexpr (STRANDWAVE_HAS_CUDA != 0) { timing.gpu_free_bytes = free_device_bytes(); }
    return timing;
}

} // namespace

Timing time_median(int runs, std::function<void()> const& body) {
    std::vector<double> wall;
    std::vector<double> cpu;
    for (int i = 0; i < runs; ++i) {
        double const wall_begin = wall_seconds();
        double const cpu_begin = cpu_seconds();
        body();
        wall.push_back(wall_seconds() - wall_begin);
        cpu.push_back(cpu_seconds() - cpu_begin);
    }
    return {median(std::move(wall)), median(std::move(cpu))};
}

std::vector<OpTiming> time_ops(Model const& model, index_t rows, int runs) { return OpBench(model, rows, runs).run(); }

double floor_tokens_per_s(std::vector<OpTiming> const& ops) {
    double seconds = 0;
    for (OpTiming const& op : ops) {
        seconds += op.calls * op.floor_s;
    }
    return static_cast<double>(ops.front().rows) / seconds;
}

Timing time_prefill(std::shared_ptr<Model const> const& model, Threads& threads, index_t length, index_t chunk,
                    int runs) {
    RandomInput const input(model->config(), length);
    Session session(model, threads, {});
    index_t const step = model->config().bidirectional ? length : chunk;
    auto const first = [&] { feed_record(session, input, std::min(length, step), step); };
    return time_session(*model, runs, first, [&] { feed_record(session, input, length, step); });
}

Timing time_records(std::shared_ptr<Model const> const& model, Threads& threads, index_t records, index_t length,
                    int runs) {
    RandomInput const input(model->config(), records * length);
    // On the processor a lane each, for then they run side by side; on a GPU whole records need none.
    bool const one_lane = model->device().is_gpu();
    std::vector<Piece> pieces;
    for (index_t i = 0; i < records; ++i) {
        pieces.push_back({length, one_lane ? 0 : i, true, true});
    }
    SessionOptions options;
    options.lanes = one_lane ? 1 : records;
    Session session(model, threads, options);
    auto const body = [&] { session.feed(input.part(0, records * length), pieces); };
    return time_session(*model, runs, body, body);
}

Timing time_decode(std::shared_ptr<Model const> const& model, Threads& threads, index_t steps, int runs) {
    RandomInput const input(model->config(), steps);
    SessionOptions options;
    options.token_block = 1;
    Session session(model, threads, options);
    auto const body = [&] { feed_record(session, input, steps, 1); };
    return time_session(*model, runs, body, body);
}

} // namespace strandwave

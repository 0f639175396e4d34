#include "kernels/linear/linear.h"

#include "kernels/linear/linear_row_cpu.h"
#include "lib/core/buffer.h"
#include "lib/core/check.h"

#include <algorithm>
#include <cstddef>
#include <dnnl.hpp>
#include <map>
#include <mutex>
#include <omp.h>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

namespace strandwave {
namespace {

dnnl::engine const& cpu_engine() {
    static dnnl::engine const engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

/// oneDNN of Debian runs OpenMP inside each call. Our threads are oneTBB's, one GEMM each: so one OpenMP thread.
dnnl::stream& thread_stream() {
    thread_local dnnl::stream stream = [] {
        omp_set_num_threads(1);
        return dnnl::stream(cpu_engine());
    }();
    return stream;
}

dnnl::memory::desc matrix(index_t rows, index_t cols, dnnl::memory::data_type type, dnnl::memory::format_tag tag) {
    return {{rows, cols}, type, tag};
}

/// Storage that a thread keeps, of at least `size`.
template <class T>
T* thread_storage(index_t size) {
    thread_local Buffer<T> storage;
    if (storage.size() < size) { storage = Buffer<T>(size); }
    return storage.data();
}

} // namespace

struct Linear::Impl {
    index_t in = 0;
    index_t out = 0;
    dnnl::memory::data_type type = dnnl::memory::data_type::f32;
    dnnl::memory weight; // packed for the widest use
    dnnl::memory bias;
    LinearPanels panels; ///< of `weight`, for single rows; without data where it is packed otherwise

    /// The packed weight, if the library chose the packing that linear_row_cpu reads.
    LinearPanels find_panels() const {
        using Tag = dnnl::memory::format_tag;
        bool const f32 = type == dnnl::memory::data_type::f32;
        if (weight.get_desc() != matrix(in, out, type, f32 ? Tag::BA16a64b : Tag::BA16a64b2a)) { return {}; }
        index_t const block = f32 ? 16 : 32; // of inputs, the last one padded
        index_t const padded = (in + block - 1) / block * block;
        return {weight.get_data_handle(), f32 ? DType::f32 : DType::bf16, in, out, padded * kLinearPanel};
    }

    /// One compiled primitive for each row count and way of writing, made at first use.
    using Key = std::pair<index_t, bool>;
    struct Primitive {
        dnnl::matmul matmul;
        dnnl::memory::desc scratchpad;
        dnnl::reorder round_x; ///< fp32 to bf16; empty for f32
    };
    mutable std::shared_mutex mutex;
    mutable std::map<Key, Primitive> primitives;

    dnnl::memory::desc x_desc(index_t rows, dnnl::memory::data_type x_type) const {
        return matrix(rows, in, x_type, dnnl::memory::format_tag::ab);
    }

    dnnl::matmul::primitive_desc describe(index_t rows, bool accumulate, dnnl::memory::desc const& weights) const {
        using Tag = dnnl::memory::format_tag;
        auto const x = x_desc(rows, type);
        auto const y = matrix(rows, out, dnnl::memory::data_type::f32, Tag::ab);
        dnnl::primitive_attr attributes;
        // The library's own scratchpad belongs to the thread that made a primitive; ours runs in any thread.
        attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
        if (accumulate) {
            dnnl::post_ops post;
            post.append_sum(1.0F);
            attributes.set_post_ops(post);
        }
        if (!bias) { return {dnnl::matmul::desc(x, weights, y), attributes, cpu_engine()}; }
        auto const b = matrix(1, out, dnnl::memory::data_type::f32, Tag::ab);
        return {dnnl::matmul::desc(x, weights, b, y), attributes, cpu_engine()};
    }

    void apply_row(float const* x, float* y, bool accumulate) const {
        if (panels.dtype == DType::bf16) {
            auto* const rounded = thread_storage<float>(in);
            std::transform(x, x + in, rounded, [](float value) { return to_f32(to_bf16(value)); });
            x = rounded;
        }
        View<float const, 1> b;
        if (bias) { b = {static_cast<float const*>(bias.get_data_handle()), out}; }
        linear_row_cpu(panels, {x, in}, b, accumulate, {y, out});
    }

    Primitive const& primitive(index_t rows, bool accumulate) const {
        Key const key{rows, accumulate};
        {
            std::shared_lock const lock(mutex);
            auto const found = primitives.find(key);
            if (found != primitives.end()) { return found->second; }
        }
        auto const description = describe(rows, accumulate, weight.get_desc());
        Primitive made{dnnl::matmul(description), description.scratchpad_desc(), {}};
        if (type == dnnl::memory::data_type::bf16) {
            made.round_x = dnnl::reorder(
                {cpu_engine(), x_desc(rows, dnnl::memory::data_type::f32), cpu_engine(), x_desc(rows, type)});
        }
        std::unique_lock const lock(mutex);
        return primitives.emplace(key, std::move(made)).first->second; // a map's elements stay where they are
    }
};

Linear::Linear() = default;
Linear::~Linear() = default;
Linear::Linear(Linear&&) noexcept = default;
Linear& Linear::operator=(Linear&&) noexcept = default;

Linear::Linear(View<float const, 2> weight, View<float const, 1> bias, DType dtype) : impl_(std::make_unique<Impl>()) {
    if (dtype != DType::f32 && dtype != DType::bf16) {
        throw Error(ErrorCode::unsupported, "linear: dtype " + std::string(dtype_name(dtype)) + " is not f32 or bf16");
    }
    if (dtype == DType::bf16 && !bf16_is_supported()) {
        throw Error(ErrorCode::unsupported, "bf16 products need a processor with AVX-512; use f32 here");
    }
    if (!bias.empty()) { check_extent("linear", "bias", bias.size, weight.rows); }
    constexpr index_t kTypicalRows = 128; // the packing that suits a block; other row counts use it as it is
    using Tag = dnnl::memory::format_tag;
    impl_->in = weight.cols;
    impl_->out = weight.rows;
    impl_->type = dtype == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    auto& stream = thread_stream();
    if (!bias.empty()) {
        impl_->bias = dnnl::memory(matrix(1, impl_->out, dnnl::memory::data_type::f32, Tag::ab), cpu_engine());
        std::copy_n(bias.data, bias.size, static_cast<float*>(impl_->bias.get_data_handle()));
    }
    auto const any = matrix(impl_->in, impl_->out, impl_->type, Tag::any);
    impl_->weight = dnnl::memory(impl_->describe(kTypicalRows, false, any).weights_desc(), cpu_engine());
    // [out, in] row-major is [in, out] column-major. oneDNN reads the source only.
    auto const plain = dnnl::memory::desc({impl_->in, impl_->out}, dnnl::memory::data_type::f32,
                                          dnnl::memory::dims{1, weight.row_stride});
    dnnl::memory source(plain, cpu_engine(), const_cast<float*>(weight.data));
    dnnl::reorder(source, impl_->weight).execute(stream, source, impl_->weight);
    stream.wait();
    impl_->panels = impl_->find_panels();
}

index_t Linear::in() const noexcept { return impl_->in; }
index_t Linear::out() const noexcept { return impl_->out; }

void Linear::apply(View<float const, 2> x, View<float, 2> y, bool accumulate) const {
    check_matrix("linear", "y", y, x.rows, impl_->out);
    check_extent("linear", "in of x", x.cols, impl_->in);
    check_extent("linear", "row stride of x", x.row_stride, x.cols);
    check_extent("linear", "row stride of y", y.row_stride, y.cols);
    if (x.rows == 0) { return; }
    if (x.rows == 1 && impl_->panels.data != nullptr) {
        impl_->apply_row(x.data, y.data, accumulate);
        return;
    }
    using Tag = dnnl::memory::format_tag;
    auto const& primitive = impl_->primitive(x.rows, accumulate);
    auto& stream = thread_stream();
    // oneDNN takes void* for what it only reads.
    dnnl::memory x_memory(impl_->x_desc(x.rows, dnnl::memory::data_type::f32), cpu_engine(),
                          const_cast<float*>(x.data));
    if (impl_->type == dnnl::memory::data_type::bf16) {
        dnnl::memory const rounded(impl_->x_desc(x.rows, impl_->type), cpu_engine(),
                                   thread_storage<bf16_t>(x.rows * x.cols));
        primitive.round_x.execute(stream, {{DNNL_ARG_FROM, x_memory}, {DNNL_ARG_TO, rounded}});
        x_memory = rounded;
    }
    dnnl::memory const y_memory(matrix(y.rows, y.cols, dnnl::memory::data_type::f32, Tag::ab), cpu_engine(), y.data);
    std::unordered_map<int, dnnl::memory> arguments{
        {DNNL_ARG_SRC, x_memory}, {DNNL_ARG_WEIGHTS, impl_->weight}, {DNNL_ARG_DST, y_memory}};
    if (impl_->bias) { arguments.emplace(DNNL_ARG_BIAS, impl_->bias); }
    auto* scratch = thread_storage<std::byte>(static_cast<index_t>(primitive.scratchpad.get_size()));
    arguments.emplace(DNNL_ARG_SCRATCHPAD, dnnl::memory(primitive.scratchpad, cpu_engine(), scratch));
    primitive.matmul.execute(stream, arguments);
    stream.wait();
}

bool bf16_is_supported() noexcept { return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core; }

bool bf16_is_native() noexcept {
    auto const isa = dnnl::get_effective_cpu_isa();
    return isa >= dnnl::cpu_isa::avx512_core_amx ||
           (isa >= dnnl::cpu_isa::avx512_core_bf16 && __builtin_cpu_is("amd") != 0);
}

} // namespace strandwave

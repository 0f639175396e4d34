#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/device_memory.h"
#include "lib/cuda/gpus.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace strandwave::testing {

/// Tests that need a GPU; they skip where there is none.
class GpuTest : public ::testing::Test {
protected:
    void SetUp() override {
        auto const gpus = find_gpus();
        if (!gpus) { GTEST_SKIP() << "SKIPPED: no GPU: " << gpus.error().message(); }
    }
};

/// What copying from device memory gives; waits for the default stream.
template <class T>
std::vector<T> download(T const* from, index_t count) {
    std::vector<T> values(static_cast<std::size_t>(count));
    if (count > 0) { copy_to_host(values.data(), from, count * static_cast<index_t>(sizeof(T)), nullptr); }
    return values;
}

/// A matrix in GPU memory with poison (bytes 0xff: NaN in f32 and bf16) all around it, between its rows where they are
/// wider than the matrix, and in it until it is filled. `shift` elements take its first one off its alignment.
class GpuMatrix {
public:
    static constexpr index_t kGuard = 64;

    explicit GpuMatrix(DType dtype, index_t rows, index_t cols, index_t extra_stride = 0, index_t shift = 0)
        : dtype_(dtype), rows_(rows), cols_(cols), stride_(cols + extra_stride), first_(kGuard + shift),
          memory_((rows * stride_ + 2 * kGuard + shift) * dtype_bytes(dtype)) {
        poison();
    }

    DeviceMatrix view() const { return {at(first_), dtype_, rows_, cols_, stride_}; }
    float* data() const { return static_cast<float*>(at(first_)); } ///< of f32, without extra stride
    void poison() { fill_bytes(memory_.data(), 0xff, memory_.bytes(), nullptr); }

    /// Rounds to the matrix's type.
    GpuMatrix& put(View<float const, 2> values) {
        auto content = all();
        for (index_t r = 0; r < rows_; ++r) {
            for (index_t c = 0; c < cols_; ++c) {
                auto const rounded = to_bf16(values(r, c));
                void const* from = dtype_ == DType::bf16 ? static_cast<void const*>(&rounded) : &values(r, c);
                std::memcpy(content.data() + offset(r, c), from, static_cast<std::size_t>(dtype_bytes(dtype_)));
            }
        }
        copy_to_device(memory_.data(), content.data(), memory_.bytes(), nullptr);
        return *this;
    }

    /// The elements as floats, row by row without gaps.
    std::vector<float> values() const {
        auto const content = all();
        std::vector<float> elements;
        for (index_t r = 0; r < rows_; ++r) {
            for (index_t c = 0; c < cols_; ++c) {
                elements.push_back(element(content.data() + offset(r, c)));
            }
        }
        return elements;
    }

    /// The elements' bytes, row by row without gaps: what "the same bits" compares.
    std::vector<std::byte> bits() const { return bits(0, rows_); }
    std::vector<std::byte> bits(index_t first, index_t count) const {
        auto const content = all();
        std::vector<std::byte> bytes;
        for (index_t r = first; r < first + count; ++r) {
            bytes.insert(bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(offset(r, 0)),
                         content.begin() + static_cast<std::ptrdiff_t>(offset(r, cols_)));
        }
        return bytes;
    }

    void expect_row_untouched(index_t row) const {
        for (auto const byte : bits(row, 1)) {
            ASSERT_EQ(byte, std::byte{0xff}) << "wrote to row " << row;
        }
    }

    void expect_guards(char const* what) const {
        auto const content = all();
        index_t const bytes = dtype_bytes(dtype_);
        for (index_t i = 0; i < memory_.bytes(); ++i) {
            index_t const inside = i / bytes - first_;
            bool const guard =
                i < first_ * bytes || inside >= rows_ * stride_ || inside % std::max<index_t>(stride_, 1) >= cols_;
            ASSERT_TRUE(!guard || content[static_cast<std::size_t>(i)] == std::byte{0xff})
                << what << ": wrote outside, at element " << inside;
        }
    }

private:
    void* at(index_t element) const { return static_cast<std::byte*>(memory_.data()) + element * dtype_bytes(dtype_); }
    std::size_t offset(index_t row, index_t col) const {
        return static_cast<std::size_t>((first_ + row * stride_ + col) * dtype_bytes(dtype_));
    }
    float element(std::byte const* from) const {
        bf16_t half{};
        float single = 0;
        std::memcpy(&half, from, sizeof(half));
        if (dtype_ == DType::bf16) { return to_f32(half); }
        std::memcpy(&single, from, sizeof(single));
        return single;
    }
    std::vector<std::byte> all() const {
        return download(static_cast<std::byte const*>(memory_.data()), memory_.bytes());
    }

    DType dtype_;
    index_t rows_;
    index_t cols_;
    index_t stride_;
    index_t first_;
    DeviceMemory memory_;
};

/// Values as a kernel gets them: rounded to bf16 if that is its type.
inline void round_to(DType dtype, GuardedMatrix& matrix) {
    auto const view = matrix.view();
    for (index_t r = 0; dtype == DType::bf16 && r < view.rows; ++r) {
        for (index_t c = 0; c < view.cols; ++c) {
            view(r, c) = to_f32(to_bf16(view(r, c)));
        }
    }
}

/// Half the distance between the bf16 numbers (8 significant bits) around `value`: what rounding may change.
inline double half_ulp_of_bf16(double value) {
    return std::ldexp(1.0, std::max(std::ilogb(value), std::numeric_limits<float>::min_exponent - 1) - 8);
}

/// The rule for results in bf16 of arithmetic in fp32, whose error is bounded as by expect_within_twice plus
/// `more(exact)` for functions less exact than the plain loop's; then it is rounded.
template <class More>
void expect_rounded_to_bf16(View<float const, 2> actual, double const* exact, float const* plain, More const& more) {
    double plain_error = 0;
    double largest = 0;
    for (index_t i = 0; i < actual.rows * actual.cols; ++i) {
        plain_error = std::max(plain_error, std::abs(static_cast<double>(plain[i]) - exact[i]));
        largest = std::max(largest, std::abs(exact[i]));
    }
    double const plain_rule = 2 * plain_error + static_cast<double>(std::numeric_limits<float>::epsilon()) * largest;
    for (index_t r = 0; r < actual.rows; ++r) {
        for (index_t c = 0; c < actual.cols; ++c) {
            double const wanted = exact[r * actual.cols + c];
            double const before = plain_rule + more(wanted);
            ASSERT_LE(std::abs(static_cast<double>(actual(r, c)) - wanted),
                      before + half_ulp_of_bf16(std::abs(wanted) + before))
                << "row " << r << ", channel " << c << " should be " << wanted;
        }
    }
}

inline View<float const, 2> as_view(std::vector<float> const& values, index_t rows, index_t cols) {
    return {values.data(), rows, cols};
}

} // namespace strandwave::testing

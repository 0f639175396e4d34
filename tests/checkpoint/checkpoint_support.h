#pragma once

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "tests/support/memory_file.h"
#include "tests/support/temp_dir.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <iterator>
#include <string>

namespace strandwave {

inline void write_text(std::filesystem::path const& path, std::string const& content) {
    std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_text(std::filesystem::path const& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// A little-endian number as bytes.
template <class T>
std::string le(T value) {
    return {reinterpret_cast<char const*>(&value), sizeof(value)};
}

/// The error that `action` throws; a failure if it throws none.
inline Error error_of(std::function<void()> const& action) {
    try {
        action();
    } catch (Error const& error) { return error; }
    ADD_FAILURE() << "no error";
    return {ErrorCode::invalid_argument, ""};
}

inline void expect_in(std::string const& word, Error const& error) {
    EXPECT_NE(error.message().find(word), std::string::npos) << "'" << word << "' is not in: " << error.message();
}

/// Reads every file that `content` is cut to, and each one with one bit flipped: cut ones are an error, flipped ones an
/// error or a success with sound tensors, never anything else.
inline void expect_cut_and_flipped_are_errors(std::string const& content,
                                              void (*read)(std::filesystem::path const&, TensorStore&)) {
    MemoryFile file;
    auto const open = [&](std::string const& bytes) {
        file.write(bytes);
        TensorStore store;
        read(file.path(), store);
        return store;
    };
    ASSERT_NO_THROW(open(content));
    for (std::size_t size = 0; size < content.size(); ++size) {
        auto const error = error_of([&] { open(content.substr(0, size)); });
        EXPECT_TRUE(error.code() == ErrorCode::truncated_input || error.code() == ErrorCode::malformed_checkpoint)
            << "cut to " << size << ": " << error.message();
        expect_in(file.path().string(), error);
    }
    for (std::size_t bit = 0; bit < 8 * content.size(); ++bit) {
        auto flipped = content;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        try {
            auto const store = open(flipped);
            for (auto const& [name, tensor] : store.tensors()) {
                EXPECT_EQ(tensor_bytes(tensor.dtype, tensor.shape), static_cast<index_t>(tensor.bytes.size())) << bit;
            }
        } catch (Error const&) {} // any other exception fails the test
    }
}

} // namespace strandwave

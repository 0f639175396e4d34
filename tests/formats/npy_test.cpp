#include "formats/npy.h"

#include "lib/core/error.h"
#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <numeric>
#include <string>
#include <thread>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

std::string npy_bytes(std::string dict, std::string const& values, int version = 1) {
    std::string const length_bytes =
        version == 1
            ? std::string{static_cast<char>(dict.size() & 0xff), static_cast<char>(dict.size() >> 8)}
            : std::string{static_cast<char>(dict.size() & 0xff), static_cast<char>(dict.size() >> 8), '\0', '\0'};
    return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' + length_bytes + dict + values;
}

class Npy : public testing::Test {
protected:
    fs::path file(std::string const& bytes) const {
        auto const path = dir_.path() / "a.npy";
        std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return path;
    }
    index_t files() const { return std::distance(fs::directory_iterator(dir_.path()), {}); }

    TempDir dir_;
};

std::string const kTwoByThree = "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 3), }\n";

std::string i64_values() {
    std::string bytes;
    for (char i = 1; i <= 6; ++i) {
        bytes += std::string{i, '\0', '\0', '\0', '\0', '\0', '\0', '\0'};
    }
    return bytes;
}

TEST_F(Npy, AllVersionsAreRead) {
    for (int const version : {1, 2, 3}) {
        auto array = read_npy_i64(file(npy_bytes(kTwoByThree, i64_values(), version)));
        ASSERT_TRUE(array) << array.error().what();
        EXPECT_EQ(array->shape, (std::vector<index_t>{2, 3}));
        EXPECT_EQ(array->values, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
    }
}

TEST_F(Npy, ScalarsVectorsAndEmptyArraysAreRead) {
    std::string const head = "{'descr': '<i8', 'fortran_order': False, 'shape': ";
    EXPECT_EQ(read_npy_i64(file(npy_bytes(head + "()}", i64_values().substr(0, 8))))->values.size(), 1U);
    EXPECT_EQ(read_npy_i64(file(npy_bytes(head + "(6,)}", i64_values())))->shape, std::vector<index_t>{6});
    auto empty = read_npy_i64(file(npy_bytes(head + "(0, 9223372036854775807)}", "")));
    ASSERT_TRUE(empty) << empty.error().what();
    EXPECT_TRUE(empty->values.empty());
}

TEST_F(Npy, EveryCutIsTruncatedInput) {
    auto const bytes = npy_bytes(kTwoByThree, i64_values());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        auto array = read_npy_i64(file(bytes.substr(0, size)));
        ASSERT_FALSE(array) << size;
        EXPECT_EQ(array.error().code(), ErrorCode::truncated_input) << size << ": " << array.error().what();
    }
}

TEST_F(Npy, AnotherTypeOrOrderIsRefusedByName) {
    auto other = read_npy_f32(file(npy_bytes(kTwoByThree, i64_values())));
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code(), ErrorCode::unsupported);
    EXPECT_NE(other.error().message().find("'<i8'"), std::string::npos) << other.error().what();
    EXPECT_NE(other.error().message().find("astype(\"<f4\")"), std::string::npos) << other.error().what();

    auto fortran =
        read_npy_i64(file(npy_bytes("{'descr': '<i8', 'fortran_order': True, 'shape': (2, 3), }", i64_values())));
    ASSERT_FALSE(fortran);
    EXPECT_EQ(fortran.error().code(), ErrorCode::unsupported);

    auto structured = read_npy_i64(
        file(npy_bytes("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (6,), }", i64_values())));
    ASSERT_FALSE(structured);
    EXPECT_EQ(structured.error().code(), ErrorCode::unsupported);
}

TEST_F(Npy, HostileHeadersAreErrorsBeforeAnyAllocation) {
    auto const shaped = [](std::string const& shape) {
        return npy_bytes("{'descr': '<i8', 'fortran_order': False, 'shape': " + shape + "}", i64_values());
    };
    for (auto const& bytes :
         {shaped("(4611686018427387904, 4)"), shaped("(9223372036854775807,)"), shaped("(99999999999,)"),
          shaped("(-1,)"), shaped("(99999999999999999999,)"), shaped("(1 2)"), shaped("(6,"), shaped("6"),
          shaped("(5,)"), // one value too many in the file
          npy_bytes("{'descr': '<i8', 'fortran_order': False}", ""), npy_bytes("", ""),
          npy_bytes("{'descr': '<i8', 'descr': '<i8', 'fortran_order': False, 'shape': (6,)}", i64_values()),
          npy_bytes(kTwoByThree, i64_values(), 4), std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12),
          std::string("PK\x03\x04 an .npz archive is not an array")}) {
        auto array = read_npy_i64(file(bytes));
        ASSERT_FALSE(array) << bytes.substr(0, 100);
        EXPECT_TRUE(array.error().code() == ErrorCode::malformed_input ||
                    array.error().code() == ErrorCode::truncated_input);
    }
}

TEST_F(Npy, WriterPatchesTheRowCountAndReaderGetsTheRows) {
    auto const path = dir_.path() / "rows.npy";
    std::vector<float> values(3 * 5);
    std::iota(values.begin(), values.end(), 0.5F);
    NpyWriter writer(path, 3);
    writer.append({values.data(), 2, 3});
    EXPECT_FALSE(fs::exists(path)) << "in place before it is whole";
    writer.append({values.data() + 6, 0, 3});
    writer.append({values.data() + 6, 3, 2 + 1, 3});
    EXPECT_EQ(writer.rows(), 5);
    writer.close();
    auto array = read_npy_f32(path);
    ASSERT_TRUE(array) << array.error().what();
    EXPECT_EQ(array->shape, (std::vector<index_t>{5, 3}));
    EXPECT_EQ(array->values, values);
    EXPECT_EQ(files(), 1);
}

TEST_F(Npy, WriterTakesRowsWithAStride) {
    std::vector<float> const wide{1, 2, 9, 3, 4, 9};
    NpyWriter writer(dir_.path() / "rows.npy", 2);
    writer.append(View<float const, 2>(wide.data(), 2, 2, 3));
    EXPECT_THROW(writer.append(View<float const, 2>(wide.data(), 2, 3)), Error);
    writer.close();
    EXPECT_EQ(read_npy_f32(dir_.path() / "rows.npy")->values, (std::vector<float>{1, 2, 3, 4}));
}

TEST_F(Npy, AnAbandonedWriterLeavesNothingAndKeepsTheOlderFile) {
    auto const path = file("the older file");
    {
        NpyWriter writer(path, 3);
        std::vector<float> const row{1, 2, 3};
        writer.append({row.data(), 1, 3});
    }
    { NpyFile const whole(path, {10, 10}); }
    EXPECT_EQ(files(), 1);
    EXPECT_EQ(fs::file_size(path), std::string("the older file").size());
}

TEST_F(Npy, AFolderThatIsNotThereIsAnError) { EXPECT_THROW(NpyWriter(dir_.path() / "none" / "a.npy", 3), Error); }

TEST_F(Npy, BlocksInAnyOrderFromManyThreadsMakeTheArray) {
    auto const path = dir_.path() / "blocks.npy";
    constexpr index_t kBlocks = 64;
    constexpr index_t kSize = 1000;
    NpyFile whole(path, {kBlocks, 10, 100});
    std::vector<std::thread> threads;
    for (index_t t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            std::vector<float> block(kSize);
            for (index_t b = kBlocks - 1 - t; b >= 0; b -= 4) {
                std::iota(block.begin(), block.end(), static_cast<float>(b * kSize));
                whole.write(b * kSize, {block.data(), kSize});
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    whole.close();
    auto array = read_npy_f32(path);
    ASSERT_TRUE(array) << array.error().what();
    EXPECT_EQ(array->shape, (std::vector<index_t>{kBlocks, 10, 100}));
    for (index_t i = 0; i < kBlocks * kSize; ++i) {
        ASSERT_EQ(array->values[i], static_cast<float>(i));
    }
}

TEST_F(Npy, AnArrayWithHolesIsNotPutInPlace) {
    NpyFile whole(dir_.path() / "holes.npy", {4});
    std::vector<float> const two{1, 2};
    whole.write(2, {two.data(), 2});
    EXPECT_THROW(whole.write(3, {two.data(), 2}), Error);
    EXPECT_THROW(whole.write(-1, {two.data(), 1}), Error);
    EXPECT_THROW(whole.close(), Error);
    EXPECT_FALSE(fs::exists(dir_.path() / "holes.npy"));
}

TEST_F(Npy, NumpyOpensWhatIsWritten) {
    if (std::system("/usr/bin/python3 -c 'import numpy' 2> /dev/null") != 0) { GTEST_SKIP() << "no numpy"; }
    std::vector<float> const values{1, 2, 3, 4, 5, 6};
    NpyWriter writer(dir_.path() / "rows.npy", 3);
    writer.append({values.data(), 2, 3});
    writer.close();
    NpyFile whole(dir_.path() / "whole.npy", {1, 2, 3});
    whole.write(0, {values.data(), 6});
    whole.close();
    NpyWriter(dir_.path() / "none.npy", 7).close();
    auto const script =
        "import numpy as n, sys; d = sys.argv[1]; r = n.load(d + '/rows.npy'); w = n.load(d + '/whole.npy');"
        "e = n.arange(1, 7, dtype='<f4').reshape(2, 3);"
        "assert r.dtype == n.float32 and (r == e).all() and (w == e[None]).all();"
        "assert n.load(d + '/none.npy').shape == (0, 7);"
        "n.save(d + '/a.npy', n.arange(6).reshape(2, 3))";
    auto const command = std::string("/usr/bin/python3 -c \"") + script + "\" " + dir_.path().string();
    ASSERT_EQ(std::system(command.c_str()), 0);
    auto array = read_npy_i64(dir_.path() / "a.npy");
    ASSERT_TRUE(array) << array.error().what();
    EXPECT_EQ(array->values, (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
}

} // namespace
} // namespace strandwave

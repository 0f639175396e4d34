#include "lib/checkpoint/tensor_store.h"

#include "lib/checkpoint/safetensors.h"
#include "tests/checkpoint/checkpoint_support.h"

#include <array>
#include <limits>

namespace strandwave {
namespace {

template <class T, std::size_t N>
std::vector<float> converted(DType dtype, std::array<T, N> const& values) {
    // One byte off, so that nothing may rest on alignment.
    std::vector<std::byte> bytes(1 + sizeof(values));
    std::copy_n(reinterpret_cast<std::byte const*>(values.data()), sizeof(values), bytes.data() + 1);
    return read_f32({dtype, {static_cast<index_t>(N)}, std::span<std::byte const>(bytes).subspan(1)});
}

TEST(ReadF32, ConvertsEveryTypeOfNumber) {
    EXPECT_EQ(converted(DType::f64, std::array{1.5, 1e300, 0.1}),
              (std::vector<float>{1.5F, std::numeric_limits<float>::infinity(), 0.1F}));
    EXPECT_EQ(converted(DType::f32, std::array{1.5F, -0.25F}), (std::vector<float>{1.5F, -0.25F}));
    EXPECT_EQ(converted(DType::f16, std::array<std::uint16_t, 3>{0x3e00, 0x0001, 0xfc00}),
              (std::vector<float>{1.5F, 0x1p-24F, -std::numeric_limits<float>::infinity()}));
    EXPECT_EQ(converted(DType::bf16, std::array<std::uint16_t, 2>{0x3fc0, 0x0001}),
              (std::vector<float>{1.5F, 0x1p-133F}));
    EXPECT_EQ(converted(DType::i64, std::array<std::int64_t, 2>{-(1LL << 40), 7}),
              (std::vector<float>{-0x1p40F, 7.0F}));
    EXPECT_EQ(converted(DType::i32, std::array{-3, 1 << 24}), (std::vector<float>{-3.0F, 0x1p24F}));
    EXPECT_EQ(converted(DType::i16, std::array<std::int16_t, 1>{-300}), (std::vector<float>{-300.0F}));
    EXPECT_EQ(converted(DType::i8, std::array<std::int8_t, 1>{-3}), (std::vector<float>{-3.0F}));
    EXPECT_EQ(converted(DType::u8, std::array<std::uint8_t, 1>{200}), (std::vector<float>{200.0F}));
    EXPECT_EQ(converted(DType::boolean, std::array<std::uint8_t, 2>{0, 1}), (std::vector<float>{0.0F, 1.0F}));
}

TEST(ReadF32, RefusesIntegersThatFp32Rounds) {
    EXPECT_THROW(converted(DType::i64, std::array<std::int64_t, 1>{(1LL << 24) + 1}), Error);
    EXPECT_THROW(converted(DType::i64, std::array{std::numeric_limits<std::int64_t>::max()}), Error);
    EXPECT_THROW(converted(DType::i32, std::array{(1 << 24) + 1}), Error);
    EXPECT_NO_THROW(converted(DType::i64, std::array{std::numeric_limits<std::int64_t>::min()}));
}

TEST(TensorBytes, KnowsEmptyScalarAndOverflow) {
    EXPECT_EQ(tensor_bytes(DType::f32, {}), 4);
    EXPECT_EQ(tensor_bytes(DType::f16, std::array<index_t, 2>{3, 5}), 30);
    EXPECT_EQ(tensor_bytes(DType::f32, std::array<index_t, 2>{0, 5}), 0);
    EXPECT_EQ(tensor_bytes(DType::f32, std::array<index_t, 2>{-1, 0}), -1);
    EXPECT_EQ(tensor_bytes(DType::f32, std::array<index_t, 2>{index_t{1} << 40, index_t{1} << 40}), -1);
    EXPECT_EQ(tensor_bytes(DType::f32, std::array<index_t, 3>{index_t{1} << 40, index_t{1} << 40, 0}), -1);
}

class CheckpointFolder : public testing::Test {
protected:
    /// A safetensors file with one fp32 tensor of one element.
    void write(std::string const& file, std::string const& tensor, float value) const {
        TensorToWrite const one{tensor, DType::f32, {1}, std::as_bytes(std::span(&value, 1))};
        write_safetensors(folder_.path() / file, {&one, 1});
    }
    void write_index(std::string const& text) const {
        write_text(folder_.path() / "model.safetensors.index.json", text);
    }
    float value_of(std::string const& tensor) const {
        auto const store = open_checkpoint(folder_.path());
        auto const* const found = store.find(tensor);
        return found == nullptr ? -1.0F : read_f32(*found).at(0);
    }
    Error failure() const {
        return error_of([&] { open_checkpoint(folder_.path()); });
    }

    TempDir folder_;
};

TEST_F(CheckpointFolder, TakesTheUsualNameBeforeOthers) {
    write("other.safetensors", "w", 1);
    EXPECT_EQ(value_of("w"), 1);
    write("model.safetensors", "w", 2);
    write_text(folder_.path() / "pytorch_model.bin", "not read");
    EXPECT_EQ(value_of("w"), 2);
}

TEST_F(CheckpointFolder, DroppedPagesComeBack) {
    write("model.safetensors", "w", 3);
    auto const store = open_checkpoint(folder_.path());
    EXPECT_EQ(read_f32(*store.find("w")).at(0), 3);
    store.drop_pages();
    EXPECT_EQ(read_f32(*store.find("w")).at(0), 3);
}

TEST_F(CheckpointFolder, NamesWhatItCannotChooseFrom) {
    EXPECT_EQ(failure().code(), ErrorCode::not_found);
    write("a.safetensors", "w", 1);
    write("b.safetensors", "w", 1);
    EXPECT_EQ(failure().code(), ErrorCode::not_found);
    expect_in("a.safetensors, b.safetensors", failure());
    EXPECT_EQ(error_of([&] { open_checkpoint(folder_.path() / "absent"); }).code(), ErrorCode::not_found);
}

TEST_F(CheckpointFolder, ReadsShards) {
    write("one.safetensors", "a", 1);
    write("two.safetensors", "b", 2);
    write_index(R"({"metadata": {}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
    EXPECT_EQ(value_of("a"), 1);
    EXPECT_EQ(value_of("b"), 2);
}

TEST_F(CheckpointFolder, RefusesShardsThatDisagreeWithTheirIndex) {
    write("one.safetensors", "a", 1);
    write_index(R"({"weight_map": {"a": "one.safetensors", "b": "one.safetensors"}})");
    expect_in("'b'", failure());
    write("two.safetensors", "c", 1);
    write_index(R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
    expect_in("'b'", failure());
    write("two.safetensors", "a", 1);
    write_index(R"({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})");
    expect_in("another file", failure());
    write_index(R"({"weight_map": {"a": "absent.safetensors"}})");
    EXPECT_EQ(failure().code(), ErrorCode::not_found);
}

TEST_F(CheckpointFolder, RefusesAnIndexThatLeavesItsFolder) {
    for (auto const* const name : {"../one.safetensors", "/etc/passwd", "..", "", "sub/one.safetensors"}) {
        write_index(std::string(R"({"weight_map": {"a": ")") + name + "\"}}");
        expect_in("plain file name", failure());
    }
    for (auto const* const text : {"", "[]", "{", R"({"weight_map": []})", R"({"weight_map": {"a": 1}})"}) {
        write_index(text);
        EXPECT_EQ(failure().code(), ErrorCode::malformed_checkpoint) << text;
    }
}

} // namespace
} // namespace strandwave

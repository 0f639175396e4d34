#include "lib/checkpoint/safetensors.h"

#include "tests/checkpoint/checkpoint_support.h"

#include <array>
#include <sstream>

namespace strandwave {
namespace {

std::string file_with(std::string const& header, std::string const& data) {
    return le(std::uint64_t{header.size()}) + header + data;
}

Error failure(std::string const& content) {
    TempDir const folder;
    write_text(folder.path() / "f.safetensors", content);
    return error_of([&] { open_checkpoint(folder.path() / "f.safetensors"); });
}

struct Written {
    std::array<float, 6> numbers{1, 2, 3, 4, 5, 6};
    std::array<std::int64_t, 2> ids{7, -8};
    std::array<std::uint8_t, 1> flag{1};

    std::vector<TensorToWrite> tensors() const {
        return {{"flag", DType::boolean, {1}, std::as_bytes(std::span(flag))},
                {"weights", DType::f32, {2, 3}, std::as_bytes(std::span(numbers))},
                {"empty", DType::f32, {0, 4}, {}},
                {"ids", DType::i64, {2}, std::as_bytes(std::span(ids))}};
    }
};

TEST(Safetensors, GivesBackWhatWasWritten) {
    TempDir const folder;
    Written const written;
    write_safetensors(folder.path() / "m.safetensors", written.tensors());
    auto const store = open_checkpoint(folder.path());
    ASSERT_EQ(store.tensors().size(), 4U);
    for (auto const& tensor : written.tensors()) {
        auto const* const found = store.find(tensor.name);
        ASSERT_NE(found, nullptr) << tensor.name;
        EXPECT_EQ(found->dtype, tensor.dtype);
        EXPECT_EQ(found->shape, tensor.shape);
        EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), tensor.bytes.begin(), tensor.bytes.end()));
    }
    auto const entries = std::distance(std::filesystem::directory_iterator(folder.path()), {});
    EXPECT_EQ(entries, 1) << "the temporary file is gone";
}

TEST(Safetensors, RefusesToWriteWhatDoesNotAgree) {
    TempDir const folder;
    Written const written;
    auto tensors = written.tensors();
    tensors[1].shape = {2, 2};
    EXPECT_EQ(error_of([&] { write_safetensors(folder.path() / "m", tensors); }).code(), ErrorCode::invalid_argument);
    tensors = written.tensors();
    tensors[2].name = "ids";
    EXPECT_EQ(error_of([&] { write_safetensors(folder.path() / "m", tensors); }).code(), ErrorCode::invalid_argument);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    auto const nowhere = folder.path() / "absent" / "m";
    EXPECT_EQ(error_of([&] { write_safetensors(nowhere, written.tensors()); }).code(), ErrorCode::io);
}

TEST(Safetensors, CutAndFlippedFilesAreErrors) {
    TempDir const folder;
    Written const written;
    write_safetensors(folder.path() / "m.safetensors", written.tensors());
    expect_cut_and_flipped_are_errors(read_text(folder.path() / "m.safetensors"), &read_safetensors);
}

TEST(Safetensors, NamesWhatIsWrongWithAHeader) {
    std::string const w = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
    std::string const data = "1234";
    EXPECT_TRUE(failure(file_with("{\"w\":{" + w + "}}", data + "5")).code() == ErrorCode::malformed_checkpoint);
    EXPECT_EQ(failure(file_with("{\"w\":{" + w + "}}", "123")).code(), ErrorCode::truncated_input);

    struct Case {
        std::string header;
        std::string word;
    };
    for (
        auto const& [header, word] : std::vector<Case>{
            {"{\"w\":{" + w + "},\"w\":{" + w + "}}", "'w' is in the header twice"},
            {R"({"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "twice"},
            {R"({"w":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}})", "twice"},
            {R"({"w":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", "F8_E4M3"},
            {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "'w' of shape [2]"},
            {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "'w'"},
            {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "two numbers"},
            {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", "a number"},
            {R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "negative"},
            {R"({"w":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "fraction"},
            {R"({"w":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", "an array"},
            {R"({"w":{"dtype":"F32","shape":[1]}})", "lacks"},
            {R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":{}}})", "an object"},
            {R"({"w":[]})", "an array"},
            {R"({"w":null})", "null"},
            {R"([])", "an array"},
            {R"({"w":{)" + w + R"(},"__metadata__":{"format":1}})", "a number"},
            {R"({"w":{)" + w + R"(}} x)", "not valid JSON"},
            {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})",
             "'b'"},
            {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
             "'b'"},
            {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[1,4]}})", "'a'"},
        }) {
        auto const error = failure(file_with(header, data));
        EXPECT_EQ(error.code(), ErrorCode::malformed_checkpoint) << header;
        expect_in(word, error);
        expect_in("f.safetensors", error);
    }
}

TEST(Safetensors, RefusesLengthsBeforeItBelievesThem) {
    EXPECT_EQ(failure(le(std::uint64_t{100'000'001})).code(), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(failure(le(~std::uint64_t{0})).code(), ErrorCode::malformed_checkpoint);
    EXPECT_EQ(failure(le(std::uint64_t{100'000'000})).code(), ErrorCode::truncated_input);
    // Deep nesting would cost a parser that builds a tree far more than the text's own size.
    EXPECT_EQ(failure(file_with(std::string(1'000'000, '['), "")).code(), ErrorCode::malformed_checkpoint);
}

TEST(Safetensors, RefusesWhatIsNoFile) {
    TempDir const folder;
    std::filesystem::create_directory(folder.path() / "d.safetensors");
    EXPECT_EQ(error_of([&] {
                  TensorStore store;
                  read_safetensors(folder.path() / "d.safetensors", store);
              }).code(),
              ErrorCode::io);
    EXPECT_EQ(error_of([&] { open_checkpoint("/dev/zero"); }).code(), ErrorCode::io);
}

TEST(Safetensors, HostileFilesLoadOrFailAsTheirManifestSays) {
    auto const folder = std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "../shared/data/hostile/hostile_safetensors";
    std::ifstream manifest(folder / "MANIFEST.tsv");
    if (!manifest) { GTEST_SKIP() << folder << " is not here"; }
    std::string line;
    std::getline(manifest, line);
    int files = 0;
    for (; std::getline(manifest, line); ++files) {
        std::istringstream fields(line);
        std::string name, bytes, expected;
        fields >> name >> bytes >> expected;
        if (expected == "OK") {
            EXPECT_NO_THROW(open_checkpoint(folder / name)) << name;
        } else {
            expect_in(name, error_of([&] { open_checkpoint(folder / name); }));
        }
    }
    EXPECT_EQ(files, 17);
}

} // namespace
} // namespace strandwave

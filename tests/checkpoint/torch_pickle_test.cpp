#include "lib/checkpoint/torch_pickle.h"

#include "tests/checkpoint/torch_archive.h"

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using pickle::dict;
using pickle::global;
using pickle::integer;
using pickle::TensorText;
using pickle::text;
using pickle::tuple;

class TorchPickle : public testing::Test {
protected:
    TensorStore open(std::string const& bytes) const {
        write_text(folder_.path() / "w.pt", bytes);
        return open_checkpoint(folder_.path() / "w.pt");
    }
    TensorStore open_value(std::string const& value) const { return open(torch_archive(value).bytes()); }

    Error failure(std::string const& value) const {
        auto error = error_of([&] { open_value(value); });
        expect_in("w.pt", error);
        return error;
    }

    TempDir folder_;
};

TEST_F(TorchPickle, ReadsAStateDict) {
    for (auto const& empty : {pickle::kDict, pickle::kOrderedDict}) {
        auto const store = open_value(dict({{"w", TensorText{}()}}, empty));
        ASSERT_NE(store.find("w"), nullptr);
        EXPECT_EQ(store.find("w")->shape, (std::vector<index_t>{2, 3}));
        EXPECT_EQ(read_f32(*store.find("w")), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    }
}

TEST_F(TorchPickle, ReadsWindowsAliasesAndScalars) {
    TensorText tail{.offset = 4, .shape = {2}, .stride = {1}};
    TensorText scalar{.offset = 2, .shape = {}, .stride = {}};
    TensorText odd_stride{.shape = {1, 6}, .stride = {99, 1}}; // the stride of an extent of 1 means nothing
    TensorText empty{.offset = 6, .shape = {0}, .stride = {1}};
    auto const store = open_value(dict({{"whole", TensorText{}()},
                                        {"alias", TensorText{}()},
                                        {"tail", tail()},
                                        {"scalar", scalar()},
                                        {"odd", odd_stride()},
                                        {"empty", empty()}}));
    EXPECT_EQ(store.find("whole")->bytes.data(), store.find("alias")->bytes.data());
    EXPECT_EQ(read_f32(*store.find("tail")), (std::vector<float>{5, 6}));
    EXPECT_EQ(read_f32(*store.find("scalar")), (std::vector<float>{3}));
    EXPECT_EQ(store.find("odd")->elements(), 6);
    EXPECT_EQ(store.find("empty")->elements(), 0);
}

TEST_F(TorchPickle, ReadsParametersAndANestedStateDict) {
    auto const parameter =
        global("torch._utils", "_rebuild_parameter") + tuple(TensorText{}() + "\x88" + pickle::kOrderedDict) + "R";
    auto const store = open_value(dict({{"epoch", integer(3)},
                                        {"lr", std::string("G\x3f\xf0\0\0\0\0\0\0", 9)},
                                        {"betas", "](" + integer(1) + integer(2) + "e"},
                                        {"none", "N"},
                                        {"state_dict", dict({{"p", parameter}})}}));
    ASSERT_EQ(store.tensors().size(), 1U);
    EXPECT_EQ(read_f32(*store.find("p")).back(), 6);
}

TEST_F(TorchPickle, ReadsZip64) {
    auto archive = torch_archive(dict({{"w", TensorText{}()}}));
    archive.zip64 = true;
    EXPECT_EQ(read_f32(*open(archive.bytes()).find("w")).back(), 6);
}

TEST_F(TorchPickle, PassesOverAttributesOfADict) {
    auto const metadata = dict({{"_metadata", pickle::kOrderedDict}});
    EXPECT_EQ(open_value(dict({{"w", TensorText{}()}}) + metadata + "b").tensors().size(), 1U);
}

TEST_F(TorchPickle, RefusesEveryOtherGlobalByName) {
    auto const call = global("os", "system") + tuple(text("touch owned")) + "R";
    EXPECT_EQ(failure(dict({{"w", call}})).code(), ErrorCode::unsupported);
    expect_in("'os system'", failure(dict({{"w", call}})));
    expect_in("'torch ComplexFloatStorage'", failure(dict({{"w", TensorText{.storage = "ComplexFloatStorage"}()}})));
    expect_in("'builtins eval'", failure(global("builtins", "eval")));
    expect_in("'torch._utils _rebuild_tensor_v3'", failure(global("torch._utils", "_rebuild_tensor_v3")));
}

TEST_F(TorchPickle, RefusesEveryOtherOpcodeByName) {
    std::string const understood = "\x80.(N\x88\x89KMJ\x8aGX)]t\x85\x86\x87}aesucRbQqrhj";
    for (int opcode = 0; opcode < 256; ++opcode) {
        if (understood.find(static_cast<char>(opcode)) != std::string::npos) { continue; }
        auto const error = failure(std::string(1, static_cast<char>(opcode)));
        EXPECT_EQ(error.code(), ErrorCode::unsupported) << opcode;
        expect_in("opcode 0x", error);
    }
    expect_in("0x69 'i'", failure("i"));
    expect_in("0x93", failure("\x93")); // STACK_GLOBAL, of protocol 4
}

TEST_F(TorchPickle, RefusesProgramsThatMisuseTheStack) {
    for (auto const& program : std::vector<std::string>{
             "", "}}", "(", "t", "s", "}" + integer(1) + "s", "(" + integer(1) + "u", "}(" + integer(1) + "u", "R",
             "}" + tuple("") + "R", "h\7", "q\1", "Q", "b", "}(b", std::string("\x8a\x09") + std::string(9, '\1'),
             "N(" + integer(1) + "a", std::string("\x80\x04")}) {
        auto const error = failure(program);
        EXPECT_TRUE(error.code() == ErrorCode::malformed_checkpoint || error.code() == ErrorCode::unsupported)
            << error.message();
    }
    EXPECT_EQ(failure("X" + le(~std::uint32_t{0})).code(), ErrorCode::truncated_input);
}

TEST_F(TorchPickle, DeepAndSharedValuesCostNothing) {
    std::string deep = ")";
    deep.append(200'000, '\x85'); // a tuple in a tuple in a tuple
    EXPECT_EQ(failure(deep).code(), ErrorCode::malformed_checkpoint);
    std::string doubling = ")q" + std::string(1, '\0');
    for (int i = 0; i < 60; ++i) {
        doubling += std::string("h\0h\0\x86q\0", 7); // each holds the last one twice: 2^60 if it were copied
    }
    EXPECT_EQ(failure("}" + doubling + "0").code(), ErrorCode::unsupported);
    std::string values(std::size_t{5} << 20, 'N');
    EXPECT_EQ(failure(values).code(), ErrorCode::too_large);
}

TEST_F(TorchPickle, NamesTheTensorThatDoesNotFit) {
    auto const fails_with = [&](TensorText const& tensor, std::string const& word, ErrorCode code) {
        auto const error = failure(dict({{"layer.weight", tensor()}}));
        EXPECT_EQ(error.code(), code) << error.message();
        expect_in("'layer.weight'", error);
        expect_in(word, error);
    };
    auto const malformed = ErrorCode::malformed_checkpoint;
    fails_with({.shape = {2, 3}, .stride = {1, 2}}, "contiguous", ErrorCode::unsupported);
    fails_with({.shape = {2, 3}, .stride = {0, 0}}, "contiguous", ErrorCode::unsupported);
    fails_with({.shape = {7}, .stride = {1}}, "[7]", malformed);
    fails_with({.offset = 1}, "offset 1", malformed);
    fails_with({.offset = -1}, "offset -1", malformed);
    fails_with({.shape = {-1, -6}, .stride = {3, 1}}, "[-1, -6]", malformed);
    fails_with({.shape = {2147483647, 2147483647, 2147483647}, .stride = {1, 1, 1}}, "2147483647", malformed);
    fails_with({.shape = {6}, .stride = {}}, "[6]", malformed);
    fails_with({.key = "1"}, "data/1", malformed);
    fails_with({.storage_size = 7}, "7 elements", malformed);
    fails_with({.storage_size = -6}, "-6 elements", malformed);
    fails_with({.storage = "DoubleStorage"}, "data/0", malformed);
    expect_in("'a'", failure(dict({{"a", integer(1)}})));
    expect_in("twice", failure("}(" + text("w") + TensorText{}() + text("w") + TensorText{}() + "u"));
    expect_in("no dict", failure(TensorText{}()));
}

TEST_F(TorchPickle, RefusesOtherContainers) {
    auto const refusal = [&](std::string const& bytes) { return error_of([&] { open(bytes); }); };
    auto const old = refusal("\x80\x02\x8a\x0a"
                             "l\xfc\x9c"
                             "F\xf9 j\xa8P\x19.");
    EXPECT_EQ(old.code(), ErrorCode::unsupported);
    expect_in("torch before 1.6", old);

    auto archive = torch_archive(dict({{"w", TensorText{}()}}));
    archive.method = 8;
    expect_in("compressed", refusal(archive.bytes()));
    archive.method = 0;
    archive.members[1].second = "big";
    expect_in("byte order 'big'", refusal(archive.bytes()));
    archive.members[0].first = "data.txt";
    expect_in("data.pkl", refusal(archive.bytes()));
    archive.members[0].first = archive.members[2].first;
    expect_in("twice", refusal(archive.bytes()));
    EXPECT_EQ(refusal(torch_archive("}").bytes() + "behind").code(), ErrorCode::truncated_input);
}

TEST_F(TorchPickle, CutAndFlippedFilesAreErrors) {
    for (bool const zip64 : {false, true}) {
        auto archive = torch_archive(dict({{"w", TensorText{}()}}));
        archive.zip64 = zip64;
        expect_cut_and_flipped_are_errors(archive.bytes(), &read_torch_pickle);
    }
}

TEST(TorchPickleFiles, HoldTheBitsOfTheirSafetensorsTwins) {
    auto const golden = fs::path(STRANDWAVE_SOURCE_DIR) / "../shared/golden";
    if (!fs::exists(golden)) { GTEST_SKIP() << golden << " is not here"; }
    auto const original = [](std::string name) { // the two names of the embedding of Mamba
        auto const at = name.find("embeddings.weight");
        return at == std::string::npos ? name : name.replace(at, 10, "embedding");
    };
    struct Pair {
        char const* pickle;
        char const* safetensors;
    };
    for (auto const& [pickled, twin] :
         {Pair{"caduceus-ph-classifier", "caduceus-ph-classifier"},
          Pair{"caduceus-ps-classifier", "caduceus-ps-classifier"}, Pair{"mamba1-original-bin", "mamba1"}}) {
        auto const store = open_checkpoint(golden / pickled / "pytorch_model.bin");
        auto const expected = open_checkpoint(golden / twin / "model.safetensors");
        EXPECT_GT(store.tensors().size(), expected.tensors().size()) << "tied tensors are there under both names";
        for (auto const& [name, tensor] : expected.tensors()) {
            auto const* found = store.find(name);
            if (found == nullptr) { found = store.find(original(name)); }
            ASSERT_NE(found, nullptr) << pickled << ' ' << name;
            EXPECT_EQ(found->dtype, tensor.dtype);
            EXPECT_EQ(found->shape, tensor.shape);
            EXPECT_TRUE(std::equal(found->bytes.begin(), found->bytes.end(), tensor.bytes.begin(), tensor.bytes.end()))
                << pickled << ' ' << name;
        }
    }
}

TEST(TorchPickleFiles, ReadsThePublishedAudioNetwork) {
    auto const path = fs::path(STRANDWAVE_SOURCE_DIR) / "../shared/data/audio/attenuate/weights.pt";
    if (!fs::exists(path)) { GTEST_SKIP() << path << " is not here"; }
    EXPECT_EQ(open_checkpoint(path).tensors().size(), 124U);
}

} // namespace
} // namespace strandwave

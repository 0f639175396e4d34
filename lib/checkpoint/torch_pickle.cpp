#include "lib/checkpoint/torch_pickle.h"

#include "lib/checkpoint/mapped_file.h"
#include "lib/checkpoint/pickle_reader.h"
#include "lib/checkpoint/zip_archive.h"
#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <optional>

namespace strandwave {
namespace {

using Bytes = std::span<std::byte const>;
using Id = Pickle::Id;

constexpr std::size_t kMaxPickleBytes = std::size_t{32} << 20;
constexpr std::string_view kRebuildTensor = "torch._utils _rebuild_tensor_v2";
constexpr std::string_view kRebuildParameter = "torch._utils _rebuild_parameter";
constexpr std::string_view kPickleName = "data.pkl";

struct StorageType {
    std::string_view name;
    DType dtype;
};
constexpr StorageType kStorageTypes[] = {{"torch DoubleStorage", DType::f64},    {"torch FloatStorage", DType::f32},
                                         {"torch HalfStorage", DType::f16},      {"torch LongStorage", DType::i64},
                                         {"torch BFloat16Storage", DType::bf16}, {"torch IntStorage", DType::i32},
                                         {"torch ShortStorage", DType::i16},     {"torch CharStorage", DType::i8},
                                         {"torch ByteStorage", DType::u8},       {"torch BoolStorage", DType::boolean}};

std::vector<std::string_view> allowed_globals() {
    std::vector<std::string_view> names = {kRebuildTensor, kRebuildParameter};
    for (auto const& type : kStorageTypes) {
        names.push_back(type.name);
    }
    return names;
}

/// Row-major, as torch counts it: the stride of an extent of 1 means nothing.
bool is_contiguous(std::vector<index_t> const& shape, std::vector<index_t> const& stride) {
    index_t expected = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
        if (shape[i] != 1 && stride[i] != expected) { return false; }
        expected *= shape[i];
    }
    return true;
}

/// A `torch.save` archive: its members, and what its pickle says.
class Archive {
public:
    explicit Archive(Bytes file)
        : members_(read_zip_directory(file)), folder_(find_folder()), globals_(allowed_globals()),
          pickle_(pickle_bytes(), globals_) {
        auto const order = members_.find(folder_ + "byteorder");
        if (order != members_.end() && text(order->second) != "little") {
            throw Error(ErrorCode::unsupported, "byte order '" + text(order->second).substr(0, 16) + "', not 'little'");
        }
    }

    void add_tensors(TensorStore& store) const {
        for (auto const& [key, value] : state_dict().items) {
            auto const* const name = pickle_.get<std::string>(key);
            if (name == nullptr) { malformed("a key of the state dict is no text"); }
            if (store.find(*name) != nullptr) { malformed("tensor '" + *name + "' is there twice"); }
            try {
                store.add(*name, tensor(value));
            } catch (Error const& error) { throw Error(error.code(), "tensor '" + *name + "': " + error.message()); }
        }
    }

private:
    [[noreturn]] static void malformed(std::string const& what) { throw Error(ErrorCode::malformed_checkpoint, what); }
    static std::string text(Bytes bytes) { return {reinterpret_cast<char const*>(bytes.data()), bytes.size()}; }

    /// The folder that holds everything is named after the file that was once written.
    std::string find_folder() const {
        std::optional<std::string> folder;
        for (auto const& [name, bytes] : members_) {
            auto const slash = name.find('/');
            if (slash == std::string::npos || name.substr(slash + 1) != kPickleName) { continue; }
            if (folder) { malformed("two members named data.pkl"); }
            folder = name.substr(0, slash + 1);
        }
        if (!folder) { malformed("no member <folder>/data.pkl: not written by torch.save"); }
        return *folder;
    }

    Bytes pickle_bytes() const {
        auto const bytes = members_.at(folder_ + std::string(kPickleName));
        if (bytes.size() > kMaxPickleBytes) {
            throw Error(ErrorCode::too_large, "data.pkl has " + std::to_string(bytes.size()) + " bytes, above " +
                                                  std::to_string(kMaxPickleBytes));
        }
        return bytes;
    }

    Pickle::Dict const& state_dict() const {
        auto const* const dict = std::get_if<Pickle::Dict>(&pickle_.top());
        if (dict == nullptr) { malformed("the pickle holds no dict"); }
        for (auto const& [key, value] : dict->items) {
            auto const* const name = pickle_.get<std::string>(key);
            auto const* const inner = pickle_.get<Pickle::Dict>(value);
            if (name != nullptr && inner != nullptr && *name == "state_dict") { return *inner; }
        }
        return *dict;
    }

    template <class T>
    T const& expect(Id id, char const* what) const {
        auto const* const value = pickle_.get<T>(id);
        if (value == nullptr) { malformed(std::string("the pickle has no ") + what + " where one belongs"); }
        return *value;
    }

    /// The arguments of a call of `global` with at least `count` of them.
    std::vector<Id> const& call(Id id, std::string_view global, std::size_t count) const {
        auto const& call = expect<Pickle::Call>(id, "tensor");
        auto const& arguments = expect<Pickle::Sequence>(call.arguments, "tensor").items;
        if (expect<Pickle::Global>(call.global, "tensor").name != global || arguments.size() < count) {
            malformed("not a plain tensor");
        }
        return arguments;
    }

    bool is_parameter(Id id) const {
        auto const* const call = pickle_.get<Pickle::Call>(id);
        return call != nullptr && expect<Pickle::Global>(call->global, "tensor").name == kRebuildParameter;
    }

    StoredTensor tensor(Id id) const {
        if (is_parameter(id)) { id = call(id, kRebuildParameter, 1)[0]; }
        auto const& arguments = call(id, kRebuildTensor, 4);
        auto tensor = storage(arguments[0]);
        auto const offset = expect<std::int64_t>(arguments[1], "storage offset");
        tensor.shape = extents(arguments[2]);
        take_window(tensor, offset, extents(arguments[3]));
        return tensor;
    }

    /// All bytes of a storage, as a tensor without a shape yet.
    StoredTensor storage(Id id) const {
        auto const& reference = expect<Pickle::Sequence>(expect<Pickle::Persistent>(id, "storage").id, "storage");
        if (reference.items.size() != 5 || expect<std::string>(reference.items[0], "storage") != "storage") {
            malformed("not a reference to a storage");
        }
        auto const& type = expect<Pickle::Global>(reference.items[1], "storage type").name;
        auto const& key = expect<std::string>(reference.items[2], "storage key");
        auto const count = expect<std::int64_t>(reference.items[4], "storage size");

        auto const* const known = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                               [&](StorageType const& entry) { return entry.name == type; });
        if (known == std::end(kStorageTypes)) { malformed("'" + type + "' is no storage type"); }
        auto const member = members_.find(folder_ + "data/" + key);
        if (member == members_.end()) { malformed("the archive has no member data/" + key); }
        auto const bytes = tensor_bytes(known->dtype, std::array{index_t{count}});
        if (bytes < 0 || static_cast<std::size_t>(bytes) != member->second.size()) {
            malformed("storage of " + std::to_string(count) + " elements, but data/" + key + " has " +
                      std::to_string(member->second.size()) + " bytes");
        }
        return {known->dtype, {}, member->second};
    }

    std::vector<index_t> extents(Id id) const {
        std::vector<index_t> values;
        for (Id const item : expect<Pickle::Sequence>(id, "shape").items) {
            values.push_back(expect<std::int64_t>(item, "extent"));
        }
        return values;
    }

    static void take_window(StoredTensor& tensor, index_t offset, std::vector<index_t> const& stride) {
        auto const bytes = tensor_bytes(tensor.dtype, tensor.shape);
        auto const available = static_cast<index_t>(tensor.bytes.size());
        auto const width = dtype_bytes(tensor.dtype);
        if (bytes < 0 || stride.size() != tensor.shape.size() || offset < 0 || offset > available / width ||
            bytes > available - offset * width) {
            malformed("shape " + shape_text(tensor.shape) + " at offset " + std::to_string(offset) +
                      " does not fit its storage of " + std::to_string(available / width) + " elements");
        }
        if (bytes > 0 && !is_contiguous(tensor.shape, stride)) {
            throw Error(ErrorCode::unsupported, "strides " + shape_text(stride) + " of shape " +
                                                    shape_text(tensor.shape) +
                                                    " are not contiguous; save it with .contiguous()");
        }
        tensor.bytes = tensor.bytes.subspan(static_cast<std::size_t>(offset * width), static_cast<std::size_t>(bytes));
    }

    std::map<std::string, Bytes> members_;
    std::string folder_;
    std::vector<std::string_view> globals_;
    Pickle pickle_;
};

bool starts_as_pickle(Bytes file) { return file.size() >= 2 && file[0] == std::byte{0x80} && file[1] <= std::byte{5}; }

} // namespace

void read_torch_pickle(std::filesystem::path const& path, TensorStore& store) {
    auto const file = std::make_shared<MappedFile const>(path);
    if (starts_as_pickle(file->bytes())) {
        throw Error(ErrorCode::unsupported,
                    path.string() +
                        ": a bare pickle, the old format of torch before 1.6; save it again with torch.save");
    }
    try {
        Archive(file->bytes()).add_tensors(store);
    } catch (Error const& error) { throw Error(error.code(), path.string() + ": " + error.message()); }
    store.keep(file);
}

} // namespace strandwave

#include "lib/checkpoint/safetensors_header.h"

#include "lib/core/error.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

namespace strandwave {
namespace {

constexpr std::pair<std::string_view, DType> kDTypes[] = {
    {"F64", DType::f64}, {"F32", DType::f32}, {"F16", DType::f16}, {"BF16", DType::bf16}, {"I64", DType::i64},
    {"I32", DType::i32}, {"I16", DType::i16}, {"I8", DType::i8},   {"U8", DType::u8},     {"BOOL", DType::boolean}};

std::string_view safetensors_name(DType dtype) {
    for (auto const& [name, value] : kDTypes) {
        if (value == dtype) { return name; }
    }
    return "";
}

[[noreturn]] void malformed(std::string const& what) { throw Error(ErrorCode::malformed_checkpoint, what); }

/// Takes the events of nlohmann's parser one by one and lets no other document through than the one above.
class HeaderHandler : public nlohmann::json_sax<nlohmann::json> {
public:
    std::vector<SafetensorsEntry> take() {
        if (place_ != Place::done) { malformed("the header is not a JSON object"); }
        return std::move(entries_);
    }

    bool start_object(std::size_t /*size*/) override {
        if (place_ == Place::outside) {
            place_ = Place::top;
        } else if (place_ == Place::top) {
            place_ = in_metadata_ ? Place::metadata : Place::entry;
            dtype_.reset();
            shape_.reset();
            offsets_.reset();
        } else {
            unexpected("an object");
        }
        return true;
    }

    bool key(std::string& name) override {
        if (place_ == Place::top) {
            if (!names_.insert(name).second) { malformed("tensor '" + name + "' is in the header twice"); }
            in_metadata_ = name == "__metadata__";
            tensor_ = name;
        }
        key_ = name;
        return true;
    }

    bool end_object() override {
        if (place_ == Place::top) {
            place_ = Place::done;
            return true;
        }
        if (place_ == Place::entry) { finish_entry(); }
        place_ = Place::top;
        return true;
    }

    bool start_array(std::size_t /*size*/) override {
        if (place_ != Place::entry) { unexpected("an array"); }
        if (key_ == "shape") {
            if (shape_) { repeated(); }
            shape_.emplace();
            place_ = Place::shape;
        } else if (key_ == "data_offsets") {
            if (offsets_) { repeated(); }
            offsets_.emplace();
            place_ = Place::offsets;
        } else {
            unexpected("an array");
        }
        return true;
    }

    bool end_array() override {
        if (place_ == Place::offsets && offsets_->size() != 2) { malformed(context() + ": must hold two numbers"); }
        place_ = Place::entry;
        return true;
    }

    bool number_unsigned(number_unsigned_t value) override {
        if (place_ == Place::shape) {
            if (value > static_cast<std::uint64_t>(std::numeric_limits<index_t>::max())) {
                malformed(context() + ": " + std::to_string(value) + " is too large");
            }
            shape_->push_back(static_cast<index_t>(value));
        } else if (place_ == Place::offsets && offsets_->size() < 2) {
            offsets_->push_back(value);
        } else {
            unexpected("a number");
        }
        return true;
    }

    bool string(std::string& value) override {
        if (place_ == Place::metadata) { return true; }
        if (place_ != Place::entry || key_ != "dtype") { unexpected("a text"); }
        if (dtype_) { repeated(); }
        for (auto const& [name, dtype] : kDTypes) {
            if (name == value) { dtype_ = dtype; }
        }
        if (!dtype_) { malformed("tensor '" + tensor_ + "' has the unknown dtype '" + value + "'"); }
        return true;
    }

    bool null() override { unexpected("null"); }
    bool boolean(bool /*value*/) override { unexpected("a truth value"); }
    bool number_integer(number_integer_t /*value*/) override { unexpected("a negative number"); }
    bool number_float(number_float_t /*value*/, std::string const& /*text*/) override { unexpected("a fraction"); }
    bool binary(binary_t& /*value*/) override { unexpected("binary data"); }

    bool parse_error(std::size_t position, std::string const& /*token*/,
                     nlohmann::json::exception const& /*error*/) override {
        malformed("the header is not valid JSON at its byte " + std::to_string(position));
    }

private:
    enum class Place : std::uint8_t { outside, top, metadata, entry, shape, offsets, done };

    std::string context() const { return "header, tensor '" + tensor_ + "', key '" + key_ + "'"; }
    [[noreturn]] void unexpected(std::string const& what) const {
        malformed(context() + ": " + what + " where the format has none");
    }
    [[noreturn]] void repeated() const { malformed(context() + ": there twice"); }

    void finish_entry() {
        if (!dtype_ || !shape_ || !offsets_) {
            malformed("tensor '" + tensor_ + "' lacks dtype, shape or data_offsets in the header");
        }
        entries_.push_back({tensor_, *dtype_, std::move(*shape_), (*offsets_)[0], (*offsets_)[1]});
    }

    Place place_ = Place::outside;
    bool in_metadata_ = false;
    std::string tensor_;
    std::string key_;
    std::optional<DType> dtype_;
    std::optional<std::vector<index_t>> shape_;
    std::optional<std::vector<std::uint64_t>> offsets_;
    std::set<std::string> names_;
    std::vector<SafetensorsEntry> entries_;
};

} // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view text) {
    HeaderHandler handler;
    nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
    return handler.take();
}

std::string write_safetensors_header(std::span<SafetensorsEntry const> entries) {
    nlohmann::ordered_json header;
    header["__metadata__"] = {{"format", "pt"}};
    for (auto const& entry : entries) {
        header[entry.name] = {{"dtype", safetensors_name(entry.dtype)},
                              {"shape", entry.shape},
                              {"data_offsets", {entry.begin, entry.end}}};
    }
    return header.dump();
}

} // namespace strandwave

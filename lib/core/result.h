#pragma once

#include "lib/core/error.h"

#include <optional>
#include <utility>
#include <variant>

namespace strandwave {

/// A value or an `Error`, with the names of C++23's `std::expected` (which g++ 12 lacks).
/// `value()` on an error throws that error, so a caller may choose either style.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T& value() & { return require(); }
    T&& value() && { return std::move(require()); }
    T& operator*() & { return require(); }
    T* operator->() { return &require(); }

    Error const& error() const { return std::get<1>(content_); }

private:
    T& require() {
        if (!has_value()) { throw error(); }
        return std::get<0>(content_);
    }

    std::variant<T, Error> content_;
};

/// Success, or an `Error`.
template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const {
        if (error_) { throw *error_; }
    }
    Error const& error() const { return *error_; }

private:
    std::optional<Error> error_;
};

} // namespace strandwave

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace strandwave {

/// A pickle read as plain data: nothing is imported or called. Values lie in one table and name each other by their
/// place in it, so that shared and cyclic values cost nothing and no depth of nesting recurses.
class Pickle {
public:
    using Id = std::uint32_t;

    struct None {};
    struct Sequence { ///< a tuple or a list
        std::vector<Id> items;
    };
    struct Dict { ///< a dict or an OrderedDict, in the order of the file
        std::vector<std::pair<Id, Id>> items;
    };
    struct Global {
        std::string name; ///< "torch FloatStorage"
    };
    struct Call {     ///< what the pickle asks to be called; whoever reads it decides what it means
        Id global;    ///< a Global
        Id arguments; ///< a Sequence
    };
    struct Persistent { ///< a reference to something outside the pickle
        Id id;
    };
    using Value = std::variant<None, bool, std::int64_t, double, std::string, Sequence, Dict, Global, Call, Persistent>;

    /// Reads the pickle that starts `bytes`. Understood are the opcodes that a state dict uses (protocol 2), and the
    /// globals in `allowed` besides `collections OrderedDict`. Throws unsupported naming any other opcode or global,
    /// truncated_input, malformed_checkpoint, too_large (more than 4 million values).
    Pickle(std::span<std::byte const> bytes, std::span<std::string_view const> allowed);

    Value const& operator[](Id id) const noexcept { return values_[id]; }
    Value const& top() const noexcept { return values_[top_]; }

    /// The value as a T, or null.
    template <class T>
    T const* get(Id id) const noexcept {
        return std::get_if<T>(&values_[id]);
    }

private:
    friend class PickleMachine;
    std::vector<Value> values_;
    Id top_ = 0;
};

} // namespace strandwave

#include "lib/checkpoint/pickle_reader.h"

#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_map>

namespace strandwave {
namespace {

constexpr std::size_t kMaxValues = std::size_t{1} << 22;
constexpr std::string_view kOrderedDict = "collections OrderedDict";

} // namespace

/// The stack machine that a pickle is a program for (Python's pickletools has the list of opcodes).
class PickleMachine {
public:
    using Id = Pickle::Id;

    PickleMachine(Pickle& pickle, std::span<std::byte const> bytes, std::span<std::string_view const> allowed)
        : values_(pickle.values_), bytes_(bytes), allowed_(allowed) {
        while (step()) {}
        if (stack_.size() != 1 || !marks_.empty()) { malformed("the stack does not hold one value at its end"); }
        pickle.top_ = stack_.back();
    }

private:
    /// Runs one opcode; false after STOP.
    bool step() {
        auto const opcode = take<std::uint8_t>();
        switch (opcode) {
        case 0x80: check_protocol(); break;
        case '.': return false;
        case '(': marks_.push_back(stack_.size()); break;
        case 'N': push(Pickle::None{}); break;
        case 0x88: push(true); break;
        case 0x89: push(false); break;
        case 'K': push(std::int64_t{take<std::uint8_t>()}); break;
        case 'M': push(std::int64_t{take<std::uint16_t>()}); break;
        case 'J': push(std::int64_t{take<std::int32_t>()}); break;
        case 0x8a: push(take_long()); break;
        case 'G': push(take_float()); break;
        case 'X': push(take_text(take<std::uint32_t>())); break;
        case ')': push(Pickle::Sequence{}); break;
        case ']': push(Pickle::Sequence{}); break;
        case 't': push(Pickle::Sequence{pop_to_mark()}); break;
        case 0x85: push(Pickle::Sequence{pop_many(1)}); break;
        case 0x86: push(Pickle::Sequence{pop_many(2)}); break;
        case 0x87: push(Pickle::Sequence{pop_many(3)}); break;
        case '}': push(Pickle::Dict{}); break;
        case 'a': append(pop_many(1)); break;
        case 'e': append(pop_to_mark()); break;
        case 's': set_items(pop_many(2)); break;
        case 'u': set_items(pop_to_mark()); break;
        case 'c': push_global(); break;
        case 'R': reduce(); break;
        case 'b': build(); break;
        case 'Q': push(Pickle::Persistent{pop()}); break;
        case 'q': memo_[take<std::uint8_t>()] = peek(); break;
        case 'r': memo_[take<std::uint32_t>()] = peek(); break;
        case 'h': recall(take<std::uint8_t>()); break;
        case 'j': recall(take<std::uint32_t>()); break;
        default: refuse_opcode(opcode);
        }
        return true;
    }

    [[noreturn]] void malformed(std::string const& what) const {
        throw Error(ErrorCode::malformed_checkpoint, "pickle, byte " + std::to_string(position_) + ": " + what);
    }

    [[noreturn]] void refuse_opcode(std::uint8_t opcode) const {
        static constexpr char kHex[] = "0123456789abcdef";
        std::string name = {'0', 'x', kHex[opcode >> 4], kHex[opcode & 15]};
        if (opcode > ' ' && opcode < 0x7f) { name += std::string(" '") + static_cast<char>(opcode) + "'"; }
        throw Error(ErrorCode::unsupported, "pickle, byte " + std::to_string(position_ - 1) + ": opcode " + name +
                                                " is none that a state dict needs");
    }

    std::span<std::byte const> take_bytes(std::size_t count) {
        if (count > bytes_.size() - position_) {
            throw Error(ErrorCode::truncated_input, "pickle: ends after " + std::to_string(bytes_.size()) + " bytes");
        }
        auto const taken = bytes_.subspan(position_, count);
        position_ += count;
        return taken;
    }

    template <class T>
    T take() {
        T value;
        std::memcpy(&value, take_bytes(sizeof(T)).data(), sizeof(T));
        return value;
    }

    std::string take_text(std::size_t size) {
        auto const text = take_bytes(size);
        return {reinterpret_cast<char const*>(text.data()), text.size()};
    }

    /// LONG1: a length byte, then a little-endian two's complement number.
    std::int64_t take_long() {
        auto const size = take<std::uint8_t>();
        if (size > 8) { malformed("an integer of " + std::to_string(size) + " bytes"); }
        auto const digits = take_bytes(size);
        if (digits.empty()) { return 0; }
        bool const negative = (digits.back() & std::byte{0x80}) != std::byte{0};
        std::uint64_t value = negative ? ~std::uint64_t{0} : 0;
        std::memcpy(&value, digits.data(), digits.size());
        return static_cast<std::int64_t>(value);
    }

    /// BINFLOAT is big-endian.
    double take_float() {
        auto digits = take<std::array<std::byte, sizeof(double)>>();
        std::reverse(digits.begin(), digits.end());
        return std::bit_cast<double>(digits);
    }

    std::string take_line() {
        std::size_t end = position_;
        while (end < bytes_.size() && bytes_[end] != std::byte{'\n'}) {
            ++end;
        }
        auto line = take_text(end - position_);
        take_bytes(1);
        return line;
    }

    void check_protocol() {
        auto const protocol = take<std::uint8_t>();
        if (protocol != 2) {
            throw Error(ErrorCode::unsupported, "pickle of protocol " + std::to_string(protocol) + ", not 2");
        }
    }

    void push(Pickle::Value value) {
        if (values_.size() >= kMaxValues) {
            throw Error(ErrorCode::too_large, "pickle: more than " + std::to_string(kMaxValues) + " values");
        }
        stack_.push_back(static_cast<Id>(values_.size()));
        values_.push_back(std::move(value));
    }

    Id peek() const {
        if (stack_.size() <= floor()) { malformed("the stack is empty"); }
        return stack_.back();
    }

    Id pop() {
        Id const id = peek();
        stack_.pop_back();
        return id;
    }

    /// What lies below the last mark is out of reach until the mark is taken.
    std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

    std::vector<Id> pop_from(std::size_t begin) {
        auto const first = stack_.begin() + static_cast<std::ptrdiff_t>(begin);
        std::vector<Id> items(first, stack_.end());
        stack_.erase(first, stack_.end());
        return items;
    }

    std::vector<Id> pop_many(std::size_t count) {
        if (stack_.size() < floor() + count) { malformed("the stack is empty"); }
        return pop_from(stack_.size() - count);
    }

    std::vector<Id> pop_to_mark() {
        if (marks_.empty()) { malformed("no mark on the stack"); }
        auto const begin = marks_.back();
        marks_.pop_back();
        return pop_from(begin);
    }

    void recall(std::uint32_t place) {
        auto const found = memo_.find(place);
        if (found == memo_.end()) { malformed("nothing is remembered at place " + std::to_string(place)); }
        stack_.push_back(found->second);
    }

    template <class T>
    T& top_as(char const* what) {
        auto* const value = std::get_if<T>(&values_[peek()]);
        if (value == nullptr) { malformed(std::string("expected ") + what); }
        return *value;
    }

    void append(std::vector<Id> const& items) {
        auto& list = top_as<Pickle::Sequence>("a list").items;
        list.insert(list.end(), items.begin(), items.end());
    }

    void set_items(std::vector<Id> const& items) {
        if (items.size() % 2 != 0) { malformed("a key without a value"); }
        auto& dict = top_as<Pickle::Dict>("a dict").items;
        for (std::size_t i = 0; i < items.size(); i += 2) {
            dict.emplace_back(items[i], items[i + 1]);
        }
    }

    void push_global() {
        auto const module = take_line();
        auto name = module + ' ' + take_line();
        if (name != kOrderedDict && std::find(allowed_.begin(), allowed_.end(), name) == allowed_.end()) {
            std::replace_if(
                name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
            throw Error(ErrorCode::unsupported, "pickle, byte " + std::to_string(position_) + ": global '" + name +
                                                    "' is none that a state dict needs; nothing was executed");
        }
        push(Pickle::Global{std::move(name)});
    }

    void reduce() {
        auto const arguments = pop();
        auto const callee = pop();
        auto const* const global = std::get_if<Pickle::Global>(&values_[callee]);
        auto const* const tuple = std::get_if<Pickle::Sequence>(&values_[arguments]);
        if (global == nullptr || tuple == nullptr) { malformed("a call of something that is no global"); }
        if (global->name != kOrderedDict) {
            push(Pickle::Call{callee, arguments});
        } else if (tuple->items.empty()) {
            push(Pickle::Dict{});
        } else {
            malformed("an OrderedDict made from arguments");
        }
    }

    /// Attributes of a state dict (`_metadata`, the versions of its modules) are passed over.
    void build() {
        pop();
        top_as<Pickle::Dict>("a dict");
    }

    std::vector<Pickle::Value>& values_;
    std::span<std::byte const> bytes_;
    std::span<std::string_view const> allowed_;
    std::size_t position_ = 0;
    std::vector<Id> stack_;
    std::vector<std::size_t> marks_;
    std::unordered_map<std::uint32_t, Id> memo_;
};

Pickle::Pickle(std::span<std::byte const> bytes, std::span<std::string_view const> allowed) {
    PickleMachine(*this, bytes, allowed);
}

} // namespace strandwave

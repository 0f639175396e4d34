#pragma once

#include "lib/core/view.h"

#include <functional>

#ifdef STRANDWAVE_TELL_TSAN // of its <sanitizer/tsan_interface.h>
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#endif

namespace strandwave::thread_order {

/// Tells ThreadSanitizer of an order that oneTBB keeps, which is not built for it: what a thread did before `release`
/// comes before what another one does behind `acquire`. For the same reason threads.cpp is compiled without it. In all
/// other builds this is nothing.
class Order {
public:
    void release() { tell(true); }
    void acquire() { tell(false); }

private:
    void tell([[maybe_unused]] bool released) {
#ifdef STRANDWAVE_TELL_TSAN
        released ? __tsan_release(this) : __tsan_acquire(this);
#endif
    }
};

/// Something that comes behind all that came in its orders before, and in front of all that will; also if it throws.
class Turn {
public:
    Turn(Order& one, Order& other) : one_(one), other_(other) {
        one.acquire();
        other.acquire();
    }
    ~Turn() {
        one_.release();
        other_.release();
    }
    Turn(Turn const&) = delete;
    Turn& operator=(Turn const&) = delete;

private:
    Order& one_;
    Order& other_;
};

/// A loop, for as long as it lives: its bodies are behind its begin and in front of its end, in no order.
class Loop {
public:
    Loop() { begin_.release(); }
    ~Loop() { end_.acquire(); }
    Loop(Loop const&) = delete;
    Loop& operator=(Loop const&) = delete;

    void run(std::function<void(index_t)> const& body, index_t i) {
        struct Body {
            explicit Body(Loop& owner) : loop(owner) { loop.begin_.acquire(); }
            ~Body() { loop.end_.release(); }
            Loop& loop;
        } const order(*this);
        body(i);
    }

private:
    Order begin_, end_;
};

} // namespace strandwave::thread_order

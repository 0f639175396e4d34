#pragma once

#include "lib/train/train_memory.h"

#include <deque>
#include <vector>

namespace strandwave {

/// Small results that wait on a device until they are asked for, first in, first out.
template <class T>
class DeviceQueue {
public:
    DeviceQueue(TrainOps& ops, MatrixStore& memory) : ops_(ops), places_(memory.array<T>(kPlaces)) {}

    /// What the ops before it leave at `from`. Waits once in kPlaces times.
    void push(T const* from) {
        if (waiting_ == kPlaces) { fetch(); }
        ops_.copy_bytes(places_ + waiting_++, from, sizeof(T));
    }

    /// The oldest; waits for all.
    T pop() {
        if (fetched_.empty()) { fetch(); }
        T const value = fetched_.front();
        fetched_.pop_front();
        return value;
    }

private:
    static constexpr index_t kPlaces = 256;

    void fetch() {
        std::vector<T> values(static_cast<std::size_t>(waiting_));
        ops_.download(values.data(), places_, waiting_ * static_cast<index_t>(sizeof(T)));
        fetched_.insert(fetched_.end(), values.begin(), values.end());
        waiting_ = 0;
    }

    TrainOps& ops_;
    T* places_; ///< [kPlaces] in device memory
    index_t waiting_ = 0;
    std::deque<T> fetched_;
};

} // namespace strandwave

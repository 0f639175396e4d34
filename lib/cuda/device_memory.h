#pragma once

#include "lib/core/view.h"
#include "lib/cuda/stream.h"

#include <cstddef>
#include <type_traits>
#include <utility>

namespace strandwave {

/// Owns bytes of the current GPU, uninitialised. Throws too_large when the GPU has not so many left.
class DeviceMemory {
public:
    DeviceMemory() = default;
    explicit DeviceMemory(index_t bytes);
    ~DeviceMemory();
    DeviceMemory(DeviceMemory&& other) noexcept { swap(other); }
    DeviceMemory& operator=(DeviceMemory&& other) noexcept {
        swap(other);
        return *this;
    }

    void* data() const noexcept { return data_; }
    index_t bytes() const noexcept { return bytes_; }

private:
    void swap(DeviceMemory& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
    }
    void* data_ = nullptr;
    index_t bytes_ = 0;
};

/// The same in page-locked memory of the host, which the GPU copies from and to without the processor.
class PinnedMemory {
public:
    PinnedMemory() = default;
    explicit PinnedMemory(index_t bytes);
    ~PinnedMemory();
    PinnedMemory(PinnedMemory&& other) noexcept { swap(other); }
    PinnedMemory& operator=(PinnedMemory&& other) noexcept {
        swap(other);
        return *this;
    }

    void* data() const noexcept { return data_; }
    index_t bytes() const noexcept { return bytes_; }

private:
    void swap(PinnedMemory& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
    }
    void* data_ = nullptr;
    index_t bytes_ = 0;
};

/// Numbers in device memory.
template <class T>
class DeviceArray {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    DeviceArray() = default;
    explicit DeviceArray(index_t size) : memory_(size * static_cast<index_t>(sizeof(T))), size_(size) {}

    T* data() const noexcept { return static_cast<T*>(memory_.data()); }
    index_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

private:
    DeviceMemory memory_;
    index_t size_ = 0;
};

/// Numbers in page-locked host memory.
template <class T>
class PinnedArray {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    PinnedArray() = default;
    explicit PinnedArray(index_t size) : memory_(size * static_cast<index_t>(sizeof(T))), size_(size) {}

    T* data() const noexcept { return static_cast<T*>(memory_.data()); }
    index_t size() const noexcept { return size_; }
    T& operator[](index_t i) const noexcept { return data()[i]; }

private:
    PinnedMemory memory_;
    index_t size_ = 0;
};

/// Copies in stream order. Host memory that is not pinned is copied before the call returns (uploads), or makes the
/// call wait (downloads).
void copy_to_device(void* to, void const* from, index_t bytes, GpuStream stream);
void copy_to_host(void* to, void const* from, index_t bytes, GpuStream stream);
void copy_on_device(void* to, void const* from, index_t bytes, GpuStream stream);
void fill_bytes(void* to, int value, index_t bytes, GpuStream stream);

/// `count` numbers of the host in new device memory, on the default stream; other streams may read them behind
/// wait_for_gpu().
template <class T>
DeviceArray<T> upload(T const* values, index_t count) {
    DeviceArray<T> array(count);
    if (count > 0) { copy_to_device(array.data(), values, count * static_cast<index_t>(sizeof(T)), nullptr); }
    return array;
}

/// Bytes that the current GPU can still give.
index_t free_device_bytes();

} // namespace strandwave

#pragma once

struct CUstream_st; // cudaStream_t and cudaEvent_t are pointers to these; no CUDA header is needed here
struct CUevent_st;

namespace strandwave {

/// What CUDA work is ordered on. Not owned.
using GpuStream = CUstream_st*;

/// Throws Error unless `status` (a cudaError_t) is success: too_large when device memory ran out, else device, with
/// `what` and CUDA's own words.
void check_cuda(int status, char const* what);

/// To be called behind every kernel launch: a launch that was refused throws Error (device), naming the op.
void check_launch(char const* op);

/// Until all that was put on the current GPU is done; throws what went wrong there.
void wait_for_gpu();

/// Makes `gpu` the one that later CUDA calls of this thread go to.
void use_gpu(int gpu);

class Event;

/// A stream of the current GPU; does not wait for the default stream.
class Stream {
public:
    /// The blocks of an urgent stream's kernels go before those of other streams that wait for a place on the chip.
    explicit Stream(bool urgent = false);
    ~Stream();
    Stream(Stream const&) = delete;
    Stream& operator=(Stream const&) = delete;

    GpuStream get() const noexcept { return stream_; }
    void wait_for(Event const& event) const; ///< what comes next on the stream runs behind that mark
    void wait() const;                       ///< until all that was put on it is done; throws what went wrong there

private:
    GpuStream stream_ = nullptr;
};

/// A mark in a stream.
class Event {
public:
    Event();
    ~Event();
    Event(Event const&) = delete;
    Event& operator=(Event const&) = delete;

    void record(GpuStream stream);
    void wait() const;                                   ///< the caller, until the mark is reached
    double milliseconds_since(Event const& begin) const; ///< both marks are reached

private:
    friend class Stream;
    CUevent_st* event_ = nullptr;
};

} // namespace strandwave

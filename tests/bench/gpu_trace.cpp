// What a GPU does while a program runs, as CUPTI saw it: a library that CUDA loads into any program. Beside kernels and
// copies, nothing of the program changes. It writes to stderr when the program ends.
//
//     CUDA_INJECTION64_PATH=libgpu_trace.so strandwave classify --device cuda:0 ...
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cupti.h>
#include <mutex>
#include <utility>
#include <vector>

namespace {

constexpr std::size_t kBufferBytes = std::size_t{8} << 20;
constexpr std::size_t kGapsShown = 8;
constexpr double kLongGap = 100e3; ///< ns
constexpr int kTenths = 10;

/// Of a kernel, copy or fill; ns.
struct Span {
    std::uint64_t begin;
    std::uint64_t end;
};

struct Trace {
    std::mutex mutex;
    std::vector<Span> spans;
    std::uint64_t first_kernel = UINT64_MAX;
    std::size_t kernels = 0;
};

/// Never destroyed: CUPTI may hand over its last buffer after static objects have gone.
Trace& trace() {
    static auto* const instance = new Trace;
    return *instance;
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
    *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(8, kBufferBytes));
    *size = kBufferBytes;
    *most_records = 0;
}

template <class Record>
Span span_of(CUpti_Activity const* record) {
    auto const* const timed = reinterpret_cast<Record const*>(record);
    return {timed->start, timed->end};
}

void add(CUpti_Activity const* record) {
    switch (record->kind) {
    case CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL:
        trace().spans.push_back(span_of<CUpti_ActivityKernel9>(record));
        trace().first_kernel = std::min(trace().first_kernel, trace().spans.back().begin);
        ++trace().kernels;
        break;
    case CUPTI_ACTIVITY_KIND_MEMCPY: trace().spans.push_back(span_of<CUpti_ActivityMemcpy5>(record)); break;
    case CUPTI_ACTIVITY_KIND_MEMSET: trace().spans.push_back(span_of<CUpti_ActivityMemset4>(record)); break;
    default: break;
    }
}

void CUPTIAPI take_buffer(CUcontext /*context*/, std::uint32_t /*stream*/, std::uint8_t* buffer, std::size_t /*size*/,
                          std::size_t valid_bytes) {
    std::lock_guard const lock(trace().mutex);
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
        add(record);
    }
    std::free(buffer);
}

/// From the first kernel to the end of the last span. Each tenth of that time by itself tells the start from the rest.
void report() {
    cuptiActivityFlushAll(1);
    std::lock_guard const lock(trace().mutex);
    auto& spans = trace().spans;
    if (trace().kernels == 0) { return; }
    std::sort(spans.begin(), spans.end(), [](Span const& a, Span const& b) { return a.begin < b.begin; });
    std::uint64_t busy_until = trace().first_kernel;
    std::vector<std::pair<std::uint64_t, double>> gaps; // where, and how long
    for (auto const& span : spans) {
        if (span.begin > busy_until) { gaps.emplace_back(busy_until, static_cast<double>(span.begin - busy_until)); }
        busy_until = std::max(busy_until, span.end);
    }
    auto const all = static_cast<double>(busy_until - trace().first_kernel);
    std::array<double, kTenths> idle_in{};
    double idle = 0;
    double long_idle = 0;
    for (auto const& [at, length] : gaps) {
        auto const share = static_cast<double>(at - trace().first_kernel) / all;
        idle_in.at(static_cast<std::size_t>(std::min(share * kTenths, kTenths - 1.0))) += length;
        idle += length;
        if (length > kLongGap) { long_idle += length; }
    }
    std::sort(gaps.begin(), gaps.end(), [](auto const& a, auto const& b) { return a.second > b.second; });
    std::fprintf(stderr, "gpu_trace: %zu kernels, %zu copies and fills in %.3f s: busy %.4f, idle %.4f, of it %.4f in ",
                 trace().kernels, spans.size() - trace().kernels, all * 1e-9, 1 - idle / all, idle / all,
                 long_idle / all);
    std::fprintf(stderr, "gaps over 0.1 ms\ngpu_trace: longest gaps, ms:");
    for (std::size_t i = 0; i < std::min(kGapsShown, gaps.size()); ++i) {
        std::fprintf(stderr, " %.3f", gaps[i].second * 1e-6);
    }
    std::fprintf(stderr, "\ngpu_trace: share of idle time, by tenths:");
    for (double const part : idle_in) {
        std::fprintf(stderr, " %.3f", part / (all / kTenths));
    }
    std::fprintf(stderr, "\n");
}

} // namespace

/// Called by CUDA when the program first uses it.
extern "C" int InitializeInjection() {
    cuptiActivityRegisterCallbacks(give_buffer, take_buffer);
    for (auto const kind :
         {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET}) {
        cuptiActivityEnable(kind);
    }
    std::atexit(report);
    return 1;
}

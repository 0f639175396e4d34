// What mamba_step_cuda.cu needs of thread block clusters (PTX ISA 8.0, sm_90): barriers in shared memory that count
// arrivals and bytes ("mbarrier") and stores into the shared memory of another block of the cluster that report to such
// a barrier ("st.async"). Addresses are of the shared state space, 32 bits. A barrier is awaited by the parity of its
// phase: 0, 1, 0, ...
#pragma once

#include <cstdint>
#include <cuda_runtime.h>

namespace strandwave::cluster {

__device__ __forceinline__ std::uint32_t address_of(void const* shared) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
}

/// This block's number in the cluster.
__device__ __forceinline__ unsigned int rank() {
    unsigned int value;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(value));
    return value;
}

/// All threads of the cluster meet; what they wrote before is seen by all after.
__device__ __forceinline__ void meet() {
    __syncwarp();
    asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

/// A barrier whose phases end when one thread has announced how many bytes are to come, and they have.
__device__ __forceinline__ void make_barrier(std::uint32_t barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
}

/// Barriers made before it are seen by blocks that meet this one after.
__device__ __forceinline__ void publish_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

/// Starts to await `bytes` in the barrier's phase, some of which may have come already.
__device__ __forceinline__ void announce(std::uint32_t barrier, std::uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/// Acquires in the scope of the block: what is sent lies in its own shared memory. The scope of the cluster would throw
/// away the L1 cache each time.
__device__ __forceinline__ void wait(std::uint32_t barrier, std::uint32_t parity) {
    asm volatile("{\n\t"
                 ".reg .pred done;\n\t"
                 "again:\n\t"
                 "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n\t"
                 "@!done bra again;\n\t"
                 "}" ::"r"(barrier),
                 "r"(parity)
                 : "memory");
}

/// The same place in the shared memory of another block of the cluster.
__device__ __forceinline__ std::uint32_t in_block(std::uint32_t address, int block) {
    std::uint32_t there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
    return there;
}

/// Stores a number in a block of the cluster and reports its four bytes to a barrier there.
__device__ __forceinline__ void send(float value, std::uint32_t to, std::uint32_t barrier) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];" ::"r"(to), "f"(value),
                 "r"(barrier)
                 : "memory");
}

/// Starts to bring bytes of device memory, in units of 16, into the L2 cache.
__device__ __forceinline__ void prefetch(void const* from, int bytes) {
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}

/// Of launches that may begin before the kernel before them in the stream ends (programmatic dependent launch): waits
/// until it has ended and what it wrote is there.
__device__ __forceinline__ void wait_for_kernel_before() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

/// The next launch may begin.
__device__ __forceinline__ void let_next_kernel_begin() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

} // namespace strandwave::cluster

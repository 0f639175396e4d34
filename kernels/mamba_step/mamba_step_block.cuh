// What a thread of mamba_step_cuda.cu knows of its block and of the cluster, and how blocks exchange numbers.
#pragma once

#include "kernels/mamba_step/mamba_step_cluster.cuh"
#include "kernels/mamba_step/mamba_step_impl.cuh"

namespace strandwave::step {

struct Params {
    Layout layout;
    SharedLayout shared;
    bool prefetch;
    unsigned char const* weights;
    float const* norms;
    float const* row; ///< of the embedding
    float* conv;      ///< state of layer 0
    float* scan;
    index_t conv_layer; ///< floats from layer to layer
    index_t scan_layer;
    std::int32_t initial;
    std::int32_t final;
    float epsilon;
    float one_by_d_model;
    float* normed;
    double* pool_state;
    double* pooled;
    Pooling pooling;
    bool first; ///< row of its record
};

/// What blocks send each other in a layer: all to all.
enum Exchange { kNormed = 0, kSums = 1, kRows = 2 };

struct Block {
    Params const& p;
    unsigned char* memory; ///< shared
    int rank;
    int warp;
    int lane;

    __device__ __forceinline__ Block(Params const& p_, unsigned char* memory_)
        : p(p_), memory(memory_), rank(static_cast<int>(cluster::rank())), warp(static_cast<int>(threadIdx.x) / kWarp),
          lane(static_cast<int>(threadIdx.x) % kWarp) {}

    __device__ __forceinline__ Layout const& layout() const { return p.layout; }
    __device__ __forceinline__ float* floats(int at) const { return reinterpret_cast<float*>(memory + at); }

    /// Makes the barriers and clears the rest: padding is read too. Nothing may be sent before all blocks have met.
    __device__ __forceinline__ void begin() const {
        if (threadIdx.x == 0) {
            for (Exchange const exchange : {kNormed, kSums, kRows}) {
                cluster::make_barrier(barrier(exchange));
            }
            cluster::publish_barriers();
            for (Exchange const exchange : {kNormed, kSums, kRows}) {
                cluster::announce(barrier(exchange), bytes_of(exchange));
            }
        }
        for (int at = 4 * static_cast<int>(threadIdx.x); at < p.shared.barriers; at += 4 * kThreads) {
            *floats(at) = 0.0F;
        }
    }

    /// A number to a place in another block.
    __device__ __forceinline__ void send(float value, float* to, int block, Exchange exchange) const {
        cluster::send(value, cluster::in_block(cluster::address_of(to), block),
                      cluster::in_block(barrier(exchange), block));
    }

    /// Until all of a layer's exchange has come. Thread 0 takes part.
    __device__ __forceinline__ void await(Exchange exchange, int layer) const {
        cluster::wait(barrier(exchange), static_cast<unsigned int>(layer) & 1U);
        if (threadIdx.x == 0) { cluster::announce(barrier(exchange), bytes_of(exchange)); } // the next one
    }

private:
    __device__ __forceinline__ std::uint32_t barrier(Exchange exchange) const {
        return cluster::address_of(memory + p.shared.barriers + 8 * exchange);
    }

    /// That a block gets.
    __device__ __forceinline__ std::uint32_t bytes_of(Exchange exchange) const {
        Layout const& l = layout();
        int const numbers = exchange == kNormed ? l.rows + l.owners
                            : exchange == kSums ? l.sums
                                                : l.row_tasks * kTaskRows;
        return 4U * static_cast<unsigned int>(l.blocks * numbers);
    }
};

} // namespace strandwave::step

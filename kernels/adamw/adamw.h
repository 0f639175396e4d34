#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

#include <cstdint>

namespace strandwave {

/// Every tensor of a flat vector of parameters begins at a multiple of it, and the vector ends at one.
inline constexpr index_t kParameterBlock = 64;

/// Bits of a block's byte of flags.
inline constexpr std::uint8_t kTrainable = 1;   ///< without it the block stays as it is
inline constexpr std::uint8_t kWeightDecay = 2; ///< and weight decay applies to it

/// What all parameters of a step share.
struct AdamWStep {
    float learning_rate = 0;
    float beta1 = 0.9F;
    float beta2 = 0.999F;
    float epsilon = 1e-8F;
    float weight_decay = 0;
    float correction1 = 1;  ///< 1 - beta1^t of step t = 1, 2, ..., with the beta1 above as rounded to float
    float correction2 = 1;  ///< 1 - beta2^t
    float max_norm = 0;     ///< of all gradients; 0: no clipping
    float average_rate = 0; ///< 1 - decay of the average at this step
};

/// One step of AdamW (Loshchilov & Hutter 2017, arXiv:1711.05101, algorithm 2, as torch.optim.AdamW has it):
///   g = gradient * min(1, max_norm / (sqrt(squared_norm) + 1e-6))      as torch.nn.utils.clip_grad_norm_
///   p = p * (1 - learning_rate * weight_decay)                          where the block decays
///   m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
///   p = p - (learning_rate / correction1) * m / (sqrt(v) / sqrt(correction2) + epsilon)
///   average = average + average_rate (p - average)                      Polyak & Juditsky 1992, exponential weights
///   working = bf16(p)
/// A block that is not trainable keeps p, m, v, average; so do all blocks if *squared_norm is not finite (a step that
/// overflowed is left out). `working` is written for every block in any case.
/// Precision: fp32, every operation rounded on its own: the same bits on every processor and GPU. Padding behind a
/// tensor stays 0 where parameters, gradients, moments and average are 0. Aliasing: none. Throws: shape_mismatch (count
/// is not a multiple of kParameterBlock).
struct AdamWArgs {
    float* parameters = nullptr;         ///< [count]
    float const* gradients = nullptr;    ///< [count]
    float* moment1 = nullptr;            ///< [count] m
    float* moment2 = nullptr;            ///< [count] v
    std::uint8_t const* flags = nullptr; ///< [count / kParameterBlock]
    index_t count = 0;
    AdamWStep const* step = nullptr;
    double const* squared_norm = nullptr; ///< of the gradients; null: neither clipped nor checked
    bf16_t* working = nullptr;            ///< [count]; null: none
    float* average = nullptr;             ///< [count]; null: none
};

void adamw(AdamWArgs const& args);

/// *out = the sum of squares of the gradients of trainable blocks, in double; the same bits every run. Throws
/// shape_mismatch.
void squared_norm(float const* gradients, std::uint8_t const* flags, index_t count, double* out);

} // namespace strandwave

#pragma once

#include "lib/core/random.h"
#include "lib/core/view.h"

#include <vector>

namespace strandwave {

/// How sound is varied in training. All off by default; each record of a batch draws anew.
struct AudioAugmentation {
    double gain_db = 0;           ///< gain from U(-gain_db, gain_db)
    double noise_probability = 0; ///< of added white noise,
    double noise_low_db = 10;     ///< at a signal to noise ratio from U(low, high)
    double noise_high_db = 40;
    double shift_s = 0;         ///< moves a recording by U(-shift_s, shift_s); zeros stand in for what is not there
    double speed = 0;           ///< plays it faster by a factor from U(1 - speed, 1 + speed), < 1
    double mix_probability = 0; ///< of mixing with a recording of another class
    double equalise_db = 0;     ///< bands that are louder or softer by up to so much: other rooms, microphones, voices
    double cutout = 0;          ///< a stretch of up to this share becomes silence

    bool operator==(AudioAugmentation const&) const = default;
};

/// Frames that AudioEncoder makes of a recording: frame i covers samples [i * hop, i * hop + length), the last one with
/// zeros behind its end. 0 for no samples; with hop > length a short tail may lie between two frames.
index_t frame_count(index_t samples, index_t length, index_t hop) noexcept;

/// Samples that `frames` frames span, at most.
inline index_t frame_span(index_t frames, index_t length, index_t hop) noexcept { return (frames - 1) * hop + length; }

/// Appends the frames of `samples`, row-major [frame_count, length].
void append_frames(View<float const, 1> samples, index_t length, index_t hop, std::vector<float>& frames);

/// out[i] = samples at position begin + i * step by linear interpolation, 0 outside of them. A whole `begin` and step 1
/// copy to the bit. step > 0.
void resample_linear(View<float const, 1> samples, double begin, double step, View<float, 1> out) noexcept;

/// Adds white noise of `snr_db` below the power of the signal; a silent signal stays as it is. The noise is the sum of
/// four uniform numbers, which is as white as a normal one and ten times as fast. Draws once a sample.
void add_noise(View<float, 1> samples, double snr_db, Random& random) noexcept;

/// A band around `centre` (share of the sampling rate, below 1/2) louder by `gain_db`: the peaking biquad of
/// R. Bristow-Johnson's Audio EQ Cookbook, of bandwidth centre / q.
void equalise(View<float, 1> samples, double centre, double q, double gain_db) noexcept;

/// Between-class mix (Tokozume, Ushiku & Harada 2017, arXiv:1711.10282, equation 2):
///   first = (p first + (1 - p) second) / sqrt(p^2 + (1 - p)^2), p = 1 / (1 + 10^((G1 - G2) / 20) (1 - r) / r)
/// so that `ratio` r of what is heard is the first. G is the largest sound pressure level of windows of `window`
/// samples; here without the paper's A-weighting, as root mean square. Views of one length.
void mix_sounds(View<float, 1> first, View<float const, 1> second, double ratio, index_t window) noexcept;

} // namespace strandwave

// SPDX-License-Identifier: Apache-2.0
// Average power spectra of images, after Karras et al. 2021, section 3.2 and appendix A: what a
// generator adds to or lacks of the frequencies of real images.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

namespace galette {

struct SpectrumSetup {
  int64_t image_size = 0;  ///< S
  double mean = 0;         ///< of all values 0..255 of the real images
  double std = 1;
  double beta = 8;     ///< shape of the Kaiser window
  int64_t interp = 4;  ///< frequencies per frequency of the images
};

/// Sums |FFT2(window (x - mean) / std, zero-padded to interp S)|^2 over channels and images. The
/// window is the symmetric Kaiser window of length S, along both axes, with unit energy each, so
/// that white noise of that mean and deviation has a power of 1, or 0 dB, everywhere.
class PowerSpectrum {
 public:
  /// Computes on `device`.
  explicit PowerSpectrum(const SpectrumSetup& setup, at::Device device = at::kCPU);

  /// uint8 [C, S, S], on any device.
  void add(const at::Tensor& image);
  /// For adding up those of several ranks: float64 on the host, and how many channels of images are
  /// in it.
  at::Tensor sum() const { return sum_.cpu(); }
  double count() const { return count_; }

  /// The average [interp S, interp S] of a sum() over `count` channels; frequency 0 comes first.
  static at::Tensor average(const at::Tensor& sum, double count);

 private:
  SpectrumSetup setup_;
  at::Tensor window_;  ///< float64 [S, S]
  at::Tensor sum_;     ///< float64 [interp S, interp S / 2 + 1]: the other half mirrors it
  double count_ = 0;
};

/// Mean and standard deviation of all values of all images, channels together. Sums are whole
/// numbers, so that they do not depend on their order.
class PixelStatistics {
 public:
  /// uint8, any shape.
  void add(const at::Tensor& image);
  /// int64 [3] for adding up those of several ranks: count, sum, sum of squares.
  at::Tensor sums() const { return sums_; }
  static double mean(const at::Tensor& sums);
  static double deviation(const at::Tensor& sums);

 private:
  at::Tensor sums_ = at::zeros({3}, at::kLong);
};

}  // namespace galette

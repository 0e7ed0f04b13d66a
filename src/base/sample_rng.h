// SPDX-License-Identifier: Apache-2.0
// Randomness without state: every draw of a run is a pure function of
// (seed, phase, purpose, sub-stream, iteration, global sample index, element).
// So the trajectory of a run does not depend on the number of ranks or on the micro-batch size, and
// a checkpoint stores no generator.
//
// Philox counter words: c0 = block (four 32-bit values each), c1 = sample, c2 = iteration,
// c3 = phase * 2^24 + purpose * 2^16 + sub; key = seed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <ATen/ATen.h>

namespace galette {

/// What a draw is for. The values are part of the file format: a run continues with the same ones.
enum class Purpose : uint8_t {
  init = 1,
  sampler = 2,
  z = 3,
  z2 = 4,
  mix = 5,
  label = 6,
  noise = 7,
  pl_noise = 8,
  aug_fake = 9,
  aug_real = 10,
  aug_pixels = 11,
  grid = 12,
  metric_z = 13,
  metric_label = 14,
  metric_noise = 15,
  metric_pick = 16,
};

/// Training phases, in the order in which an iteration runs them.
enum class Phase : uint8_t { none = 0, g_main = 1, g_reg = 2, d_main = 3, d_reg = 4 };

/// Names a stream of values: element e of sample g.
struct Stream {
  Purpose purpose;
  Phase phase = Phase::none;
  uint32_t iteration = 0;
  uint16_t sub = 0;
};

class SampleRng {
 public:
  explicit SampleRng(uint64_t seed) : seed_(seed) {}
  uint64_t seed() const { return seed_; }

  /// 32 random bits: element `index` of sample `sample`.
  uint32_t bits(const Stream& stream, uint32_t sample, uint64_t index = 0) const;
  /// Uniform in [0, 1), a multiple of 2^-24.
  double uniform(const Stream& stream, uint32_t sample, uint64_t index = 0) const;
  /// Integer in [0, n): the high word of a 64-bit draw (elements 2*index, 2*index+1) times n.
  uint64_t below(const Stream& stream, uint32_t sample, uint64_t n, uint64_t index = 0) const;

  /// Standard normals [samples.size(), shape...] by Box-Muller, of the type and on the device that
  /// `options` say. Row k is a function of samples[k] alone. Computed in double precision and
  /// rounded, but on GPUs in the type itself. `iteration`: int32 [1] on that device, whose value
  /// when the work is done takes the place of the stream's; or undefined.
  at::Tensor normal(const Stream& stream, const std::vector<int64_t>& samples,
                    const std::vector<int64_t>& shape, at::TensorOptions options,
                    const at::Tensor& iteration = {}) const;
  /// Fills a contiguous CPU tensor with the standard normals of one sample, threaded.
  void fill_normal(const Stream& stream, uint32_t sample, at::Tensor values) const;

 private:
  uint64_t seed_;
};

/// FNV-1a, for streams that are named by a text.
uint64_t fnv1a64(std::string_view text);

}  // namespace galette

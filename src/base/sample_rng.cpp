// SPDX-License-Identifier: Apache-2.0
#include "base/sample_rng.h"

#include <cmath>
#include <numbers>

#include "kernels/philox.h"
#include "kernels/threads.h"

namespace galette {
namespace {

PhiloxBlock block(uint64_t seed, const Stream& s, uint32_t sample, uint64_t number) {
  TORCH_CHECK(number >> 32 == 0, "random stream exhausted: a tensor of more than 2^34 elements");
  const uint32_t c3 = static_cast<uint32_t>(s.phase) << 24 |
                      static_cast<uint32_t>(s.purpose) << 16 | uint32_t{s.sub};
  return philox4x32(static_cast<uint32_t>(number), sample, s.iteration, c3,
                    static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

/// Box-Muller on two 32-bit values; u1 is in (0, 1], so the logarithm is finite.
void normal_pair(uint32_t x, uint32_t y, double& first, double& second) {
  const double radius = std::sqrt(-2.0 * std::log((x + 1.0) * 0x1p-32));
  const double angle = 2.0 * std::numbers::pi * (y * 0x1p-32);
  first = radius * std::cos(angle);
  second = radius * std::sin(angle);
}

template <typename T>
void fill_block_range(uint64_t seed, const Stream& stream, uint32_t sample, T* out, int64_t size,
                      int64_t first_block, int64_t last_block) {
  for (int64_t b = first_block; b < last_block; ++b) {
    const PhiloxBlock bits = block(seed, stream, sample, static_cast<uint64_t>(b));
    double values[4];
    normal_pair(bits.x[0], bits.x[1], values[0], values[1]);
    normal_pair(bits.x[2], bits.x[3], values[2], values[3]);
    for (int64_t i = 4 * b; i < std::min(4 * b + 4, size); ++i)
      out[i] = static_cast<T>(values[i & 3]);
  }
}

}  // namespace

uint32_t SampleRng::bits(const Stream& stream, uint32_t sample, uint64_t index) const {
  return block(seed_, stream, sample, index / 4).x[index % 4];
}

double SampleRng::uniform(const Stream& stream, uint32_t sample, uint64_t index) const {
  return (bits(stream, sample, index) >> 8) * 0x1p-24;
}

uint64_t SampleRng::below(const Stream& stream, uint32_t sample, uint64_t n, uint64_t index) const {
  const PhiloxBlock b = block(seed_, stream, sample, index / 2);
  const uint64_t value = uint64_t{b.x[2 * (index % 2)]} << 32 | b.x[2 * (index % 2) + 1];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(value) * n) >> 64);
}

at::Tensor SampleRng::normal(const Stream& stream, const std::vector<int64_t>& samples,
                             const std::vector<int64_t>& shape, at::ScalarType type) const {
  std::vector<int64_t> sizes{static_cast<int64_t>(samples.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  at::Tensor result = at::empty(sizes, type);
  for (size_t k = 0; k < samples.size(); ++k) {
    fill_normal(stream, static_cast<uint32_t>(samples[k]), result[static_cast<int64_t>(k)]);
  }
  return result;
}

void SampleRng::fill_normal(const Stream& stream, uint32_t sample, at::Tensor values) const {
  TORCH_CHECK(values.is_contiguous() && values.device().is_cpu(),
              "fill_normal: needs a contiguous CPU tensor");
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "fill_normal", [&] {
    scalar_t* out = values.data_ptr<scalar_t>();
    const int64_t size = values.numel();
    at::parallel_for(0, (size + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
      fill_block_range(seed_, stream, sample, out, size, begin, end);
    });
  });
}

uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace galette

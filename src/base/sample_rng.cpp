// SPDX-License-Identifier: Apache-2.0
#include "base/sample_rng.h"

#include <algorithm>

#include "kernels/philox_normal.h"
#include "kernels/philox_normal_math.h"
#include "kernels/threads.h"

namespace galette {
namespace {

PhiloxStream philox_stream(uint64_t seed, const Stream& s) {
  const uint32_t c3 = static_cast<uint32_t>(s.phase) << 24 |
                      static_cast<uint32_t>(s.purpose) << 16 | uint32_t{s.sub};
  return {s.iteration, c3, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
}

void check_block(uint64_t number) {
  TORCH_CHECK(number >> 32 == 0, "random stream exhausted: a tensor of more than 2^34 elements");
}

PhiloxBlock block(uint64_t seed, const Stream& s, uint32_t sample, uint64_t number) {
  check_block(number);
  const PhiloxStream p = philox_stream(seed, s);
  return philox4x32(static_cast<uint32_t>(number), sample, p.c2, p.c3, p.k0, p.k1);
}

template <typename T>
void fill_block_range(const PhiloxStream& stream, uint32_t sample, T* out, int64_t size,
                      int64_t first_block, int64_t last_block) {
  for (int64_t b = first_block; b < last_block; ++b) {
    check_block(static_cast<uint64_t>(b));
    double values[4];
    normal_block(stream, sample, static_cast<uint32_t>(b), values);
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
                             const std::vector<int64_t>& shape, at::TensorOptions options,
                             const at::Tensor& iteration) const {
  std::vector<int64_t> sizes{static_cast<int64_t>(samples.size())};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  if (options.device().is_cuda()) {
    const at::Tensor values = at::empty(sizes, options);
    fill_normal_on_gpu(values, std::vector<uint32_t>(samples.begin(), samples.end()),
                       philox_stream(seed_, stream), iteration);
    return values;
  }
  Stream now = stream;
  if (iteration.defined())
    now.iteration = static_cast<uint32_t>(*iteration.const_data_ptr<int32_t>());
  TORCH_CHECK(options.device().is_cpu(), "random normals: no generator for device ",
              options.device());
  at::Tensor result = at::empty(sizes, options);
  for (size_t k = 0; k < samples.size(); ++k) {
    fill_normal(now, static_cast<uint32_t>(samples[k]), result[static_cast<int64_t>(k)]);
  }
  return result;
}

void SampleRng::fill_normal(const Stream& stream, uint32_t sample, at::Tensor values) const {
  TORCH_CHECK(values.is_contiguous() && values.device().is_cpu(),
              "fill_normal: needs a contiguous CPU tensor");
  const PhiloxStream philox = philox_stream(seed_, stream);
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "fill_normal", [&] {
    scalar_t* out = values.data_ptr<scalar_t>();
    const int64_t size = values.numel();
    at::parallel_for(0, (size + 3) / 4, 4096, [&](int64_t begin, int64_t end) {
      fill_block_range(philox, sample, out, size, begin, end);
    });
  });
}

uint64_t fnv1a64(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "training/augment_source.h"

namespace galette {

uint32_t SampledAugmentSource::sample(int64_t row) const {
  return static_cast<uint32_t>(samples_.at(static_cast<size_t>(row)));
}

Stream SampledAugmentSource::gates(AugmentStep step) const {
  return {real_ ? Purpose::aug_real : Purpose::aug_fake, phase_, iteration_,
          static_cast<uint16_t>(2 * static_cast<uint16_t>(step))};
}

Stream SampledAugmentSource::values(AugmentStep step) const {
  Stream stream = gates(step);
  ++stream.sub;
  return stream;
}

double SampledAugmentSource::gate(AugmentStep step, int64_t row) const {
  return rng_.uniform(gates(step), sample(row));
}

double SampledAugmentSource::uniform(AugmentStep step, int64_t row, int64_t k) const {
  return rng_.uniform(values(step), sample(row), static_cast<uint64_t>(k));
}

double SampledAugmentSource::normal(AugmentStep step, int64_t row, int64_t k) const {
  const at::Tensor first = at::empty({k + 1}, at::kDouble);
  rng_.fill_normal(values(step), sample(row), first);
  return first.const_data_ptr<double>()[k];
}

void SampledAugmentSource::fill_noise(int64_t row, at::Tensor values) const {
  const auto pass = static_cast<uint16_t>(real_ ? 1 : 0);
  rng_.fill_normal({Purpose::aug_pixels, phase_, iteration_, pass}, sample(row), values);
}

}  // namespace galette

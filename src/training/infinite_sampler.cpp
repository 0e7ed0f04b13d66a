// SPDX-License-Identifier: Apache-2.0
#include "training/infinite_sampler.h"

namespace galette {
namespace {

constexpr Stream kShuffle{.purpose = Purpose::sampler, .sub = 0};
constexpr Stream kSteps{.purpose = Purpose::sampler, .sub = 1};

WindowOrder shuffled(const SampleRng& rng, int64_t size) {
  TORCH_CHECK(size >= 1, "the sampler needs at least one item");
  WindowOrder order(size);
  order.shuffle([&](uint64_t n) { return rng.below(kShuffle, 0, n, n - 1); });
  return order;
}

}  // namespace

InfiniteSampler::InfiniteSampler(const SampleRng& rng, int64_t size)
    : rng_(rng), order_(shuffled(rng, size)) {}

int64_t InfiniteSampler::next() {
  // A sample of the stream holds 2^32 draws, which a position may exceed.
  const auto q = static_cast<uint64_t>(position());
  return order_.next([&](uint64_t n) {
    return static_cast<int64_t>(
        rng_.below(kSteps, static_cast<uint32_t>(q >> 32), n, q & 0xffffffffu));
  });
}

void InfiniteSampler::seek(int64_t q) {
  TORCH_CHECK(q >= 0, "negative position in the order of samples");
  if (q < position()) order_ = shuffled(rng_, order_.size());
  while (position() < q) next();
}

}  // namespace galette

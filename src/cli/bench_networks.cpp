// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_networks.h"

#include <bit>

#include <fmt/format.h>

#include "io/check.h"

namespace galette {

void resolve_for_bench(TrainOptions& options, int64_t resolution, int ranks) {
  if (!std::has_single_bit(static_cast<uint64_t>(resolution))) {
    throw InputError(fmt::format("--resolution={}: give a power of two", resolution));
  }
  options.seed = 0;
  DatasetFacts images;
  images.num_images = options.batch;
  images.resolution = resolution;
  images.channels = kBenchChannels;
  resolve_options(options, ranks, images);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cmath>
#include <string>

#include "base/sample_rng.h"
#include "models/detector.h"

namespace galette::testing {

/// VGG16 and the heads of LPIPS under their published names, with random weights.
inline WeightMap random_lpips() {
  WeightMap weights;
  constexpr std::array<int64_t, 14> kChannels{3,   64,  64,  128, 128, 256, 256,
                                              256, 512, 512, 512, 512, 512, 512};
  constexpr std::array<int64_t, 5> kHeads{64, 128, 256, 512, 512};
  for (size_t i = 1; i < kChannels.size(); ++i) {
    const std::string name = "layers.conv" + std::to_string(i);
    const Stream stream{.purpose = Purpose::init, .sub = static_cast<uint16_t>(i)};
    const int64_t in = kChannels[i - 1];
    weights[name + ".weight"] =
        SampleRng(2).normal(stream, {0}, {kChannels[i], in, 3, 3}, at::kFloat)[0] *
        std::sqrt(2.0 / (9.0 * static_cast<double>(in)));
    weights[name + ".bias"] = at::zeros({kChannels[i]});
  }
  for (size_t i = 0; i < kHeads.size(); ++i)
    weights["lpips" + std::to_string(i)] = at::ones({kHeads[i], 1, 1});
  return weights;
}

}  // namespace galette::testing

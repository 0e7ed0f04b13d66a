// SPDX-License-Identifier: Apache-2.0
#include "models/architecture.h"

#include <algorithm>
#include <array>

#include "io/check.h"

namespace galette {
namespace {

// In the order of the enumeration.
constexpr std::array kNames{"orig", "skip", "resnet"};

}  // namespace

std::string architecture_name(Architecture architecture) {
  return kNames[static_cast<size_t>(architecture)];
}

Architecture architecture_from(const nlohmann::json& args, Architecture fallback) {
  const std::string name = args.value("architecture", architecture_name(fallback));
  const auto* const found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) {
    throw InputError("network argument architecture is '" + name + "'; give orig, skip or resnet");
  }
  return static_cast<Architecture>(found - kNames.begin());
}

int64_t first_low_resolution(int64_t img_resolution, int64_t num_fp16_res) {
  int64_t resolution = 2 * img_resolution;
  for (int64_t k = 0; k < num_fp16_res && resolution > 8; ++k) resolution /= 2;
  return std::max<int64_t>(resolution, 8);
}

}  // namespace galette

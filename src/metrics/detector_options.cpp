// SPDX-License-Identifier: Apache-2.0
#include "metrics/detector_options.h"

namespace galette {

void add_detector_options(OptionTable& table, std::vector<std::string>& detectors,
                          std::string& heads, std::string& cache) {
  const Defines nothing = Defines::nothing;
  table
      .add_list("detector", nothing, detectors,
                "weights of the networks that metrics look through, Inception-v3, VGG16 or "
                "EfficientNet-Lite0: *.pth or *.safetensors")
      .default_text("none");
  table
      .add("detector-heads", nothing, heads,
           "heads of LPIPS for ppl2_wend, if they are not with VGG16")
      .default_text("in --detector");
  table.add("cache", nothing, cache, "folder that keeps features of real images, or off")
      .default_text("galette in $XDG_CACHE_HOME or ~/.cache");
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "metrics/detector_file.h"

#include "io/weight_file.h"

namespace galette {

std::unique_ptr<Detector> load_detector(const std::string& path, InceptionInput input) {
  const WeightMap weights = io::read_weights(path);
  return make_detector({weights, path, io::file_digest(path)}, input);
}

std::unique_ptr<Lpips> load_lpips(const std::string& path, const std::string& heads) {
  const WeightMap weights = io::read_weights(path);
  const WeightOrigin vgg{weights, path, io::file_digest(path)};
  if (heads.empty()) return make_lpips(vgg);
  const WeightMap head_weights = io::read_weights(heads);
  const WeightOrigin apart{head_weights, heads, io::file_digest(heads)};
  return make_lpips(vgg, &apart);
}

}  // namespace galette

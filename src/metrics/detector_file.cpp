// SPDX-License-Identifier: Apache-2.0
#include "metrics/detector_file.h"

#include "io/weight_file.h"
#include "models/vgg16.h"

namespace galette {
namespace {

/// Networks compute where their weights are.
WeightMap read_weights(const std::string& path, at::Device device) {
  WeightMap weights = io::read_weights(path);
  for (auto& [name, value] : weights) value = value.to(device);
  return weights;
}

std::unique_ptr<Lpips> lpips_of(const WeightOrigin& vgg, const std::string& heads,
                                at::Device device) {
  if (heads.empty()) return make_lpips(vgg);
  const WeightMap weights = read_weights(heads, device);
  const WeightOrigin apart{weights, heads, io::file_digest(heads)};
  return make_lpips(vgg, &apart);
}

}  // namespace

std::unique_ptr<Detector> load_detector(const std::string& path, InceptionInput input) {
  const WeightMap weights = io::read_weights(path);
  return make_detector({weights, path, io::file_digest(path)}, input);
}

std::unique_ptr<Lpips> load_lpips(const std::string& path, const std::string& heads,
                                  at::Device device) {
  const WeightMap weights = read_weights(path, device);
  return lpips_of({weights, path, io::file_digest(path)}, heads, device);
}

DetectorNetworks load_networks(const std::string& path, const VggUse& use, const std::string& heads,
                               at::Device device) {
  const WeightMap weights = read_weights(path, device);
  const WeightOrigin file{weights, path, io::file_digest(path)};
  DetectorNetworks result;
  const bool is_vgg = Vgg16::is_in(weights);
  if (!is_vgg || use.features) result.detector = make_detector(file);
  if (is_vgg && use.lpips) result.lpips = lpips_of(file, heads, device);
  result.kind = is_vgg ? "vgg16" : result.detector->kind();
  return result;
}

}  // namespace galette

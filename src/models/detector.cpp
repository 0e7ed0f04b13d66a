// SPDX-License-Identifier: Apache-2.0
#include "models/detector.h"

#include <fmt/format.h>

#include "io/check.h"
#include "models/efficientnet.h"
#include "models/inception.h"
#include "models/vgg16.h"

namespace galette {
namespace {

WeightReader reader_of(const WeightOrigin& file, const char* network) {
  return {file.weights, at::kFloat,
          fmt::format("{}: read as the weights of {}", file.path, network)};
}

}  // namespace

at::Tensor Detector::log_probabilities(const at::Tensor& /*images*/) const {
  throw InputError(
      fmt::format("the inception score needs the weights of Inception-v3, not those of {}", kind_));
}

std::unique_ptr<Detector> make_detector(const WeightOrigin& file, InceptionInput input) {
  const WeightMap& weights = file.weights;
  if (Inception::is_in(weights))
    return std::make_unique<Inception>(reader_of(file, "Inception-v3 (2015-12-05)"), input,
                                       file.digest);
  if (EfficientNetLite::is_in(weights))
    return std::make_unique<EfficientNetLite>(reader_of(file, "EfficientNet-Lite0"), file.digest);
  if (Vgg16::is_in(weights)) return std::make_unique<Vgg16>(reader_of(file, "VGG16"), file.digest);
  throw InputError(fmt::format(
      "{}: holds no network that is known here (its first tensor is '{}'); give the weights of "
      "Inception-v3 (pt_inception-2015-12-05-6726825d.pth), VGG16 (vgg16-397923af.pth) or "
      "EfficientNet-Lite0 (efficientnet-lite0-57934424.pth)",
      file.path, weights.empty() ? "" : weights.begin()->first));
}

std::unique_ptr<Lpips> make_lpips(const WeightOrigin& vgg, const WeightOrigin* heads) {
  if (!Vgg16::is_in(vgg.weights))
    throw InputError(fmt::format("{}: holds no VGG16, which LPIPS needs", vgg.path));
  const WeightReader reader = reader_of(vgg, "VGG16");
  if (heads != nullptr)
    return std::make_unique<VggLpips>(reader, reader_of(*heads, "LPIPS heads for VGG16"),
                                      vgg.digest + "+" + heads->digest);
  if (!VggLpips::has_heads(vgg.weights))
    throw InputError(fmt::format(
        "{}: holds VGG16 but not the heads of LPIPS (lpips0 to lpips4); give them in a second file "
        "(vgg.pth of the package lpips)",
        vgg.path));
  return std::make_unique<VggLpips>(reader, reader, vgg.digest);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// Networks that were trained on photographs and judge generated ones: features [n, d] of images.
// Their weights come from a file (metrics/detector_file.h) and never change; a network computes in
// their type and on their device. Images are [n, 3, H, W] (or [n, 1, H, W], grey), RGB, 0 to 255,
// uint8 or floating point, of any size, on any device; every network resizes as it was trained
// to.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include <ATen/ATen.h>

namespace galette {

/// Tensors of a weight file by name.
using WeightMap = std::map<std::string, at::Tensor>;

/// Tensors, the file that they come from, for messages, and its SHA-256. The tensors may go once a
/// network is made.
struct WeightOrigin {
  const WeightMap& weights;
  std::string path, digest;
};

class Detector {
 public:
  virtual ~Detector() = default;
  /// Images -> [n, feature_dim()], without gradients.
  virtual at::Tensor features(const at::Tensor& images) const = 0;
  virtual int64_t feature_dim() const = 0;
  /// Images -> log of the probability of each class [n, classes], from logits without bias, as the
  /// inception score wants them. Throws InputError for networks other than Inception.
  virtual at::Tensor log_probabilities(const at::Tensor& images) const;

  /// "inception", "vgg16" or "efficientnet".
  const std::string& kind() const { return kind_; }
  /// SHA-256 of the weight file, 64 hexadecimal digits; empty when there was no file.
  const std::string& digest() const { return digest_; }

 protected:
  Detector(std::string kind, std::string digest)
      : kind_(std::move(kind)), digest_(std::move(digest)) {}

 private:
  std::string kind_, digest_;
};

/// How images come to Inception's 299x299 pixels: as in the original graph, where pixel j reads
/// coordinate j W/299, or half a pixel further as some ports do, whose distances differ slightly.
enum class InceptionInput { tensorflow, half_pixel };

/// The network that tensors belong to, told by their names. Throws InputError that says what is
/// missing and what to give.
std::unique_ptr<Detector> make_detector(const WeightOrigin& file,
                                        InceptionInput input = InceptionInput::tensorflow);

/// LPIPS, the perceptual distance of Zhang et al. 2018 over VGG16.
class Lpips {
 public:
  virtual ~Lpips() = default;
  /// Images of one size (>= 16; not resized) -> [n, D], where squared distances between rows are
  /// LPIPS. Differentiable in floating-point images; what lies outside of 0 to 255 is not clamped.
  virtual at::Tensor embed(const at::Tensor& images) const = 0;
  /// SHA-256 of the file or files, as Detector::digest; two are joined with "+".
  virtual const std::string& digest() const = 0;
};

/// From VGG16 with the heads, or from VGG16 and the heads apart. Throws InputError as make_detector
/// does.
std::unique_ptr<Lpips> make_lpips(const WeightOrigin& vgg, const WeightOrigin* heads = nullptr);

}  // namespace galette

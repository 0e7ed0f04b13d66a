// SPDX-License-Identifier: Apache-2.0
// What every metric works with: a generator, the ranks that share its samples, and draws. Sample s
// has its own latent and label, functions of the seed and s, whatever rank computes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <c10/util/Exception.h>

#include "io/dataset_file.h"
#include "models/detector.h"
#include "models/network.h"
#include "parallel/communicator.h"

namespace galette {

class ImageSet;

/// A generator, or none where images are given in its place.
class GeneratorRef {
 public:
  GeneratorRef(Generator& generator) : generator_(&generator) {}  // NOLINT: stands for a reference
  GeneratorRef(std::nullptr_t) {}                                 // NOLINT
  /// Throws c10::Error when there is none.
  operator Generator&() const {  // NOLINT
    TORCH_CHECK(generator_ != nullptr, "there is no generator");
    return *generator_;
  }

 private:
  Generator* generator_ = nullptr;
};

struct MetricSetup {
  /// Equal on all ranks. Metrics may change its precision and transform while they run.
  GeneratorRef generator;
  Communicator& comm;
  uint64_t seed = 0;
  /// Whose labels a conditional generator is given, and whose images are compared with.
  const io::Dataset* data = nullptr;
  /// Asked between batches, on all ranks; one that says yes stops the metric.
  std::function<bool()> stop = [] { return false; };
  /// For metrics that need them; at most one of a kind.
  std::vector<const Detector*> detectors{};
  /// Whether training saw mirror images, which metrics other than `_full` ones then count as well.
  bool mirror = false;
  /// The perceptual distance, for path lengths.
  const Lpips* lpips = nullptr;
  /// Folder that keeps features of real images (feature_cache.h); empty for none.
  std::string cache{};
  /// Judged in place of images that a generator makes.
  ImageSet* images = nullptr;
  /// CREPS: images are made with so many pixels per pixel of the training images.
  double scale = 1;
};

/// Thrown by all ranks when `stop` asked for it.
class MetricStopped : public std::runtime_error {
 public:
  MetricStopped() : std::runtime_error("stopped before its end") {}
};

/// Labels [n, c_dim] of some samples: those of random items of the dataset, or of no width.
at::Tensor sample_labels(const MetricSetup& setup, const std::vector<int64_t>& samples);

/// Latents for all layers [n, num_ws, w_dim], not truncated, of some samples.
at::Tensor sample_latents(const MetricSetup& setup, const std::vector<int64_t>& samples);

/// Runs `work` on all ranks; when it throws on any, all throw InputError with that message.
/// Collective.
void on_all_ranks(const MetricSetup& setup, const std::function<void()>& work);

/// Throws MetricStopped on all ranks when one wants to stop. Collective.
void stop_if_asked(const MetricSetup& setup);

/// Samples that are computed at a time. They share what is drawn per batch.
inline constexpr int64_t kMetricBatch = 4;

/// Splits samples 0 ... `samples`-1 into batches of `size` and calls `work` for this rank's part of
/// them, without gradients, showing progress. The batches do not depend on the number of ranks, so
/// neither does the rounding of what is computed with a whole batch. When it throws on any rank,
/// all throw std::runtime_error. Collective.
void for_each_batch(
    const std::string& title, int64_t samples, const MetricSetup& setup,
    const std::function<void(int64_t batch, const std::vector<int64_t>& samples)>& work,
    int64_t size = kMetricBatch);

}  // namespace galette

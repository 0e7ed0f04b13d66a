// SPDX-License-Identifier: Apache-2.0
#include "metrics/feature_metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "base/sample_rng.h"
#include "io/check.h"
#include "metrics/feature_cache.h"
#include "metrics/feature_math.h"
#include "metrics/generated_images.h"
#include "metrics/neighbours.h"
#include "metrics/shared_features.h"

namespace galette {
namespace {

using Results = std::vector<std::pair<std::string, double>>;
/// What is wanted of some images: features, or probabilities.
using Look = std::function<at::Tensor(const at::Tensor& images)>;
/// Takes that of this rank's images on the host, part by part in their order, with the number of
/// the first.
using Sink = std::function<void(int64_t first, const at::Tensor&)>;

constexpr int64_t kImagesAtATime = 16;  ///< that a detector is given
constexpr int64_t kSubsets = 100;       ///< of a kernel distance
constexpr int64_t kSubsetSize = 1000;
constexpr int64_t kNeighbours = 3;
constexpr int64_t kSplits = 10;  ///< of an inception score
constexpr int64_t kClasses = 1008;
constexpr int64_t kMostRealOfKernel = 1'000'000, kMostRealOfManifold = 200'000;

/// The first items of a dataset.
class RealImages final : public ImageSet {
 public:
  RealImages(io::Dataset data, int64_t count) : data_(std::move(data)), count_(count) {}
  int64_t count() const override { return count_; }
  at::Tensor images(const std::vector<int64_t>& numbers) override { return data_.images(numbers); }

 private:
  io::Dataset data_;
  int64_t count_;
};

class FeatureMetric {
 public:
  FeatureMetric(const Metric& metric, const MetricSetup& setup)
      : metric_(metric),
        setup_(setup),
        detector_(*detector_of(metric, setup)),
        generated_(setup, metric.samples) {}

  FeatureResult compute() {
    require(metric_.samples);
    require_images();
    if (needs_real_images(metric_)) open_real_images();
    FeatureResult result{values()};
    if (real_) result.num_real = real_->count();
    result.real_cached = real_cached_;
    return result;
  }

 private:
  Results values() {
    switch (metric_.kind) {
      case MetricKind::frechet:
        return {{metric_.name, frechet()}};
      case MetricKind::kernel:
        return {{metric_.name, kernel()}};
      case MetricKind::precision_recall:
        return precision_and_recall();
      case MetricKind::inception_score:
        return inception();
      default:
        TORCH_CHECK(false, metric_.name, " compares no features");
    }
  }

  int64_t most_real() const {
    if (!metric_.is_full) return metric_.samples;
    switch (metric_.kind) {
      case MetricKind::kernel:
        return kMostRealOfKernel;
      case MetricKind::precision_recall:
        return kMostRealOfManifold;
      default:
        return std::numeric_limits<int64_t>::max();
    }
  }

  void open_real_images() {
    const bool mirror = setup_.mirror && !metric_.is_full;
    on_all_ranks(setup_, [&] {
      io::Dataset data =
          io::Dataset::open(setup_.data->info().path, {.labels = false, .mirror = mirror});
      const int64_t count = std::min(data.size(), most_real());
      real_ = std::make_unique<RealImages>(std::move(data), count);
    });
    require(real_->count());
    const io::DatasetInfo& info = setup_.data->info();
    // Without a digest, nothing tells detectors apart.
    cache_ = std::make_unique<FeatureCache>(
        detector_.digest().empty() ? "" : setup_.cache,
        FeatureKey{info.fingerprint, detector_.kind(), detector_.digest(), real_->count(),
                   real_->count() > info.num_images},
        setup_.comm);
  }

  /// Those that are judged.
  ImageSet& judged() { return setup_.images != nullptr ? *setup_.images : generated_; }

  void each_part(const std::string& title, ImageSet& set, int64_t count, const Look& look,
                 const Sink& sink) const {
    for_each_batch(
        title, count, setup_,
        [&](int64_t /*batch*/, const std::vector<int64_t>& numbers) {
          sink(numbers.front(), look(set.images(numbers)).cpu());
        },
        kImagesAtATime);
  }

  void judged_features(const Sink& sink) {
    each_part(
        metric_.name, judged(), metric_.samples,
        [this](const at::Tensor& x) { return detector_.features(x); }, sink);
  }
  void real_features(const Sink& sink) {
    each_part(
        metric_.name + ", real", *real_, real_->count(),
        [this](const at::Tensor& x) { return detector_.features(x); }, sink);
  }

  FeatureMoments moments(const std::function<void(const Sink&)>& source) const {
    FeatureMoments moments(detector_.feature_dim());
    source([&](int64_t /*first*/, const at::Tensor& features) { moments.add(features); });
    setup_.comm.all_reduce(moments.sum, ReduceOp::sum);
    setup_.comm.all_reduce(moments.products, ReduceOp::sum);
    moments.count = std::llround(setup_.comm.sum(static_cast<double>(moments.count)));
    return moments;
  }

  FeatureMoments real_moments() {
    if (auto kept = cache_->load_moments(detector_.feature_dim())) {
      real_cached_ = true;
      return *kept;
    }
    FeatureMoments result = moments([&](const Sink& sink) { real_features(sink); });
    cache_->save(result);
    return result;
  }

  SharedFeatures shared(const std::function<void(const Sink&)>& source) const {
    std::vector<at::Tensor> parts{at::empty({0, detector_.feature_dim()}, at::kFloat)};
    source([&](int64_t /*first*/, const at::Tensor& features) {
      parts.push_back(features.to(at::kFloat));
    });
    return {at::cat(parts), setup_.comm};
  }

  SharedFeatures shared_real() {
    if (auto kept = cache_->load_features(detector_.feature_dim())) {
      real_cached_ = true;
      return *kept;
    }
    SharedFeatures result = shared([&](const Sink& sink) { real_features(sink); });
    cache_->save(result);
    return result;
  }
  SharedFeatures shared_judged() {
    return shared([&](const Sink& sink) { judged_features(sink); });
  }

  double frechet() {
    const FeatureMoments reals = real_moments();
    return frechet_distance(reals, moments([&](const Sink& sink) { judged_features(sink); }));
  }

  /// Numbers of a subset of `rows` without repetition: the first of a shuffle.
  std::vector<int64_t> subset(int64_t rows, int64_t size, uint16_t set, int64_t number) const {
    const SampleRng rng(setup_.seed);
    std::vector<int64_t> order(static_cast<size_t>(rows));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = 0; i < size; ++i) {
      const auto left = static_cast<uint64_t>(rows - i);
      const Stream stream{Purpose::metric_pick, Phase::none, 0, set};
      const auto offset =
          rng.below(stream, static_cast<uint32_t>(number), left, static_cast<uint64_t>(i));
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i) + offset]);
    }
    order.resize(static_cast<size_t>(size));
    return order;
  }

  /// The subsets are dealt out to the ranks, which all help to collect them.
  double kernel() {
    const SharedFeatures reals = shared_real(), fakes = shared_judged();
    const int64_t size = std::min({kSubsetSize, reals.rows(), fakes.rows()});
    double sum = 0;
    for (int64_t number = 0; number < kSubsets; ++number) {
      stop_if_asked(setup_);
      const at::Tensor real = reals.pick(subset(reals.rows(), size, 1, number));
      const at::Tensor fake = fakes.pick(subset(fakes.rows(), size, 0, number));
      if (number % setup_.comm.size() == setup_.comm.rank()) sum += kernel_distance(real, fake);
    }
    return setup_.comm.sum(sum) / kSubsets;
  }

  /// Features are rounded to 16 bits, as published results are.
  Results precision_and_recall() {
    const auto rounded = [&](const SharedFeatures& features) {
      return SharedFeatures(features.own().to(at::kHalf).to(at::kFloat), setup_.comm);
    };
    const SharedFeatures reals = rounded(shared_real()), fakes = rounded(shared_judged());
    const Coverage result = coverage(reals, fakes, kNeighbours, [this] { stop_if_asked(setup_); });
    return {{metric_.name + "_precision", result.precision},
            {metric_.name + "_recall", result.recall}};
  }

  Results inception() {
    InceptionScore score(metric_.samples, kSplits, kClasses);
    each_part(
        metric_.name, judged(), metric_.samples,
        [this](const at::Tensor& x) { return detector_.log_probabilities(x); },
        [&](int64_t first, const at::Tensor& log_probabilities) {
          score.add(first, log_probabilities);
        });
    setup_.comm.all_reduce(score.sums, ReduceOp::sum);
    const auto [mean, deviation] = score.value();
    return {{metric_.name + "_mean", mean}, {metric_.name + "_std", deviation}};
  }

  int64_t least() const {
    switch (metric_.kind) {
      case MetricKind::precision_recall:
        return kNeighbours + 1;
      case MetricKind::inception_score:
        return kSplits;
      default:
        return 2;
    }
  }

  void require(int64_t images) const {
    if (images >= least()) return;
    throw InputError(fmt::format("{}: {} image{} too few: at least {} are needed", metric_.name,
                                 images, images == 1 ? " is" : "s are", least()));
  }

  /// The metric's name says how many are judged.
  void require_images() const {
    if (setup_.images == nullptr || setup_.images->count() >= metric_.samples) return;
    throw InputError(fmt::format("{}: takes {} images, and there are {}: name that number or less",
                                 metric_.name, metric_.samples, setup_.images->count()));
  }

  const Metric& metric_;
  const MetricSetup& setup_;
  const Detector& detector_;
  GeneratedImages generated_;
  std::unique_ptr<ImageSet> real_;
  std::unique_ptr<FeatureCache> cache_;
  bool real_cached_ = false;
};

}  // namespace

bool needs_real_images(const Metric& metric) {
  return metric.kind == MetricKind::frechet || metric.kind == MetricKind::kernel ||
         metric.kind == MetricKind::precision_recall;
}

const Detector* detector_of(const Metric& metric, const MetricSetup& setup) {
  for (const Detector* detector : setup.detectors) {
    if (detector->kind() == metric.detector) return detector;
  }
  return nullptr;
}

FeatureResult feature_metric(const Metric& metric, const MetricSetup& setup) {
  TORCH_CHECK(detector_of(metric, setup) != nullptr, metric.name, " needs a detector network");
  TORCH_CHECK(!needs_real_images(metric) || setup.data != nullptr, metric.name, " needs a dataset");
  const at::NoGradGuard no_grad;
  return FeatureMetric(metric, setup).compute();
}

}  // namespace galette

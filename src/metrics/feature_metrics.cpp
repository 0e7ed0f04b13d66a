// SPDX-License-Identifier: Apache-2.0
#include "metrics/feature_metrics.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "base/sample_rng.h"
#include "io/check.h"
#include "metrics/feature_math.h"

namespace galette {
namespace {

using Results = std::vector<std::pair<std::string, double>>;
/// Images uint8 [n, C, R, R] of some samples.
using Images = std::function<at::Tensor(const std::vector<int64_t>&)>;
/// Takes what a detector makes of this rank's images, part by part in their order.
using Sink = std::function<void(const at::Tensor&)>;

constexpr int64_t kImagesAtATime = 32;  ///< that a detector is given
constexpr int64_t kSubsets = 100;       ///< of a kernel distance
constexpr int64_t kSubsetSize = 1000;
constexpr int64_t kNeighbours = 3;
constexpr int64_t kSplits = 10;  ///< of an inception score
constexpr int64_t kMostRealOfKernel = 1'000'000, kMostRealOfManifold = 200'000;

class FeatureMetric {
 public:
  FeatureMetric(const Metric& metric, const MetricSetup& setup)
      : metric_(metric), setup_(setup), detector_(*detector_of(metric, setup)) {}

  FeatureResult compute() {
    require(metric_.samples);
    if (needs_real_images(metric_)) open_real_images();
    return {values(), num_real_};
  }

 private:
  Results values() const {
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
    on_all_ranks(setup_, [&] {
      real_ = io::Dataset::open(setup_.data->info().path,
                                {.labels = false, .mirror = setup_.mirror && !metric_.is_full});
    });
    num_real_ = std::min(real_->size(), metric_.is_full ? most_real() : metric_.samples);
    require(num_real_);
  }

  /// `f` of this rank's part of `count` images.
  void each_part(const std::string& title, int64_t count, const Images& images,
                 const std::function<at::Tensor(const at::Tensor&)>& f, const Sink& sink) const {
    const int64_t batches = (count + kMetricBatch - 1) / kMetricBatch;
    const int64_t last = batches * (setup_.comm.rank() + 1) / setup_.comm.size() - 1;
    std::vector<at::Tensor> waiting;
    int64_t size = 0;
    for_each_batch(title, count, setup_, [&](int64_t batch, const std::vector<int64_t>& samples) {
      waiting.push_back(images(samples));
      size += waiting.back().size(0);
      if (size < kImagesAtATime && batch != last) return;
      sink(f(at::cat(waiting)));
      waiting.clear();
      size = 0;
    });
  }

  at::Tensor generate(const std::vector<int64_t>& samples) const {
    const at::Tensor images = setup_.generator.synthesize(sample_latents(setup_, samples));
    return (images.to(at::kFloat) * 127.5 + 128).clamp_(0, 255).to(at::kByte);
  }

  void generated(const Sink& sink) const {
    each_part(
        metric_.name, metric_.samples, [this](const auto& s) { return generate(s); },
        [this](const at::Tensor& x) { return detector_.features(x); }, sink);
  }

  void real(const Sink& sink) const {
    each_part(
        metric_.name + ", real", num_real_, [this](const auto& s) { return real_->images(s); },
        [this](const at::Tensor& x) { return detector_.features(x); }, sink);
  }

  FeatureMoments moments(const std::function<void(const Sink&)>& source) const {
    FeatureMoments moments(detector_.feature_dim());
    source([&](const at::Tensor& features) { moments.add(features); });
    setup_.comm.all_reduce(moments.sum, ReduceOp::sum);
    setup_.comm.all_reduce(moments.products, ReduceOp::sum);
    moments.count = std::llround(setup_.comm.sum(static_cast<double>(moments.count)));
    return moments;
  }

  /// Those of all ranks, in the order of the images.
  at::Tensor gathered(const std::function<void(const Sink&)>& source, int64_t width) const {
    std::vector<at::Tensor> parts{at::empty({0, width}, at::kFloat)};
    source([&](const at::Tensor& features) { parts.push_back(features.to(at::kFloat)); });
    const at::Tensor own = at::cat(parts);
    Communicator& comm = setup_.comm;
    at::Tensor counts = at::empty({comm.size()}, at::kLong);
    comm.all_gather(at::tensor({own.size(0)}, at::kLong), counts);
    const auto share = counts.max().item<int64_t>();
    const at::Tensor padded = at::zeros({share, width}, at::kFloat);
    padded.narrow(0, 0, own.size(0)).copy_(own);
    at::Tensor all = at::empty({comm.size(), share, width}, at::kFloat);
    comm.all_gather(padded, all);
    std::vector<at::Tensor> rows;
    for (int rank = 0; rank < comm.size(); ++rank) {
      rows.push_back(all[rank].narrow(0, 0, counts[rank].item<int64_t>()));
    }
    return at::cat(rows);
  }

  at::Tensor real_features() const {
    return gathered([&](const Sink& sink) { real(sink); }, detector_.feature_dim());
  }
  at::Tensor generated_features() const {
    return gathered([&](const Sink& sink) { generated(sink); }, detector_.feature_dim());
  }

  double frechet() const {
    const FeatureMoments reals = moments([&](const Sink& sink) { real(sink); });
    return frechet_distance(reals, moments([&](const Sink& sink) { generated(sink); }));
  }

  /// Rows of a subset without repetition: the first of a shuffle.
  at::Tensor pick(const at::Tensor& rows, int64_t size, uint16_t set, int64_t subset) const {
    const SampleRng rng(setup_.seed);
    std::vector<int64_t> order(static_cast<size_t>(rows.size(0)));
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = 0; i < size; ++i) {
      const auto left = static_cast<uint64_t>(rows.size(0) - i);
      const Stream stream{Purpose::metric_pick, Phase::none, 0, set};
      const auto offset =
          rng.below(stream, static_cast<uint32_t>(subset), left, static_cast<uint64_t>(i));
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i) + offset]);
    }
    order.resize(static_cast<size_t>(size));
    return rows.index_select(0, at::tensor(order, at::kLong));
  }

  /// The subsets are dealt out to the ranks.
  double kernel() const {
    const at::Tensor reals = real_features();
    const at::Tensor fakes = generated_features();
    const int64_t size = std::min({kSubsetSize, reals.size(0), fakes.size(0)});
    double sum = 0;
    for (int64_t subset = setup_.comm.rank(); subset < kSubsets; subset += setup_.comm.size()) {
      sum += kernel_distance(pick(reals, size, 1, subset), pick(fakes, size, 0, subset));
    }
    return setup_.comm.sum(sum) / kSubsets;
  }

  /// The fraction of `probes` inside the manifold; rows of both are shared out to the ranks.
  double fraction_inside(const at::Tensor& manifold, const at::Tensor& probes) const {
    const int64_t ranks = setup_.comm.size(), rank = setup_.comm.rank();
    const auto part = [&](const at::Tensor& rows) {
      const int64_t n = rows.size(0);
      return rows.slice(0, n * rank / ranks, n * (rank + 1) / ranks);
    };
    at::Tensor radii = at::zeros({manifold.size(0)}, at::kDouble);
    part(radii).copy_(neighbour_radii(manifold, part(manifold), kNeighbours));
    setup_.comm.all_reduce(radii, ReduceOp::sum);
    const int64_t inside = count_inside(manifold, radii, part(probes));
    return setup_.comm.sum(static_cast<double>(inside)) / static_cast<double>(probes.size(0));
  }

  /// Features are rounded to 16 bits, as published results are.
  Results precision_and_recall() const {
    const at::Tensor reals = real_features().to(at::kHalf).to(at::kFloat);
    const at::Tensor fakes = generated_features().to(at::kHalf).to(at::kFloat);
    return {{metric_.name + "_precision", fraction_inside(reals, fakes)},
            {metric_.name + "_recall", fraction_inside(fakes, reals)}};
  }

  Results inception() const {
    constexpr int64_t kClasses = 1008;
    const at::Tensor log_p = gathered(
        [&](const Sink& sink) {
          each_part(
              metric_.name, metric_.samples, [this](const auto& s) { return generate(s); },
              [this](const at::Tensor& x) { return detector_.log_probabilities(x); }, sink);
        },
        kClasses);
    const MeanAndDeviation score = inception_score(log_p, kSplits);
    return {{metric_.name + "_mean", score.mean}, {metric_.name + "_std", score.deviation}};
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

  const Metric& metric_;
  const MetricSetup& setup_;
  const Detector& detector_;
  std::optional<io::Dataset> real_;
  int64_t num_real_ = 0;
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

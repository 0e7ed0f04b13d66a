// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <fmt/format.h>

#include "base/sample_rng.h"
#include "io/check.h"
#include "metrics/full_precision.h"
#include "metrics/generated_images.h"
#include "metrics/generator_metrics.h"

namespace galette {
namespace {

constexpr double kStep = 1e-4;
constexpr double kCut = 0.01;                        // of the distances, at either end
constexpr int64_t kMostSide = 256, kLeastSide = 16;  // of images as LPIPS judges them
constexpr uint32_t kPaths = 1;                       // draws of its own
constexpr uint16_t kStarts = 1, kEnds = 2;

at::Tensor latents(const MetricSetup& setup, const std::vector<int64_t>& pairs, uint16_t end) {
  const Generator& g = setup.generator;
  const at::TensorOptions options = g.arena().options();
  const Stream stream{Purpose::metric_z, Phase::none, kPaths, end};
  const at::Tensor z =
      SampleRng(setup.seed).normal(stream, pairs, {g.z_dim()}, options.dtype().toScalarType());
  return g.map(z.to(options), sample_labels(setup, pairs));
}

/// Images as LPIPS takes them, 0 to 255, neither clamped nor rounded.
at::Tensor embedded(const MetricSetup& setup, const at::Tensor& w,
                    const std::vector<int64_t>& pairs) {
  const Generator& g = setup.generator;
  at::Tensor images = render_samples(setup, g.broadcast(w), pairs, kPaths).to(at::kFloat);
  const int64_t factor = images.size(2) / kMostSide;
  if (factor > 1) images = at::avg_pool2d(images, factor);
  return setup.lpips->embed((images + 1) * 127.5);
}

}  // namespace

double mean_path_length(const at::Tensor& distances) {
  const at::Tensor sorted = std::get<0>(distances.sort());
  const auto last = static_cast<double>(sorted.size(0) - 1);
  const auto low = static_cast<int64_t>(std::floor(kCut * last));
  const auto high = static_cast<int64_t>(std::ceil((1 - kCut) * last));
  // Values equal to the ends are kept too.
  const at::Tensor kept = distances.ge(sorted[low]).logical_and_(distances.le(sorted[high]));
  return distances.masked_select(kept).mean().item<double>();
}

double path_length(const Metric& metric, const MetricSetup& setup) {
  TORCH_CHECK(setup.lpips != nullptr, metric.name, " needs LPIPS");
  if (rendered_side(setup) < kLeastSide) {
    throw InputError(fmt::format("{}: LPIPS takes images of {} pixels on, these have {}",
                                 metric.name, kLeastSide, rendered_side(setup)));
  }
  const FullPrecision full_precision(setup.generator);
  at::Tensor distances = at::zeros({metric.samples}, at::kDouble);
  for_each_batch(metric.name, metric.samples, setup,
                 [&](int64_t /*batch*/, const std::vector<int64_t>& pairs) {
                   const at::Tensor start = latents(setup, pairs, kStarts);
                   const at::Tensor step = kStep * (latents(setup, pairs, kEnds) - start);
                   const at::Tensor moved =
                       embedded(setup, start + step, pairs) - embedded(setup, start, pairs);
                   distances.narrow(0, pairs.front(), moved.size(0))
                       .copy_(moved.to(at::kDouble).square().sum(1) / (kStep * kStep));
                 });
  setup.comm.all_reduce(distances, ReduceOp::sum);
  return mean_path_length(distances);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "metrics/full_precision.h"
#include "metrics/generator_metrics.h"
#include "metrics/psnr.h"
#include "models/creps_canvas.h"

namespace galette {
namespace {

constexpr int64_t kScale = 2;

/// The whole picture of one latent [1, num_ws, w_dim], `size` pixels wide: [1, C, size, size].
at::Tensor picture(const CrepsGenerator& g, const at::Tensor& ws, int64_t size) {
  const PixelAxis axis{.points = size, .count = size};
  CrepsCanvas canvas(g, ws, axis, axis);
  std::vector<at::Tensor> parts;
  for (int64_t rows = 0; rows < size; rows += parts.back().size(1)) {
    parts.push_back(canvas.next_rows());
  }
  return at::cat(parts, 1).unsqueeze(0);
}

}  // namespace

double scale_consistency(const Metric& metric, const MetricSetup& setup) {
  const auto* g = dynamic_cast<const CrepsGenerator*>(&setup.generator);
  TORCH_CHECK(g != nullptr, metric.name, " needs a CREPS network");
  const FullPrecision full_precision(setup.generator);
  const int64_t size = g->img_resolution();
  const at::Tensor everywhere = at::ones({size, size}, at::kDouble);
  SquaredError error;
  for_each_batch(metric.name, metric.samples, setup,
                 [&](int64_t /*batch*/, const std::vector<int64_t>& samples) {
                   for (const at::Tensor& ws : sample_latents(setup, samples).split(1)) {
                     const at::Tensor large = picture(*g, ws, kScale * size).to(at::kDouble);
                     error.add(at::avg_pool2d(large, kScale), picture(*g, ws, size), everywhere);
                   }
                 });
  return SquaredError{setup.comm.sum(error.squares), setup.comm.sum(error.weights)}.psnr();
}

}  // namespace galette

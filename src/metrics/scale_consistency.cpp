// SPDX-License-Identifier: Apache-2.0
#include "metrics/full_precision.h"
#include "metrics/generated_images.h"
#include "metrics/generator_metrics.h"
#include "metrics/psnr.h"
#include "models/creps_canvas.h"

namespace galette {
namespace {

constexpr int64_t kScale = 2;

}  // namespace

double scale_consistency(const Metric& metric, const MetricSetup& setup) {
  Generator& generator = setup.generator;
  const auto* g = dynamic_cast<const CrepsGenerator*>(&generator);
  TORCH_CHECK(g != nullptr, metric.name, " needs a CREPS network");
  const FullPrecision full_precision(generator);
  const int64_t size = g->img_resolution();
  const at::Tensor everywhere = at::ones({size, size}, g->arena().options().dtype(at::kDouble));
  SquaredError error;
  for_each_batch(metric.name, metric.samples, setup,
                 [&](int64_t /*batch*/, const std::vector<int64_t>& samples) {
                   for (const at::Tensor& ws : sample_latents(setup, samples).split(1)) {
                     const at::Tensor large = creps_picture(*g, ws, kScale * size).to(at::kDouble);
                     error.add(at::avg_pool2d(large, kScale), creps_picture(*g, ws, size),
                               everywhere);
                   }
                 });
  return SquaredError{setup.comm.sum(error.squares), setup.comm.sum(error.weights)}.psnr();
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "metrics/generated_images.h"

#include <algorithm>
#include <cstddef>

#include "base/sample_rng.h"
#include "models/creps_canvas.h"

namespace galette {
namespace {

/// Noise of each sample, whatever others it is computed with.
SynthesisOptions sample_noise(const MetricSetup& setup, const std::vector<int64_t>& samples,
                              uint32_t set) {
  const Generator& g = setup.generator;
  SynthesisOptions options;
  options.noise_mode = NoiseMode::random;
  options.random_noise = [rng = SampleRng(setup.seed), samples, set, type = g.arena().options()](
                             int64_t layer, int64_t size) {
    const Stream stream{Purpose::metric_noise, Phase::none, set, static_cast<uint16_t>(layer)};
    return rng.normal(stream, samples, {1, size, size}, type.dtype().toScalarType()).to(type);
  };
  return options;
}

}  // namespace

int64_t rendered_side(const MetricSetup& setup) {
  const Generator& g = setup.generator;
  return static_cast<int64_t>(setup.scale * static_cast<double>(g.img_resolution()));
}

at::Tensor creps_picture(const CrepsGenerator& g, const at::Tensor& ws, int64_t side) {
  const PixelAxis axis{.points = side, .count = side};
  CrepsCanvas canvas(g, ws, axis, axis);
  std::vector<at::Tensor> parts;
  for (int64_t rows = 0; rows < side; rows += parts.back().size(1)) {
    parts.push_back(canvas.next_rows());
  }
  return at::cat(parts, 1).unsqueeze(0);
}

at::Tensor render_samples(const MetricSetup& setup, const at::Tensor& ws,
                          const std::vector<int64_t>& samples, uint32_t set) {
  const Generator& g = setup.generator;
  if (setup.scale == 1) return g.synthesize(ws, sample_noise(setup, samples, set));
  const auto* creps = dynamic_cast<const CrepsGenerator*>(&g);
  TORCH_CHECK(creps != nullptr, "images at another scale need a CREPS network");
  std::vector<at::Tensor> pictures;
  for (const at::Tensor& one : ws.split(1)) {
    pictures.push_back(creps_picture(*creps, one, rendered_side(setup)));
  }
  return at::cat(pictures);
}

at::Tensor GeneratedImages::images(const std::vector<int64_t>& samples) {
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < samples.size(); begin += kMetricBatch) {
    const size_t end = std::min(begin + kMetricBatch, samples.size());
    const std::vector<int64_t> part(samples.begin() + static_cast<std::ptrdiff_t>(begin),
                                    samples.begin() + static_cast<std::ptrdiff_t>(end));
    const at::Tensor images = render_samples(setup_, sample_latents(setup_, part), part);
    parts.push_back((images.to(at::kFloat) * 127.5 + 128).clamp_(0, 255).to(at::kByte));
  }
  return at::cat(parts);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "base/sample_rng.h"
#include "metrics/full_precision.h"
#include "metrics/generator_metrics.h"
#include "metrics/image_motion.h"
#include "metrics/psnr.h"
#include "models/stylegan3.h"

namespace galette {
namespace {

constexpr double kMostShift = 0.125;  // of the image
constexpr double kDegrees = 180;

/// Draws of a batch: a number in [-1, 1) for each axis; the angle's is the first.
std::array<double, 2> batch_draws(const Metric& metric, uint64_t seed, int64_t batch) {
  const Stream stream{.purpose = Purpose::metric_pick, .sub = static_cast<uint16_t>(metric.kind)};
  const SampleRng rng(seed);
  const auto k = static_cast<uint32_t>(batch);
  return {2 * rng.uniform(stream, k, 0) - 1, 2 * rng.uniform(stream, k, 1) - 1};
}

/// A generator whose images can be moved and turned; they are as before when it goes.
class Mover {
 public:
  explicit Mover(const StyleGan3Generator& g) : g_(g), before_(g.transform().clone()) {}
  Mover(const Mover&) = delete;
  Mover& operator=(const Mover&) = delete;
  ~Mover() { set(before_); }

  at::Tensor original(const at::Tensor& ws) const {
    set(at::eye(3, at::kDouble));
    return g_.synthesize(ws);
  }
  /// Angle in radians, shift in widths of the image.
  at::Tensor moved(const at::Tensor& ws, double angle, double x, double y) const {
    set(StyleGan3Generator::inverse_transform(angle * kDegrees / M_PI, x, y));
    return g_.synthesize(ws);
  }

 private:
  void set(const at::Tensor& matrix) const {
    const at::NoGradGuard no_grad;
    g_.transform().copy_(matrix);
  }
  const StyleGan3Generator& g_;
  at::Tensor before_;
};

void add_shifted(const Metric& metric, const Mover& mover, const at::Tensor& ws,
                 const std::array<double, 2>& draws, SquaredError& error) {
  const at::Tensor original = mover.original(ws);
  const auto size = static_cast<double>(original.size(3));
  double x = draws[0] * kMostShift * size, y = draws[1] * kMostShift * size;
  MovedImages reference;
  if (metric.kind == MetricKind::eqt_int) {
    x = std::nearbyint(x);
    y = std::nearbyint(y);
    reference = shift_whole(original, {static_cast<int64_t>(x), static_cast<int64_t>(y)});
  } else {
    reference = shift_fractional(original, {x, y});
  }
  error.add(reference.images, mover.moved(ws, 0, x / size, y / size), reference.mask);
}

void add_turned(const Mover& mover, const at::Tensor& ws, double angle, SquaredError& error) {
  const MovedImages reference = rotate(mover.original(ws), angle);
  const MovedImages turned = pseudo_rotate(mover.moved(ws, angle, 0, 0), angle);
  error.add(reference.images, turned.images, reference.mask * turned.mask);
}

}  // namespace

double equivariance(const Metric& metric, const MetricSetup& setup) {
  Generator& generator = setup.generator;
  const auto* g = dynamic_cast<const StyleGan3Generator*>(&generator);
  TORCH_CHECK(g != nullptr, metric.name, " needs a StyleGAN3 network");
  const FullPrecision full_precision(generator);
  const Mover mover(*g);
  SquaredError error;
  for_each_batch(metric.name, metric.samples, setup,
                 [&](int64_t batch, const std::vector<int64_t>& samples) {
                   const auto draws = batch_draws(metric, setup.seed, batch);
                   const at::Tensor ws = sample_latents(setup, samples);
                   if (metric.kind == MetricKind::eqr) {
                     add_turned(mover, ws, draws[0] * M_PI, error);
                   } else {
                     add_shifted(metric, mover, ws, draws, error);
                   }
                 });
  return SquaredError{setup.comm.sum(error.squares), setup.comm.sum(error.weights)}.psnr();
}

}  // namespace galette

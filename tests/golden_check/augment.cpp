// SPDX-License-Identifier: Apache-2.0
// Cases of augment: images after augmentation with recorded random numbers or at a percentile of
// every distribution; gradients of S = sum(out * proj) + sum(out^2) / 2, and of |dS/dx|^2.
#include "training/augment.h"

#include <cmath>
#include <map>

#include <torch/csrc/autograd/autograd.h>

#include "golden.h"

namespace galette::golden {
namespace {

using nlohmann::json;
using torch::autograd::variable_list;
using Step = AugmentStep;

/// erfinv(x) of a number; note that a percentile of a normal distribution would need sqrt(2) of it.
double erfinv(double x) {
  return at::scalar_tensor(x, at::kDouble).erfinv().item<double>();
}

/// The recorded noise of one image.
void copy_noise(const at::Tensor& recorded, int64_t row, at::Tensor values) {
  TORCH_CHECK(recorded.defined(), "no image noise is recorded");
  values.copy_(recorded[row]);
}

/// Every step is applied, at a percentile of its distribution.
class PercentileSource : public AugmentSource {
 public:
  PercentileSource(double q, at::Tensor noise) : q_(q), noise_(std::move(noise)) {}
  double gate(Step, int64_t) const override { return 0; }
  double uniform(Step step, int64_t, int64_t) const override {
    return step == Step::post_rotation ? 0.5 : q_;  // only one of the rotations turns
  }
  double normal(Step step, int64_t, int64_t) const override {
    return step == Step::noise ? erfinv(q_) : erfinv(2 * q_ - 1);
  }
  void fill_noise(int64_t row, at::Tensor values) const override {
    copy_noise(noise_, row, values);
  }

 private:
  double q_;
  at::Tensor noise_;
};

/// The numbers of a step: recorded tensors whose first axis is the image.
struct Recorded {
  at::Tensor gate, values;
};

class ReplaySource : public AugmentSource {
 public:
  ReplaySource(std::map<Step, Recorded> steps, at::Tensor noise)
      : steps_(std::move(steps)), noise_(std::move(noise)) {}
  double gate(Step step, int64_t row) const override {
    return steps_.at(step).gate[row].item<double>();
  }
  double uniform(Step step, int64_t row, int64_t k) const override {
    return steps_.at(step).values[row].flatten()[k].item<double>();
  }
  double normal(Step step, int64_t row, int64_t k) const override { return uniform(step, row, k); }
  void fill_noise(int64_t row, at::Tensor values) const override {
    copy_noise(noise_, row, values);
  }

 private:
  std::map<Step, Recorded> steps_;
  at::Tensor noise_;
};

/// The multiplier that a name of the published pipe stands for; none when it is another thing.
double* multiplier(AugmentConfig& c, const std::string& name) {
  const std::map<std::string, double*> all{{"xflip", &c.xflip},
                                           {"rotate90", &c.rotate90},
                                           {"xint", &c.xint},
                                           {"scale", &c.scale},
                                           {"rotate", &c.rotate},
                                           {"aniso", &c.aniso},
                                           {"xfrac", &c.xfrac},
                                           {"brightness", &c.brightness},
                                           {"contrast", &c.contrast},
                                           {"lumaflip", &c.lumaflip},
                                           {"hue", &c.hue},
                                           {"saturation", &c.saturation},
                                           {"imgfilter", &c.imgfilter},
                                           {"noise", &c.noise},
                                           {"cutout", &c.cutout}};
  const auto found = all.find(name);
  return found == all.end() ? nullptr : found->second;
}

/// False when the arguments contain something that Galette has no option for.
bool read_config(const json& arguments, AugmentConfig& config) {
  for (const auto& [name, value] : arguments.items()) {
    if (name == "imgfilter_bands") {
      config.imgfilter_bands = value.get<std::array<double, 4>>();
    } else if (double* const target = multiplier(config, name)) {
      *target = value.get<double>();
    } else {
      return false;
    }
  }
  return true;
}

/// Steps that are switched on, in the order in which their numbers were recorded.
std::vector<Step> active_steps(const AugmentConfig& c, int64_t channels) {
  const double hue = channels > 1 ? c.hue : 0, saturation = channels > 1 ? c.saturation : 0;
  std::vector<std::pair<Step, double>> all{{Step::xflip, c.xflip},
                                           {Step::rotate90, c.rotate90},
                                           {Step::xint, c.xint},
                                           {Step::scale, c.scale},
                                           {Step::pre_rotation, c.rotate},
                                           {Step::aniso, c.aniso},
                                           {Step::post_rotation, c.rotate},
                                           {Step::xfrac, c.xfrac},
                                           {Step::brightness, c.brightness},
                                           {Step::contrast, c.contrast},
                                           {Step::lumaflip, c.lumaflip},
                                           {Step::hue, hue},
                                           {Step::saturation, saturation}};
  for (uint16_t band = 0; band < 4; ++band)
    all.emplace_back(Step{static_cast<uint16_t>(static_cast<uint16_t>(Step::imgfilter) + band)},
                     c.imgfilter);
  all.emplace_back(Step::noise, c.noise);
  all.emplace_back(Step::cutout, c.cutout);
  std::vector<Step> active;
  for (const auto& [step, on] : all)
    if (on > 0) active.push_back(step);
  return active;
}

/// Random numbers as they were recorded: a step's values, then its gate (cutout: the gate first),
/// and after those of the noise its image.
struct Recording {
  std::map<Step, Recorded> steps;
  at::Tensor noise;

  Recording(const Case& c, const std::vector<Step>& active) {
    const std::vector<std::string> names = c.list("draws");
    size_t next = 0;
    const auto take = [&] { return c.raw("draws/" + names.at(next++)); };
    for (const Step step : active) {
      Recorded& r = steps[step];
      if (step == Step::cutout) r.gate = take();
      r.values = take();
      if (step != Step::cutout) r.gate = take();
      if (step == Step::noise) noise = take();
    }
    TORCH_CHECK(next == names.size(), names.size(), " draws are recorded, ", next, " are used");
  }
};

/// The published pipe extends all images of a batch alike; ours depends on no other image.
void share_margins(AugmentParameters& parameters) {
  if (!parameters.margins.defined()) return;
  parameters.margins = parameters.margins.amax(0, true).expand_as(parameters.margins).contiguous();
}

AugmentParameters draw(const Case& c, const AugmentConfig& augment, const AugmentPipe& pipe,
                       int64_t channels) {
  const json config = c.config();
  const auto n = config.at("batch").get<int64_t>();
  Recording recording(c, active_steps(augment, channels));
  const json& q = config.at("debug_percentile");
  const double p = config.at("p").get<double>();
  AugmentParameters parameters =
      q.is_null() ? pipe.draw(ReplaySource(std::move(recording.steps), recording.noise), n, p)
                  : pipe.draw(PercentileSource(q.get<double>(), recording.noise), n, p);
  share_margins(parameters);
  return parameters;
}

bool run_case(const Case& c) {
  const json config = c.config();
  AugmentConfig augment;
  if (!read_config(config.at("augment_kwargs"), augment)) return false;
  const at::Tensor x = c.get("in/images").requires_grad_();
  const AugmentPipe pipe(augment, x.size(1), x.size(2));
  const at::Tensor y =
      pipe.apply(x, pipe.to_device(draw(c, augment, pipe, x.size(1)), x.options()));
  c.compare("out/images", y);
  if (!c.has("grad_images")) return true;

  const at::Tensor s = (y * c.get("in/proj")).sum() + y.square().sum() / 2;
  const at::Tensor first = torch::autograd::grad({s}, {x}, {}, true, true)[0];
  c.compare("grad_images", first);
  c.compare("grad2_images", torch::autograd::grad({first.square().sum()}, {x})[0]);
  return true;
}

}  // namespace

Section augment_section() {
  return {"augment", root_groups, run_case};
}

}  // namespace galette::golden

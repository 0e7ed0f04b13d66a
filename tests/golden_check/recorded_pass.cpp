// SPDX-License-Identifier: Apache-2.0
#include "recorded_pass.h"

#include "models/factory.h"

namespace galette::golden {

std::unique_ptr<Generator> make_recorded_generator(const std::string& cfg,
                                                   const nlohmann::json& args,
                                                   at::TensorOptions options) {
  const std::string family = cfg.starts_with("creps") ? "creps" : cfg.substr(0, 9);
  return make_generator("training.networks_" + family + ".Generator", args, options);
}

RecordedDraws::RecordedDraws(const Case& c, const std::string& group) : c_(c), group_(group) {
  if (c.has(group)) names_ = c.list(group);
}

at::Tensor RecordedDraws::next(const at::Tensor& order) {
  const at::Tensor value = next();
  return value.dim() > 0 ? value.index_select(0, order) : value;
}

at::Tensor RecordedDraws::next() {
  TORCH_CHECK(at_ < names_.size(), group_, " holds only ", names_.size(), " draws");
  return c_.get(group_ + "/" + names_[at_++]);
}

RecordedPass begin_pass(const Generator& g, RecordedDraws& draws, const at::Tensor& z,
                        const at::Tensor& c, const at::Tensor& order, double mixing) {
  RecordedPass pass;
  pass.w = g.map(z, c);
  pass.ws = g.broadcast(pass.w);
  if (mixing > 0) {
    const auto cut = draws.next().item<int64_t>();
    const bool is_mixed = draws.next().item<double>() < mixing;
    const at::Tensor second = g.broadcast(g.map(draws.next(order), c));
    const at::Tensor cuts =
        at::full({z.size(0)}, is_mixed ? cut : g.num_ws(), z.options().dtype(at::kLong));
    pass.ws = mix_styles(pass.ws, second, cuts);
  }
  pass.synthesis.noise_mode = NoiseMode::random;
  pass.synthesis.random_noise = [&draws, order](int64_t, int64_t) { return draws.next(order); };
  return pass;
}

bool moves_average_in_g_phase(const std::string& cfg) {
  return cfg.starts_with("creps");
}

std::vector<std::pair<std::string, at::Tensor>> moved_magnitudes(
    const Generator& g, const InputMagnitudes& magnitudes) {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const ArenaEntry& entry : g.arena().buffers()) {
    if (!entry.name.ends_with(".magnitude_ema")) continue;
    const at::Tensor row = magnitudes.sums[static_cast<int64_t>(result.size())];
    const at::Tensor square = (row[0] / row[1]).to(entry.tensor.scalar_type());
    result.emplace_back(entry.name, at::lerp(square, entry.tensor, *magnitudes.immediate_beta));
  }
  return result;
}

InputMagnitudes immediate_magnitudes(const Generator& g, double beta) {
  const auto layers = static_cast<int64_t>(g.magnitude_averages().size());
  return {at::zeros({layers, 2}, g.arena().options().dtype(at::kDouble)), beta};
}

}  // namespace galette::golden

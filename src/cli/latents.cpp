// SPDX-License-Identifier: Apache-2.0
#include "cli/latents.h"

#include <fmt/format.h>

#include "base/log.h"
#include "io/check.h"

namespace galette {

at::Tensor make_label(const Generator& g, const std::optional<int64_t>& class_index) {
  const at::Tensor label = at::zeros({1, g.c_dim()}, g.arena().options());
  if (g.c_dim() == 0) {
    if (class_index) log::warning("--class={}: the network has no classes; ignored", *class_index);
    return label;
  }
  if (!class_index)
    throw InputError(fmt::format("--class: the network is conditional; give a class from 0 to {}",
                                 g.c_dim() - 1));
  if (*class_index < 0 || *class_index >= g.c_dim())
    throw InputError(
        fmt::format("--class={}: the network has classes 0 to {}", *class_index, g.c_dim() - 1));
  label[0][*class_index] = 1;
  return label;
}

at::Tensor draw_normals(io::LegacyRandom& random, int64_t count) {
  const at::Tensor z = at::empty({1, count}, at::kDouble);
  double* values = z.mutable_data_ptr<double>();
  for (int64_t i = 0; i < count; ++i) values[i] = random.normal();
  return z;
}

LatentSource::LatentSource(const Generator& g, const std::optional<int64_t>& class_index,
                           double psi)
    : g_(g), label_(make_label(g, class_index)), psi_(psi) {
  if (psi != 1 && !g.w_avg().isfinite().all().item<bool>())
    throw InputError(fmt::format(
        "--trunc={}: the network's average latent is not finite; leave --trunc out", psi));
}

at::Tensor LatentSource::ws_of_seed(uint32_t seed) const {
  if (given_.defined()) return given_.narrow(0, seed, 1);
  io::LegacyRandom random(seed);
  const at::Tensor z = draw_normals(random, g_.z_dim()).to(g_.arena().options());
  return g_.broadcast(g_.map(z, label_), {psi_, -1});
}

at::Tensor LatentSource::ws(const Latent& latent) const {
  at::Tensor ws = ws_of_seed(latent.seed);
  if (latent.amount == 0 && latent.layers.empty()) return ws;
  const at::Tensor other = ws_of_seed(latent.other);
  if (latent.layers.empty()) return at::lerp(ws, other, latent.amount);
  ws = ws.clone();
  for (const uint32_t layer : latent.layers) ws.select(1, layer).copy_(other.select(1, layer));
  return ws;
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "networks.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace galette::golden {

void load_state(const Case& c, const std::string& path, Network& network) {
  std::set<std::string> stored;
  for (const std::string& name : c.list(path)) stored.insert(name);
  ParameterArena& arena = network.arena();
  for (const auto* entries : {&arena.parameters(), &arena.buffers()}) {
    for (const ArenaEntry& entry : *entries) {
      TORCH_CHECK(stored.erase(entry.name) == 1, "the file has no tensor ", entry.name);
      const at::Tensor value = c.get(path + "/" + entry.name);
      TORCH_CHECK(value.sizes() == at::IntArrayRef(entry.shape), entry.name, " has shape ",
                  value.sizes(), " in the file and ", at::IntArrayRef(entry.shape), " here");
      entry.tensor.detach().copy_(value);
    }
  }
  TORCH_CHECK(stored.empty(), "the network has no tensor ", stored.empty() ? "" : *stored.begin());
  arena.enable_gradients();
}

bool was_reached(const Network& network, size_t parameter) {
  return network.arena().reached()[static_cast<int64_t>(parameter)].item<bool>();
}

namespace {

/// In float32 the gradient of a bias is measured against the largest gradient of its layer. It is a
/// sum over samples and pixels that may cancel almost wholly: with minibatch std over two samples,
/// R1 reaches the biases before it only through pixels on different sides of a kink, with factors
/// 1e-8/sigma^3 that amplify the rounding of the activations. float64 is held to the tensor itself.
double gradient_tolerance(const Case& c, const std::string& path) {
  const std::string suffix = ".bias";
  const size_t stem = path.size() - std::min(path.size(), suffix.size());
  const std::string weight = path.substr(0, stem) + ".weight";
  if (c.type() != at::kFloat || path.substr(stem) != suffix || !c.has(weight)) return c.tolerance();
  const double own = c.raw(path).abs().max().item<double>();
  const double layer = c.raw(weight).abs().max().item<double>();
  return own > 0 ? c.tolerance() * std::max(1.0, layer / own) : c.tolerance();
}

/// Gradients by their paths in a file.
using Gradients = std::map<std::string, at::Tensor>;

Gradients generator_gradients(const Case& c, Generator& g, const at::Tensor& latents,
                              const std::function<at::Tensor(const at::Tensor& ws)>& synthesize) {
  const at::Tensor z = latents.detach().requires_grad_(true);
  const at::Tensor ws = g.broadcast(g.map(z, c.get("in/c")));
  ws.retain_grad();
  backward((synthesize(ws) * c.get("in/proj")).sum(), g);
  Gradients result{{"grad_z", z.grad()}, {"grad_ws", ws.grad()}};
  for (size_t i = 0; i < g.arena().parameters().size(); ++i) {
    const ArenaEntry& entry = g.arena().parameters()[i];
    if (was_reached(g, i)) result.emplace("grad/" + entry.name, entry.tensor.grad().clone());
  }
  return result;
}

/// The largest deviation, relative to the largest magnitude of `expected`.
double deviation(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor want = expected.to(at::kCPU, at::kDouble);
  const double largest = want.abs().max().item<double>();
  const double difference = (actual.to(at::kCPU, at::kDouble) - want).abs().max().item<double>();
  return largest > 0 ? difference / largest : difference;
}

double tolerance_of(const Case& c, const std::string& path) {
  return path.starts_with("grad/") ? gradient_tolerance(c, path) : c.tolerance();
}

/// How far each gradient moves, at most, when the latents move by roundings.
std::map<std::string, double> sensitivity(
    const Case& c, Generator& g, const Gradients& base,
    const std::function<at::Tensor(const at::Tensor& ws)>& synthesize) {
  constexpr int kMoves = 12;  // each has about an even chance to cross a kink that is so near
  const double rounding = std::ldexp(1, -22);
  std::map<std::string, double> moved;
  for (uint64_t seed = 1; seed <= kMoves; ++seed) {
    const at::Tensor z = c.get("in/z");
    auto generator = at::detail::createCPUGenerator(seed);
    const at::Tensor normals = at::randn(z.sizes(), generator, z.options().device(at::kCPU));
    const at::Tensor moved_z = z + z * normals.to(z.device()) * rounding;
    for (const auto& [path, gradient] : generator_gradients(c, g, moved_z, synthesize))
      moved[path] = std::max(moved[path], deviation(gradient, base.at(path)));
  }
  return moved;
}

}  // namespace

void compare_generator_gradients(
    const Case& c, Generator& g,
    const std::function<at::Tensor(const at::Tensor& ws)>& synthesize) {
  const Gradients gradients = generator_gradients(c, g, c.get("in/z"), synthesize);
  const bool exceeds = std::any_of(gradients.begin(), gradients.end(), [&](const auto& entry) {
    return c.has(entry.first) &&
           deviation(entry.second, c.raw(entry.first)) > tolerance_of(c, entry.first);
  });
  std::map<std::string, double> moved;
  if (exceeds && c.type() == at::kFloat) moved = sensitivity(c, g, gradients, synthesize);
  for (const auto& [path, gradient] : gradients)
    c.compare(path, gradient, std::max(tolerance_of(c, path), 2 * moved[path]));
  const std::vector<std::string> none = c.grad_none("grad");
  for (const ArenaEntry& entry : g.arena().parameters()) {
    const bool absent = std::find(none.begin(), none.end(), entry.name) != none.end();
    const std::string path = "grad/" + entry.name;
    if (absent || gradients.count(path) == 0)
      c.expect(absent == (gradients.count(path) == 0), path + " is absent");
  }
}

void compare_gradients(const Case& c, const std::string& path, const Network& network,
                       double scale) {
  const std::vector<std::string> none = c.grad_none(path);
  const std::vector<ArenaEntry>& parameters = network.arena().parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].name;
    const bool absent = std::find(none.begin(), none.end(), name) != none.end();
    if (absent || !was_reached(network, i)) {
      c.expect(absent == !was_reached(network, i), path + "/" + name + " is absent");
    } else {
      const std::string full = path + "/" + name;
      c.compare(full, parameters[i].tensor.grad() * scale, gradient_tolerance(c, full));
    }
  }
}

void backward(const at::Tensor& loss, Network& network) {
  network.arena().clear_gradients();
  torch::autograd::backward({loss}, {});
}

at::Tensor consecutive_groups(const at::Tensor& batched, int64_t group_size) {
  const int64_t batch = batched.size(0), group = std::min(batch, group_size);
  return at::arange(batch, batched.options().dtype(at::kLong))
      .view({group, batch / group})
      .t()
      .reshape({batch});
}

at::Tensor inverse_order(const at::Tensor& order) {
  return order.argsort();
}

}  // namespace galette::golden

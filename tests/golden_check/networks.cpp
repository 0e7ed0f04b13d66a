// SPDX-License-Identifier: Apache-2.0
#include "networks.h"

#include <algorithm>
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

}  // namespace

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

at::Tensor consecutive_groups(int64_t batch, int64_t group_size) {
  const int64_t group = std::min(batch, group_size);
  return at::arange(batch, at::kLong).view({group, batch / group}).t().reshape({batch});
}

at::Tensor inverse_order(const at::Tensor& order) {
  return order.argsort();
}

}  // namespace galette::golden

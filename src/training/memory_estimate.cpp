// SPDX-License-Identifier: Apache-2.0
#include "training/memory_estimate.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "kernels/dispatch.h"
#include "training/network_snapshot.h"

namespace galette {
namespace {

constexpr int64_t kProgramBytes = 400'000'000;
constexpr double kGiB = 1 << 30;
// Copies of a layer's result that a differentiable pass keeps. An activation keeps its own result
// alone; those of StyleGAN3 resample, and keep what went in and the codes at the higher rate.
constexpr int64_t kKeptResults = 1;
constexpr int64_t kKeptResultsStyleGan3 = 3;
// Second-order passes keep the first-order one, its gradients, and what those were made of.
constexpr int64_t kSecondOrder = 3;

/// The number after `prefix` at the start of one part of a dotted name, or 0: 64 in `b64.conv0`.
int64_t number_after(const std::string& name, const std::string& prefix) {
  int64_t number = 0;
  const char* begin = name.data() + prefix.size();
  if (name.starts_with(prefix)) std::from_chars(begin, name.data() + name.size(), number);
  return number;
}

/// Positions at which a layer of the generator computes, by its place in the naming tree.
int64_t generator_positions(const std::string& name, const Generator& g) {
  const int64_t size = g.img_resolution();
  const std::string layer = name.substr(std::string("synthesis.").size());
  if (layer.starts_with("decoder") || layer.starts_with("block")) return size * size;
  if (layer.starts_with("L")) {
    const int64_t side = number_after(layer.substr(layer.find('_')), "_");
    return side * side;
  }
  const int64_t stage = number_after(layer, "b");
  const bool is_line = g.class_name().find("creps") != std::string::npos;
  return is_line ? 16 * size : stage * stage;
}

/// The pixel decoders of CREPS, where they are fused, keep what goes in and comes out of a chain
/// and compute the rest again: about as much as the first layer alone.
bool is_inside_decoder(const std::string& name) {
  const bool is_decoder = name.starts_with("synthesis.decoder");
  return is_decoder && !name.ends_with(".0.weight") && kernel_path() == KernelPath::fused;
}

/// Elements that a differentiable pass of one sample keeps.
template <typename Positions>
int64_t kept_elements(const Network& network, int64_t results, const Positions& positions) {
  int64_t elements = 0;
  for (const ArenaEntry& entry : network.arena().parameters()) {
    const bool is_layer = entry.name.ends_with(".weight") && entry.shape.size() >= 2 &&
                          entry.name.find("affine") == std::string::npos &&
                          entry.name.find("mapping") == std::string::npos &&
                          !is_inside_decoder(entry.name);
    if (is_layer) {
      elements += positions(entry.name) * (entry.shape[1] + results * entry.shape[0]);
    }
  }
  return elements;
}

int64_t state_elements(const Network& network, int64_t copies) {
  return network.arena().flat_parameters().numel() * copies +
         network.arena().flat_buffers().numel();
}

}  // namespace

MemoryEstimate estimate_memory(const TrainOptions& o, const Generator& g, const Discriminator& d) {
  const auto bytes = static_cast<int64_t>(g.arena().options().dtype().itemsize());
  MemoryEstimate estimate;
  // Value and gradient; the average has its value alone. Then the second moments.
  const int64_t moments = g.arena().flat_parameters().numel() + d.arena().flat_parameters().numel();
  const int64_t sharers = o.shard_optimizer ? *o.gpus : 1;
  estimate.state = bytes * (state_elements(g, 2) + state_elements(g, 1) + state_elements(d, 2) +
                            moments / sharers);
  // Each rank copies the share that it writes, after collecting what of it others hold.
  const int64_t collected = o.shard_optimizer ? moments : 0;
  estimate.save = bytes *
                  (state_elements(g, 2) + state_elements(g, 1) + state_elements(d, 2) + collected) /
                  *o.gpus;
  const int64_t results = o.is_stylegan3() ? kKeptResultsStyleGan3 : kKeptResults;
  const int64_t in_g = kept_elements(
      g, results, [&](const std::string& name) { return generator_positions(name, g); });
  const int64_t in_d = kept_elements(d, kKeptResults, [](const std::string& name) {
    const int64_t stage = number_after(name, "b");
    return stage * stage;
  });
  const bool path_lengths = loss_config(o).path_length_weight > 0;
  const int64_t per_sample =
      std::max({in_g + in_d, kSecondOrder * in_d, path_lengths ? kSecondOrder * in_g / 2 : 0});
  estimate.activations = bytes * per_sample * *o.batch_gpu;
  estimate.program = kProgramBytes;
  return estimate;
}

void log_sizes(const TrainOptions& options, const ImageShape& shape) {
  const auto g = make_run_generator(options, shape);
  const auto d = make_run_discriminator(options, shape);
  log_network(*g);
  log_network(*d);
  const MemoryEstimate m = estimate_memory(options, *g, *d);
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / kGiB; };
  log::info(
      "Memory per rank:     about {:.2f} GiB: {:.2f} networks and optimiser, {:.2f} "
      "activations, {:.2f} while a checkpoint is written, {:.2f} the program",
      gib(m.total()), gib(m.state), gib(m.activations), gib(m.save), gib(m.program));
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "training/train_state.h"

namespace galette {
namespace {

// Streams of the initial tensors of either network.
constexpr uint16_t kGeneratorStream = 1;
constexpr uint16_t kDiscriminatorStream = 2;

std::vector<io::NamedSlice> slices(const std::string& prefix,
                                   const std::vector<ArenaEntry>& entries) {
  std::vector<io::NamedSlice> result;
  for (const ArenaEntry& entry : entries) {
    result.push_back({prefix + "/" + entry.name, entry.shape, entry.offset});
  }
  return result;
}

void add_network(std::vector<io::FlatArray>& arrays, const std::string& name,
                 const Network& network) {
  const ParameterArena& arena = network.arena();
  arrays.push_back(
      {name + ".parameters", arena.flat_parameters(), slices(name, arena.parameters())});
  arrays.push_back({name + ".buffers", arena.flat_buffers(), slices(name, arena.buffers())});
}

void add_optimiser(std::vector<io::FlatArray>& arrays, const std::string& name, const Adam& adam,
                   const Network& network) {
  arrays.push_back(
      {name + ".second_moment", adam.second_moment(), slices(name, network.arena().parameters())});
  arrays.push_back({name + ".steps", adam.step_counts(), {}});
}

}  // namespace

TrainState::TrainState(std::unique_ptr<Generator> generator, std::unique_ptr<Generator> average,
                       std::unique_ptr<Discriminator> discriminator, double g_lr, double d_lr,
                       const LazyIntervals& intervals, uint64_t seed)
    : g(std::move(generator)), g_ema(std::move(average)), d(std::move(discriminator)) {
  const SampleRng rng(seed);
  g->arena().initialize(rng, kGeneratorStream);
  g_ema->arena().initialize(rng, kGeneratorStream);
  d->arena().initialize(rng, kDiscriminatorStream);
  g->arena().enable_gradients();
  d->arena().enable_gradients();
  g_adam.emplace(g->arena(), AdamConfig::lazy(g_lr, intervals.g));
  d_adam.emplace(d->arena(), AdamConfig::lazy(d_lr, intervals.d));
}

std::vector<io::FlatArray> TrainState::arrays() const {
  std::vector<io::FlatArray> result;
  add_network(result, "G", *g);
  add_network(result, "D", *d);
  add_network(result, "G_ema", *g_ema);
  add_optimiser(result, "G_adam", *g_adam, *g);
  add_optimiser(result, "D_adam", *d_adam, *d);
  return result;
}

nlohmann::json TrainState::scalars() const {
  return {{"iteration", iteration}, {"images", images},
          {"tick", tick},           {"tick_start", tick_start},
          {"seconds", seconds},     {"path_length_mean", path_length_mean.value()}};
}

void TrainState::set_scalars(const nlohmann::json& scalars) {
  iteration = scalars.at("iteration");
  images = scalars.at("images");
  tick = scalars.at("tick");
  tick_start = scalars.at("tick_start");
  seconds = scalars.at("seconds");
  path_length_mean.set(scalars.at("path_length_mean"));
}

}  // namespace galette

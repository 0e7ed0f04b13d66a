// SPDX-License-Identifier: Apache-2.0
#include "training/train_state.h"

#include <algorithm>

namespace galette {
namespace {

// Streams of the initial tensors of either network.
constexpr uint16_t kGeneratorStream = 1;
constexpr uint16_t kDiscriminatorStream = 2;

// Of the names of arrays.
const std::string kGeneratorAdam = "G_adam", kDiscriminatorAdam = "D_adam";
const std::string kMoment = ".second_moment";

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
                   const at::Tensor& second_moment, const Network& network) {
  if (second_moment.defined()) {
    arrays.push_back({name + kMoment, second_moment, slices(name, network.arena().parameters())});
  }
  arrays.push_back({name + ".steps", adam.step_counts(), {}});
}

/// Room for the second moments of all parameters; pages that are not written to take no memory.
at::Tensor whole_moment(const Adam& adam) {
  return at::empty({adam.plan().size()}, adam.second_moment().options().device(at::kCPU));
}

/// The second moments that this rank writes, at their place among all.
at::Tensor written_moment(const Adam& adam, io::CheckpointWriter writer, Communicator& comm,
                          MPI_Comm files) {
  const at::Tensor whole = whole_moment(adam);
  const at::Tensor written = io::written_share(whole, writer, files);
  adam.gather_second_moment({written.storage_offset(), written.numel()}, whole, comm);
  return whole;
}

}  // namespace

TrainState::TrainState(std::unique_ptr<Generator> generator, std::unique_ptr<Generator> average,
                       std::unique_ptr<Discriminator> discriminator, double g_lr, double d_lr,
                       const LazyIntervals& intervals, uint64_t seed, const OptimizerShare& share)
    : g(std::move(generator)), g_ema(std::move(average)), d(std::move(discriminator)) {
  const SampleRng rng(seed);
  g->arena().initialize(rng, kGeneratorStream);
  g_ema->arena().initialize(rng, kGeneratorStream);
  d->arena().initialize(rng, kDiscriminatorStream);
  g->arena().enable_gradients();
  d->arena().enable_gradients();
  g_adam.emplace(g->arena(), AdamConfig::lazy(g_lr, intervals.g), share);
  d_adam.emplace(d->arena(), AdamConfig::lazy(d_lr, intervals.d), share);
}

std::vector<io::FlatArray> TrainState::arrays() const {
  return arrays_with(
      [](const Adam& adam) { return adam.is_shared() ? at::Tensor() : adam.second_moment(); });
}

std::vector<io::FlatArray> TrainState::arrays_to_write(io::CheckpointWriter writer,
                                                       Communicator& comm, MPI_Comm files) const {
  return arrays_with([&](const Adam& adam) {
    return adam.is_shared() ? written_moment(adam, writer, comm, files) : adam.second_moment();
  });
}

std::vector<io::FlatArray> TrainState::arrays_to_read() const {
  std::vector<io::FlatArray> arrays = arrays_with([](const Adam& adam) {
    return adam.is_shared() ? whole_moment(adam) : adam.second_moment();
  });
  // Files are read to the memory of the host.
  for (io::FlatArray& array : arrays) {
    if (!array.values.is_cpu())
      array.values = at::empty_like(array.values, array.values.options().device(at::kCPU));
  }
  return arrays;
}

void TrainState::take_read(const std::vector<io::FlatArray>& arrays) {
  for (const io::FlatArray& live : this->arrays()) {
    if (live.values.is_cpu()) continue;
    const auto read = std::find_if(arrays.begin(), arrays.end(), [&](const io::FlatArray& array) {
      return array.name == live.name;
    });
    if (read != arrays.end()) live.values.copy_(read->values);
  }
  for (const io::FlatArray& array : arrays) {
    if (g_adam->is_shared() && array.name == kGeneratorAdam + kMoment) {
      g_adam->take_second_moment(array.values);
    }
    if (d_adam->is_shared() && array.name == kDiscriminatorAdam + kMoment) {
      d_adam->take_second_moment(array.values);
    }
  }
}

std::vector<io::FlatArray> TrainState::arrays_with(
    const std::function<at::Tensor(const Adam&)>& moment) const {
  std::vector<io::FlatArray> result;
  add_network(result, "G", *g);
  add_network(result, "D", *d);
  add_network(result, "G_ema", *g_ema);
  add_optimiser(result, kGeneratorAdam, *g_adam, moment(*g_adam), *g);
  add_optimiser(result, kDiscriminatorAdam, *d_adam, moment(*d_adam), *d);
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

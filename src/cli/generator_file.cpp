// SPDX-License-Identifier: Apache-2.0
#include "cli/generator_file.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "io/check.h"
#include "io/network_exchange.h"
#include "models/factory.h"

namespace galette {
namespace {

std::unique_ptr<Generator> build(const std::string& path, const io::NetworkRecord& record,
                                 at::Device device) {
  if (record.class_name.empty())
    throw InputError(fmt::format(
        "{}: does not say how its networks are built; give a network-snapshot-*.h5", path));
  try {
    return make_generator(record.class_name, record.init,
                          at::TensorOptions(device).dtype(at::kFloat));
  } catch (const InputError& error) {
    throw InputError(fmt::format("{}: {}", path, error.what()));
  } catch (const nlohmann::json::exception& error) {
    throw InputError(
        fmt::format("{}: the arguments of its generator make no sense: {}", path, error.what()));
  }
}

void fill(const std::string& path, const io::NetworkRecord& record, ParameterArena& arena) {
  const at::NoGradGuard no_grad;
  for (const auto* entries : {&arena.parameters(), &arena.buffers()}) {
    for (const ArenaEntry& entry : *entries) {
      const auto stored = record.tensors.find(entry.name);
      if (stored == record.tensors.end())
        throw InputError(fmt::format("{}: its generator lacks {}", path, entry.name));
      const at::Tensor& value = stored->second.value;
      if (value.sizes() != at::IntArrayRef(entry.shape))
        throw InputError(fmt::format("{}: {} has shape [{}], its arguments say [{}]", path,
                                     entry.name, fmt::join(value.sizes(), ","),
                                     fmt::join(entry.shape, ",")));
      entry.tensor.copy_(value);
    }
  }
}

}  // namespace

std::unique_ptr<Generator> load_generator(const std::string& path, at::Device device) {
  return generator_from(path, io::read_networks(path), "G_ema", device);
}

std::unique_ptr<Generator> generator_from(const std::string& path, const io::NetworkFile& file,
                                          const std::string& network, at::Device device) {
  const auto record = file.networks.find(network);
  if (record == file.networks.end())
    throw InputError(fmt::format("{}: has no network {}", path, network));
  auto generator = build(path, record->second, device);
  fill(path, record->second, generator->arena());
  return generator;
}

}  // namespace galette

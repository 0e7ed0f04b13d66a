// SPDX-License-Identifier: Apache-2.0
#include "training/network_snapshot.h"

#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/log.h"
#include "io/check.h"
#include "io/network_exchange.h"
#include "io/together.h"

namespace galette {
namespace {

std::string shape_text(at::IntArrayRef sizes) {
  return sizes.empty() ? "a number" : fmt::format("{}", fmt::join(sizes, "x"));
}

io::NetworkRecord record_of(const Network& network) {
  io::NetworkRecord record{network.class_name(), network.init_args(), {}};
  for (const ArenaEntry& entry : network.arena().parameters()) {
    record.tensors[entry.name] = {entry.tensor.detach().cpu(), io::TensorKind::param};
  }
  for (const ArenaEntry& entry : network.arena().buffers()) {
    record.tensors[entry.name] = {entry.tensor.cpu(), io::TensorKind::buffer};
  }
  return record;
}

io::NetworkFile file_of(const TrainState& state, const TrainOptions& options,
                        const io::DatasetInfo& data) {
  TrainOptions copy = options;
  io::NetworkFile file;
  file.networks = {
      {"G", record_of(*state.g)}, {"D", record_of(*state.d)}, {"G_ema", record_of(*state.g_ema)}};
  file.kimg = static_cast<double>(state.images) / 1000;
  file.cfg = options.cfg;
  file.dataset = data.name;
  file.dataset_fingerprint = data.fingerprint;
  file.options = train_option_table(copy).to_json();
  file.version = GALETTE_VERSION;
  return file;
}

/// The first tensors of a file that have no match of their name and shape in a network.
std::string first_mismatches(const io::NetworkRecord& record, const Network& network) {
  constexpr size_t kShown = 3;
  std::vector<std::string> lines;
  for (const auto& [name, stored] : record.tensors) {
    const at::Tensor own = network.arena().find(name);
    if (own.defined() && own.sizes() == stored.value.sizes()) continue;
    lines.push_back(
        fmt::format("{} is {} there and {}", name, shape_text(stored.value.sizes()),
                    own.defined() ? shape_text(own.sizes()) + " here" : "unknown here"));
    if (lines.size() == kShown) break;
  }
  return fmt::format("{}", fmt::join(lines, ", "));
}

/// A generator of another kind would share but a few names by chance.
void check_same_family(const std::string& path, const io::NetworkFile& file, const Network& g) {
  const auto record = file.networks.find("G");
  if (record == file.networks.end()) return;
  const std::string there = io::generator_family(record->second);
  const std::string here = io::generator_family(record_of(g));
  if (there == here || there.empty()) return;
  throw InputError(fmt::format(
      "--resume={}: holds networks of --cfg={}, this run trains {}: {}; give that --cfg, or "
      "another "
      "file",
      path, file.cfg.empty() ? there : file.cfg, here, first_mismatches(record->second, g)));
}

/// Coordinates belong to a resolution, not to what was learnt.
bool is_transferred(const std::string& name) {
  return name.find("coords") == std::string::npos;
}

/// Copies by name and takes what it used from `record`; returns the names that it did not find.
std::vector<std::string> copy_tensors(const std::string& path, const std::string& network_name,
                                      io::NetworkRecord& record, Network& network) {
  std::vector<std::string> missing;
  for (const auto* entries : {&network.arena().parameters(), &network.arena().buffers()}) {
    for (const ArenaEntry& entry : *entries) {
      const auto stored = record.tensors.find(entry.name);
      if (!is_transferred(entry.name)) {
        if (stored != record.tensors.end()) record.tensors.erase(stored);
        continue;
      }
      if (stored == record.tensors.end()) {
        missing.push_back(entry.name);
        continue;
      }
      const at::Tensor& value = stored->second.value;
      if (value.sizes() != at::IntArrayRef(entry.shape)) {
        throw InputError(fmt::format(
            "--resume={}: {}/{} has shape {} there and {} here; give the --cfg, "
            "--cbase, --cmax and --map-depth that it was trained with",
            path, network_name, entry.name, shape_text(value.sizes()), shape_text(entry.shape)));
      }
      entry.tensor.detach().copy_(value);
      record.tensors.erase(stored);
    }
  }
  return missing;
}

void transfer_network(const std::string& path, io::NetworkFile& file, const std::string& name,
                      Network& network) {
  const auto record = file.networks.find(name);
  if (record == file.networks.end()) {
    throw InputError(fmt::format("--resume={}: has no network {}", path, name));
  }
  for (const std::string& missing : copy_tensors(path, name, record->second, network)) {
    log::warning("--resume: {}/{} is not in the file and keeps its initial value", name, missing);
  }
  for (const auto& [unused, tensor] : record->second.tensors) {
    log::warning("--resume: {}/{} of the file is not used", name, unused);
  }
}

}  // namespace

void write_network_snapshot(const std::string& path, const TrainState& state,
                            const TrainOptions& options, const io::DatasetInfo& data,
                            MPI_Comm comm) {
  io::on_root(comm, [&] { io::write_network_file(path, file_of(state, options, data)); });
}

void transfer_networks(const std::string& path, TrainState& state, MPI_Comm comm) {
  io::together(comm, [&] {
    io::NetworkFile file = io::read_networks(path);
    check_same_family(path, file, *state.g);
    transfer_network(path, file, "G", *state.g);
    transfer_network(path, file, "D", *state.d);
    transfer_network(path, file, "G_ema", *state.g_ema);
  });
  log::info("Networks taken from {}.", path);
}

void log_network(const Network& network) {
  struct Count {
    int64_t parameters = 0, buffers = 0;
  };
  std::vector<std::string> order;
  std::map<std::string, Count> modules;
  const auto module_of = [&](const std::string& name) -> Count& {
    // The first three parts of a name, less the tensor's own.
    std::string module = name.substr(0, name.rfind('.'));
    size_t dot = 0;
    for (int depth = 0; depth < 3 && dot != std::string::npos; ++depth)
      dot = module.find('.', dot + 1);
    module = module.substr(0, dot);
    if (modules.count(module) == 0) order.push_back(module);
    return modules[module];
  };
  Count total;
  for (const ArenaEntry& entry : network.arena().parameters()) {
    module_of(entry.name).parameters += entry.size;
    total.parameters += entry.size;
  }
  for (const ArenaEntry& entry : network.arena().buffers()) {
    module_of(entry.name).buffers += entry.size;
    total.buffers += entry.size;
  }
  log::info("\n{:<44}{:>12}{:>12}", network.class_name(), "Parameters", "Buffers");
  for (const std::string& module : order) {
    log::info("{:<44}{:>12}{:>12}", module, modules[module].parameters, modules[module].buffers);
  }
  log::info("{:<44}{:>12}{:>12}\n", "Total", total.parameters, total.buffers);
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "cli/convert_command.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/creps_onnx.h"
#include "cli/generator_file.h"
#include "io/check.h"
#include "io/file_kind.h"
#include "io/file_util.h"
#include "io/network_exchange.h"
#include "io/pickled_networks.h"
#include "io/together.h"
#include "io/torch_writer.h"

namespace galette {
namespace {

struct ConvertOptions {
  std::string source, dest;
  std::string network;
  bool force = false;
};

OptionTable convert_option_table(ConvertOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table
      .add("source", nothing, o.source,
           "network snapshot, safetensors or published network pickle, told by its content")
      .required();
  table
      .add("dest", nothing, o.dest,
           "file to write: *.h5 (network snapshot), *.safetensors, *.pth (PyTorch's state "
           "dictionary of one network), *.onnx (a CREPS generator)")
      .required();
  table.add("network", nothing, o.network, "which network to take", {"all", "G", "D", "G_ema"})
      .default_text("all; G_ema for *.pth and *.onnx");
  table.add_flag("force", o.force, "replace an existing file");
  return table;
}

struct ConvertCommand {
  ConvertOptions options;
  OptionTable table = convert_option_table(options);
};

struct Format {
  const char* extension;
  bool holds_one;  ///< a single network
  void (*write)(const ConvertOptions& o, const io::NetworkFile& file);
};

void write_snapshot(const ConvertOptions& o, const io::NetworkFile& file) {
  io::write_network_file(o.dest, file);
}

void write_safetensors(const ConvertOptions& o, const io::NetworkFile& file) {
  io::write_safetensors(o.dest, io::to_safetensors(file));
}

void write_state_dictionary(const ConvertOptions& o, const io::NetworkFile& file) {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : file.networks.begin()->second.tensors)
    tensors[name] = tensor.value;
  io::write_torch_file(o.dest, tensors);
}

void write_onnx(const ConvertOptions& o, const io::NetworkFile& file) {
  const std::unique_ptr<Generator> g = generator_from(o.source, file, o.network);
  const auto* creps = dynamic_cast<const CrepsGenerator*>(g.get());
  if (creps == nullptr)
    throw InputError(
        fmt::format("--dest={}: only CREPS generators can be written as ONNX, and {} "
                    "holds a {}",
                    o.dest, o.source, g->class_name()));
  if (!g->w_avg().isfinite().all().item<bool>())
    log::warning("{}: its average latent is not finite: the model has no truncation_psi", o.source);
  const std::string bytes = creps_onnx(*creps);
  io::write_file(o.dest, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

constexpr Format kFormats[] = {{".h5", false, write_snapshot},
                               {".safetensors", false, write_safetensors},
                               {".pth", true, write_state_dictionary},
                               {".pt", true, write_state_dictionary},
                               {".onnx", true, write_onnx}};

const Format& format_of(const std::string& dest) {
  for (const Format& format : kFormats)
    if (dest.ends_with(format.extension)) return format;
  throw InputError(
      fmt::format("--dest={}: the name must end in .h5, .safetensors, .pth or .onnx", dest));
}

void check_destination(const ConvertOptions& o) {
  namespace fs = std::filesystem;
  if (fs::exists(o.dest) && !o.force)
    throw InputError(
        fmt::format("--dest={}: exists already; choose another name or add --force", o.dest));
  if (fs::is_directory(o.dest)) throw InputError(fmt::format("--dest={}: is a folder", o.dest));
}

/// Leaves only the networks that are wanted.
void select(io::NetworkFile& file, const ConvertOptions& o) {
  if (o.network == "all") return;
  if (file.networks.count(o.network) == 0)
    throw InputError(fmt::format("--source={}: has no network {}", o.source, o.network));
  std::erase_if(file.networks, [&](const auto& entry) { return entry.first != o.network; });
}

void convert_file(ConvertOptions o) {
  const Format& format = format_of(o.dest);
  if (o.network.empty()) o.network = format.holds_one ? "G_ema" : "all";
  if (format.holds_one && o.network == "all")
    throw InputError(fmt::format("--network=all: {} holds one network; name it", o.dest));
  check_destination(o);
  const bool is_pickle = io::file_kind(o.source) == io::FileKind::pickle;
  io::NetworkFile file =
      is_pickle ? io::read_pickled_networks(o.source) : io::read_networks(o.source);
  select(file, o);
  size_t tensors = 0;
  for (const auto& [name, record] : file.networks) {
    tensors += record.tensors.size();
    if (record.class_name.empty())
      log::warning("{} does not say how {} is built: only its tensors can be used, by --resume",
                   o.source, name);
  }
  format.write(o, file);
  log::info("{}: {} tensors of {} network{}", o.dest, tensors, file.networks.size(),
            file.networks.size() == 1 ? "" : "s");
}

int convert(const ConvertCommand& command) {
  io::on_root(MPI_COMM_WORLD, [&] { convert_file(command.options); });
  return kExitDone;
}

}  // namespace

void add_convert_command(CLI::App& app, Action& action) {
  CLI::App* sub =
      app.add_subcommand("convert", "Writes networks in other formats, and reads published ones");
  auto command = std::make_shared<ConvertCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return convert(*command); }; });
}

}  // namespace galette

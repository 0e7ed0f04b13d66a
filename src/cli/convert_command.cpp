// SPDX-License-Identifier: Apache-2.0
#include "cli/convert_command.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "io/check.h"
#include "io/file_kind.h"
#include "io/network_exchange.h"
#include "io/pickled_networks.h"
#include "io/together.h"

namespace galette {
namespace {

struct ConvertOptions {
  std::string source, dest;
  std::string network = "all";
  bool force = false;
};

OptionTable convert_option_table(ConvertOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table
      .add("source", nothing, o.source,
           "Network snapshot, safetensors or published network pickle, told by its content")
      .required();
  table.add("dest", nothing, o.dest, "File to write: *.h5 is a network snapshot, or *.safetensors")
      .required();
  table.add("network", nothing, o.network, "Which network to take", {"all", "G", "D", "G_ema"});
  table.add_flag("force", o.force, "Replace an existing file");
  return table;
}

struct ConvertCommand {
  ConvertOptions options;
  OptionTable table = convert_option_table(options);
};

void check_destination(const ConvertOptions& o) {
  namespace fs = std::filesystem;
  const std::string extension = fs::path(o.dest).extension().string();
  if (extension != ".h5" && extension != ".safetensors")
    throw InputError(fmt::format("--dest={}: the name must end in .h5 or .safetensors", o.dest));
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

void convert_file(const ConvertOptions& o) {
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
  if (o.dest.ends_with(".h5")) {
    io::write_network_file(o.dest, file);
  } else {
    io::write_safetensors(o.dest, io::to_safetensors(file));
  }
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
      app.add_subcommand("convert", "Networks to and from safetensors, and from published pickles");
  auto command = std::make_shared<ConvertCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return convert(*command); }; });
}

}  // namespace galette

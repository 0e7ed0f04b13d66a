// SPDX-License-Identifier: Apache-2.0
#include "cli/dataset_command.h"

#include <cstdio>
#include <memory>
#include <optional>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "base/progress.h"
#include "io/check.h"
#include "io/dataset_packer.h"
#include "io/image_source.h"
#include "io/together.h"
#include "parallel/mpi_session.h"

namespace galette {
namespace {

struct DatasetOptions {
  std::string source;
  std::string dest;
  std::string resolution;
  std::string transform = "none";
  std::optional<int64_t> max_images;
  std::string background;
  std::string name;
  bool overwrite = false;
};

OptionTable dataset_option_table(DatasetOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table
      .add("source", nothing, o.source,
           "folder or .zip of PNG and JPEG images, .ttf emoji font, or *-images-idx3-ubyte.gz "
           "(MNIST)")
      .required();
  table.add("dest", nothing, o.dest, "HDF5 file to write").required();
  table.add("resolution", nothing, o.resolution, "size of the images: N or WxH, a power of two")
      .default_text("that of the source");
  table.add("transform", nothing, o.transform,
            "none stretches to the resolution; center-crop takes the largest centred square; "
            "center-crop-wide takes the full width and fills up with black rows",
            {"none", "center-crop", "center-crop-wide"});
  table.add("max-images", nothing, o.max_images, "read only the first so many images", {.min = 1})
      .default_text("all");
  table
      .add("background", nothing, o.background,
           "colour behind transparent images: white, black or R,G,B with values 0 to 255")
      .default_text("white for fonts; else transparent images are refused");
  table.add("name", nothing, o.name, "name of the dataset").default_text("that of --dest");
  table.add_flag("overwrite", o.overwrite, "replace an existing file");
  return table;
}

struct DatasetCommand {
  DatasetOptions options;
  OptionTable table = dataset_option_table(options);
};

/// N, WxH or W,H.
io::Resolution parse_resolution(const std::string& text) {
  int width = 0, height = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%6d%*[x,]%6d%c", &width, &height, &rest) == 2) {
    return {width, height};
  }
  if (std::sscanf(text.c_str(), "%6d%c", &width, &rest) == 1) return {width, width};
  throw InputError(fmt::format("--resolution={}: not a size; use N or WxH", text));
}

io::PackOptions pack_options(const DatasetCommand& command) {
  const DatasetOptions& o = command.options;
  io::PackOptions pack;
  pack.source = o.source;
  pack.dest = o.dest;
  pack.name = o.name;
  if (!o.resolution.empty()) pack.resolution = parse_resolution(o.resolution);
  pack.transform = io::parse_transform(o.transform);
  pack.max_images = o.max_images;
  if (!o.background.empty()) pack.background = io::parse_color(o.background);
  pack.overwrite = o.overwrite;
  pack.tool_version = GALETTE_VERSION;
  pack.options = command.table.to_json().dump();
  return pack;
}

void tell(const io::PackReport& report, const DatasetOptions& options) {
  log::info("{}: {} images of {}x{} with {} channel{}, {} labels", options.dest,
            report.images_packed, report.shape.width, report.shape.height, report.shape.channels,
            report.shape.channels == 1 ? "" : "s", report.has_labels ? "with" : "no");
  log::info("{} images read, {} dropped by the transform", report.images_read,
            report.images_dropped);
  if (report.images_unlabelled > 0 && report.images_unlabelled < report.images_packed) {
    log::warning("{} images have no label, so no labels were written", report.images_unlabelled);
  }
}

int pack(const DatasetCommand& command) {
  require_complete_world(io::comm_size(MPI_COMM_WORLD));
  const io::PackOptions options = pack_options(command);
  std::optional<ProgressBar> bar;
  const auto show = [&](int64_t done, int64_t total) {
    if (!bar) bar.emplace("dataset", double(total) / 1000, "kimg");
    bar->update(double(done) / 1000);
  };
  const io::PackReport report = io::pack_dataset(options, MPI_COMM_WORLD, show);
  bar.reset();
  tell(report, command.options);
  return kExitDone;
}

}  // namespace

void add_dataset_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("dataset", "Packs images into a dataset file for training");
  auto command = std::make_shared<DatasetCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return pack(*command); }; });
}

}  // namespace galette

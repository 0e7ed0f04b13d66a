// SPDX-License-Identifier: Apache-2.0
#include "cli/spectra_command.h"

#include <filesystem>
#include <functional>
#include <memory>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "base/progress.h"
#include "cli/device_option.h"
#include "cli/spectrum_images.h"
#include "cli/spectrum_plot.h"
#include "io/check.h"
#include "io/together.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

struct SpectraOptions {
  std::string source, dest;
  std::optional<int64_t> num;
  int64_t seed = 0;
  std::optional<double> scale, mean, std;
  double beta = 8;
  int64_t interp = 4;
  std::string device = "auto";
  bool force = false;
};

void add_source_options(OptionTable& table, SpectraOptions& o) {
  const Defines nothing = Defines::nothing;
  table.add("source", nothing, o.source, "dataset, or network snapshot, or safetensors").required();
  table
      .add("num", nothing, o.num,
           "images: so many of a dataset, or as many as a network is to make", {1, 1'000'000'000})
      .default_text("all of a dataset");
  table.add("seed", nothing, o.seed, "seed of the choice of --num images, or of the first made one",
            {0, UINT32_MAX});
  table.add("scale", nothing, o.scale, "CREPS: pixels per pixel of the training images")
      .default_text("1");
  add_device_option(table, o.device);
}

OptionTable stats_option_table(SpectraOptions& o) {
  OptionTable table;
  add_source_options(table, o);
  return table;
}

OptionTable calc_option_table(SpectraOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  add_source_options(table, o);
  table.add("dest", nothing, o.dest, "file to write, *.h5").required();
  table.add("mean", nothing, o.mean, "mean of the real images, as stats prints it").required();
  table.add("std", nothing, o.std, "their standard deviation", {.min = 1e-6}).required();
  table.add("beta", nothing, o.beta, "shape of the Kaiser window", {.min = 0, .max = 100});
  table.add("interp", nothing, o.interp, "frequencies per frequency of the images", {1, 64});
  table.add_flag("force", o.force, "replace a file that exists");
  return table;
}

struct SpectraCommand {
  SpectraOptions options;
  OptionTable table;
};

void refuse_existing(const char* option, const std::string& path, bool force) {
  if (!force && fs::exists(path))
    throw InputError(
        fmt::format("--{}={}: exists already; choose another or add --force", option, path));
}

at::Device prepare(const SpectraOptions& o, MpiCommunicator& comm) {
  require_complete_world(comm.size());
  divide_threads(comm.handle());
  return use_device(o.device, comm);
}

std::unique_ptr<SpectrumImages> open_images(const SpectraOptions& o, at::Device device,
                                            MpiCommunicator& comm) {
  std::unique_ptr<SpectrumImages> images;
  io::together(comm.handle(), [&] {
    images =
        open_spectrum_images({o.source, o.num, static_cast<uint32_t>(o.seed), o.scale, device});
  });
  return images;
}

/// Image k is that of rank k mod R.
void for_each_image(const SpectrumImages& images, MpiCommunicator& comm,
                    const std::function<void(const at::Tensor&)>& take) {
  ProgressBar bar("spectra", static_cast<double>(images.count()), "images");
  io::together(comm.handle(), [&] {
    for (int64_t k = comm.rank(); k < images.count(); k += comm.size()) {
      bar.update(static_cast<double>(k));
      take(images.image(k));
    }
  });
}

int stats(const SpectraOptions& o) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  const auto images = open_images(o, prepare(o, comm), comm);
  PixelStatistics statistics;
  for_each_image(*images, comm, [&](const at::Tensor& image) { statistics.add(image); });
  const at::Tensor sums = statistics.sums();
  comm.all_reduce(sums, ReduceOp::sum);
  log::info("--mean={:.6g} --std={:.6g}", PixelStatistics::mean(sums),
            PixelStatistics::deviation(sums));
  return kExitDone;
}

int calc(const SpectraOptions& o) {
  MpiCommunicator comm(MPI_COMM_WORLD);
  io::on_root(comm.handle(), [&] { refuse_existing("dest", o.dest, o.force); });
  const at::Device device = prepare(o, comm);
  const auto images = open_images(o, device, comm);
  const SpectrumSetup setup{images->size(), *o.mean, *o.std, o.beta, o.interp};
  PowerSpectrum spectrum(setup, device);
  for_each_image(*images, comm, [&](const at::Tensor& image) { spectrum.add(image); });
  const at::Tensor sum = spectrum.sum();
  comm.all_reduce(sum, ReduceOp::sum);
  const double count = comm.sum(spectrum.count());
  io::on_root(comm.handle(), [&] {
    write_spectrum(o.dest, {setup, images->count(), o.seed, fs::path(o.source).filename(),
                            PowerSpectrum::average(sum, count)});
  });
  log::info("the average spectrum of {} images of {}x{} pixels in {}", images->count(),
            images->size(), images->size(), o.dest);
  return kExitDone;
}

struct PlotOptions {
  std::vector<std::string> files;
  std::string save;
  double smooth = 0;
  bool force = false;
};

[[noreturn]] void refuse_suffix(const std::string& path, const char* suffixes) {
  throw InputError(fmt::format("--save={}: give a name that ends in {}", path, suffixes));
}

void save_heatmap(const PlotOptions& o) {
  const std::string suffix = fs::path(o.save).extension();
  if (suffix != ".png" && suffix != ".svg" && suffix != ".csv")
    refuse_suffix(o.save, ".png, .svg or .csv");
  const SpectrumFile file = read_spectrum(o.files[0]);
  const at::Tensor decibels = spectrum_decibels(file, o.smooth);
  if (suffix == ".png") write_heatmap_png(o.save, decibels);
  if (suffix == ".svg") write_heatmap_svg(o.save, file, decibels);
  if (suffix == ".csv") write_heatmap_csv(o.save, decibels);
}

void save_slices(const PlotOptions& o) {
  const std::string suffix = fs::path(o.save).extension();
  if (suffix != ".svg" && suffix != ".csv") refuse_suffix(o.save, ".svg or .csv");
  std::vector<SpectrumSlice> horizontal, diagonal;
  int64_t size = 0;
  for (const std::string& path : o.files) {
    const SpectrumFile file = read_spectrum(path);
    if (size != 0 && file.setup.image_size != size)
      throw InputError(
          fmt::format("{}: is of images of {} pixels, and {} of {}; one diagram takes "
                      "one size",
                      path, file.setup.image_size, o.files[0], size));
    size = file.setup.image_size;
    const at::Tensor decibels = spectrum_decibels(file, o.smooth);
    horizontal.push_back(horizontal_slice(file, decibels));
    diagonal.push_back(diagonal_slice(file, decibels));
  }
  (suffix == ".svg" ? write_slices_svg : write_slices_csv)(o.save, horizontal, diagonal);
}

int plot(const PlotOptions& o, void (*save)(const PlotOptions&)) {
  io::on_root(MPI_COMM_WORLD, [&] {
    refuse_existing("save", o.save, o.force);
    save(o);
    log::info("{}", o.save);
  });
  return kExitDone;
}

void add_computing(CLI::App& app, Action& action, const char* name, const char* meaning,
                   OptionTable (*make_table)(SpectraOptions&), int (*run)(const SpectraOptions&)) {
  CLI::App* sub = app.add_subcommand(name, meaning);
  auto command = std::make_shared<SpectraCommand>();
  command->table = make_table(command->options);
  command->table.add_to(*sub);
  sub->callback(
      [command, &action, run] { action = [command, run] { return run(command->options); }; });
}

CLI::Option* add_plot(CLI::App& app, Action& action, const char* name, const char* meaning,
                      double smooth, const char* formats, void (*save)(const PlotOptions&)) {
  CLI::App* sub = app.add_subcommand(name, meaning);
  auto options = std::make_shared<PlotOptions>();
  options->smooth = smooth;
  CLI::Option* files = sub->add_option("FILE", options->files, "what calc wrote")->required();
  sub->add_option("--save", options->save, fmt::format("picture or table to write: {}", formats))
      ->required();
  sub->add_option("--smooth", options->smooth, "deviation of a blur, in frequencies of the images")
      ->check(CLI::Range(0.0, 1000.0))
      ->capture_default_str();
  sub->add_flag("--force", options->force, "replace a file that exists");
  sub->callback(
      [options, &action, save] { action = [options, save] { return plot(*options, save); }; });
  return files;
}

}  // namespace

void add_spectra_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("spectra", "Compares the frequencies in images");
  sub->require_subcommand(1);
  add_computing(*sub, action, "stats", "Prints mean and deviation of all values of real images",
                stats_option_table, stats);
  add_computing(*sub, action, "calc", "Computes the average spectrum of real or generated images",
                calc_option_table, calc);
  add_plot(*sub, action, "heatmap", "Draws a spectrum", 1.25, "*.png, *.svg, *.csv", save_heatmap)
      ->expected(1);
  add_plot(*sub, action, "slices", "Draws cuts through spectra", 0, "*.svg, *.csv", save_slices);
}

}  // namespace galette

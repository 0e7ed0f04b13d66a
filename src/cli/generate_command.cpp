// SPDX-License-Identifier: Apache-2.0
#include "cli/generate_command.h"

#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/device_option.h"
#include "cli/generator_file.h"
#include "cli/picture_output.h"
#include "io/check.h"
#include "io/npz.h"
#include "io/together.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

struct GenerateOptions {
  std::string network, outdir;
  std::string seeds, projected_w;
  double trunc = 1;
  std::optional<int64_t> class_index;
  std::string noise_mode = "const";
  std::string translate;
  std::optional<double> rotate;
  std::optional<double> scale;
  std::string size, region;
  std::optional<int64_t> tile;
  std::string grid, style_mix;
  std::string mix_layers = "0-6";
  std::optional<int64_t> interpolate;
  std::string format = "png";
  std::string device = "auto";
  bool force = false;
};

void add_image_options(OptionTable& table, GenerateOptions& o) {
  const Defines nothing = Defines::nothing;
  table.add("noise-mode", nothing, o.noise_mode, "noise of StyleGAN2: stored, of the seed, or none",
            {"const", "random", "none"});
  table.add("translate", nothing, o.translate, "StyleGAN3: shift X,Y in sides of the image")
      .default_text("0,0");
  table.add("rotate", nothing, o.rotate, "StyleGAN3: degrees").default_text("0");
  table.add("scale", nothing, o.scale, "CREPS: pixels per pixel of the training images, any number")
      .default_text("1");
  table.add("size", nothing, o.size, "CREPS: pixels as WxH, in place of --scale")
      .default_text("that of --scale");
  table
      .add("region", nothing, o.region,
           "CREPS: part X0,Y0,X1,Y1 of the unit square, may reach beyond it. Shows those pixels of "
           "the whole image that lie in it; with --size, that many pixels from end to end")
      .default_text("0,0,1,1");
  table
      .add("tile", nothing, o.tile,
           "CREPS: N x N pixels are computed at a time, rounded up to a multiple of 256. The image "
           "does not depend on it; memory does",
           {.min = 1})
      .default_text("256");
}

OptionTable generate_option_table(GenerateOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table.add("network", nothing, o.network, "network snapshot, or safetensors made from one")
      .required();
  table.add("seeds", nothing, o.seeds, "numbers of the images, such as 0,1,4-6")
      .default_text("needed without --projected-w");
  table
      .add("projected-w", nothing, o.projected_w,
           "show the latents of projected_w.npz, which `galette project` and the published "
           "projector write, in place of --seeds")
      .default_text("none");
  table.add("outdir", nothing, o.outdir, "folder to write to").required();
  table.add("trunc", nothing, o.trunc, "truncation psi: 1 leaves latents alone, 0 is the average");
  table.add("class", nothing, o.class_index, "class to show, for conditional networks", {.min = 0});
  add_image_options(table, o);
  table
      .add("grid", nothing, o.grid, "sheets of CxR images, C columns and R rows, in place of files")
      .default_text("one file per image");
  table
      .add("style-mix", nothing, o.style_mix,
           "a sheet of all --seeds (left) with some layers of these seeds (top)")
      .default_text("none");
  table.add("mix-layers", nothing, o.mix_layers, "layers that --style-mix takes from the top");
  table
      .add("interpolate", nothing, o.interpolate,
           "N frames from each seed to the next, equally spaced in w", {1, 1'000'000})
      .default_text("none");
  table.add("format", nothing, o.format, "png16 has 16 bits per channel", {"png", "png16", "jpg"});
  add_device_option(table, o.device);
  table.add_flag("force", o.force, "replace pictures that exist");
  return table;
}

struct GenerateCommand {
  GenerateOptions options;
  OptionTable table = generate_option_table(options);
};

ImageRequest image_request(const GenerateOptions& o) {
  ImageRequest request;
  request.scale = o.scale;
  if (!o.size.empty()) request.size = parse_extent("size", o.size);
  if (!o.region.empty()) request.region = parse_four("region", o.region);
  request.tile = o.tile;
  if (!o.translate.empty()) request.translate = parse_pair("translate", o.translate);
  request.rotate = o.rotate;
  request.noise_mode = o.noise_mode == "const"    ? NoiseMode::constant
                       : o.noise_mode == "random" ? NoiseMode::random
                                                  : NoiseMode::none;
  return request;
}

PlanRequest plan_request(const GenerateOptions& o) {
  constexpr uint32_t kMostSeed = UINT32_MAX;  // of the published generator
  PlanRequest request;
  if (o.seeds.empty()) throw InputError("--seeds: say which images to make, such as 0-7");
  request.seeds = parse_numbers("seeds", o.seeds, kMostSeed);
  if (!o.grid.empty()) request.grid = parse_extent("grid", o.grid);
  if (!o.style_mix.empty()) request.mix_seeds = parse_numbers("style-mix", o.style_mix, kMostSeed);
  request.interpolate = o.interpolate;
  return request;
}

/// Layers beyond the last are no mistake: small networks have few.
std::vector<uint32_t> mix_layers(const GenerateOptions& o, const Generator& g) {
  std::vector<uint32_t> layers = parse_numbers("mix-layers", o.mix_layers, 1000);
  std::erase_if(layers, [&](uint32_t layer) { return layer >= g.num_ws(); });
  return layers;
}

/// The latents of a file, [n, num_ws, w_dim].
at::Tensor projected_latents(const std::string& path, const Generator& g) {
  const at::Tensor ws = io::read_npz(path, "w");
  if (ws.dim() != 3 || ws.size(1) != g.num_ws() || ws.size(2) != g.w_dim())
    throw InputError(
        fmt::format("--projected-w={}: has latents of shape [{}], the network takes "
                    "[n,{},{}]",
                    path, fmt::join(ws.sizes(), ","), g.num_ws(), g.w_dim()));
  return ws.to(g.arena().options());
}

std::vector<Picture> projected_pictures(int64_t count) {
  std::vector<Picture> pictures;
  for (uint32_t k = 0; k < count; ++k)
    pictures.push_back({fmt::format("proj{:02d}", k), 1, {Latent{k, 0, 0, {}}}});
  return pictures;
}

void check_projected(const GenerateOptions& o) {
  const bool others = !o.seeds.empty() || !o.grid.empty() || !o.style_mix.empty() || o.interpolate;
  if (others || o.class_index || o.trunc != 1)
    throw InputError(
        "--projected-w: shows given latents; leave --seeds, --trunc, --class, --grid, --style-mix "
        "and --interpolate out");
}

io::PictureFormat picture_format(const std::string& name) {
  if (name == "jpg") return io::PictureFormat::jpeg;
  return name == "png16" ? io::PictureFormat::png16 : io::PictureFormat::png8;
}

int generate(const GenerateCommand& command) {
  const GenerateOptions& o = command.options;
  MpiCommunicator comm(MPI_COMM_WORLD);
  require_complete_world(comm.size());
  const bool projected = !o.projected_w.empty();
  PlanRequest plan;
  if (projected) {
    check_projected(o);
  } else {
    plan = plan_request(o);
  }
  const ImageRequest request = image_request(o);
  divide_threads(comm.handle());
  const at::Device device = use_device(o.device, comm);
  std::unique_ptr<Generator> g;
  at::Tensor given;
  io::together(comm.handle(), [&] {
    g = load_generator(o.network, device);
    if (projected) given = projected_latents(o.projected_w, *g);
  });
  plan.mix_layers = mix_layers(o, *g);
  const std::vector<Picture> pictures =
      projected ? projected_pictures(given.size(0)) : plan_pictures(plan);
  const LatentSource latents =
      projected ? LatentSource(*g, given) : LatentSource(*g, o.class_index, o.trunc);
  const ImageMaker maker(*g, request);
  const PictureFolder folder{o.outdir, picture_format(o.format), o.force};
  folder.prepare(pictures, comm.handle());
  write_pictures(pictures, maker, latents, folder, comm);
  const io::PictureLayout layout = maker.layout();
  log::info("{} picture{} in {}, {} of {}x{} pixels", pictures.size(),
            pictures.size() == 1 ? "" : "s", o.outdir,
            pictures[0].cells.size() == 1 ? "each" : "cells", layout.width, layout.height);
  return kExitDone;
}

}  // namespace

void add_generate_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("generate", "Makes images with a trained network");
  auto command = std::make_shared<GenerateCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return generate(*command); }; });
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
#include "cli/video_command.h"

#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "cli/device_option.h"
#include "cli/generator_file.h"
#include "cli/video_frames.h"
#include "io/check.h"
#include "io/together.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

struct VideoOptions {
  std::string network, output;
  std::string seeds;
  std::optional<int64_t> shuffle_seed;
  std::string grid = "1x1";
  std::optional<int64_t> num_keyframes;
  int64_t w_frames = 120;
  double trunc = 1;
  std::optional<int64_t> class_index;
  std::optional<double> scale;
  std::string size;
  std::optional<double> zoom;
  std::string zoom_at = "0.5,0.5";
  int64_t fps = 60;
  double bitrate = 12;
  std::string device = "auto";
  bool force = false;
};

void add_picture_options(OptionTable& table, VideoOptions& o) {
  const Defines nothing = Defines::nothing;
  table.add("trunc", nothing, o.trunc, "truncation psi: 1 leaves latents alone, 0 is the average");
  table.add("class", nothing, o.class_index, "class to show, for conditional networks", {.min = 0});
  table.add("scale", nothing, o.scale, "CREPS: pixels per pixel of the training images, any number")
      .default_text("1");
  table.add("size", nothing, o.size, "CREPS: pixels of a cell as WxH, in place of --scale")
      .default_text("that of --scale");
  table
      .add("zoom", nothing, o.zoom,
           "CREPS: the last frame shows a part that is so many times smaller; below 1, a larger "
           "one",
           {.min = 1e-3, .max = 1e4})
      .default_text("1");
  table.add("zoom-at", nothing, o.zoom_at,
            "CREPS: point X,Y of the unit square that keeps its place while zooming");
}

OptionTable video_option_table(VideoOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table.add("network", nothing, o.network, "network snapshot, or safetensors made from one")
      .required();
  table.add("seeds", nothing, o.seeds, "numbers of the images to go through, such as 0,1,4-6")
      .required();
  table.add("output", nothing, o.output, "file to write, *.mp4").required();
  table
      .add("shuffle-seed", nothing, o.shuffle_seed, "order the seeds at random, by this seed",
           {0, UINT32_MAX})
      .default_text("in their order");
  table.add("grid", nothing, o.grid, "cells per frame: C columns and R rows as CxR");
  table
      .add("num-keyframes", nothing, o.num_keyframes,
           "seeds that each cell goes through; they are repeated when there are too few",
           {1, 1'000'000})
      .default_text("all seeds, shared among the cells");
  table.add("w-frames", nothing, o.w_frames, "frames from one seed to the next", {1, 1'000'000});
  add_picture_options(table, o);
  table.add("fps", nothing, o.fps, "frames per second", {1, 1000});
  table.add("bitrate", nothing, o.bitrate, "megabits per second", {.min = 0.01, .max = 1000});
  add_device_option(table, o.device);
  table.add_flag("force", o.force, "replace a video that exists");
  return table;
}

struct VideoCommand {
  VideoOptions options;
  OptionTable table = video_option_table(options);
};

VideoRequest video_request(const VideoOptions& o) {
  VideoRequest request;
  request.seeds = parse_numbers("seeds", o.seeds, UINT32_MAX);
  if (o.shuffle_seed) request.shuffle_seed = static_cast<uint32_t>(*o.shuffle_seed);
  request.grid = parse_extent("grid", o.grid);
  request.keyframes = o.num_keyframes;
  request.w_frames = o.w_frames;
  return request;
}

std::optional<Zoom> zoom_of(const VideoOptions& o) {
  const auto point = parse_pair("zoom-at", o.zoom_at);
  for (const double coordinate : point)
    if (coordinate < 0 || coordinate > 1)
      throw InputError(
          fmt::format("--zoom-at={}: lies outside of the unit square 0 to 1", o.zoom_at));
  if (!o.zoom) return std::nullopt;
  return Zoom{*o.zoom, point};
}

void check_output(const VideoOptions& o) {
  if (fs::path(o.output).extension() != ".mp4")
    throw InputError(
        fmt::format("--output={}: only MP4 is written; give a name that ends in .mp4", o.output));
  if (!o.force && fs::exists(o.output))
    throw InputError(
        fmt::format("--output={}: exists already; choose another or add --force", o.output));
}

int make_video(const VideoCommand& command) {
  const VideoOptions& o = command.options;
  MpiCommunicator comm(MPI_COMM_WORLD);
  require_complete_world(comm.size());
  const VideoPlan plan = plan_video(video_request(o));
  ImageRequest request;
  request.scale = o.scale;
  if (!o.size.empty()) request.size = parse_extent("size", o.size);
  const std::optional<Zoom> zoom = zoom_of(o);
  io::on_root(comm.handle(), [&] { check_output(o); });
  divide_threads(comm.handle());
  const at::Device device = use_device(o.device, comm);
  std::unique_ptr<Generator> g;
  io::together(comm.handle(), [&] { g = load_generator(o.network, device); });
  const LatentSource latents(*g, o.class_index, o.trunc);
  const VideoFrames frames(*g, latents, plan, request, zoom);
  const io::ImageShape shape = frames.shape();
  const io::VideoLayout layout{shape.width, shape.height, static_cast<int>(o.fps), o.bitrate};
  write_video(
      o.output, layout, plan.frames(), shape, [&](int64_t frame) { return frames.make(frame); },
      comm);
  log::info("{} frames of {}x{} pixels, {:.1f} s, in {}", plan.frames(), shape.width, shape.height,
            static_cast<double>(plan.frames()) / static_cast<double>(o.fps), o.output);
  return kExitDone;
}

}  // namespace

void add_video_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("video", "Makes a film of a trained network's images");
  auto command = std::make_shared<VideoCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return make_video(*command); }; });
}

}  // namespace galette

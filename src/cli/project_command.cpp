// SPDX-License-Identifier: Apache-2.0
#include "cli/project_command.h"

#include <filesystem>
#include <memory>

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "base/exit_code.h"
#include "base/log.h"
#include "base/option_table.h"
#include "base/progress.h"
#include "cli/device_option.h"
#include "cli/generator_file.h"
#include "cli/latents.h"
#include "cli/projection.h"
#include "cli/target_image.h"
#include "io/check.h"
#include "io/file_util.h"
#include "io/image_codec.h"
#include "io/npz.h"
#include "io/together.h"
#include "io/video_writer.h"
#include "metrics/detector_file.h"
#include "parallel/device_choice.h"
#include "parallel/mpi_communicator.h"
#include "parallel/mpi_session.h"
#include "parallel/threads.h"

namespace galette {
namespace {

namespace fs = std::filesystem;

constexpr int kFramesPerSecond = 30;
constexpr double kMegabitsPerSecond = 12;
constexpr int64_t kLeastLpipsSide = 16;

struct ProjectOptions {
  std::string network, outdir;
  std::vector<std::string> targets;
  int64_t num_steps = 1000;
  int64_t seed = 303;
  std::optional<int64_t> class_index;
  std::string detector, heads;
  std::string device = "auto";
  bool video = false;
  bool force = false;
};

OptionTable project_option_table(ProjectOptions& o) {
  const Defines nothing = Defines::nothing;
  OptionTable table;
  table.add("network", nothing, o.network, "network snapshot, or safetensors made from one")
      .required();
  table.add_list("target", nothing, o.targets, "PNG or JPEG files to find the latents of")
      .required();
  table.add("outdir", nothing, o.outdir, "folder to write to; with several targets, a folder each")
      .required();
  table.add("num-steps", nothing, o.num_steps, "steps of the optimisation", {1, 1'000'000});
  table.add("seed", nothing, o.seed, "seed of the noise of the optimisation", {0, UINT32_MAX});
  table.add("class", nothing, o.class_index, "class of the images, for conditional networks",
            {.min = 0});
  table
      .add("detector", nothing, o.detector,
           "vGG16 weights with the heads of LPIPS, which then is the distance")
      .default_text("distance of pixels on several scales");
  table
      .add("detector-heads", nothing, o.heads,
           "the heads of LPIPS, when they are a file of their own")
      .default_text("in --detector");
  add_device_option(table, o.device);
  table.add_flag("video", o.video, "also write proj.mp4: the target beside each step");
  table.add_flag("force", o.force, "replace files that exist");
  return table;
}

struct ProjectCommand {
  ProjectOptions options;
  OptionTable table = project_option_table(options);
};

struct Job {
  std::string target;
  fs::path folder;
};

std::vector<Job> plan_jobs(const ProjectOptions& o) {
  std::vector<Job> jobs;
  if (o.targets.empty()) throw InputError("--target=none: name at least one picture");
  for (const std::string& target : o.targets) {
    const fs::path folder =
        o.targets.size() == 1 ? fs::path(o.outdir) : fs::path(o.outdir) / fs::path(target).stem();
    for (const Job& other : jobs)
      if (other.folder == folder)
        throw InputError(fmt::format("--target: {} and {} would write to the same folder {}",
                                     other.target, target, folder.string()));
    jobs.push_back({target, folder});
  }
  return jobs;
}

void prepare_folders(const std::vector<Job>& jobs, bool force) {
  for (const Job& job : jobs) {
    std::error_code error;
    fs::create_directories(job.folder, error);
    if (error)
      throw InputError(fmt::format("--outdir={}: {}; give a folder that you may write to",
                                   job.folder.string(), error.message()));
    for (const char* name : {"projected_w.npz", "target.png", "proj.png", "proj.mp4"})
      if (!force && fs::exists(job.folder / name))
        throw InputError(fmt::format("{}: exists already; choose another --outdir or add --force",
                                     (job.folder / name).string()));
  }
}

/// The target on the left, the network's image on the right.
class StepVideo {
 public:
  StepVideo(const fs::path& path, const at::Tensor& target)
      : target_(target),
        writer_(path.string(),
                {static_cast<int>(2 * target.size(3)), static_cast<int>(target.size(2)),
                 kFramesPerSecond, kMegabitsPerSecond}) {}
  void add(const at::Tensor& image) { writer_.write(to_picture(at::cat({target_, image}, 3))); }
  void finish() { writer_.finish(); }

 private:
  at::Tensor target_;
  io::VideoWriter writer_;
};

class Projector {
 public:
  Projector(const ProjectOptions& o, const Generator& g)
      : o_(o), g_(g), cloud_(sample_cloud(g, make_label(g, o.class_index))) {
    if (!o.detector.empty()) lpips_ = load_lpips(o.detector, o.heads, g.arena().options().device());
  }

  /// Returns the lines to tell.
  std::string run(const Job& job) const {
    const auto [pixels, note] = load_target(job.target, g_.img_resolution(), g_.img_channels());
    const at::Tensor target = pixels.to(g_.arena().options());
    const ImageDistance distance =
        lpips_ ? lpips_distance(*lpips_, target) : pyramid_distance(target);
    Projection projection(g_, cloud_, distance,
                          {.steps = o_.num_steps, .seed = static_cast<uint32_t>(o_.seed)});
    std::optional<StepVideo> video;
    if (o_.video) video.emplace(job.folder / "proj.mp4", target);
    ProgressBar bar("project", static_cast<double>(o_.num_steps), "steps");
    for (int64_t step = 0; step < o_.num_steps; ++step) {
      bar.update(static_cast<double>(step));
      projection.step();
      if (video) video->add(projection.image());
    }
    if (video) video->finish();
    const std::string result = write(job, target, projection.w(), distance);
    return note.empty() ? result : fmt::format("{}: {}\n{}", job.target, note, result);
  }

 private:
  std::string write(const Job& job, const at::Tensor& target, const at::Tensor& w,
                    const ImageDistance& distance) const {
    const at::NoGradGuard no_grad;
    const at::Tensor ws = g_.broadcast(w);
    const at::Tensor image = g_.synthesize(ws);
    io::write_npz((job.folder / "projected_w.npz").string(), {{"w", ws.cpu()}});
    io::write_png((job.folder / "target.png").string(), to_picture(target));
    io::write_png((job.folder / "proj.png").string(), to_picture(image));
    const double before = distance(g_.synthesize(g_.broadcast(cloud_.mean))).item<double>();
    return fmt::format("{}: {} {:.4g} from the average image, {:.4g} from the projection, in {}",
                       job.target, lpips_ ? "LPIPS" : "distance", before,
                       distance(image).item<double>(), job.folder.string());
  }

  const ProjectOptions& o_;
  const Generator& g_;
  LatentCloud cloud_;
  std::unique_ptr<Lpips> lpips_;
};

void check_network(const ProjectOptions& o, const Generator& g) {
  if (g.img_channels() != 1 && g.img_channels() != 3)
    throw InputError(fmt::format("{}: makes images of {} channels; 1 and 3 can be projected",
                                 o.network, g.img_channels()));
  if (!o.detector.empty() && g.img_resolution() < kLeastLpipsSide)
    throw InputError(fmt::format("--detector: LPIPS takes images of {} pixels on, {} makes {}",
                                 kLeastLpipsSide, o.network, g.img_resolution()));
  if (o.detector.empty() && !o.heads.empty())
    throw InputError("--detector-heads: needs --detector too");
}

int project(const ProjectCommand& command) {
  const ProjectOptions& o = command.options;
  MpiCommunicator comm(MPI_COMM_WORLD);
  require_complete_world(comm.size());
  const std::vector<Job> jobs = plan_jobs(o);
  divide_threads(comm.handle());
  const at::Device device = use_device(o.device, comm);
  std::unique_ptr<Generator> g;
  std::optional<Projector> projector;
  io::together(comm.handle(), [&] {
    g = load_generator(o.network, device);
    check_network(o, *g);
    // What cannot be read is found before the work begins.
    for (const Job& job : jobs) io::decode_image(io::read_file(job.target), job.target);
    projector.emplace(o, *g);
  });
  io::on_root(comm.handle(), [&] { prepare_folders(jobs, o.force); });
  std::vector<std::string> results(jobs.size());
  const auto owner = [&](size_t job) { return static_cast<int>(job) % comm.size(); };
  io::together(comm.handle(), [&] {
    for (size_t k = 0; k < jobs.size(); ++k)
      if (owner(k) == comm.rank()) results[k] = projector->run(jobs[k]);
  });
  for (size_t k = 0; k < jobs.size(); ++k)
    log::info("{}", io::broadcast_text(comm.handle(), results[k], owner(k)));
  return kExitDone;
}

}  // namespace

void add_project_command(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("project", "Finds the latents of given images");
  auto command = std::make_shared<ProjectCommand>();
  command->table.add_to(*sub);
  sub->callback([command, &action] { action = [command] { return project(*command); }; });
}

}  // namespace galette

// SPDX-License-Identifier: Apache-2.0
// `galette bench image` makes one image again and again, from the seed to grey levels, with a
// network as it is before training. A time is the median of several runs of the slowest rank.
//
// The baseline is the same with KernelPath::plain. One more run of it counts the arithmetic of an
// image: the products and convolutions of its network, by their definitions. Both rates are of this
// number, so that a way to the same image with fewer operations is not made to look slow. Memory is
// looked at before the baseline runs, which takes more.
#include "cli/bench_image.h"

#include <memory>
#include <vector>

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "base/log.h"
#include "base/memory_use.h"
#include "base/option_table.h"
#include "cli/bench_networks.h"
#include "cli/bench_timing.h"
#include "cli/device_option.h"
#include "cli/image_maker.h"
#include "cli/latents.h"
#include "cli/product_count.h"
#include "kernels/dispatch.h"
#include "parallel/device_choice.h"

namespace galette {
namespace {

constexpr double kGiga = 1e9;
constexpr int kMostGrey = 255;

struct ImageBench {
  TrainOptions train;
  int64_t resolution = 256;
  std::optional<double> scale;
  int64_t repeat = 5;
  bool json = false;
  OptionTable table;

  ImageBench() {
    const Defines nothing = Defines::nothing;
    train.cfg = "creps";
    table.add("cfg", nothing, train.cfg, "configuration",
              {"creps", "stylegan2", "stylegan3-t", "stylegan3-r"});
    table.add("resolution", nothing, resolution, "height and width of the training images",
              {4, 8192});
    table.add("cbase", nothing, train.cbase, "channel base", {1});
    table.add("cmax", nothing, train.cmax, "channel maximum", {1});
    table.add("map-depth", nothing, train.map_depth, "layers of the mapping network", {1, 64})
        .default_text("8; stylegan3: 2");
    table.add("scale", nothing, scale, "CREPS: pixels per pixel of the training images, any number")
        .default_text("1");
    table.add("repeat", nothing, repeat, "timed images of each measurement", {1, 1000});
    add_device_option(table, train.device);
    table.add_flag("json", json, "print one JSON object");
  }
};

std::unique_ptr<Generator> untrained_generator(ImageBench& o, at::Device device, int ranks) {
  constexpr int64_t kAnyBatch = 4;  // of each rank; images do not depend on it
  o.train.batch = kAnyBatch * ranks;
  o.train.gpu = device.is_cuda() ? device.index() : -1;
  resolve_for_bench(o.train, o.resolution, ranks);
  auto g = make_run_generator(o.train, {o.resolution, kBenchChannels, 0});
  g->arena().initialize(SampleRng(0), 0);
  g->set_low_precision(std::nullopt);  // as `galette generate` does
  return g;
}

/// Makes the image of one seed.
class OneImage {
 public:
  OneImage(Generator& g, const ImageRequest& request)
      : maker_(g, request), latents_(g, std::nullopt, 1) {}

  /// -> int32 [height, width, channels].
  at::Tensor make(KernelPath path) const {
    const KernelPathGuard guard(path);
    std::vector<at::Tensor> portions;
    maker_.make(latents_.ws({}), 0, kMostGrey,
                [&](const at::Tensor& rows) { portions.push_back(rows); });
    return at::cat(portions);
  }
  const io::PictureLayout& layout() const { return maker_.layout(); }

 private:
  ImageMaker maker_;
  LatentSource latents_;
};

nlohmann::ordered_json rate(double seconds, double operations) {
  return {{"seconds", seconds}, {"gflop_per_s", operations / kGiga / seconds}};
}

nlohmann::ordered_json measure(ImageBench& o, MpiCommunicator& comm) {
  const at::Device device = use_device(o.train.device, comm);
  const auto g = untrained_generator(o, device, comm.size());
  ImageRequest request;
  request.scale = o.scale;
  const OneImage image(*g, request);
  at::Tensor ours, plain;
  const double our_seconds =
      median_seconds([&] { ours = image.make(KernelPath::fused); }, o.repeat, comm);
  const double peak = comm.max(static_cast<double>(peak_resident_bytes()));
  const double plain_seconds =
      median_seconds([&] { plain = image.make(KernelPath::plain); }, o.repeat, comm);
  const ProductCount count;
  image.make(KernelPath::plain);
  const double operations = count.operations();
  const at::Tensor difference = (ours - plain).abs();
  return {{"cfg", o.train.cfg},
          {"resolution", o.resolution},
          {"cbase", o.train.cbase},
          {"cmax", o.train.cmax},
          {"width", image.layout().width},
          {"height", image.layout().height},
          {"device", c10::DeviceTypeName(device.type(), true)},
          {"ranks", comm.size()},
          {"threads_per_rank", at::get_num_threads()},
          {"repeat", o.repeat},
          {"gflop", operations / kGiga},
          {"galette", rate(our_seconds, operations)},
          {"plain", rate(plain_seconds, operations)},
          {"speedup", plain_seconds / our_seconds},
          {"differing_share", difference.ne(0).to(at::kDouble).mean().item<double>()},
          {"largest_difference", difference.max().item<int64_t>()},
          {"peak_memory_gb", peak / kGiga}};
}

void print_table(const nlohmann::ordered_json& r, const std::string& threads) {
  const auto resolution = r["resolution"].get<int64_t>();
  log::info("{} at {}x{}, cbase {}, cmax {}: an image of {}x{} pixels, {:.1f} GFLOP",
            r["cfg"].get<std::string>(), resolution, resolution, r["cbase"].get<int64_t>(),
            r["cmax"].get<int64_t>(), r["width"].get<int64_t>(), r["height"].get<int64_t>(),
            r["gflop"].get<double>());
  log::info("{}", threads);
  for (const char* name : {"galette", "plain"}) {
    log::info("{:<8}{:9.4f} s an image, {:7.1f} GFLOP/s on each rank", name,
              r[name]["seconds"].get<double>(), r[name]["gflop_per_s"].get<double>());
  }
  log::info("{:.2f} times faster than plain; {:.3f} % of the values differ, by {} at most of {}",
            r["speedup"].get<double>(), 100 * r["differing_share"].get<double>(),
            r["largest_difference"].get<int64_t>(), kMostGrey);
  log::info("{:.2f} GB of memory at most in a rank", r["peak_memory_gb"].get<double>());
}

int bench_image(ImageBench& bench) {
  return run_bench(
      bench.json, [&](MpiCommunicator& comm) { return measure(bench, comm); }, print_table);
}

}  // namespace

void add_bench_image(CLI::App& bench, Action& action) {
  CLI::App* image = bench.add_subcommand(
      "image", "Times making an image beside the same with LibTorch's own operators");
  auto command = std::make_shared<ImageBench>();
  command->table.add_to(*image);
  image->callback([command, &action] { action = [command] { return bench_image(*command); }; });
}

}  // namespace galette

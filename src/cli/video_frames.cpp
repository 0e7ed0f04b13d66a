// SPDX-License-Identifier: Apache-2.0
#include "cli/video_frames.h"

#include <fmt/format.h>

#include "base/progress.h"
#include "io/check.h"
#include "io/together.h"

namespace galette {
namespace {

constexpr io::Color kWhite{255, 255, 255};
constexpr int kFrameTag = 1;

std::vector<LoopSpline> make_paths(const LatentSource& latents, const VideoPlan& plan) {
  std::vector<LoopSpline> paths;
  for (const std::vector<uint32_t>& seeds : plan.cells) {
    std::vector<at::Tensor> keyframes;
    // All layers have the same w. Its path is a few numbers for each frame, computed on the host.
    for (const uint32_t seed : seeds)
      keyframes.push_back(latents.ws({seed, 0, 0, {}}).select(1, 0).cpu());
    paths.emplace_back(at::cat(keyframes));
  }
  return paths;
}

/// Puts rows, int32 [rows, width, channels] of 0..255, into an image.
void copy_rows(const at::Tensor& rows, int left, int top, io::Image& image) {
  const int32_t* in = rows.const_data_ptr<int32_t>();
  const int64_t row_values = rows.size(1) * rows.size(2);
  for (int y = 0; y < static_cast<int>(rows.size(0)); ++y) {
    uint8_t* out = image.row(top + y) + ptrdiff_t{left} * image.channels;
    for (int64_t i = 0; i < row_values; ++i) out[i] = static_cast<uint8_t>(*in++);
  }
}

void send(const io::Image& image, MPI_Comm comm) {
  MPI_CHECK(MPI_Ssend(image.pixels.data(), static_cast<int>(image.pixels.size()), MPI_BYTE, 0,
                      kFrameTag, comm));
}

void receive(io::Image& image, int from, MPI_Comm comm) {
  MPI_CHECK(MPI_Recv(image.pixels.data(), static_cast<int>(image.pixels.size()), MPI_BYTE, from,
                     kFrameTag, comm, MPI_STATUS_IGNORE));
}

}  // namespace

VideoFrames::VideoFrames(Generator& g, const LatentSource& latents, const VideoPlan& plan,
                         const ImageRequest& request, const std::optional<Zoom>& zoom)
    : g_(g),
      plan_(plan),
      request_(request),
      zoom_(zoom),
      cell_(ImageMaker(g, request).layout()),
      paths_(make_paths(latents, plan)) {
  if (cell_.channels > 4)
    throw InputError(
        fmt::format("--network: makes {} channels; a video shows 1 to 4", cell_.channels));
  if (!zoom_) return;
  if (dynamic_cast<const CrepsGenerator*>(&g) == nullptr)
    throw InputError("--zoom: works with CREPS networks only; leave it out");
  request_.size = Extent{cell_.width, cell_.height};
  request_.scale.reset();
}

io::ImageShape VideoFrames::shape() const {
  return {static_cast<int>(cell_.width * plan_.grid.width),
          static_cast<int>(cell_.height * plan_.grid.height), cell_.channels < 3 ? 1 : 3};
}

io::Image VideoFrames::make(int64_t frame) const {
  ImageRequest request = request_;
  if (zoom_) {
    const auto last = static_cast<double>(std::max<int64_t>(plan_.frames() - 1, 1));
    request.region = zoom_->region(static_cast<double>(frame) / last);
  }
  const ImageMaker maker(g_, request);
  const double x = static_cast<double>(frame) / static_cast<double>(plan_.w_frames);
  io::Image image(shape().width, shape().height, static_cast<int>(cell_.channels));
  for (size_t k = 0; k < paths_.size(); ++k) {
    const auto index = static_cast<int64_t>(k);
    const at::Tensor w = paths_[k].value_at(x).unsqueeze(0).to(g_.arena().options());
    int top = static_cast<int>(index / plan_.grid.width * cell_.height);
    const int left = static_cast<int>(index % plan_.grid.width * cell_.width);
    maker.make(g_.broadcast(w), 0, 255, [&](const at::Tensor& rows) {
      copy_rows(rows, left, top, image);
      top += static_cast<int>(rows.size(0));
    });
  }
  return io::composite(image, kWhite);
}

void write_video(const std::string& path, const io::VideoLayout& layout, int64_t frames,
                 const io::ImageShape& shape, const std::function<io::Image(int64_t)>& make,
                 MpiCommunicator& comm) {
  std::unique_ptr<io::VideoWriter> writer;
  io::on_root(comm.handle(), [&] { writer = std::make_unique<io::VideoWriter>(path, layout); });
  ProgressBar bar("video", static_cast<double>(frames), "frames");
  io::Image received(shape.width, shape.height, shape.channels);
  for (int64_t frame = 0; frame < frames; ++frame) {
    const int owner = static_cast<int>(frame % comm.size());
    if (comm.rank() == 0) {
      bar.update(static_cast<double>(frame));
      if (owner != 0) receive(received, owner, comm.handle());
      writer->write(owner == 0 ? make(frame) : received);
    } else if (owner == comm.rank()) {
      send(make(frame), comm.handle());
    }
  }
  io::on_root(comm.handle(), [&] { writer->finish(); });
}

}  // namespace galette
